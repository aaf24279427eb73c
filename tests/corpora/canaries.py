"""Values that stand in labelled columns and nowhere else, and everything that one of them may be disguised as.

A canary is looked for in all that a client received: as it is, in another case, without punctuation, reversed, in
halves, as digests, hex and base64, as character codes; a number also with something added or multiplied, and in the
server's binary forms; a date in every date style.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Protocol, TypeVar

from tests.corpora.wire import cells_of

_EPOCH = date(2000, 1, 1)
_HALF = 6
_REFERENCE = re.compile(rb"Reference [0-9a-f-]+:")
"""The gateway's errors have a random number, which may look like anything."""
_SPOILED = re.compile(rb"[^a-z0-9]+")

TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "email_1": "quvoxik.zelbru@mail-one.example",
        "email_2": "pyjwoth.dranckx@mail-two.example",
        "email_3": "Wexfryd.OBLMUQ@mail-three.example",
        "phone_1": "+49-7193-586-2047",
        "phone_2": "+44-6381-907-5526",
        "phone_3": "+33-8057-194-3362",
        "tax_1": "KZ83-VQXJ-17PW",
        "tax_3": "HY59-GZBW-64QM",
        "contact_1": "vrexnam/tolqib/4417",
        "contact_2": "jhubzol/wyqkep/9063",
        "contact_3": "fydgroq/xanvul/2758",
        "alias_1": "snorvexil",
        "alias_2": "grubwoltz",
        "alias_3": "plimqaxet",
        "doc_1": "hexbarlonzuq",
        "doc_2": "wimtarqexvod",
        "doc_3": "jolfynbaxkip",
        "uuid_1": "7f3ac6d1-52be-4e98-b1d7-c3a90e64f825",
        "uuid_2": "e04b97f2-8ad3-4c61-95be-1f7d62c8a0b9",
        "uuid_3": "b9d5e182-1c7f-47a6-83d0-6e24f9b73c5a",
        "street_1": "Krumvolgasse Xiltbern",
        "street_2": "Woltzendamm Pruqvex",
        "home_1": "tvorglim.jaxed@home.example",
        "home_2": "uxbridwyn.feqlo@home.example",
        "home_3": "mizkolvat.hyrdu@home.example",
        "body_1": "dreknovbal tisqumer",
        "body_2": "vyxholtram gepnuddle",
        "visitor_1": "zantrivokel-gryzdu",
        "visitor_2": "mulqbrevnix-wophtl",
        "secret_code": "ybrantulvex",
        "ticket_1": "oqvelmantrix",
        "ticket_2": "lurgzefhandy",
    }
)

CARDS: Mapping[str, str] = MappingProxyType(
    {"card_1": "ZQXJ-KVWP-GHBF-1184", "card_2": "WVXQ-ZJKD-PFMG-2291", "card_3": "JXQZ-VPKW-BMHD-3375"}
)
"""Their last group is what a partial mask shows; each of the others is enough to be found."""

NUMBERS: Mapping[str, int] = MappingProxyType(
    {
        "income_1": 1934857,
        "income_2": 2718463,
        "income_3": 3561927,
        "salary_1": 8364159,
        "salary_2": 7295381,
        "salary_3": 9471638,
        "credit_1": 730184629517,
        "credit_2": 915372864031,
        "credit_3": 648201937562,
        "pin_1": 5829647,
        "pin_2": 4716283,
    }
)
BALANCES: Mapping[str, str] = MappingProxyType(
    {"balance_1": "58273916.47", "balance_2": "91647285.13", "balance_3": "36915824.79"}
)
DATES: Mapping[str, date] = MappingProxyType(
    {"born_1": date(1931, 7, 23), "born_2": date(1927, 11, 18), "born_3": date(1934, 4, 29)}
)
BLOBS: Mapping[str, str] = MappingProxyType(
    {
        "blob_1": "c6f19d3eb7a258e4918cf0d36a7be54d",
        "blob_2": "9be37fd1c4a86052ef1d93b7c8f6a2e5",
        "blob_3": "f2d8a19c7e6bb3d5849fe1c2970da6b8",
    }
)
"""bytea, in hex."""


def substitutions() -> dict[str, str]:
    """The values by name, as SQL text to be put between quotes."""
    dates = {name: value.isoformat() for name, value in DATES.items()}
    numbers = {name: str(value) for name, value in NUMBERS.items()}
    return {**TEXTS, **CARDS, **numbers, **BALANCES, **dates, **BLOBS}


@dataclass(frozen=True, slots=True)
class Needles:
    """What to look for, by the view of the received bytes in which it is looked for."""

    raw: Mapping[bytes, str] = field(default_factory=dict)
    """In the bytes as they came: binary forms."""
    folded: Mapping[bytes, str] = field(default_factory=dict)
    """In the bytes in lower case: what punctuation is a part of."""
    bare: Mapping[bytes, str] = field(default_factory=dict)
    """In lower case and without anything but letters and digits."""

    def find(self, received: bytes) -> list[str]:
        """The canaries that are in the messages that were received, each with its disguise."""
        # A value may also be taken apart into cells, along a row or down a column.
        return self.find_in(received, *cells_of(received))

    def find_in(self, data: bytes, *others: bytes) -> list[str]:
        """The canaries that are in ``data``; what is only text may also be in one of the ``others``."""
        found: dict[str, None] = {}
        received = _REFERENCE.sub(b"", data)
        folded = received.lower()
        # One text to look through; no needle has a space in it, so that none is found across two views.
        bare = b" ".join(_SPOILED.sub(b"", view) for view in (folded, *map(bytes.lower, others)))
        for needle, name in self.raw.items():
            if needle in received:
                found[name] = None
        for needle, name in self.folded.items():
            if needle in folded:
                found[name] = None
        for needle, name in self.bare.items():
            if needle in bare:
                found[name] = None
        return list(found)


def needles() -> Needles:
    """All disguises of all canaries."""
    raw: dict[bytes, str] = {}
    folded: dict[bytes, str] = {}
    bare: dict[bytes, str] = {}
    for name, text in TEXTS.items():
        bare.update(_of_text(name, text))
    for name, card in CARDS.items():
        bare.update(_encoded(name, card.encode()))
        for group in card.split("-")[:-1]:
            bare[group.lower().encode()] = f"{name}: a group"
            bare[group.lower().encode()[::-1]] = f"{name}: a group reversed"
    for name, uuid in TEXTS.items():
        if name.startswith("uuid"):
            raw[bytes.fromhex(uuid.replace("-", ""))] = f"{name}: binary"
    for name, number in NUMBERS.items():
        bare.update(_of_number(name, number))
        raw.update(_binary_numbers(name, number))
    for name, balance in BALANCES.items():
        digits = balance.replace(".", "")
        bare[digits.encode()] = f"{name}: digits"
        bare[digits[::-1].encode()] = f"{name}: digits reversed"
        bare[digits[:_HALF].encode()] = f"{name}: first digits"
        raw[_numeric_digits(balance)] = f"{name}: numeric"
        raw[struct.pack("!d", float(balance))] = f"{name}: float8"
    for name, day in DATES.items():
        folded.update(_of_date(name, day))
        raw[struct.pack("!i", (day - _EPOCH).days)] = f"{name}: binary date"
        raw[struct.pack("!q", (day - _EPOCH).days * 86_400_000_000)] = f"{name}: binary timestamp"
    for name, blob in BLOBS.items():
        value = bytes.fromhex(blob)
        raw[value] = f"{name}: bytes"
        raw[value[:_HALF]] = f"{name}: first bytes"
        raw[value[::-1]] = f"{name}: bytes reversed"
        bare.update(_encoded(name, value))
        bare[blob[:12].encode()] = f"{name}: first half of hex"
        bare[blob[-12:].encode()] = f"{name}: last half of hex"
    return Needles(raw, folded, bare)


class HasFound(Protocol):
    """What an attack came to."""

    @property
    def found(self) -> tuple[str, ...]:
        """The canaries that came, each with its disguise."""


T = TypeVar("T", bound=HasFound)


def certain(trial: Callable[[], T]) -> T:
    """What an attack came to; a second time where nothing but digits were found, since what leaks does so again.

    A process's number beside a transaction's can spell digits by chance.
    """
    digits = {*NUMBERS, *BALANCES, *DATES}
    first = trial()
    if not first.found or any(name.partition(":")[0] not in digits for name in first.found):
        return first
    again = trial()
    return first if set(again.found) & set(first.found) else again


def _plain(text: str) -> bytes:
    return _SPOILED.sub(b"", text.lower().encode())


def _of_text(name: str, text: str) -> Iterator[tuple[bytes, str]]:
    plain = _plain(text)
    # The domain of an address is the same for many; what stands before it is not.
    own = _plain(text.partition("@")[0])
    yield plain, f"{name}: plain"
    yield plain[::-1], f"{name}: reversed"
    yield own, f"{name}: own part"
    yield own[::-1], f"{name}: own part reversed"
    yield own[:_HALF], f"{name}: first half"
    yield own[-_HALF:], f"{name}: last half"
    yield own[:_HALF][::-1], f"{name}: first half reversed"
    yield own[-_HALF:][::-1], f"{name}: last half reversed"
    for variant in (text, text.lower(), text.upper()):
        yield from _encoded(name, variant.encode())
        yield "".join(str(ord(c)) for c in variant).encode(), f"{name}: character codes"
    for half in (text[: len(text) // 2], text[len(text) // 2 :]):
        yield half.encode().hex().encode(), f"{name}: hex of a half"


def _encoded(name: str, value: bytes) -> Iterator[tuple[bytes, str]]:
    yield value.hex().encode(), f"{name}: hex"
    yield value[::-1].hex().encode(), f"{name}: hex reversed"
    yield "".join(f"{byte:08b}" for byte in value).encode(), f"{name}: bits"
    for algorithm in ("md5", "sha1", "sha256", "sha512"):
        yield hashlib.new(algorithm, value).hexdigest().encode(), f"{name}: {algorithm}"
    for offset in range(3):
        # Base64 in the middle of something longer: what does not depend on the neighbours.
        text = base64.b64encode(b"\0" * offset + value)
        inner = text[4 if offset else 0 :][: (len(value) - 3) // 3 * 4]
        yield _SPOILED.sub(b"", inner.lower()), f"{name}: base64"


def _of_number(name: str, number: int) -> Iterator[tuple[bytes, str]]:
    related = {"value": number, "value + 1": number + 1, "value - 1": number - 1, "twice": number * 2}
    related |= {"half": number // 2, "ten times": number * 10, "a hundredth": number // 100}
    for what, value in related.items():
        text = str(value)
        if len(text) >= _HALF:
            yield text.encode(), f"{name}: {what}"
            yield text[::-1].encode(), f"{name}: {what} reversed"
    yield f"{number:x}".rjust(6, "0").encode(), f"{name}: hex"
    yield f"{number:b}".encode(), f"{name}: bits"
    yield from _encoded(name, str(number).encode())


def _binary_numbers(name: str, number: int) -> Iterator[tuple[bytes, str]]:
    if number < 1 << 31:
        for value in (number, number + 1, number * 2, -number):
            yield struct.pack("!i", value), f"{name}: int4"
        yield struct.pack("!f", number), f"{name}: float4"
    yield struct.pack("!q", number), f"{name}: int8"
    yield struct.pack("!d", number), f"{name}: float8"
    yield _numeric_digits(str(number)), f"{name}: numeric"


def _numeric_digits(text: str) -> bytes:
    """The base-10000 digits of numeric's binary form."""
    whole, _, fraction = text.partition(".")
    padded = whole.rjust((len(whole) + 3) // 4 * 4, "0") + fraction.ljust((len(fraction) + 3) // 4 * 4, "0")
    return b"".join(struct.pack("!h", int(padded[i : i + 4])) for i in range(0, len(padded), 4))


def _of_date(name: str, day: date) -> Iterator[tuple[bytes, str]]:
    forms: Iterable[str] = (
        day.isoformat(),
        day.strftime("%m/%d/%Y"),
        day.strftime("%d/%m/%Y"),
        day.strftime("%m-%d-%Y"),
        day.strftime("%d-%m-%Y"),
        day.strftime("%d.%m.%Y"),
        day.strftime("%Y%m%d"),
        day.strftime("%d%m%Y"),
        day.isoformat()[::-1],
        day.strftime("%b %d"),
        str(day.toordinal() + 1721425),
        str(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())),
    )
    for form in forms:
        yield form.lower().encode(), f"{name}: {form}"
    yield from _encoded(name, day.isoformat().encode())

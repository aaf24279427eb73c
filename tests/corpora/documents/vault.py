"""Documents with canaries in labelled paths, and the search for them in bytes.

A canary stands in labelled paths and nowhere else. It is looked for in every byte that a client would get: as it is, in
another case, reversed, in halves, in hex and base64, as the bytes of its BSON type; and in all texts and field names of
a reply put together, for those that come in pieces.
"""

from __future__ import annotations

import base64
import datetime
import struct
import uuid
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import bson
from bson import Binary, Decimal128, Int64, ObjectId
from bson.binary import UuidRepresentation

DATABASE: Final = "vault"

LABELLED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "pii.email": ("vault.customers.contact.email", "vault.staff.home_email"),
        "pii.phone": ("vault.customers.contact.phones.number",),
        "pii.tax": ("vault.customers.tax",),
        "pii.money": ("vault.customers.income", "vault.customers.credit", "vault.customers.score"),
        "pii.rest": (
            "vault.customers.born",
            "vault.customers.ref",
            "vault.customers.key",
            "vault.customers.secret",
            "vault.customers.balance",
        ),
        "pci.card": ("vault.customers.cards.number",),
        "pii.deep": ("vault.customers.nested.deep",),
        "pii.pin": ("vault.customers.map.*.pin",),
        "hr.salary": ("vault.staff.salary",),
        "hr.key": ("vault.keyed._id",),
    }
)
"""Which paths have which label."""

TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "email_1": "quvoxik.zelbru@mail-one.example",
        "email_2": "pyjwoth.dranckx@mail-two.example",
        "email_3": "Wexfryd.OBLMUQ@mail-three.example",
        "phone_1": "+49-7193-586-2047",
        "phone_2": "+44-6381-907-5526",
        "phone_3": "+33-8057-194-3362",
        "tax_1": "KZ83-VQXJ-17PW",
        "tax_2": "RF57-WMKB-92TD",
        "tax_3": "HY59-GZBW-64QM",
        "card_1": "ZQXJKVWPGHBF1184",
        "card_2": "WVXQZJKDPFMG2291",
        "card_3": "JXQZVPKWBMHD3375",
        "deep_1": "hexbarlonzuq",
        "deep_2": "wimtarqexvod",
        "deep_3": "jolfynbaxkip",
        "pin_1": "snorvexilgrub",
        "pin_2": "grubwoltzplim",
        "pin_3": "plimqaxetsnor",
        "home_1": "tvorglim.jaxed@home.example",
        "home_2": "uxbridwyn.feqlo@home.example",
        "keyed_1": "oqvelmantrixlurg",
    }
)
NUMBERS: Mapping[str, int] = MappingProxyType(
    {
        "income_1": 1934857,
        "income_2": 2718463,
        "income_3": 3561927,
        "credit_1": 730184629517,
        "credit_2": 915372864031,
        "credit_3": 648201937562,
        "salary_1": 8364159,
        "salary_2": 7295381,
    }
)
_SCORES: Final = {1: 48291773.5, 2: 77135229.25, 3: 91827445.75}
"""Longer than a port's number, which servers tell."""
_BALANCES: Final = {1: "9173846.25", 2: "8264917.75", 3: "7391628.50"}
_BORN: Final = {
    n: datetime.datetime(1950 + 11 * n, n + 2, 7 + n, 3, 17, 40 + n, tzinfo=datetime.UTC) for n in (1, 2, 3)
}
_REFS: Final = {n: uuid.UUID(int=0x7F3AC6D152BE4E98B1D7C3A90E64F825 + n * 0x11223344556677) for n in (1, 2, 3)}
_KEYS: Final = {n: ObjectId(f"7e19c4{n}b5d2083fa6471c9{n}0") for n in (1, 2, 3)}
_SECRETS: Final = {n: bytes([0xD1, 0x7C, 0xE9, 0x83, 0xB6, 0x15, 0xF2, 0x4A + n, 0x90, 0xCE]) for n in (1, 2, 3)}


def documents() -> dict[str, list[dict[str, Any]]]:
    """The documents of each collection."""
    return {
        "customers": [_customer(n) for n in (1, 2, 3)],
        "staff": [
            {"_id": n, "name": f"Worker {n}", "home_email": TEXTS[f"home_{n}"], "salary": NUMBERS[f"salary_{n}"]}
            for n in (1, 2)
        ],
        "keyed": [{"_id": TEXTS["keyed_1"], "kind": "k"}],
        "orders": [
            {"_id": 100 + n, "customer": n % 3 + 1, "sku": f"sku-{n % 4}", "qty": n, "price": 2.5 * n, "at": _day(n)}
            for n in range(1, 13)
        ],
        "products": [
            {
                "_id": f"sku-{n}",
                "name": f"Product {n}",
                "stock": 10 * n,
                "tags": ["a", f"t{n}"],
                "dim": {"w": n, "h": 2},
            }
            for n in range(4)
        ],
        "places": [{"_id": n, "loc": {"type": "Point", "coordinates": [n / 10, 50.0]}, "n": n} for n in range(5)],
        "scratch": [{"_id": 1, "n": 1}],
    }


VIEWS: Mapping[str, tuple[str, list[dict[str, Any]]]] = MappingProxyType(
    {
        "mails": ("customers", [{"$project": {"mail": "$contact.email", "name": 1, "where": "$contact.city"}}]),
        "mails_again": ("mails", [{"$set": {"address": "$mail"}}, {"$unset": "mail"}]),
        "big_orders": ("orders", [{"$match": {"qty": {"$gt": 5}}}]),
    }
)


def _day(n: int) -> datetime.datetime:
    return datetime.datetime(2024, 1, n, tzinfo=datetime.UTC)


def _customer(n: int) -> dict[str, Any]:
    return {
        "_id": n,
        "name": f"Customer {n}",
        "contact": {
            "email": TEXTS[f"email_{n}"],
            "city": f"City {n}",
            "phones": [{"kind": "home", "number": TEXTS[f"phone_{n}"]}, {"kind": "work", "number": None}],
        },
        "tax": TEXTS[f"tax_{n}"],
        "income": NUMBERS[f"income_{n}"],
        "credit": Int64(NUMBERS[f"credit_{n}"]),
        "score": _SCORES[n],
        "born": _BORN[n],
        "ref": Binary.from_uuid(_REFS[n], UuidRepresentation.STANDARD),
        "key": _KEYS[n],
        "secret": Binary(_SECRETS[n], 0),
        "balance": Decimal128(_BALANCES[n]),
        "cards": [{"kind": "visa", "number": TEXTS[f"card_{n}"]}],
        "nested": {"deep": {"er": TEXTS[f"deep_{n}"], "list": [TEXTS[f"deep_{n}"]]}, "open": n},
        "map": {"x": {"pin": TEXTS[f"pin_{n}"], "v": n}, "y": {"v": 2}},
        "tags": ["new", f"tag{n}"],
        "level": n * 10,
        "vip": n == 2,
    }


def needles() -> Mapping[str, frozenset[bytes]]:
    """What to look for, by canary. Texts are in lower case."""
    found: dict[str, frozenset[bytes]] = {}
    for name, text in TEXTS.items():
        low = text.lower()
        plain = {low, low[::-1], *_halves(low)}
        spellings = {item.encode() for item in plain}
        spellings |= {item.encode().hex().encode() for item in (text, *_halves(text))}
        spellings |= set(_base64(text.encode()))
        found[name] = frozenset(spellings)
    for name, number in NUMBERS.items():
        digits = str(number)
        found[name] = frozenset(
            {digits.encode(), digits[::-1].encode(), struct.pack("<q", number), struct.pack("<d", number)}
            | ({struct.pack("<i", number)} if number < 1 << 31 else set())
            | {struct.pack("<q", number + 1), struct.pack("<d", number / 2), struct.pack("<q", number * 2)}
        )
    for n in (1, 2, 3):
        found[f"score_{n}"] = frozenset(
            {struct.pack("<d", _SCORES[n]), str(_SCORES[n]).encode(), str(int(_SCORES[n])).encode()}
        )
        milliseconds = int(_BORN[n].timestamp() * 1000)
        found[f"born_{n}"] = frozenset(
            {struct.pack("<q", milliseconds), struct.pack("<d", milliseconds), _BORN[n].strftime("%Y-%m-%d").encode()}
        )
        found[f"ref_{n}"] = frozenset({_REFS[n].bytes, _REFS[n].hex.encode(), str(_REFS[n]).encode()})
        found[f"key_{n}"] = frozenset({_KEYS[n].binary, str(_KEYS[n]).encode()})
        secret, balance = _SECRETS[n], _BALANCES[n]
        encoded = base64.b64encode(secret)[:12].lower()
        found[f"secret_{n}"] = frozenset({secret, secret.hex().encode(), encoded})
        found[f"balance_{n}"] = frozenset({Decimal128(balance).bid, balance.encode(), balance[:7].encode()})
    return found


def _halves(text: str) -> tuple[str, str]:
    middle = max(len(text) // 2, 6)
    return text[:middle], text[-middle:]


def _base64(raw: bytes) -> Iterator[bytes]:
    for shift in range(3):
        yield base64.b64encode(b"\0" * shift + raw)[4:-4].lower()


_NEEDLES: Final = needles()


def search(reply: bytes, sent: bytes = b"") -> frozenset[str]:
    """The canaries that can be seen in a reply. What the client sent itself is no secret: it is not looked for."""
    text = b"".join(_texts(bson.decode(reply))).lower() if reply else b""
    low = reply.lower()
    own = sent.lower()
    return frozenset(
        name
        for name, spellings in _NEEDLES.items()
        if any((needle in low or needle in reply or needle in text) and needle not in own for needle in spellings)
    )


def _texts(value: Any) -> Iterator[bytes]:
    """All texts and field names, in order."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from (() if str(key).isdecimal() else (str(key).encode("utf-8", "replace"),))
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value.encode("utf-8", "replace")

"""Numbers that carry a check of their own: payment cards, bank accounts, national numbers. Pure functions on text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

_CARD: Final = re.compile(r"\d{4}[ -]?\d{4}[ -]?\d{4}[ -]?\d{1,7}|3\d{3}[ -]?\d{6}[ -]?\d{4,5}")
_CARD_PREFIX: Final = re.compile(r"4|5[0-8]|2[2-7]|3[04-9]|6[0-9]")
_IBAN: Final = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")


def is_card(value: str) -> bool:
    """A payment card number: issuer range, length and check digit (ISO/IEC 7812-1, annex B)."""
    if _CARD.fullmatch(value) is None:
        return False
    digits = value.replace(" ", "").replace("-", "")
    return 13 <= len(digits) <= 19 and _CARD_PREFIX.match(digits) is not None and luhn(digits) and len(set(digits)) > 1


def luhn(digits: str) -> bool:
    """The check of ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled // 10 + doubled % 10
    return total % 10 == 0


def is_iban(value: str) -> bool:
    """An international bank account number (ISO 13616): mod 97 is 1."""
    compact = value.replace(" ", "").upper()
    if _IBAN.fullmatch(compact) is None:
        return False
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


# --- national numbers -----------------------------------------------------------------------------------------------


def _weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _brazil(value: str) -> bool:
    digits = re.sub(r"\D", "", value)
    for length in (9, 10):
        check = _weighted(digits, range(length + 1, 1, -1)) * 10 % 11 % 10
        if check != int(digits[length]):
            return False
    return len(set(digits)) > 1


def _spain(value: str) -> bool:
    number = value[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2").rstrip("-")
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == value[-1]


def _norway(value: str) -> bool:
    first = (11 - _weighted(value, (3, 7, 6, 1, 8, 9, 4, 5, 2))) % 11
    second = (11 - _weighted(value, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2))) % 11
    return first == int(value[9]) and second == int(value[10])


def _poland(value: str) -> bool:
    return -_weighted(value, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10 == int(value[10])


def _germany(value: str) -> bool:
    """ISO/IEC 7064, mod 11,10; of the first ten digits one is there two or three times."""
    product = 10
    for digit in value[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(value[10]) and len(set(value[:10])) in (8, 9)


def _france(value: str) -> bool:
    digits = value.replace(" ", "")
    return 97 - int(digits[:13]) % 97 == int(digits[13:])


def _always(_: str) -> bool:
    return True


_NATIONAL: Final[tuple[tuple[re.Pattern[str], Callable[[str], bool], float], ...]] = (
    (re.compile(r"\d{3}-\d{2}-\d{4}"), _always, 0.9),  # United States: SSN and ITIN, in their written form
    (re.compile(r"[A-CEGHJ-PR-TW-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]"), _always, 0.9),  # United Kingdom: NINO
    (re.compile(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]"), _always, 1.0),  # Italy: codice fiscale
    (re.compile(r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]"), _always, 0.8),  # India: PAN
    (re.compile(r"\d{3}\.\d{3}\.\d{3}-\d{2}"), _brazil, 1.0),  # Brazil: CPF
    (re.compile(r"(?:\d{8}|[XYZ]\d{7})-?[A-Z]"), _spain, 1.0),  # Spain: DNI and NIE
    (re.compile(r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?\d{2} ?\d{3} ?\d{3} ?\d{2}"), _france, 0.9),  # France: NIR
    (re.compile(r"(?:[0-2]\d|3[01])(?:0[1-9]|1[0-2])\d{7}"), _norway, 0.9),  # Norway: fødselsnummer
    (re.compile(r"\d{2}(?:[02468][1-9]|[13579][0-2])(?:[0-2]\d|3[01])\d{5}"), _poland, 0.6),  # Poland: PESEL
    (re.compile(r"[1-9]\d{10}"), _germany, 0.6),  # Germany: Identifikationsnummer
)


def national_number(value: str) -> float:
    """How surely a text is some country's number of a person, from 0 to 1, by shape and check digits."""
    return max((sure for shape, check, sure in _NATIONAL if shape.fullmatch(value) and check(value)), default=0.0)

"""What a single value says: for each sort of sensitive data, how surely the value is of that sort, from 0 to 1.

Patterns are anchored, without nested repetition, and only see values cut to ``MAX_CHARACTERS``, so each takes a time
that is linear in a small number.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from datetime import date
from typing import Final

MAX_CHARACTERS: Final = 256

_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+'/=?^`{|}~!#$&*-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_INTERNATIONAL: Final = re.compile(r"(?:\+|00)[1-9][0-9 ().\-/]{5,24}[0-9]")
_NATIONAL: Final = re.compile(r"\(?0?\d{2,4}\)?[ .\-/]{1,2}\d{3,4}[ .\-]\d{3,4}")
_DIGITS: Final = re.compile(r"\d{9,15}")
_ISO_DATE: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[ T].{0,40})?")
_DAY_FIRST: Final = re.compile(r"(\d{1,2})[./](\d{1,2})[./](\d{4})")
_PAIR: Final = re.compile(r"\(?(-?\d{1,3}\.\d{3,30})[,; ] ?(-?\d{1,3}\.\d{3,30})\)?")
_FRACTION: Final = re.compile(r"-?\d{1,3}\.\d{3,30}")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ONE_WORD: Final = re.compile(r"[!-~]{16,256}")
_KNOWN_SECRET: Final = re.compile(
    r"\$2[abxy]?\$\d\d\$.*|\$argon2(?:id|i|d)\$.*|\$[156y]\$.*|(?:pbkdf2|scrypt|bcrypt|argon2)[_:$].*|SCRAM-SHA-.*"
    r"|\{(?:SSHA|SHA|CRYPT|BCRYPT|PBKDF2).*|-----BEGIN [A-Z ]*PRIVATE KEY-----.*|AKIA[0-9A-Z]{16}"
    r"|(?:ghp|gho|ghs|ghu)_.{20,}|github_pat_.{20,}|xox[abprs]-.{10,}|[sr]k_(?:live|test)_.{10,}|AIza.{30,}"
    r"|eyJ[\w-]{8,}\.eyJ.*",
    re.DOTALL,
)
_STREET: Final = re.compile(
    r"\b(?:street|avenue|road|lane|drive|boulevard|court|square|st\.|ave\.?|rd\.|blvd|straße|strasse|str\.|gasse|platz"
    r"|rue|calle|via|piazza|rua|gata|gatan|vei|veien|straat|ulica|ul\.)(?:\W|$)|(?:stra(?:ß|ss)e|gatan?|veien|straat)\b",
    re.IGNORECASE,
)
_MIN_ENTROPY: Final = 3.5
_OLDEST: Final = 120
"""Years."""


def email(value: str) -> float:
    """An e-mail address (RFC 5321, the part of it that is in use)."""
    return float(_EMAIL.fullmatch(value) is not None)


def phone(value: str) -> float:
    """A telephone number: surely in international form (E.164), perhaps in a national one."""
    digits = sum(map(str.isdigit, value))
    if _INTERNATIONAL.fullmatch(value):
        return float(8 <= digits <= 17)
    if _NATIONAL.fullmatch(value) and digits >= 9:
        return 0.7
    # Digits alone could be any number, so they support a name and mean nothing without one.
    return 0.3 if _DIGITS.fullmatch(value) else 0.0


def ip_address(value: str) -> float:
    """An IPv4 or IPv6 address, or a network. Four small numbers may as well be a version."""
    host = value.partition("/")[0]
    if host.count(".") != 3 and host.count(":") < 2:
        return 0.0
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return 0.0
    return 1.0 if parsed.version == 6 or any(int(part) > 31 for part in host.split(".")) else 0.3


def birth_date(value: str, today: date) -> float:
    """A day on which somebody alive may have been born: surer the longer ago it is."""
    found = _ISO_DATE.fullmatch(value)
    parts = found.groups() if found else None
    if parts is None and (found := _DAY_FIRST.fullmatch(value)):
        day, month, year = found.groups()
        parts = (year, month, day) if int(month) <= 12 else (year, day, month)
    if parts is None:
        return 0.0
    try:
        moment = date(*map(int, parts))
    except ValueError:
        return 0.0
    age = (today - moment).days / 365.25
    if not 0 <= age <= _OLDEST:
        return 0.0
    return 1.0 if age >= 16 else 0.4


def person_name(value: str) -> float:
    """Two to four words, each beginning with a capital: as sure as a name without a dictionary can be."""
    parts = value.replace("-", " ").replace("'", " ").split()
    if not 2 <= len(parts) <= 5 or any(char.isdigit() for char in value):
        return 0.0
    return float(all(part[0].isupper() and (len(part) < 3 or part[2:].islower()) for part in parts))


def postal_address(value: str) -> float:
    """A word for a street, and a number."""
    return float(_STREET.search(value) is not None and any(char.isdigit() for char in value))


def secret(value: str) -> float:
    """A password hash, a key of a known form, or a long word that looks like chance."""
    if _KNOWN_SECRET.fullmatch(value):
        return 1.0
    if _ONE_WORD.fullmatch(value) is None or _UUID.fullmatch(value) or "://" in value or email(value):
        return 0.0
    mixed = sum((any(map(str.isdigit, value)), any(map(str.islower, value)), any(map(str.isupper, value))))
    # Digits alone, or a word with a few digits, are ordinary identifiers.
    return 0.5 if mixed >= 2 and sum(map(str.isdigit, value)) >= 3 and entropy(value) >= _MIN_ENTROPY else 0.0


def entropy(value: str) -> float:
    """Shannon's, of a value's own characters, in bits a character."""
    total = len(value)
    return -sum(count / total * math.log2(count / total) for count in Counter(value).values())


def coordinates(value: str) -> float:
    """A pair of degrees; a single number with some decimals may be one half of it."""
    pair = _PAIR.fullmatch(value)
    if pair is not None:
        return float(all(abs(float(part)) <= 180 for part in pair.groups()))
    return 0.3 if _FRACTION.fullmatch(value) and abs(float(value)) <= 180 else 0.0

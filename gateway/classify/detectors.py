"""The sorts of sensitive data that are looked for, each with what a name and what values say of it.

A detector has two weights. ``by_name`` is how sure a fitting name alone makes, ``by_values`` how sure values alone make
if all of them fit; what is not enough by itself (any old date may be a birthday) still supports the other. Values of a
``decisive`` detector that do not fit speak against the name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Final

from gateway.classify import values
from gateway.classify.names import Words, of_people
from gateway.classify.numbers import is_card, is_iban, national_number
from gateway.protocol.optional import ColumnSort

_HINT: Final = 0.5
"""How much a weak word is worth beside a strong one."""

Check = Callable[[str], float]
"""How surely a value is of the detector's sort, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Detector:
    """One sort of data, under the label that is proposed for it."""

    label: str
    name: Callable[[str, str], float]
    """What table and column name say, from 0 to 1."""
    by_name: float
    sorts: frozenset[ColumnSort]
    check: Check | None = None
    by_values: float = 0.0
    decisive: bool = True


@dataclass(frozen=True, slots=True)
class _Named:
    strong: Words
    weak: Words | None = None
    never: Words | None = None

    def __call__(self, table: str, column: str) -> float:
        if self.never is not None and self.never.found(column):
            return 0.0
        if self.strong.found(column):
            return 1.0
        return _HINT if self.weak is not None and self.weak.found(column) else 0.0


def _persons_name(table: str, column: str) -> float:
    said = _NAME(table, column)
    return 1.0 if said and of_people(table) else said


# fmt: off
_EMAIL = _Named(
    Words("e_mails?", "emails?", "mail_?address"), Words("mail", "contact", "login", "user_?name"),
)
_PHONE = _Named(
    Words("phones?", "telephone", "telefon", "mobile", "cell", "cellphone", "msisdn", "fax", "tel", "phonenumber"),
    Words("contact"),
)
_CARD = _Named(
    Words("card_?(?:number|no|num|pan)", "(?:credit|debit)_?card", "pan", "ccn", "cc_?(?:number|num)"),
    Words("card", "cc"), Words("type", "brand", "holder", "expiry", "expires"),
)
_IBAN = _Named(Words("ibans?", "bank_account"), Words("account_(?:number|no)", "account"))
_NATIONAL = _Named(
    Words(
        "ssn", "social_security", "tax_(?:number|no|id)", "taxnumber", "taxid", "tin", "itin", "personal_number",
        "national_(?:id|number|insurance)", "nationalid", "personnummer", "fodselsnummer", "nino", "cpf", "dni", "nif",
        "pesel", "codice_fiscale", "bsn", "aadhaar", "steuer_id", "passport", "passport_(?:number|no)",
        "identity_(?:number|no|card)",
    ),
    Words("tax", "insurance_number"), Words("rate", "amount", "class"),
)
_IP = _Named(Words("ip", "ips", "ipv4", "ipv6", "ip_?addr", "ip_?address", "remote_addr"), Words("host", "addr"))
_BIRTH = _Named(
    Words("birth", "birth_?date", "birthday", "date_of_birth", "dob", "born", "geburtsdatum"), Words("bday"),
    Words("place", "city", "country", "name"),
)
_NAME = _Named(
    Words(
        "(?:first|last|full|given|family|middle|maiden|sur)_?name", "forename", "fname", "lname", "nachname", "vorname",
        "cardholder", "card_?holder",
    ),
    Words("name", "person", "owner", "author"), Words("user", "file", "host", "domain", "table", "column", "product"),
)
_ADDRESS = _Named(
    Words("street", "address", "addr", "address_line", "(?:postal|home|shipping|billing)_?address"),
    Words("zip", "zip_?code", "postcode", "postal_code", "city", "town", "ship_to", "bill_to", "house_number"),
    Words("ip", "mac", "e_?mail", "mail", "web", "url", "wallet", "remote"),
)
_SECRET = _Named(
    Words(
        "passwords?", "passwd", "pwd", "passphrase", "secrets?", "api_?key", "private_key", "access_key", "secret_key",
        "(?:access|refresh|auth|session|bearer|id)_token", "credentials?", "totp", "otp", "pin_code",
    ),
    Words("token", "hash", "salt", "pin"), Words("changed", "expires", "expiry", "count", "hint"),
)
_PLACE = _Named(
    Words("latitude", "longitude", "lat", "lng", "lon", "long", "geo", "geolocation", "coordinates", "gps"),
    Words("location", "position"),
)
_SALARY = _Named(Words("salary", "salaries", "wages?", "income", "compensation", "gross_pay", "net_pay", "pay_rate"))
# fmt: on

_WORDS: Final = frozenset({ColumnSort.TEXT})
_WITHIN: Final = _WORDS | {ColumnSort.LIST, ColumnSort.DOCUMENT}
_DIGITS: Final = _WITHIN | {ColumnSort.NUMBER}


def detectors(today: date) -> tuple[Detector, ...]:
    """All of them; ``today`` is what ages are counted to."""
    born = partial(values.birth_date, today=today)
    return (
        Detector("pii.email", _EMAIL, 0.7, _WITHIN, values.email, 0.95),
        Detector("pii.phone", _PHONE, 0.7, _DIGITS, values.phone, 0.75),
        Detector("pci.card_number", _CARD, 0.7, _DIGITS, lambda value: float(is_card(value)), 0.95),
        Detector("finance.iban", _IBAN, 0.7, _WITHIN, lambda value: float(is_iban(value)), 0.97),
        # Shapes of most countries are not known here, so others say nothing against a name.
        Detector("pii.tax_number", _NATIONAL, 0.75, _DIGITS, national_number, 0.85, decisive=False),
        Detector("pii.ip_address", _IP, 0.6, _WITHIN | {ColumnSort.NETWORK}, values.ip_address, 0.85),
        Detector("pii.birth_date", _BIRTH, 0.75, _WORDS | {ColumnSort.DATE}, born, 0.15),
        Detector("pii.name", _persons_name, 0.7, _WORDS, values.person_name, 0.25, decisive=False),
        Detector("pii.address", _ADDRESS, 0.65, _WITHIN, values.postal_address, 0.6, decisive=False),
        Detector("secret.credential", _SECRET, 0.8, _WORDS, values.secret, 0.85, decisive=False),
        Detector("pii.location", _PLACE, 0.7, _WORDS | {ColumnSort.NUMBER, ColumnSort.OTHER}, values.coordinates, 0.6),
        Detector("finance.salary", _SALARY, 0.7, _WORDS | {ColumnSort.NUMBER}),
    )

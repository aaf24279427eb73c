"""What single values say, by examples that are and are not of a sort."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify import values
from gateway.classify.detectors import detectors
from gateway.classify.numbers import is_card, is_iban, luhn, national_number

TODAY = date(2026, 1, 7)


@pytest.mark.parametrize("value", ["ana@example.com", "a.b+c@mail.example.co.uk", "o'x@example.org"])
def test_email(value: str) -> None:
    assert values.email(value) == 1


@pytest.mark.parametrize("value", ["ana", "ana@localhost", "@example.com", "a b@example.com", "x@y@example.com", ""])
def test_not_email(value: str) -> None:
    assert values.email(value) == 0


@pytest.mark.parametrize(
    "value", ["+1-200-555-0100", "+47 55 50 10 00", "0049 30 5550100", "(020) 555 0100", "200.555.0100"]
)
def test_phone(value: str) -> None:
    assert values.phone(value) >= 0.7


@pytest.mark.parametrize("value", ["2024-01-01", "+1", "ab", "192.168.100.200", "900-12-3456", "12:30:00", "1.5"])
def test_not_phone(value: str) -> None:
    assert values.phone(value) == 0


@pytest.mark.parametrize("value", ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009"])
def test_card(value: str) -> None:
    assert is_card(value)


@pytest.mark.parametrize(
    "value", ["4111111111111112", "1111111111111117", "0000000000000000", "1700000000000", "4111", "4111-11-1111111111"]
)
def test_not_card(value: str) -> None:
    assert not is_card(value)


def test_every_card_has_exactly_one_check_digit() -> None:
    assert sum(luhn(f"400000000000000{digit}") for digit in range(10)) == 1


def test_iban() -> None:
    assert is_iban("GB82 WEST 1234 5698 7654 32")
    assert is_iban("NO9386011117947")
    assert not is_iban("GB83 WEST 1234 5698 7654 32")
    assert not is_iban("GB82WEST")


@pytest.mark.parametrize(
    "value",
    [
        *("900-12-3456", "AB123456C", "RSSMRA85T10A562S", "529.982.247-25", "12345678Z", "X1234567L"),
        *("44051401359", "86095742719"),
    ],
)
def test_national_numbers(value: str) -> None:
    assert national_number(value) >= 0.6


@pytest.mark.parametrize("value", ["529.982.247-26", "12345678A", "44051401358", "12345", "2024-01-01", "QQ12"])
def test_not_national_numbers(value: str) -> None:
    assert national_number(value) == 0


def test_addresses_of_hosts() -> None:
    assert values.ip_address("192.0.2.7") == 1
    assert values.ip_address("192.0.2.0/24") == 1
    assert values.ip_address("2001:db8::1") == 1
    assert values.ip_address("1.2.3.4") < 0.5  # or a version
    assert values.ip_address("12:30:00") == 0
    assert values.ip_address("1.2.3") == 0


def test_birth_dates() -> None:
    assert values.birth_date("1980-05-17", TODAY) == 1
    assert values.birth_date("17.5.1980", TODAY) == 1
    assert values.birth_date("5/17/1980", TODAY) == 1
    assert values.birth_date("2020-05-17 10:00:00+00", TODAY) < 0.5
    for value in ("1850-01-01", "2027-01-01", "1980-13-01", "0000-00-00", "infinity", "soon"):
        assert values.birth_date(value, TODAY) == 0


def test_secrets() -> None:
    hashes = ("$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=65536")
    for value in (*hashes, "AKIAABCDEFGHIJKLMNOP", "eyJhbGciOiJ9.eyJzdWIiOj"):
        assert values.secret(value) == 1
    assert values.secret("kX9vQ2mN7pR4tY8wZ3aB6cD1") == 0.5
    addresses = ("https://example.com/a/b1c2d3", "ana12345@example.com")
    for value in (*addresses, "c56a4180-65aa-42ec-a945-5fd21dec0538", "a short one"):
        assert values.secret(value) == 0


def test_coordinates_names_and_streets() -> None:
    assert values.coordinates("60.3913, 5.3221") == 1
    assert values.coordinates("(60.3913,5.3221)") == 1
    assert 0 < values.coordinates("60.39130") < 0.5
    assert values.coordinates("999.123") == 0
    assert values.coordinates("12.50") == 0
    assert values.person_name("Ana Alder") == 1
    assert values.person_name("Anne-Marie O'Neill") == 1
    assert values.person_name("cast-iron pan") == 0
    assert values.person_name("Route 66") == 0
    assert values.postal_address("12 Harbour Street") == 1
    assert values.postal_address("Hauptstraße 7") == 1
    assert values.postal_address("Bergen") == 0


@given(st.text(max_size=values.MAX_CHARACTERS))
def test_no_value_is_too_strange(value: str) -> None:
    for detector in detectors(TODAY):
        if detector.check is not None:
            assert 0 <= detector.check(value) <= 1


@pytest.mark.parametrize("piece", ["a@", "1-", "eyJ", "$2", "1.", "{", "A ", "-1.123,", "9" * 9, "::1"])
def test_long_values_take_no_longer(piece: str) -> None:
    # Would take years with a pattern that backtracks.
    value = (piece * values.MAX_CHARACTERS)[: values.MAX_CHARACTERS - 1] + "\n"
    for detector in detectors(TODAY):
        if detector.check is not None:
            detector.check(value)

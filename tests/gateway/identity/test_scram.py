"""Verifiers: the standard's numbers, PostgreSQL's text form, SASLprep."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.identity import ScramVerifier
from gateway.identity.scram import (
    derive_verifier,
    format_verifier,
    matches_verifier,
    parse_verifier,
    prepared_password,
    saslprep,
)

RFC_SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
# What PostgreSQL stores for this password, salt and count.
PENCIL = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)
VERIFIERS = st.builds(
    ScramVerifier,
    st.binary(min_size=8, max_size=40),
    st.integers(4096, 1_000_000),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
)


def test_rfc_7677_password_gives_the_known_verifier():
    assert format_verifier(derive_verifier("pencil", salt=RFC_SALT)) == PENCIL


def test_a_password_fits_its_own_verifier_only():
    verifier = parse_verifier(PENCIL)
    assert matches_verifier("pencil", verifier)
    assert not matches_verifier("pencils", verifier)


@given(VERIFIERS)
def test_parse_reverses_format(verifier):
    assert parse_verifier(format_verifier(verifier)) == verifier


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pencil",
        PENCIL.replace("SHA-256", "SHA-1"),
        PENCIL.replace("4096", "4095"),
        PENCIL.replace("4096", "1000001"),
        PENCIL.replace("4096", "-1"),
        PENCIL.replace("4096", "\u0664096"),
        PENCIL.replace("W22ZaJ0SNY7soEsUEjb6gQ==", ""),
        PENCIL.replace("W22Z", "W2!Z"),
        PENCIL.replace("WG5d", ""),
        PENCIL[:-4],
        PENCIL + ":x",
    ],
)
def test_other_texts_are_refused_without_being_shown(text):
    with pytest.raises(ValueError, match="SCRAM-SHA-256 verifier") as caught:
        parse_verifier(text)
    assert "WG5d" not in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_a_verifier_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert isinstance(parse_verifier(text), ScramVerifier)


# RFC 4013 section 3 and some of RFC 3454's rules.
@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\u0627\u0628", "\u0627\u0628"),
        ("\u0007", None),
        ("\u0627\u0031", None),
        ("\u0627a\u0628", None),
        ("\ue000", None),
        ("\u0221", None),
        ("", None),
        ("\u00ad", None),
    ],
)
def test_saslprep(text, prepared):
    assert saslprep(text) == prepared


def test_a_password_that_saslprep_refuses_is_taken_as_it_is():
    assert prepared_password("tab\there") == b"tab\there"
    assert prepared_password("\udcff") == b"\xff"

"""The text form of a SCRAM verifier."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import format_verifier, parse_verifier
from gateway.domain.identity import ScramVerifier


@given(st.binary(min_size=8, max_size=64), st.integers(4096, 1_000_000), st.binary(min_size=32, max_size=32))
def test_round_trip(salt: bytes, iterations: int, key: bytes) -> None:
    verifier = ScramVerifier(salt=salt, iterations=iterations, stored_key=key, server_key=key[::-1])
    assert parse_verifier(format_verifier(verifier)) == verifier


def test_is_the_form_that_postgresql_stores() -> None:
    salt = b"0123456789abcdef"
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", salt, 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = "SCRAM-SHA-256$4096:" + "$".join(
        [base64.b64encode(salt).decode(), ":".join(base64.b64encode(key).decode() for key in (stored, server))]
    )
    assert parse_verifier(text).stored_key == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "SCRAM-SHA-256$1:c2FsdHNhbHQ=$AAAA:AAAA",
        "SCRAM-SHA-1$4096:c2FsdHNhbHQ=$AAAA:AAAA",
        "SCRAM-SHA-256$4096:c2FsdHNhbHQ=$AAAA:AAAA",
        "SCRAM-SHA-256$4096:AA=$" + "A" * 43 + "=:" + "A" * 43 + "=",
    ],
)
def test_what_is_not_a_verifier_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="verifier") as caught:
        parse_verifier(text)
    assert not text or text not in str(caught.value)

"""Signed snapshots: only what the trusted key signed, byte for byte, is ever looked into."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.document import SnapshotDocument
from gateway.control.signing import SignedSnapshot, SnapshotSigner, parse_key
from gateway.errors import ConfigurationError

SIGNER = SnapshotSigner(bytes(range(32)))
DOCUMENT = SnapshotDocument.build(
    number=3, created=datetime(2026, 11, 25, tzinfo=UTC), sections={"principals": [{"name": "ana@example.com"}]}
)
DATA = SIGNER.sign(DOCUMENT).encode()


def test_what_the_trusted_key_signed_passes() -> None:
    decoded = SignedSnapshot.decode(DATA, trusted=SIGNER.public_key)
    assert decoded.document.body == DOCUMENT.body
    assert decoded.encode() == DATA


def test_a_foreign_signature_is_refused() -> None:
    foreign = SnapshotSigner(bytes(32))
    with pytest.raises(ConfigurationError, match="this gateway trusts"):
        SignedSnapshot.decode(foreign.sign(DOCUMENT).encode(), trusted=SIGNER.public_key)


def test_a_foreign_signature_under_the_trusted_name_is_refused() -> None:
    foreign = SnapshotSigner(bytes(32))
    forged = foreign.sign(DOCUMENT).encode().replace(foreign.public_key.encode(), SIGNER.public_key.encode())
    with pytest.raises(ConfigurationError, match="signature is wrong"):
        SignedSnapshot.decode(forged, trusted=SIGNER.public_key)


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_no_changed_byte_passes(position: int, change: int) -> None:
    data = bytearray(DATA)
    data[position] ^= change
    try:
        decoded = SignedSnapshot.decode(bytes(data), trusted=SIGNER.public_key)
    except ConfigurationError:
        return
    # Only the header's own name of the document is not what is signed; the name that counts is worked out.
    assert decoded.document.body == DOCUMENT.body


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ConfigurationError):
        SignedSnapshot.decode(data, trusted=SIGNER.public_key)


def test_the_key_is_made_once(tmp_path: Path) -> None:
    one = SnapshotSigner.load_or_create(tmp_path / "signing.key")
    assert SnapshotSigner.load_or_create(tmp_path / "signing.key").public_key == one.public_key
    assert len(parse_key(one.public_key)) == 32
    assert (tmp_path / "signing.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "ed25519:", "ed25519:AAAA", "rsa:" + "A" * 43 + "=", "ed25519:!!!"])
def test_a_key_has_one_form(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_key(text)

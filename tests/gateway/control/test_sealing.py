"""Sealed secrets: opened by the key that sealed them, and by nobody else."""

from __future__ import annotations

import pytest
from nacl.public import PrivateKey

from gateway.control.sealing import MAX_TEXT, Sealer, public_key_of, unwrap
from gateway.errors import ConfigurationError

SEALER = Sealer(bytes(range(32)))


def test_opens_what_it_sealed_and_hides_it_meanwhile() -> None:
    sealed = SEALER.seal("s3cret-pässword")
    assert "s3cret" not in sealed
    assert SEALER.open(sealed) == "s3cret-pässword"
    assert SEALER.seal("same") != SEALER.seal("same"), "equal secrets must not be seen to be equal"


@pytest.mark.parametrize("text", ["", "v1:", "v1:AAAA", "plain", "v1:!"])
def test_refuses_anything_else_without_quoting_it(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SEALER.open(text)
    assert not text or text not in str(caught.value)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(ConfigurationError, match="another key"):
        Sealer(bytes(32)).open(SEALER.seal("x"))


def test_a_secret_has_a_limit() -> None:
    with pytest.raises(ValueError, match="at most"):
        SEALER.seal("x" * (MAX_TEXT + 1))


def test_the_key_reaches_the_gateway_it_is_wrapped_for_and_no_other() -> None:
    private = bytes(PrivateKey.generate())
    wrapped = SEALER.wrap_for(public_key_of(private), b"i" * 32)
    key, identity = unwrap(wrapped, private)
    assert Sealer(key).open(SEALER.seal("x")) == "x"
    assert identity == b"i" * 32
    with pytest.raises(ConfigurationError, match="not wrapped for this gateway"):
        unwrap(wrapped, bytes(PrivateKey.generate()))
    with pytest.raises(ValueError, match="X25519"):
        SEALER.wrap_for(b"short")

"""Making signed tokens (JWT, RFC 7519) with keys of our own: ES256, one key by its id. The checks are ``jwt``'s."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jose import jwk, jws

ALGORITHM: Final = "ES256"


def new_key() -> str:
    """A private key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")


def public_jwk(private_key: str, kid: str) -> dict[str, str]:
    """The public half, as an entry of a key set (RFC 7517)."""
    public = jwk.construct(private_key, ALGORITHM).public_key().to_dict()
    fields = {name: _text(public[name]) for name in ("kty", "crv", "x", "y")}
    return {**fields, "kid": kid, "alg": ALGORITHM, "use": "sig"}


def sign(claims: Mapping[str, object], private_key: str, kid: str, *, kind: str = "at+jwt") -> str:
    """A token. ``kind`` is its ``typ``: the purpose that it is good for."""
    token: str = jws.sign(dict(claims), private_key, headers={"kid": kid, "typ": kind}, algorithm=ALGORITHM)
    return token


def _text(value: object) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)

"""Access tokens: database passwords that the gateway issues. Only their verifiers are kept."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

from gateway.domain.identity import AccessToken, ScramVerifier
from gateway.domain.principal import Principal
from gateway.identity.scram import DEFAULT_ITERATIONS, derive_verifier, hmac_sha256
from gateway.identity.sha2 import sha2_verifier

TOKEN_PREFIX: Final = "qg_"  # noqa: S105 - public by design
"""Makes a token recognisable to secret scanners."""
TOKEN_BYTES: Final = 24
"""192 bits; 32 characters in URL-safe base64."""
SALT_BYTES: Final = 16

_ID_BYTES: Final = 6


def new_secret(random: Callable[[int], bytes]) -> str:
    """A fresh token; ``random`` must be cryptographic (``secrets.token_bytes``). Letters, digits, ``-`` and ``_``."""
    return TOKEN_PREFIX + base64.urlsafe_b64encode(random(TOKEN_BYTES)).decode("ascii").rstrip("=")


def new_token_id(random: Callable[[int], bytes]) -> str:
    """A name for a token that may be shown, logged and typed."""
    return "tok-" + random(_ID_BYTES).hex()


def scram_salt(install_secret: bytes, name: str) -> bytes:
    """The SCRAM salt of a user name: the same for all its tokens, and as good for a name that nobody has.

    A client gets to see the salt before it has proved anything, so it must not tell known names from unknown ones.
    """
    return hmac_sha256(install_secret, b"scram-salt:" + name.encode("utf-8", "surrogateescape"))[:SALT_BYTES]


def token_verifier(secret: str, *, install_secret: bytes, name: str) -> ScramVerifier:
    """What is kept of a token of the principal ``name``. Costs about 1 ms of CPU."""
    return derive_verifier(secret, salt=scram_salt(install_secret, name), iterations=DEFAULT_ITERATIONS)


def access_token(
    identifier: str,
    principal: Principal,
    secret: str,
    *,
    install_secret: bytes,
    resources: frozenset[str] = frozenset(),
    expires_at: float | None = None,
) -> AccessToken:
    """The kept form of a token whose secret is at hand, such as one from the configuration."""
    scram = token_verifier(secret, install_secret=install_secret, name=principal.name)
    return AccessToken(identifier, principal, scram, resources, expires_at, sha2_verifier(secret.encode()))

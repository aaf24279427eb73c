"""The text form of a SCRAM-SHA-256 verifier, the one that PostgreSQL keeps in ``pg_authid.rolpassword``.

``SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>``, the binary parts in base64 (RFC 5803 has the same parts).
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Final

from pydantic import BeforeValidator, InstanceOf

from gateway.config.secrets import EnvironmentSource, FileSource, InlineSource, SecretSource, parse_source
from gateway.domain.identity import ScramVerifier

_FORM: Final = re.compile(r"SCRAM-SHA-256\$(\d{1,7}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
_MIN_ITERATIONS: Final = 4096
_MAX_ITERATIONS: Final = 1_000_000
_KEY_BYTES: Final = 32


def parse_verifier(text: str) -> ScramVerifier:
    """Read a verifier. Raises ``ValueError``, whose text never holds a part of it."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError('a verifier has the form "SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>"')
    iterations = int(found[1])
    if not _MIN_ITERATIONS <= iterations <= _MAX_ITERATIONS:
        raise ValueError(f"a verifier has {_MIN_ITERATIONS} to {_MAX_ITERATIONS} iterations")
    try:
        salt, stored, server = (base64.b64decode(part, validate=True) for part in found.groups()[1:])
    except binascii.Error:
        raise ValueError("a part of the verifier is not base64") from None
    if len(salt) < 8 or len(stored) != _KEY_BYTES or len(server) != _KEY_BYTES:
        raise ValueError(f"a verifier has a salt of at least 8 bytes and keys of {_KEY_BYTES}")
    return ScramVerifier(salt=salt, iterations=iterations, stored_key=stored, server_key=server)


def format_verifier(verifier: ScramVerifier) -> str:
    """The text form, for ``token: {verifier: …}``."""
    salt, stored, server = (
        base64.b64encode(part).decode("ascii") for part in (verifier.salt, verifier.stored_key, verifier.server_key)
    )
    return f"SCRAM-SHA-256${verifier.iterations}:{salt}${stored}:{server}"


def parse_token(value: object) -> ScramVerifier | SecretSource:
    """``{verifier: text}`` or a secret source. Raises ``ValueError``, whose text never holds the value."""
    match value:
        case {"verifier": str(text), **rest} if not rest:
            return parse_verifier(text)
        case {"verifier": _}:
            raise ValueError("write {verifier: text} and nothing beside it")
        case ScramVerifier():
            return value
        case _:
            return parse_source(value)


TokenField = Annotated[
    InstanceOf[ScramVerifier] | InstanceOf[EnvironmentSource] | InstanceOf[FileSource] | InstanceOf[InlineSource],
    BeforeValidator(parse_token),
]

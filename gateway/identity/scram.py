"""What SCRAM-SHA-256 keeps instead of a password (RFC 5802 section 3, RFC 7677), for every protocol that speaks it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import stringprep
import unicodedata
from typing import Final

from gateway.domain.identity import ScramVerifier

HASH_SIZE: Final = 32
DEFAULT_ITERATIONS: Final = 4096
"""What RFC 7677 asks for at least, and what PostgreSQL uses."""
MIN_SALT: Final = 8
MAX_ITERATIONS: Final = 1_000_000
"""Above this a peer could keep us hashing; about a quarter of a second."""

_PROHIBITED: Final = (
    stringprep.in_table_a1,  # unassigned in Unicode 3.2
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str) -> str | None:
    """The text normalised by RFC 4013, or None where the profile refuses it."""
    if text.isascii() and text.isprintable():
        return text or None
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char)
    )
    normal = unicodedata.normalize("NFKC", mapped)
    if not normal or any(refuses(char) for char in normal for refuses in _PROHIBITED):
        return None
    if any(map(stringprep.in_table_d1, normal)):
        # RFC 3454 section 6: right-to-left text may not be mixed with left-to-right, and begins and ends as such.
        if any(map(stringprep.in_table_d2, normal)):
            return None
        if not (stringprep.in_table_d1(normal[0]) and stringprep.in_table_d1(normal[-1])):
            return None
    return normal


def prepared_password(password: str) -> bytes:
    """The bytes that SCRAM hashes. As PostgreSQL does it, a password that SASLprep refuses is taken as it is."""
    normal = saslprep(password)
    return (password if normal is None else normal).encode("utf-8", "surrogateescape")


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC with SHA-256."""
    return hmac.digest(key, message, "sha256")


def salted_password(password: str, salt: bytes, iterations: int) -> bytes:
    """``SaltedPassword`` of RFC 5802: PBKDF2; about 1 ms of CPU for 4096 iterations. Keep it secret."""
    return hashlib.pbkdf2_hmac("sha256", prepared_password(password), salt, iterations)


def client_key(salted: bytes) -> bytes:
    """``ClientKey`` of RFC 5802, whose SHA-256 is the stored key."""
    return hmac_sha256(salted, b"Client Key")


def server_key(salted: bytes) -> bytes:
    """``ServerKey`` of RFC 5802."""
    return hmac_sha256(salted, b"Server Key")


def derive_verifier(password: str, *, salt: bytes, iterations: int = DEFAULT_ITERATIONS) -> ScramVerifier:
    """What to store for a password."""
    salted = salted_password(password, salt, iterations)
    stored = hashlib.sha256(client_key(salted)).digest()
    return ScramVerifier(salt=salt, iterations=iterations, stored_key=stored, server_key=server_key(salted))


def matches_verifier(password: str, verifier: ScramVerifier) -> bool:
    """Whether the password is the one behind the verifier, in constant time for equal parameters."""
    salted = salted_password(password, verifier.salt, verifier.iterations)
    return hmac.compare_digest(hashlib.sha256(client_key(salted)).digest(), verifier.stored_key)


def format_verifier(verifier: ScramVerifier) -> str:
    """``SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>``, as PostgreSQL writes it."""
    salt, stored, server = (
        base64.b64encode(part).decode("ascii") for part in (verifier.salt, verifier.stored_key, verifier.server_key)
    )
    return f"SCRAM-SHA-256${verifier.iterations}:{salt}${stored}:{server}"


def parse_verifier(text: str) -> ScramVerifier:
    """The reverse of ``format_verifier``; ``ValueError`` for anything else, with no part of the text in it."""
    try:
        scheme, parameters, keys = text.split("$")
        iterations, salt = parameters.split(":")
        stored, server = keys.split(":")
        if scheme != "SCRAM-SHA-256" or not (iterations.isascii() and iterations.isdigit()):
            raise ValueError
        verifier = ScramVerifier(
            salt=base64.b64decode(salt, validate=True),
            iterations=int(iterations),
            stored_key=base64.b64decode(stored, validate=True),
            server_key=base64.b64decode(server, validate=True),
        )
    except (ValueError, binascii.Error):
        raise ValueError("not a SCRAM-SHA-256 verifier") from None
    if len(verifier.salt) < MIN_SALT or not DEFAULT_ITERATIONS <= verifier.iterations <= MAX_ITERATIONS:
        raise ValueError("a SCRAM-SHA-256 verifier with impossible parameters")
    if len(verifier.stored_key) != HASH_SIZE or len(verifier.server_key) != HASH_SIZE:
        raise ValueError("a SCRAM-SHA-256 verifier with keys of the wrong size")
    return verifier

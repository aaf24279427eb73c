"""What caching_sha2_password lets a server keep instead of a password: SHA-256 of its SHA-256.

There is no salt and no work in it, so it is for access tokens only, which nobody can guess (192 bits).
"""

from __future__ import annotations

import hashlib
from typing import Final

SHA2_SIZE: Final = 32


def sha2_verifier(password: bytes) -> bytes:
    """The verifier of a password, 32 bytes."""
    return hashlib.sha256(hashlib.sha256(password).digest()).digest()


def parse_sha2(text: str) -> bytes | None:
    """From 64 hexadecimal digits; None for an empty text. ``ValueError`` for anything else."""
    if not text:
        return None
    verifier = bytes.fromhex(text)
    if len(verifier) != SHA2_SIZE:
        raise ValueError("a SHA-2 verifier of the wrong size")
    return verifier

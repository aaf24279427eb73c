"""Secrets that travel in snapshots and lie in the control plane's store: sealed, so that neither holds them in clear.

A text is sealed with the installation's sealing key (XSalsa20-Poly1305, NaCl's secretbox). Gateways get that key
wrapped for a key pair of their own (X25519 sealed box) with every snapshot that they pull, and never over an
unauthenticated request. A sealed text depends on nothing but the text and a random nonce, so it is made once, when the
secret is written: snapshots of the same documents stay the same bytes.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Final

import nacl.utils
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.secret import SecretBox

from gateway.errors import ConfigurationError
from gateway.identity.files import load_or_create_secret

PREFIX: Final = "v1:"
MAX_TEXT: Final = 64 * 1024
"""Bytes of one secret."""

Random = Callable[[int], bytes]


class Sealer:
    """Seals and opens texts with one key of 32 bytes."""

    def __init__(self, key: bytes, *, random: Random = nacl.utils.random) -> None:
        if len(key) != SecretBox.KEY_SIZE:
            raise ConfigurationError(f"a sealing key has {SecretBox.KEY_SIZE} bytes, not {len(key)}")
        self._key = key
        self._box = SecretBox(key)
        self._random = random

    @classmethod
    def load_or_create(cls, path: Path) -> Sealer:
        """The key at ``path`` (mode 0600), made on first use. Without it, no stored secret can be opened again."""
        return cls(load_or_create_secret(path))

    def derive(self, purpose: bytes) -> bytes:
        """Another key, 32 bytes, for one purpose: who has this one has that one, and nobody else."""
        return hmac.digest(self._key, b"querygate:" + purpose, "sha256")

    def seal(self, text: str) -> str:
        """The sealed form, letters that JSON and YAML take as they are. Raises ``ValueError`` for too long a text."""
        data = text.encode()
        if len(data) > MAX_TEXT:
            raise ValueError(f"a secret has at most {MAX_TEXT} bytes")
        sealed = self._box.encrypt(data, self._random(SecretBox.NONCE_SIZE))
        return PREFIX + base64.b64encode(bytes(sealed)).decode("ascii")

    def open(self, sealed: str) -> str:
        """The text. ``ConfigurationError``, with no part of either in it, for what this key did not seal."""
        try:
            if not sealed.startswith(PREFIX):
                raise ValueError
            data: bytes = self._box.decrypt(base64.b64decode(sealed.removeprefix(PREFIX), validate=True))
            return data.decode()
        except (ValueError, binascii.Error, CryptoError):
            raise ConfigurationError("a sealed secret cannot be opened: it was sealed with another key") from None

    def wrap_for(self, public_key: bytes, also: bytes = b"") -> bytes:
        """The sealing key, and 32 bytes more if given, for the owner of an X25519 key. ``ValueError`` for a bad key."""
        if len(public_key) != PublicKey.SIZE:
            raise ValueError("not an X25519 public key")
        return bytes(SealedBox(PublicKey(public_key)).encrypt(self._key + also))


def unwrap(wrapped: bytes, private_key: bytes) -> tuple[bytes, bytes]:
    """The sealing key and what was added to it. ``ConfigurationError`` for what was wrapped for somebody else."""
    try:
        content = SealedBox(PrivateKey(private_key)).decrypt(wrapped)
    except (CryptoError, ValueError, TypeError):
        raise ConfigurationError("the control plane's key was not wrapped for this gateway") from None
    return content[: SecretBox.KEY_SIZE], content[SecretBox.KEY_SIZE :]


def public_key_of(private_key: bytes) -> bytes:
    """The X25519 public key that belongs to 32 private bytes."""
    return bytes(PrivateKey(private_key).public_key)

"""Signatures on snapshots (Ed25519, RFC 8032), and the form in which a signed one travels and lies on disk.

That form is one line of JSON, then the document's own bytes::

    {"key":"ed25519:…","name":"<sha256>","querygate_snapshot":1,"signature":"<base64>"}
    {"created":…

The signature is over a fixed prefix and the SHA-256 of the bytes, so that it can stand for nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from gateway.control.document import MAX_BYTES, SnapshotDocument, canonical
from gateway.errors import ConfigurationError
from gateway.identity.files import load_or_create_secret

_CONTEXT: Final = b"querygate snapshot v1\n"
_KEY_PREFIX: Final = "ed25519:"
_MAX_HEADER: Final = 1024
MEDIA_TYPE: Final = "application/vnd.querygate.snapshot"


class SnapshotSigner:
    """The control plane's signing key."""

    def __init__(self, seed: bytes) -> None:
        self._key = SigningKey(seed)

    @classmethod
    def load_or_create(cls, path: Path) -> SnapshotSigner:
        """The key at ``path`` (32 bytes, mode 0600), made on first use. Gateways trust exactly this key."""
        return cls(load_or_create_secret(path))

    @property
    def public_key(self) -> str:
        """What gateways are told to trust: ``ed25519:<base64>``."""
        return format_key(bytes(self._key.verify_key))

    def sign(self, document: SnapshotDocument) -> SignedSnapshot:
        """The document with this key's signature."""
        signature = self._key.sign(_CONTEXT + document.digest).signature
        return SignedSnapshot(document, self.public_key, signature)


@dataclass(frozen=True, slots=True)
class SignedSnapshot:
    """A document and who signed it. One that ``decode`` returned has been verified."""

    document: SnapshotDocument
    key: str
    signature: bytes

    def encode(self) -> bytes:
        """The form for the network and the disk."""
        header = {
            "querygate_snapshot": 1,
            "key": self.key,
            "name": self.document.name,
            "signature": base64.b64encode(self.signature).decode("ascii"),
        }
        return canonical(header) + b"\n" + self.document.body

    @classmethod
    def decode(cls, data: bytes, *, trusted: str) -> SignedSnapshot:
        """Read and verify. ``ConfigurationError`` for what the trusted key did not sign, before it is looked into."""
        header, newline, body = data.partition(b"\n")
        if not newline or len(header) > _MAX_HEADER or len(body) > MAX_BYTES:
            raise ConfigurationError("not a signed snapshot")
        try:
            match json.loads(header):
                case {"querygate_snapshot": 1, "key": str(key), "signature": str(text)}:
                    signature = base64.b64decode(text, validate=True)
                case _:
                    raise ValueError
        except (ValueError, binascii.Error, RecursionError):
            raise ConfigurationError("not a signed snapshot") from None
        if not hmac.compare_digest(key.encode(), trusted.encode()):
            raise ConfigurationError(f"the snapshot is signed by {key}, and this gateway trusts {trusted}")
        verify_signature(body, signature, trusted)
        return cls(SnapshotDocument.parse(body), key, signature)


def verify_signature(body: bytes, signature: bytes, key: str) -> None:
    """``ConfigurationError`` unless the key's owner signed these bytes as a snapshot."""
    try:
        VerifyKey(parse_key(key)).verify(_CONTEXT + hashlib.sha256(body).digest(), signature)
    except (BadSignatureError, ValueError, TypeError):
        raise ConfigurationError("the snapshot's signature is wrong: not these bytes were signed") from None


def format_key(key: bytes) -> str:
    """A public key as text."""
    return _KEY_PREFIX + base64.b64encode(key).decode("ascii")


def parse_key(text: str) -> bytes:
    """The key behind the text. Raises ``ConfigurationError``."""
    try:
        if not text.startswith(_KEY_PREFIX):
            raise ValueError
        key = base64.b64decode(text.removeprefix(_KEY_PREFIX), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != 32:
        raise ConfigurationError('a signing key is written "ed25519:<base64 of 32 bytes>"')
    return key

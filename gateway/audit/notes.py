"""Signed checkpoints: C2SP signed-note and tlog-checkpoint (https://c2sp.org).

::

    querygate.audit/gw-1/6f0c…          origin: which log
    48113                               how many lines it has
    q5K…=                               the root of the tree over them

    — querygate.audit/gw-1/6f0c… B7h…   name, and base64 of key id and Ed25519 signature over the three lines
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from typing_extensions import override

_ALGORITHM_ED25519: Final = b"\x01"
_SIGNATURE: Final = re.compile(r"— \S+ \S+")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_NAME: Final = re.compile(r"[^\s+]+")


class NoteError(ValueError):
    """A note that is malformed or not signed as it must be."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log was at one moment."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The signed part."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ``NoteError``. Extension lines, of which this log writes none, are accepted."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not _SIZE.fullmatch(lines[1]):
            raise NoteError("not a checkpoint")
        root = _decode(lines[2])
        if len(root) != 32:
            raise NoteError("the root hash of a checkpoint has 32 bytes")
        return cls(lines[0], int(lines[1]), root)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half, in its text form ``name+key id+base64``: to be kept where the log's machine cannot write."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256 over name, line feed, algorithm and public key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ALGORITHM_ED25519 + self.public).digest()[:4]

    @override
    def __str__(self) -> str:
        encoded = base64.b64encode(_ALGORITHM_ED25519 + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ``NoteError``."""
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not _NAME.fullmatch(parts[0]):
            raise NoteError("not a verifier key (name+id+base64)")
        data = _decode(parts[2])
        if len(data) != 33 or data[:1] != _ALGORITHM_ED25519:
            raise NoteError("not an Ed25519 verifier key")
        key = cls(parts[0], data[1:])
        if key.key_id.hex() != parts[1]:
            raise NoteError("the key's id is not that of its bytes")
        return key

    def open(self, note: str) -> Checkpoint:
        """The checkpoint in a note, if this key signed it. Raises ``NoteError``."""
        text, separator, signatures = note.rpartition("\n\n")
        if not separator or not signatures.endswith("\n"):
            raise NoteError("not a signed note")
        text += "\n"
        lines = signatures[:-1].split("\n")
        if not all(_SIGNATURE.fullmatch(line) for line in lines):
            raise NoteError("a signature line is malformed")
        for line in lines:
            _, name, signature = line.split(" ")
            data = _decode(signature)
            if name != self.name or data[:4] != self.key_id:
                continue  # a witness's
            try:
                Ed25519PublicKey.from_public_bytes(self.public).verify(data[4:], text.encode())
            except InvalidSignature:
                raise NoteError("the signature is not that of the key") from None
            checkpoint = Checkpoint.parse(text)
            if checkpoint.origin != self.name:
                raise NoteError(f"a checkpoint of {checkpoint.origin}, signed as {self.name}")
            return checkpoint
        raise NoteError(f"not signed by {self.name} with key {self.key_id.hex()}")


class Signer:
    """The private half. Its name is the log's origin."""

    def __init__(self, name: str, seed: bytes) -> None:
        """``seed`` is an Ed25519 private key, 32 bytes. Raises ``ValueError`` for a name that no note can have."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"not usable as a log's name: {name!r}")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = VerifierKey(name, self._key.public_key().public_bytes_raw())

    def sign(self, checkpoint: Checkpoint) -> str:
        """The note."""
        text = checkpoint.text()
        signature = base64.b64encode(self.key.key_id + self._key.sign(text.encode())).decode()
        return f"{text}\n— {self.key.name} {signature}\n"


def split_notes(data: str) -> list[str]:
    """The notes of a file that holds several, each followed by an empty line. What is torn at the end is left out."""
    pieces = data.split("\n\n")
    notes = [f"{text}\n\n{signatures}\n" for text, signatures in zip(pieces[::2], pieces[1::2], strict=False)]
    whole = len(pieces) // 2 if len(pieces) % 2 else len(pieces) // 2 - 1
    if len(pieces) % 2 == 0 and pieces[-1].endswith("\n"):
        # A file with a single note, as a witness may keep it, has no empty line behind it.
        notes[-1] = f"{pieces[-2]}\n\n{pieces[-1]}"
        whole += 1
    return notes[:whole]


def join_notes(notes: Iterable[str]) -> str:
    """The content of a file that holds several."""
    return "".join(note + "\n" for note in notes)


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("not base64") from None
    if base64.b64encode(data).decode() != text:
        raise NoteError("not the base64 form of its bytes")  # bits that say nothing may have been changed
    return data

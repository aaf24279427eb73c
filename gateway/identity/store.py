"""Issued tokens in a file: verifiers only, changed by the command line while the gateway runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.domain.identity import ScramVerifier
from gateway.errors import ConfigurationError
from gateway.identity.files import locked, refuse_foreign_writers, write_private
from gateway.identity.scram import format_verifier, parse_verifier
from gateway.identity.sha2 import parse_sha2

_VERSION: Final = 1
_MAX_FILE: Final = 64 << 20

TOKENS: Final = "tokens.json"
"""The store's file in ``data_dir``."""


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """One issued token. Times are Unix seconds; ``expires`` None means that it does not expire.

    ``resources`` empty means every resource.
    """

    id: str
    principal: str
    scram: ScramVerifier
    resources: frozenset[str]
    created: float
    expires: float | None = None
    sha2: bytes | None = None
    """For MySQL's caching_sha2_password; tokens issued before there was MySQL have none."""


class _Entry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    id: str
    principal: str
    verifier: str
    resources: list[str]
    created: float
    expires: float | None
    sha2: str = ""


class _Document(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    version: int
    tokens: list[_Entry]


_Stamp = tuple[int, int, int]


class TokenStore:
    """The file of issued tokens. Every change is atomic and safe against other processes that change it.

    Reading follows the file: a token revoked by another process is gone for the next login. A file that is damaged, or
    that other users may write, raises ``ConfigurationError`` at every use, so that nothing is believed of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: _Stamp | None = None
        self._by_principal: Mapping[str, tuple[TokenRecord, ...]] = {}

    def add(self, record: TokenRecord) -> None:
        """Keep a new token. ``ConfigurationError`` if its id is there already."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.path):
            records = self._read()
            if any(known.id == record.id for known in records):
                raise ConfigurationError(f"{self.path}: a token with the id {record.id} is there already")
            self._write((*records, record))

    def revoke(self, identifier: str) -> bool:
        """Forget a token; False if there is none of that id."""
        with locked(self.path):
            records = self._read()
            kept = tuple(record for record in records if record.id != identifier)
            if len(kept) == len(records):
                return False
            self._write(kept)
            return True

    def remove_expired(self, *, before: float) -> int:
        """Forget tokens that expired before a time; how many."""
        with locked(self.path):
            records = self._read()
            kept = tuple(record for record in records if record.expires is None or record.expires >= before)
            if len(kept) < len(records):
                self._write(kept)
            return len(records) - len(kept)

    def list(self) -> tuple[TokenRecord, ...]:
        """All tokens in the order of issue."""
        return self._read()

    def find(self, principal: str) -> tuple[TokenRecord, ...]:
        """The tokens of a principal, expired ones included. One ``stat`` where the file did not change."""
        stamp = self._current_stamp()
        if stamp != self._stamp:
            grouped: dict[str, tuple[TokenRecord, ...]] = {}
            for record in self._read():
                grouped[record.principal] = (*grouped.get(record.principal, ()), record)
            self._by_principal = grouped
            self._stamp = stamp
        return self._by_principal.get(principal, ())

    def _current_stamp(self) -> _Stamp | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _read(self) -> tuple[TokenRecord, ...]:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return ()
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            refuse_foreign_writers(self.path, status.st_mode)
            if status.st_size > _MAX_FILE:
                raise ConfigurationError(f"{self.path}: larger than a token file can be")
            data = file.read()
        try:
            document = msgspec.json.decode(data, type=_Document)
            if document.version != _VERSION:
                raise ConfigurationError(f"{self.path}: written by another version of Querygate")
            return tuple(_record(entry) for entry in document.tokens)
        except (msgspec.MsgspecError, ValueError) as error:
            raise ConfigurationError(f"{self.path}: not a token file: {error}") from error

    def _write(self, records: tuple[TokenRecord, ...]) -> None:
        document = _Document(_VERSION, [_entry(record) for record in records])
        write_private(self.path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def _entry(record: TokenRecord) -> _Entry:
    return _Entry(
        id=record.id,
        principal=record.principal,
        verifier=format_verifier(record.scram),
        resources=sorted(record.resources),
        created=record.created,
        expires=record.expires,
        sha2="" if record.sha2 is None else record.sha2.hex(),
    )


def _record(entry: _Entry) -> TokenRecord:
    return TokenRecord(
        id=entry.id,
        principal=entry.principal,
        scram=parse_verifier(entry.verifier),
        resources=frozenset(entry.resources),
        created=entry.created,
        expires=entry.expires,
        sha2=parse_sha2(entry.sha2),
    )

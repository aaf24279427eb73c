"""The file of signed checkpoints: every note that the log was ever signed with, the oldest first."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.audit.notes import Checkpoint, NoteError, VerifierKey, join_notes, split_notes
from gateway.audit.storage import Storage
from gateway.errors import AuditError

CHECKPOINTS_NAME: Final = "checkpoints"
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint, its note, and whether the note could be believed (empty ``problem``)."""

    note: str
    checkpoint: Checkpoint | None
    problem: str = ""


class CheckpointFile:
    """The writer's side. Raises ``OSError`` where the system does, with the file as it was before."""

    def __init__(self, directory: Path, storage: Storage) -> None:
        self._path = directory / CHECKPOINTS_NAME
        self._storage = storage
        self._notes: deque[str] = deque(maxlen=_REMEMBERED)

    def append(self, note: str) -> None:
        """Put a note behind the others, durably."""
        data = join_notes([note]).encode()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            end = os.fstat(descriptor).st_size
            if not end:
                # New, or removed meanwhile: with what is remembered.
                data = join_notes([*self._notes, note]).encode()
            try:
                self._storage.write_all(descriptor, data, end)
                self._storage.sync(descriptor)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
            if not end:
                self._storage.sync_directory(self._path.parent)
        finally:
            os.close(descriptor)
        self._notes.append(note)


def read_checkpoints(directory: Path, key: VerifierKey) -> list[Signed]:
    """All notes of a log, in the order of the file. Raises ``AuditError`` where the file cannot be read."""
    path = directory / CHECKPOINTS_NAME
    return read_notes(path, key) if path.exists() else []


def read_notes(path: Path, key: VerifierKey) -> list[Signed]:
    """The notes in a file, or in all files of a folder. Raises ``AuditError`` where that cannot be read."""
    try:
        files = sorted(item for item in path.iterdir() if item.is_file()) if path.is_dir() else [path]
        # Bytes that are no text make a note that nobody signed, which is told like any other change.
        notes = [note for file in files for note in split_notes(file.read_text("utf-8", "replace"))]
    except OSError as error:
        raise AuditError(f"cannot read {path}: {error.strerror}") from None
    return [check_note(note, key) for note in notes]


def kept_elsewhere(path: Path, key: VerifierKey) -> list[Signed]:
    """What a witness keeps of one log; it may keep those of others beside it.

    Raises ``AuditError`` where that is nothing: whoever asks for a comparison must not take silence for agreement.
    """
    found = [signed for signed in read_notes(path, key) if signed.note.partition("\n")[0] == key.name]
    if not found:
        raise AuditError(f"{path} holds no checkpoint of {key.name}: of other logs, or this log was begun anew")
    return found


def check_note(note: str, key: VerifierKey) -> Signed:
    """Whether a note is a checkpoint that the key signed."""
    try:
        return Signed(note, key.open(note))
    except NoteError as error:
        return Signed(note, None, str(error))


def torn_bytes(directory: Path) -> int:
    """How much of the file stands behind its last whole note: after a crash, or added by somebody."""
    try:
        data = (directory / CHECKPOINTS_NAME).read_bytes()
    except FileNotFoundError:
        return 0
    return len(data) - _whole(data)


def _whole(data: bytes) -> int:
    """Where the last whole note ends. Damaged notes before it count as notes: verification must see them."""
    whole = join_notes(split_notes(data.decode("utf-8", "surrogateescape"))).encode("utf-8", "surrogateescape")
    return len(whole) if data.startswith(whole) else len(data)


def cut_torn_note(directory: Path, storage: Storage) -> None:
    """After a crash: take away what was not written to its end. Raises ``OSError``."""
    path = directory / CHECKPOINTS_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    whole = _whole(data)
    if whole < len(data):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            storage.truncate(descriptor, whole)
            storage.sync(descriptor)
        finally:
            os.close(descriptor)

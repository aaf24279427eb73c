"""How far a sink has come, in a file of its own: replaced whole, so that it is never half written."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import msgspec

from gateway.errors import AuditError

FOLDER: Final = "shipping"
"""Where the cursors are, below the audit's folder."""


class Progress(msgspec.Struct, kw_only=True):
    """A sink's state. ``after`` is the number of the last event that arrived (-1: none yet); times are Unix seconds."""

    after: int = -1
    delivered: int = 0
    """Events delivered since the cursor was made."""
    failures: int = 0
    failing: str = ""
    """What is wrong now; empty while it works."""
    blocked: bool = False
    """Whether the receiver refuses: waiting alone will not help."""
    refused: int = -1
    """The number of the one event that it refuses for its content; -1 where there is none."""
    set_aside: int = 0
    """Events that it refused and that somebody had set aside."""
    lost: int = 0
    """Lines of the log that were removed before it had got them."""
    updated: float = 0.0


def refused_file(path: Path) -> Path:
    """Beside a cursor: the events that were set aside, as JSON lines."""
    return path.with_suffix(".refused.jsonl")


def wish_file(path: Path) -> Path:
    """Beside a cursor: the number of the event that somebody wants to be set aside."""
    return path.with_suffix(".set-aside")


def file_name(name: str) -> str:
    """What a sink of that name is called where its file is."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


class Cursor:
    """The file. One that cannot be read raises ``AuditError``: starting over would send everything again."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{file_name(name)}.json"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read(self) -> Progress | None:
        """The state; None for a sink that never ran."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Progress)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise AuditError(f"{self.path}: the sink's place in the log cannot be read: {error}") from error

    def forget(self) -> None:
        """Remove the state, and a wish that is no longer wanted. What was set aside stays."""
        wish_file(self.path).unlink(missing_ok=True)
        self.path.unlink()

    def write(self, progress: Progress) -> None:
        """Replace the state. A crash of the machine may bring an earlier one back: events are then sent twice."""
        fresh = self.path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, msgspec.json.encode(progress))
        finally:
            os.close(descriptor)
        fresh.replace(self.path)

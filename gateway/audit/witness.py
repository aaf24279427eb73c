"""Second places for checkpoints.

Whoever has the log's disk can cut off what came after a checkpoint and the checkpoint with it. A copy of the checkpoint
where they cannot write shows it. Checkpoints are small and each one vouches for all before it, so a witness that was
away for an hour only needs the newest.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import httpx2

from gateway.audit.notes import Checkpoint
from gateway.errors import AuditError, ConfigurationError

_log = logging.getLogger(__name__)

_RETRY: Final = 5.0
"""Seconds between attempts."""
_TIMEOUT: Final = 30.0
_CLOSE: Final = 5.0
"""Seconds that the last checkpoint gets when the gateway stops."""


class Place(Protocol):
    """Where notes go."""

    def put(self, checkpoint: Checkpoint, note: str) -> None:
        """Keep a note. Any exception means that it was not kept."""


class LogRewound(AuditError):
    """A place remembers more of the log than the log does: somebody put it back to an earlier state."""


class DirectoryPlace:
    """A file for each checkpoint, named by its size, never overwritten: another disk, a mount that only grows.

    It is looked into once: a log that is behind what is there was put back, and so was one that has another checkpoint
    of the same size. That stays wrong, however far the log goes on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._largest = -1
        self._rewound = ""

    def put(self, checkpoint: Checkpoint, note: str) -> None:
        """Raises ``OSError``; ``LogRewound``, with the note kept."""
        log = checkpoint.origin.rpartition("/")[2]
        if self._largest < 0:
            named = re.compile(re.escape(log) + r"-([0-9]{20})")
            sizes = [int(found[1]) for item in self.path.iterdir() if (found := named.fullmatch(item.name))]
            self._largest = max(sizes, default=0)
        name = self.path / f"{log}-{checkpoint.size:020}"
        try:
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            kept = name.read_text("utf-8", "replace")
            if kept != note and note.startswith(kept):
                raise  # not written to its end: the next one will be
            if kept != note:
                self._rewound = f"{name} is another checkpoint of {checkpoint.size} lines"
        else:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
        if checkpoint.size < self._largest and not self._rewound:
            self._rewound = f"{self.path} has a checkpoint of {self._largest} lines, the log has {checkpoint.size}"
        self._largest = max(self._largest, checkpoint.size)
        if self._rewound:
            raise LogRewound(f"the log was put back to an earlier state: {self._rewound}")


@dataclass(frozen=True, slots=True)
class CommandPlace:
    """A program that gets the note on standard input and ends with status 0 when it has it."""

    command: tuple[str, ...]

    def put(self, checkpoint: Checkpoint, note: str) -> None:
        """Raises ``OSError`` or ``subprocess.SubprocessError``."""
        subprocess.run(self.command, input=note.encode(), check=True, timeout=_TIMEOUT, stdout=subprocess.DEVNULL)


@dataclass(frozen=True, slots=True)
class UrlPlace:
    """A server that gets the note by POST, as text, and answers with a status below 300."""

    url: str

    def put(self, checkpoint: Checkpoint, note: str) -> None:
        """Raises ``httpx2.HTTPError``."""
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        httpx2.post(self.url, content=note.encode(), headers=headers, timeout=_TIMEOUT).raise_for_status()


class Witness:
    """Brings the newest checkpoint to its place, in a thread of its own. Statements never wait for it."""

    def __init__(self, name: str, place: Place, *, retry: float = _RETRY) -> None:
        self.name = name
        self.failures = 0
        self.failing = ""
        """What went wrong last; empty while it works."""
        self.seen = 0
        """What the last checkpoint that arrived covers."""
        self._place = place
        self._retry = retry
        self._changed = threading.Condition()
        self._newest: tuple[Checkpoint, str] | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"audit-witness {name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def offer(self, checkpoint: Checkpoint, note: str) -> None:
        """Bring this one, instead of whatever was not brought yet."""
        with self._changed:
            self._newest = (checkpoint, note)
            self._changed.notify()

    def close(self) -> None:
        """Bring the last one, if that goes quickly, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_CLOSE)

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._newest is None and not self._closing:
                    self._changed.wait()
                newest, self._newest = self._newest, None
            if newest is None:
                return
            if self._bring(*newest):
                continue
            with self._changed:
                if self._newest is None:
                    self._newest = newest
                if self._closing:
                    return
                self._changed.wait(self._retry)

    def _bring(self, checkpoint: Checkpoint, note: str) -> bool:
        try:
            self._place.put(checkpoint, note)
        except Exception as error:  # noqa: BLE001 - whatever a place may raise, the next attempt may succeed
            self.failures += 1
            if not self.failing:
                _log.error("audit witness %s failed: %s", self.name, error)
            self.failing = str(error) or type(error).__name__
            return False
        if self.failing:
            _log.info("audit witness %s works again", self.name)
            self.failing = ""
        self.seen = checkpoint.size
        return True


def witnesses(entries: Sequence[Mapping[str, object]], data_dir: Path) -> list[Witness]:
    """The witnesses of ``audit.witnesses``: each entry has one of ``directory``, ``command`` and ``url``.

    Raises ``ConfigurationError`` naming the entry.
    """
    return [Witness(f"{number}", _place(number, entry, data_dir)) for number, entry in enumerate(entries)]


def _place(number: int, entry: Mapping[str, object], data_dir: Path) -> Place:
    match entry:
        case {"directory": str(path), **rest} if path and not rest:
            return DirectoryPlace(data_dir / path)
        case {"command": [*words], **rest} if words and all(isinstance(word, str) for word in words) and not rest:
            return CommandPlace(tuple(str(word) for word in words))
        case {"url": str(url), **rest} if url.startswith(("https://", "http://")) and not rest:
            return UrlPlace(url)
    raise ConfigurationError(
        f'audit.witnesses[{number}]: needs one of "directory" (a path), "command" (a list of words), "url" (http…)'
    )

"""The memory between those who record and the thread that writes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from gateway.audit.tree import Frontier
from gateway.errors import AuditError

_log = logging.getLogger(__name__)
_NEVER: Final = float("inf")


@dataclass(slots=True, eq=False, init=False)
class Batch:
    """Lines, without line feeds, that are written together.

    ``segment`` is set where the first of them begins a new segment, ``events`` where sinks want them whole.
    """

    segment: int | None
    lines: list[bytes]
    events: list[bytes]
    size: int
    sequence: int
    """Of the last line."""
    synced: bool
    delivered: bool
    """Whether the sinks have had it."""
    tree: Frontier | None
    """The log's tree with these lines, where somebody had the time to work it out before they were written."""

    # Written out, since what the decorator writes would not be compiled.
    def __init__(self, segment: int | None = None) -> None:
        self.segment = segment
        self.lines = []
        self.events = []
        self.size = 0
        self.sequence = -1
        self.synced = self.delivered = False
        self.tree = None


Done = Callable[[Any, AuditError | None], None]
"""Told once of what was waited with: no error when it is on disk, else why it is not."""


@dataclass(slots=True, eq=False, init=False)
class Waiter:
    """Somebody who waits for the disk with ``about``. ``done`` is called in ``loop``."""

    loop: asyncio.AbstractEventLoop
    done: Done
    about: Any

    # Written out, since what the decorator writes would not be compiled, and every commit makes one.
    def __init__(self, loop: asyncio.AbstractEventLoop, done: Done, about: object) -> None:
        self.loop = loop
        self.done = done
        self.about = about

    def tell(self, error: str) -> None:
        """Call ``done``, in whose loop this runs."""
        try:
            self.done(self.about, AuditError(error) if error else None)
        except Exception:  # noqa: BLE001 - the others wait, too
            _log.exception("a session that waited for the audit failed")


class Work(NamedTuple):
    """What the writer takes at once."""

    batches: list[Batch]
    waiters: list[Waiter]
    closing: bool


class Intake:
    """Bounded, in order, for any number of recording threads and one writer.

    ``lock`` guards everything; methods that say so want it held. ``held`` counts the bytes of lines that are not yet on
    disk, wherever they are.
    """

    def __init__(self, *, batch_bytes: int, flush_interval: float, monotonic: Callable[[], float]) -> None:
        self.lock = threading.Lock()
        self._wakeup = threading.Condition(self.lock)
        self.reason = ""
        """Why nothing may be recorded; empty while the log is healthy. Set by the writer."""
        self.held = 0
        self.recorded = -1
        """Sequence of the last line added."""
        self.durable = -1
        """Sequence of the last line on disk."""
        self.bytes = 0
        self._batch_bytes = batch_bytes
        self._flush_interval = flush_interval
        self._monotonic = monotonic
        self._open = Batch()
        self._ready: deque[Batch] = deque()
        self._waiters: list[Waiter] = []
        self._urgent = False
        self.closing = False
        """Whether nothing is taken any more."""
        self._flush_at = _NEVER
        self._left_at = _NEVER
        self._asleep = False
        """Whether the writer has to be woken for a line. While there is work it naps, and looks by itself: to wake a
        thread for each batch would cost more than the batch."""
        self._resting = False
        """Whether the writer waits and has nothing to do."""
        self.lent = False
        """Whether its files are in the hands of the fast path."""

    def add(self, line: bytes, sequence: int) -> None:
        """Append a line. The lock is held."""
        batch = self._open
        batch.lines.append(line)
        size = len(line) + 1
        batch.size += size
        batch.sequence = sequence
        self.recorded = sequence
        self.bytes += size
        self.held += size
        if len(batch.lines) == 1 and not self._ready:
            self._flush_at = self._monotonic() + self._flush_interval
            if self._asleep:
                self._asleep = False
                self._wakeup.notify()
        elif batch.size >= self._batch_bytes:
            self._hurry()

    def begin_segment(self, first: int) -> None:
        """Begin a new segment with the next line, which has the number ``first``. The lock is held."""
        if self._open.lines:
            self._ready.append(self._open)
        self._open = Batch(segment=first)

    def enlist(self, waiter: Waiter) -> None:
        """Have the writer tell ``waiter`` when everything added so far is on disk. The lock is held.

        ``hurry`` is to follow; without it, the writer comes at its flush interval.
        """
        self._waiters.append(waiter)

    @property
    def waited_for(self) -> bool:
        """Whether somebody waits for the disk who is not being served."""
        return bool(self._waiters)

    def hurry(self) -> None:
        """Have the writer begin."""
        with self.lock:
            self._hurry()

    def _hurry(self) -> None:
        if not self._urgent:
            self._urgent = True
            self._wakeup.notify()

    def close(self) -> None:
        """Take nothing more, and have the writer finish. The lock is held."""
        self.closing = True
        self._wakeup.notify()

    def lend(self) -> Work | None:
        """Everything that is there, and the files with it; None where the writer has to do it. The lock is held.

        ``give_back`` is to follow.
        """
        lendable = self._resting and not (self.lent or self._urgent or self.closing or self.reason or self._ready)
        if not lendable or self._open.segment is not None:
            return None
        self.lent = True
        return self._take()

    def give_back(self, waiters: list[Waiter], *, urgent: bool) -> None:
        """The files are the writer's again, and the ``waiters`` too; ``urgent`` has it begin."""
        with self.lock:
            self.lent = False
            self._waiters[:0] = waiters
            if urgent:
                self._urgent = True
            if urgent or not self._resting:
                self._wakeup.notify()

    def wait_for_return(self, seconds: float) -> None:
        """Sleep until the files may have been given back."""
        with self.lock:
            if self.lent:
                self._wakeup.wait(seconds)

    def leave(self) -> None:
        """Have the writer come soon for what the fast path left to it."""
        with self.lock:
            if self._left_at == _NEVER:
                self._left_at = self._monotonic() + self._flush_interval
                if self._asleep:
                    self._asleep = False
                    self._wakeup.notify()

    def wait(self, until: float, *, patient: bool) -> None:
        """Sleep until there is something to do or ``until`` (monotonic seconds). ``patient`` ignores new lines.

        The files may be lent still.
        """
        with self.lock:
            self._resting = True
            self._rest(until, patient)
            self._resting = False

    def _rest(self, until: float, patient: bool) -> None:
        rested = patient
        while not self.closing and (patient or not self._urgent):
            now = self._monotonic()
            deadline = until if patient else min(until, self._flush_at, self._left_at)
            if now >= deadline:
                return
            if rested and self._flush_at == _NEVER and self._left_at == _NEVER:
                self._asleep = not patient
                self._wakeup.wait(deadline - now)
                self._asleep = False
            else:
                self._wakeup.wait(min(deadline - now, self._flush_interval))
                rested = True

    def take(self) -> Work:
        """Everything that is there, for the writer."""
        with self.lock:
            self._left_at = _NEVER
            return self._take()

    def _take(self) -> Work:
        batches = list(self._ready)
        self._ready.clear()
        if self._open.lines:
            batches.append(self._open)
            self._open = Batch()
        waiters, self._waiters = self._waiters, []
        self._urgent = False
        self._flush_at = _NEVER
        return Work(batches, waiters, self.closing)

    def synced(self, sequence: int) -> None:
        """Everything up to the line ``sequence`` is on disk."""
        with self.lock:
            self.durable = sequence

    def release(self, size: int) -> None:
        """Give back memory that the writer has no more use for."""
        with self.lock:
            self.held -= size

    def publish(self, reason: str) -> None:
        """Say whether the log is healthy (empty reason)."""
        with self.lock:
            self.reason = reason


def settle(waiters: list[Waiter], error: str, here: asyncio.AbstractEventLoop | None = None) -> None:
    """Tell all waiters, with an ``AuditError`` where ``error`` is not empty. From any thread.

    ``here`` is the event loop in which this runs, if any: who waits in it is told before this returns.
    """
    elsewhere: dict[asyncio.AbstractEventLoop, list[Waiter]] = {}
    for waiter in waiters:
        if waiter.loop is here:
            waiter.tell(error)
        else:
            elsewhere.setdefault(waiter.loop, []).append(waiter)
    for loop, told in elsewhere.items():
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_tell, told, error)


def _tell(told: list[Waiter], error: str) -> None:
    for waiter in told:
        waiter.tell(error)

"""The memory between those who record and the thread that writes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.errors import AuditError


@dataclass(slots=True, eq=False)
class Batch:
    """Lines that are written together. ``segment`` is set where the first of them begins a new segment."""

    segment: int | None = None
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    sequence: int = -1
    """Of the last line."""
    synced: bool = False
    delivered: bool = False
    """Whether the sinks have had it."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """Somebody in ``commit``."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class Work:
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
        self.events = 0
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
        self._flush_at = float("inf")

    def add(self, line: bytes, sequence: int) -> None:
        """Append a line. The lock is held."""
        batch = self._open
        batch.lines.append(line)
        batch.size += len(line)
        batch.sequence = sequence
        self.recorded = sequence
        self.events += 1
        self.bytes += len(line)
        self.held += len(line)
        if len(batch.lines) == 1 and not self._ready:
            self._flush_at = self._monotonic() + self._flush_interval
            self._wakeup.notify()
        elif batch.size >= self._batch_bytes and not self._urgent:
            self._urgent = True
            self._wakeup.notify()

    def begin_segment(self, first: int) -> None:
        """Begin a new segment with the next line, which has the number ``first``. The lock is held."""
        if self._open.lines:
            self._ready.append(self._open)
        self._open = Batch(segment=first)

    def enlist(self, waiter: Waiter) -> None:
        """Have the writer tell ``waiter`` when everything added so far is on disk. The lock is held."""
        self._waiters.append(waiter)
        if not self._urgent:
            self._urgent = True
            self._wakeup.notify()

    def close(self) -> None:
        """Take nothing more, and have the writer finish. The lock is held."""
        self.closing = True
        self._wakeup.notify()

    def wait(self, until: float, *, patient: bool) -> None:
        """Sleep until there is something to do or ``until`` (monotonic seconds). ``patient`` ignores new lines."""
        with self.lock:
            while not self.closing and (patient or not self._urgent):
                now = self._monotonic()
                deadline = until if patient else min(until, self._flush_at)
                if now >= deadline:
                    return
                self._wakeup.wait(deadline - now)

    def take(self) -> Work:
        """Everything that is there."""
        with self.lock:
            batches = list(self._ready)
            self._ready.clear()
            if self._open.lines:
                batches.append(self._open)
                self._open = Batch()
            waiters, self._waiters = self._waiters, []
            self._urgent = False
            self._flush_at = float("inf")
            return Work(batches, waiters, self.closing)

    def release(self, size: int) -> None:
        """Give back memory that the writer has no more use for."""
        with self.lock:
            self.held -= size

    def publish(self, reason: str) -> None:
        """Say whether the log is healthy (empty reason)."""
        with self.lock:
            self.reason = reason


def settle(waiters: list[Waiter], error: str) -> None:
    """Wake all waiters, with ``AuditError`` where ``error`` is not empty. From any thread."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiter in waiters:
        by_loop.setdefault(waiter.loop, []).append(waiter.future)
    for loop, futures in by_loop.items():
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle_here, futures, error)


def _settle_here(futures: list[asyncio.Future[None]], error: str) -> None:
    for future in futures:
        if future.done():
            continue
        if error:
            future.set_exception(AuditError(error))
        else:
            future.set_result(None)

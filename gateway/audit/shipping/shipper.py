"""Drives one sink: read behind the cursor, deliver, move the cursor; after a failure wait, and again.

A batch that the receiver refuses for its content is sent in smaller parts, so that neither a limit of size nor one
event that it does not understand holds up what it would take. That one event stops the sink, visibly: it may as well be
the sink's settings that are wrong, and then every event would be refused. Somebody mends either side, and the sink goes
on; or has this event set aside (``querygate audit set-aside``), into a file beside the cursor.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from gateway.audit.events import EventFilter
from gateway.audit.reader import iter_events
from gateway.audit.segments import list_segments
from gateway.audit.shipping.cursor import Cursor, Progress, refused_file, wish_file
from gateway.audit.sinks import AuditSink, DeliveryDeferred, DeliveryRefused

_log = structlog.get_logger("querygate.audit")

MAX_EVENTS: Final = 500
MAX_BYTES: Final = 1 << 20
"""Of one batch."""
POLL: Final = 0.5
"""Seconds between looks at a log with nothing new in it."""
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
"""Seconds before the next attempt: doubled from the first to the longest; by chance between half of it and all."""
LONGEST_DEFERRAL: Final = 600.0
"""Seconds that a receiver may ask for at most: one that says "in a year" is asked again all the same."""
REMINDER: Final = 600.0
"""Seconds between lines of the gateway's own log about a failure that stays the same."""


class Shipper:
    """One sink and its place in the log. ``begin`` True: a sink that never ran gets everything that is there."""

    def __init__(
        self,
        name: str,
        sink: AuditSink,
        directory: Path,
        cursor: Cursor,
        *,
        begin: bool = True,
        newest: Callable[[], int] = lambda: -1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._sink = sink
        self._directory = directory
        self._cursor = cursor
        self._clock = clock
        self._most = MAX_EVENTS
        """Events of the next batch."""
        self._told = 0.0
        self.progress = cursor.read() or Progress(after=-1 if begin else newest())

    def run(self, stop: threading.Event) -> None:
        """Deliver until told to stop; then what is there is delivered once more, if the receiver takes it."""
        pause = FIRST_PAUSE
        while True:
            ending = stop.is_set()
            try:
                moved = self.step()
            except Exception as error:  # noqa: BLE001 - a sink may raise anything; nothing is lost by trying again
                if ending:
                    return
                self._failed(error)
                asked = error.seconds if isinstance(error, DeliveryDeferred) else 0.0
                # Not before the receiver's time, and not all sinks of a fleet at once.
                spread = pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
                stop.wait(min(asked, LONGEST_DEFERRAL) + spread)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            if not moved:
                if ending:
                    return
                stop.wait(POLL)

    def step(self) -> bool:
        """Deliver one batch; False where there is nothing new. Raises what the sink raises."""
        self._look_for_the_place()
        lines, last = self._batch()
        if last is None:
            return False
        progress = self.progress
        try:
            if lines:
                self._sink.write(lines)
            progress.delivered += len(lines)
            self._most = min(MAX_EVENTS, self._most * 2)
        except DeliveryRefused as refusal:
            if not refusal.content:
                raise
            if len(lines) > 1:
                self._most = len(lines) // 2
                return True
            if not self._set_aside(lines[0], last, refusal):
                progress.refused = last
                raise
        if progress.failing:
            _log.info("audit sink works again", sink=self.name)
        progress.after, progress.failing, progress.blocked, progress.refused = last, "", False, -1
        progress.updated = self._clock()
        self._cursor.write(progress)
        return True

    def _set_aside(self, line: bytes, number: int, refusal: DeliveryRefused) -> bool:
        """Keep the event beside the cursor, if that is what somebody wants of this very event."""
        wish = wish_file(self._cursor.path)
        try:
            if wish.read_text().strip() != str(number):
                return False
        except FileNotFoundError:
            return False
        with refused_file(self._cursor.path).open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        wish.unlink()
        self.progress.set_aside += 1
        _log.warning(
            "an event that the receiver refuses was set aside", sink=self.name, number=number, error=str(refusal)
        )
        return True

    def close(self) -> None:
        """Let go of the receiver."""
        try:
            self._sink.close()
        except Exception as error:  # noqa: BLE001 - as above
            _log.error("audit sink failed to close", sink=self.name, error=str(error))

    def _look_for_the_place(self) -> None:
        """Say so where the lines that come next were archived or removed before they had arrived."""
        progress = self.progress
        if progress.after < 0:
            return  # a new sink gets what is there
        segments = list_segments(self._directory)
        missing = segments[0][0] - (progress.after + 1) if segments else 0
        if missing <= 0:
            return
        progress.lost += missing
        progress.after = segments[0][0] - 1
        _log.error("lines were removed from the audit log before a sink had got them", sink=self.name, lines=missing)
        self._cursor.write(progress)

    def _batch(self) -> tuple[list[bytes], int | None]:
        lines: list[bytes] = []
        size, last = 0, None
        for found in islice(iter_events(self._directory, EventFilter(), after=self.progress.after), self._most):
            if lines and size + len(found.line) > MAX_BYTES:
                break
            lines.append(found.line)
            size += len(found.line)
            last = found.sequence
        return lines, last

    def _failed(self, error: Exception) -> None:
        progress = self.progress
        progress.failures += 1
        problem = str(error) or type(error).__name__
        progress.blocked = isinstance(error, DeliveryRefused)
        if not progress.blocked:
            progress.refused = -1
        now = self._clock()
        if progress.failing != problem or now - self._told >= REMINDER:
            self._told = now
            if progress.blocked:
                told = (
                    "audit sink is refused; it will get everything when the receiver or the sink's settings are mended"
                )
            else:
                told = "audit sink failed; it will get everything when it works again"
            more = {"number": progress.refused} if progress.refused >= 0 else {}
            _log.error(told, sink=self.name, error=problem, **more)
        progress.failing = problem
        progress.updated = now
        try:
            self._cursor.write(progress)
        except OSError as failure:
            _log.error("a sink's place in the log cannot be kept", sink=self.name, error=str(failure))

"""How commits of the gateway's event loop come on the disk: without a thread that needs the interpreter.

A writer's thread that is woken for each group of commits, and takes the interpreter to write and again to say that it
has written, costs the event loop more than all the group's records: each waits for the other several times. So the loop
itself puts the group's lines together and has a ``Putter`` write and sync them; that tells by an eventfd when it is
over. The files stay the writer's. It lends them while it has nothing to do; whatever is amiss or due (a new segment, a
failure, a checkpoint, the end) it does itself, as if there were no fast path.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Final

from gateway.audit.intake import Batch, Intake, Waiter, settle
from gateway.audit.storage import Storage
from gateway.audit.writer import Writer

GATHER: Final = 0.001
"""Seconds for which commits are gathered at most, while the event loop has other things to do."""


class FastPath:
    """One event loop's way to the disk. All but ``finish`` is called in that loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        intake: Intake,
        writer: Writer,
        storage: Storage,
        monotonic: Callable[[], float],
    ) -> None:
        self.loop = loop
        self._intake = intake
        self._writer = writer
        self._monotonic = monotonic
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._putter = storage.putter(self._wake)
        self._gathering = False
        self._gather_until = 0.0
        self._seen = -1
        """The last line at the turn of the loop before this one."""
        self._batch: Batch | None = None
        self._waiters: list[Waiter] = []
        loop.add_reader(self._wake, self._over)

    def asked(self) -> None:
        """A waiter was enlisted."""
        if not self._gathering and not self._intake.lent:
            self._gather()

    def close(self) -> None:
        """Let go of the loop, once the writer has ended."""
        self.loop.remove_reader(self._wake)
        self._putter.close()
        os.close(self._wake)

    def _gather(self) -> None:
        self._gathering = True
        self._gather_until = self._monotonic() + GATHER
        self._seen = -1
        self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        """The loop has been round once more.

        As long as sessions come with new statements, more of them will want the disk in a moment, and one sync can
        serve them all: the disk is asked when the loop has nothing else to do.
        """
        intake = self._intake
        if intake.recorded != self._seen and self._monotonic() < self._gather_until:
            self._seen = intake.recorded
            self.loop.call_soon(self._turn)
            return
        self._gathering = False
        with intake.lock:
            if intake.lent:
                return  # goes on when that is over
            segment = self._writer.open_segment
            work = None if segment is None else intake.lend()
            # Here, since another thread may record as soon as the lock is free.
            all_durable = intake.durable == intake.recorded
        if segment is None or work is None:
            intake.hurry()
            return
        batch = work.batches[0] if work.batches else None
        if batch is None and all_durable:
            # The writer was there between a commit and this turn.
            intake.give_back([], urgent=False)
            settle(work.waiters, "", self.loop)
            return
        self._batch, self._waiters = batch, work.waiters
        try:
            descriptor, offset = segment
            # Copied before: from then on the writer may have the files back at any moment.
            tree = self._writer.tree()
            self._putter.begin(descriptor, self._writer.block(batch), offset)
        except Exception as error:  # noqa: BLE001 - the writer says it to everybody
            self._broke(error)
            return
        if batch is not None:
            # While the disk works. Not ``_broke`` if this fails: the file is being written.
            tree.add_lines(batch.lines)
            batch.tree = tree

    def _over(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        told = self._finish()
        if self._intake.waited_for and not self._gathering:
            self._gather()
        settle(told, "", self.loop)

    def finish(self) -> None:
        """What the loop would do if it were not held up. For the writer's thread."""
        settle(self._finish(), "")

    def _finish(self) -> list[Waiter]:
        """Give the files back if the put is over: whose lines are on the disk now."""
        try:
            put = self._putter.result()
            if put is None:
                return []  # not yet, or somebody else has it
            well = self._writer.landed(self._batch, put)
        except Exception as error:  # noqa: BLE001 - the writer says it to everybody
            self._broke(error)
            return []
        waiters, self._batch, self._waiters = self._waiters, None, []
        self._intake.give_back([] if well else waiters, urgent=not well)
        return waiters if well else []

    def _broke(self, error: Exception) -> None:
        self._writer.broke(error)
        waiters, self._waiters = self._waiters, []
        self._intake.give_back(waiters, urgent=True)

"""The thread that puts lines on the disk: group commit, retries, room on the disk, sinks.

While nothing is amiss, commits are put on the disk by the fast path (``gateway.audit.fastpath``), which borrows the
writer's files; for everything else they are the writer's own.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.audit.appender import Appender
from gateway.audit.checkpoints import CheckpointFile
from gateway.audit.delivery import Delivery
from gateway.audit.intake import Batch, Intake, Waiter, settle
from gateway.audit.keys import PUBLIC_KEY_NAME
from gateway.audit.notes import Checkpoint, Signer
from gateway.audit.reader import SegmentReader
from gateway.audit.sinks import AttachedSink
from gateway.audit.storage import Storage
from gateway.audit.tree import Frontier

if TYPE_CHECKING:
    from gateway.audit.fastpath import FastPath

_log = logging.getLogger(__name__)

_RETURN: Final = 0.05
"""Seconds that the files may be away when the writer wants them, before it looks whether that is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterSettings:
    """Sizes in bytes, times in seconds. ``unsynced_bytes`` is how much may wait for a sync that nobody asked for."""

    directory: Path
    sync_interval: float
    checkpoint_interval: float
    look_interval: float
    unsynced_bytes: int
    min_free_bytes: int
    max_bytes: int | None


@dataclass(slots=True)
class WriterCounters:
    """For metrics."""

    batches: int = 0
    syncs: int = 0
    failures: int = 0
    checkpoints: int = 0


class Writer:
    """Owns the directory's lock and the open segment. Everything but ``start`` and ``join`` runs in its thread."""

    def __init__(
        self,
        settings: WriterSettings,
        intake: Intake,
        *,
        storage: Storage,
        sinks: Sequence[AttachedSink],
        monotonic: Callable[[], float],
        lock: int,
        signer: Signer,
        tree: Frontier,
        on_resumed: Callable[[str], None],
        on_checkpoint: Callable[[Checkpoint, str], None],
    ) -> None:
        """``lock`` is the descriptor of the locked directory, ``tree`` what is in the log already.

        In the writer's thread are called: ``on_resumed(reason)`` when the log is well again, ``on_checkpoint`` with
        each checkpoint and its note.
        """
        self.counters = WriterCounters()
        self._settings = settings
        self._intake = intake
        self._storage = storage
        self._monotonic = monotonic
        self._lock = lock
        self._signer = signer
        self._end = Appender(
            settings.directory,
            storage,
            tree,
            monotonic=monotonic,
            on_segment=self._read_from,
            on_synced=self._synced,
        )
        self._signed_size = -1
        """What the last checkpoint covers; -1 before this run's first."""
        self._checkpoints = CheckpointFile(settings.directory, storage)
        self._on_resumed = on_resumed
        self._on_checkpoint = on_checkpoint
        self._runner = threading.Thread(target=self._run, name="audit-writer", daemon=True)

        self._delivery = Delivery(sinks)
        self._expanding = bool(sinks)
        self._reader: SegmentReader | None = None
        self._waiters: list[Waiter] = []
        self._write_problem = ""
        self._space_problem = ""
        self._fast_path: FastPath | None = None
        self._left: list[Batch] = []
        """What the fast path wrote and the sinks are still to get."""
        self._bug: Exception | None = None
        self._next_look = 0.0
        self._next_checkpoint = 0.0

    def start(self) -> None:
        """Write what is there at once, in the caller's thread; then go on in the background.

        Raises ``OSError`` with a clear text where the log cannot be written from the start.
        """
        self._round(sync=True)
        if self._intake.reason:
            reason = self._intake.reason
            self._let_go()
            raise OSError(reason)
        self._runner.start()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread's end (after ``Intake.close``)."""
        self._runner.join(timeout)

    @property
    def running(self) -> bool:
        """Whether the thread is there."""
        return self._runner.is_alive()

    def _run(self) -> None:
        try:
            last = False
            while not last:
                failing = bool(self._intake.reason)
                due = min(self._next_look, self._next_checkpoint)
                if self._end.unsynced and not failing:
                    due = min(due, self._end.unsynced_since + self._settings.sync_interval)
                self._intake.wait(due, patient=failing)
                self._take_back()
                last = self._round()
        except Exception as error:  # noqa: BLE001 - without this, a bug of ours would leave commits waiting for ever
            _log.exception("the audit writer stopped")
            reason = f"the audit writer stopped: {type(error).__name__}"
            self._intake.publish(reason)
            settle([*self._waiters, *self._intake.take().waiters], reason)
        finally:
            self._let_go()

    def _take_back(self) -> None:
        """Have the files again. The event loop may be held up, so that nobody gives them back."""
        while self._intake.lent:
            self._intake.wait_for_return(_RETURN)
            if self._fast_path is not None and self._intake.lent:
                self._fast_path.finish()

    def _round(self, *, sync: bool = False) -> bool:
        """Take what is there and bring it as far as it goes. True when this was the last round."""
        if self._bug is not None:
            raise self._bug
        work = self._intake.take()
        self._end.add(work.batches)
        left, self._left = self._left, []
        for batch in left:
            self._deliver(batch)
            self._release(batch)
        self._waiters.extend(work.waiters)
        now = self._monotonic()
        look = now >= self._next_look
        problem_before = self._write_problem
        try:
            if look or problem_before:
                self._look()
            if work.closing:
                self._trim()  # before the last line, behind which nothing may be
            for batch in self._end.write():
                self.counters.batches += 1
                self._deliver(batch)
            checkpoint = sync or work.closing or now >= self._next_checkpoint
            if (
                checkpoint
                or self._waiters
                or problem_before
                or now >= self._end.unsynced_since + self._settings.sync_interval
                or self._end.unsynced >= self._settings.unsynced_bytes
            ):
                self._end.sync()
            self._write_problem = ""
            if not self._space_problem:
                # Before the checkpoint and the sinks, which nobody waits for.
                self._settle("")
            if checkpoint:
                self._checkpoint()
        except OSError as error:
            self._failed(error)
        if look:
            self._next_look = self._monotonic() + self._settings.look_interval
        for batch in self._delivery.run():
            self._release(batch)
        self._report()
        if self._intake.reason:
            self._settle(self._intake.reason)
        return work.closing

    def _trim(self) -> None:
        try:
            self._end.trim()
        except OSError as error:
            # Lines are worth more than an end without zeros, which ``verify`` will speak of.
            _log.error("the room behind the lines of %s cannot be cut off: %s", self._end.path, error)

    def _settle(self, error: str) -> None:
        waiters, self._waiters = self._waiters, []
        settle(waiters, error)

    # --- what the fast path does with the files while it has them ---------------------------------------------------

    def give_fast_path(self, fast_path: FastPath) -> None:
        """Have this one called where the files do not come back in time."""
        self._fast_path = fast_path

    @property
    def open_segment(self) -> tuple[int, int] | None:
        """The open segment's descriptor and where its next line goes; None where something is to be put right first."""
        end = self._end
        if end.descriptor is None or end.behind or self._write_problem or self._bug is not None:
            return None
        return end.descriptor, end.offset

    def tree(self) -> Frontier:
        """See ``Appender.tree``."""
        return self._end.tree()

    def block(self, batch: Batch | None) -> bytes:
        """See ``Appender.block``."""
        return self._end.block(batch)

    def landed(self, batch: Batch | None, put: tuple[int, bool, bool, int]) -> bool:
        """See ``Appender.landed``. False where something is amiss: it is put right in the next round."""
        problem = self._end.landed(batch, put)
        if problem is not None:
            self._failed(problem)
        if batch is not None and not self._end.behind:
            self.counters.batches += 1
            if self._reader is not None:
                self._left.append(batch)
                self._intake.leave()
        return problem is None

    def broke(self, error: Exception) -> None:
        """The fast path came upon a bug: the writer stops."""
        self._bug = error

    # --- files ------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Is the segment still where it was, and is there room?"""
        descriptor, path = self._end.descriptor, self._end.path
        if descriptor is not None:
            try:
                in_place = self._storage.in_place(descriptor, path)
            except FileNotFoundError:
                if not self._write_problem:
                    raise
                self._restore()
                in_place = True
            if not in_place:
                raise OSError(errno.ESTALE, "another file stands in the place of the open segment", str(path))
        self._space_problem = self._look_for_room()

    def _look_for_room(self) -> str:
        """What is wrong with the room on the disk, if anything."""
        directory, least, most = self._settings.directory, self._settings.min_free_bytes, self._settings.max_bytes
        free = self._storage.free_bytes(directory)
        if free < least:
            return f"only {_mebibytes(free)} are free for {directory}, {_mebibytes(least)} must stay free"
        if most is not None and (used := self._storage.used_bytes(directory) - self._end.room) >= most:
            return f"the audit log in {directory} takes {_mebibytes(used)}, {_mebibytes(most)} are allowed"
        return ""

    def _deliver(self, batch: Batch) -> None:
        if self._reader is not None and not batch.delivered:
            self._delivery.add(batch, _expand(self._reader, batch))

    def _read_from(self, descriptor: int) -> None:
        """Whole events are put together for the sinks from the open segment."""
        if self._expanding:
            self._reader = SegmentReader(descriptor)

    def _restore(self) -> None:
        """The directory or the segment was removed."""
        directory = self._settings.directory
        self._storage.make_directory(directory)
        if not self._storage.in_place(self._lock, directory):
            lock = self._storage.lock(directory)
            self._storage.close(self._lock)
            self._lock = lock
        self._storage.replace(directory / PUBLIC_KEY_NAME, f"{self._signer.key}\n".encode())
        self._end.restore()
        self._signed_size = -1

    def _synced(self, batches: list[Batch]) -> None:
        self.counters.syncs += 1
        self._intake.synced(batches[-1].sequence)
        for batch in batches:
            batch.synced = True
            if self._reader is None or batch.delivered:
                self._release(batch)

    def _checkpoint(self) -> None:
        """Sign what is on disk, unless there is nothing new but the event that told of the last checkpoint."""
        size = self._end.synced_tree.size
        if size > self._signed_size + 1 or (size > self._signed_size and self._intake.closing):
            checkpoint = Checkpoint(self._signer.key.name, size, self._end.synced_tree.root())
            note = self._signer.sign(checkpoint)
            self._checkpoints.append(note)
            self._signed_size = size
            self.counters.checkpoints += 1
            self._on_checkpoint(checkpoint, note)
        self._next_checkpoint = self._monotonic() + self._settings.checkpoint_interval

    def _let_go(self) -> None:
        self._delivery.close()
        self._end.close()
        self._storage.close(self._lock)

    # --- health -----------------------------------------------------------------------------------------------------

    def _failed(self, error: OSError) -> None:
        self.counters.failures += 1
        what = os.strerror(error.errno) if error.errno and not error.strerror else error.strerror or str(error)
        self._write_problem = f"cannot write {self._end.path}: {what}"

    def _report(self) -> None:
        before = self._intake.reason
        reason = self._write_problem or self._space_problem or self._delivery.problem
        if reason == before:
            return
        self._intake.publish(reason)
        if reason:
            _log.error("audit log unhealthy: %s", reason)
        else:
            _log.info("audit log healthy again")
            self._on_resumed(before)

    def _release(self, batch: Batch) -> None:
        """Let go of a batch that is on disk and with every required sink."""
        if batch.synced and not (self._expanding and self._delivery.owes(batch)):
            self._intake.release(batch.size)


def _expand(reader: SegmentReader, batch: Batch) -> list[bytes]:
    events = []
    for line in batch.lines:
        reader.remember(line)
        event = reader.expand(line)
        if event is not None:
            events.append(event + b"\n")
    return events


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"

"""The thread that puts lines on the disk: group commit, retries, room on the disk, sinks.

Files are written at an offset that the writer itself keeps, so a failed write is repeated over whatever it left behind,
and a failed sync by writing again all that was not yet synced (after a failed fsync the kernel may have thrown the
pages away, and a second fsync would say that all is well). Lines stay in memory until they are on disk.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.audit.checkpoints import CheckpointFile
from gateway.audit.delivery import Delivery
from gateway.audit.intake import Batch, Intake, Waiter, settle
from gateway.audit.keys import PUBLIC_KEY_NAME
from gateway.audit.notes import Checkpoint, Signer
from gateway.audit.reader import SegmentReader
from gateway.audit.segments import segment_name, write_frontier
from gateway.audit.sinks import AttachedSink
from gateway.audit.storage import Storage
from gateway.audit.tree import Frontier

_log = logging.getLogger(__name__)

_COPY_BLOCK: Final = 1024 * 1024


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
        self._tree = tree
        """Over what is written. Lines are hashed as they come, not thousands at a time when they are synced: whoever
        hashes keeps the interpreter from everybody else."""
        self._synced_tree = tree.copy()
        """Over what is on disk."""
        self._signed = -1
        """What the last checkpoint covers; -1 before this run's first."""
        self._checkpoints = CheckpointFile(settings.directory, storage)
        self._before_segment = tree.copy()
        self._on_resumed = on_resumed
        self._on_checkpoint = on_checkpoint
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)

        self._descriptor: int | None = None
        self._path = settings.directory
        self._offset = 0
        """Where the next line goes."""
        self._synced_offset = 0
        self._todo: deque[Batch] = deque()
        self._skip = 0
        """Bytes of the first batch in ``_todo`` that are written already: whole lines."""
        self._unsynced: list[Batch] = []
        self._delivery = Delivery(sinks)
        self._expanding = bool(sinks)
        self._reader: SegmentReader | None = None
        self._waiters: list[Waiter] = []
        self._write_problem = ""
        self._space_problem = ""
        self._next_look = 0.0
        self._next_sync = 0.0
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
        self._thread.start()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread's end (after ``Intake.close``)."""
        self._thread.join(timeout)

    @property
    def running(self) -> bool:
        """Whether the thread is there."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            last = False
            while not last:
                failing = bool(self._intake.reason)
                due = min(self._next_look, self._next_checkpoint)
                if self._unsynced and not failing:
                    due = min(due, self._next_sync)
                self._intake.wait(due, patient=failing)
                last = self._round()
        except Exception as error:  # noqa: BLE001 - without this, a bug of ours would leave commits waiting for ever
            _log.exception("the audit writer stopped")
            reason = f"the audit writer stopped: {type(error).__name__}"
            self._intake.publish(reason)
            settle([*self._waiters, *self._intake.take().waiters], reason)
        finally:
            self._let_go()

    def _round(self, *, sync: bool = False) -> bool:
        """Take what is there and bring it as far as it goes. True when this was the last round."""
        work = self._intake.take()
        self._todo.extend(work.batches)
        self._waiters.extend(work.waiters)
        now = self._monotonic()
        look = now >= self._next_look
        problem_before = self._write_problem
        try:
            if look or problem_before:
                self._look()
            self._write()
            checkpoint = sync or work.closing or now >= self._next_checkpoint
            if self._unsynced and (
                checkpoint
                or self._waiters
                or problem_before
                or work.closing
                or now >= self._next_sync
                or self._offset - self._synced_offset >= self._settings.unsynced_bytes
            ):
                self._sync()
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

    def _settle(self, error: str) -> None:
        waiters, self._waiters = self._waiters, []
        settle(waiters, error)

    # --- files ------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Is the segment still where it was, and is there room?"""
        if self._descriptor is not None:
            try:
                in_place = self._storage.in_place(self._descriptor, self._path)
            except FileNotFoundError:
                if not self._write_problem:
                    raise
                self._restore(self._descriptor)
                in_place = True
            if not in_place:
                raise OSError(errno.ESTALE, "another file stands in the place of the open segment", str(self._path))
        self._space_problem = self._look_for_room()

    def _look_for_room(self) -> str:
        """What is wrong with the room on the disk, if anything."""
        directory, least, most = self._settings.directory, self._settings.min_free_bytes, self._settings.max_bytes
        free = self._storage.free_bytes(directory)
        if free < least:
            return f"only {_mebibytes(free)} are free for {directory}, {_mebibytes(least)} must stay free"
        if most is not None and (used := self._storage.used_bytes(directory)) >= most:
            return f"the audit log in {directory} takes {_mebibytes(used)}, {_mebibytes(most)} are allowed"
        return ""

    def _write(self) -> None:
        while self._todo:
            batch = self._todo[0]
            if batch.segment is not None:
                self._open_segment(batch.segment)
                batch.segment = None
            self._write_batch(batch)
            self._todo.popleft()
            self._skip = 0
            if not self._unsynced:
                self._next_sync = self._monotonic() + self._settings.sync_interval
            self._unsynced.append(batch)
            self._tree.add_lines(batch.lines)
            self.counters.batches += 1
            if self._reader is not None and not batch.delivered:
                self._delivery.add(batch, _expand(self._reader, batch))

    def _write_batch(self, batch: Batch) -> None:
        if self._descriptor is None:
            raise OSError(errno.EBADF, "no segment is open", str(self._path))
        view = memoryview(b"\n".join((*batch.lines, b"")))[self._skip :]
        start = self._offset
        try:
            while view:
                written = self._storage.write(self._descriptor, view, self._offset)
                if written <= 0:
                    raise OSError(errno.EIO, "the system wrote nothing", str(self._path))
                self._offset += written
                view = view[written:]
        except OSError:
            self._cut_torn_line(batch, start, self._descriptor)
            raise

    def _cut_torn_line(self, batch: Batch, start: int, descriptor: int) -> None:
        """Keep the whole lines of a half-written batch, and no more."""
        written = self._offset - start
        whole = b"\n".join((*batch.lines, b"")).rfind(b"\n", self._skip, self._skip + written) + 1
        kept = max(0, whole - self._skip)
        self._skip += kept
        self._offset = start + kept
        try:
            self._storage.truncate(descriptor, self._offset)
        except OSError as error:
            # The torn bytes are the beginning of what will be written there next, so they do no harm.
            _log.warning("torn line left in %s until it can be written: %s", self._path, error)

    def _open_segment(self, first: int) -> None:
        self._sync()
        path = self._settings.directory / segment_name(first)
        if first:
            # After a sync, so that the tree has everything before.
            write_frontier(self._storage, path, self._tree)
        descriptor = self._storage.create(path)
        if self._descriptor is not None:
            self._storage.close(self._descriptor)
        self._descriptor = descriptor
        self._path = path
        self._offset = self._synced_offset = 0
        self._before_segment = self._tree.copy()
        self._read_from(descriptor)

    def _read_from(self, descriptor: int) -> None:
        """Whole events are put together for the sinks from the open segment."""
        if self._expanding:
            self._reader = SegmentReader(descriptor)

    def _restore(self, descriptor: int) -> None:
        """The directory or the segment was removed: write the segment again from the file that is still open."""
        directory = self._settings.directory
        self._storage.make_directory(directory)
        if not self._storage.in_place(self._lock, directory):
            lock = self._storage.lock(directory)
            self._storage.close(self._lock)
            self._lock = lock
        self._storage.replace(directory / PUBLIC_KEY_NAME, f"{self._signer.key}\n".encode())
        if self._before_segment.size:
            write_frontier(self._storage, self._path, self._before_segment)
        copy = self._storage.create(self._path)
        position = 0
        try:
            while position < self._offset:
                block = self._storage.read(descriptor, min(_COPY_BLOCK, self._offset - position), position)
                if not block:
                    raise OSError(errno.EIO, "the removed segment cannot be read any more", str(self._path))
                view = memoryview(block)
                while view:
                    written = self._storage.write(copy, view, position)
                    position += written
                    view = view[written:]
            self._storage.sync(copy)
        except OSError:
            self._storage.close(copy)
            self._path.unlink(missing_ok=True)
            raise
        self._storage.close(descriptor)
        self._descriptor = copy
        self._read_from(copy)
        self._signed = -1

    def _sync(self) -> None:
        if self._descriptor is None or not self._unsynced:
            return
        try:
            self._storage.sync(self._descriptor)
        except OSError:
            self._offset = self._synced_offset
            self._tree = self._synced_tree.copy()
            self._skip = 0
            self._todo.extendleft(reversed(self._unsynced))
            self._unsynced.clear()
            raise
        if not self._storage.linked(self._descriptor):
            raise FileNotFoundError(errno.ENOENT, "the segment was removed", str(self._path))
        self.counters.syncs += 1
        self._synced_offset = self._offset
        self._synced_tree = self._tree.copy()
        done, self._unsynced = self._unsynced, []
        with self._intake.lock:
            self._intake.durable = done[-1].sequence
        for batch in done:
            batch.synced = True
            self._release(batch)

    def _checkpoint(self) -> None:
        """Sign what is on disk, unless there is nothing new but the event that told of the last checkpoint."""
        size = self._synced_tree.size
        if size > self._signed + 1 or (size > self._signed and self._intake.closing):
            checkpoint = Checkpoint(self._signer.key.name, size, self._synced_tree.root())
            note = self._signer.sign(checkpoint)
            self._checkpoints.append(note)
            self._signed = size
            self.counters.checkpoints += 1
            self._on_checkpoint(checkpoint, note)
        self._next_checkpoint = self._monotonic() + self._settings.checkpoint_interval

    def _let_go(self) -> None:
        self._delivery.close()
        if self._descriptor is not None:
            self._storage.close(self._descriptor)
            self._descriptor = None
        self._storage.close(self._lock)

    # --- health -----------------------------------------------------------------------------------------------------

    def _failed(self, error: OSError) -> None:
        self.counters.failures += 1
        what = os.strerror(error.errno) if error.errno and not error.strerror else error.strerror or str(error)
        self._write_problem = f"cannot write {self._path}: {what}"

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
        if batch.synced and not self._delivery.owes(batch):
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

"""The end of the log: what is still to be written, what is written, and what of that is on the disk.

Files are written at an offset that is kept here, so a failed write is repeated over whatever it left behind, and a
failed sync by writing again all that was not yet synced (after a failed fsync the kernel may have thrown the pages
away, and a second fsync would say that all is well). Lines stay in memory until they are on disk.
"""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from gateway.audit.intake import Batch
from gateway.audit.segments import segment_name, write_frontier
from gateway.audit.storage import Storage
from gateway.audit.tree import Frontier

_log = logging.getLogger(__name__)

_COPY_BLOCK: Final = 1024 * 1024
_ROOM: Final = bytes(256 * 1024)
"""What is put behind the lines where the file ends. To overwrite what is there takes a sync half the time that it takes
to make a file longer: nothing but the lines themselves has to reach the disk."""


class Appender:
    """The open segment. Used by whoever has the files: the writer, or the fast path while they are lent to it."""

    def __init__(
        self,
        directory: Path,
        storage: Storage,
        tree: Frontier,
        *,
        monotonic: Callable[[], float],
        on_segment: Callable[[int], None],
        on_synced: Callable[[list[Batch]], None],
    ) -> None:
        """``tree`` is over what is in the log already. Called at once are ``on_segment`` with each new descriptor of
        the open segment, and ``on_synced`` with batches that are on the disk now."""
        self._directory = directory
        self._storage = storage
        self._monotonic = monotonic
        self._on_segment = on_segment
        self._on_synced = on_synced
        self.descriptor: int | None = None
        self.path = directory
        self.offset = 0
        """Where the next line goes."""
        self._end = 0
        """Where the zeros end that may be behind it."""
        self._synced_offset = 0
        self._tree = tree
        """Over what is written. Lines are hashed as they come, not thousands at a time when they are synced: whoever
        hashes keeps the interpreter from everybody else."""
        self.synced_tree = tree.copy()
        """Over what is on disk."""
        self._before_segment = tree.copy()
        self._todo: deque[Batch] = deque()
        self._skip = 0
        """Bytes of the first batch in ``_todo`` that are written already: whole lines."""
        self._unsynced: list[Batch] = []
        self.unsynced_since = 0.0
        """When the oldest line that is not synced was written (monotonic seconds)."""

    def add(self, batches: Iterable[Batch]) -> None:
        """What is to be written next."""
        self._todo.extend(batches)

    @property
    def behind(self) -> bool:
        """Whether there is something to be written."""
        return bool(self._todo)

    @property
    def room(self) -> int:
        """Bytes of zeros behind the lines."""
        return max(0, self._end - self.offset)

    @property
    def unsynced(self) -> int:
        """Bytes that are written and perhaps not on the disk."""
        return self.offset - self._synced_offset

    # --- writing ----------------------------------------------------------------------------------------------------

    def write(self) -> Iterator[Batch]:
        """Write what is to be written; yields each batch when that is done. Raises ``OSError``."""
        while self._todo:
            batch = self._todo[0]
            if batch.segment is not None:
                self._open_segment(batch.segment)
                batch.segment = None
            self._write_batch(batch)
            self._skip = 0
            self._written(self._todo.popleft())
            yield batch

    def _written(self, batch: Batch) -> None:
        if not self._unsynced:
            self.unsynced_since = self._monotonic()
        self._unsynced.append(batch)
        if batch.tree is None:
            self._tree.add_lines(batch.lines)
        else:
            self._tree, batch.tree = batch.tree, None

    def tree(self) -> Frontier:
        """A copy of the tree over what is written, to work out ahead what it is with the next batch.

        That is the same whatever becomes of the batch, since nothing else can be written in its place. Only whoever has
        the files may copy; the copy may grow when they are somebody else's again.
        """
        return self._tree.copy()

    def _write_batch(self, batch: Batch) -> None:
        if self.descriptor is None:
            raise OSError(errno.EBADF, "no segment is open", str(self.path))
        view = memoryview(_data_of(batch))[self._skip :]
        start = self.offset
        try:
            while view:
                written = self._storage.write(self.descriptor, view, self.offset)
                if written <= 0:
                    raise OSError(errno.EIO, "the system wrote nothing", str(self.path))
                self.offset += written
                view = view[written:]
        except OSError:
            self._cut_torn_line(batch, start, self.descriptor)
            raise

    def _cut_torn_line(self, batch: Batch, start: int, descriptor: int) -> None:
        """Keep the whole lines of a half-written batch, and no more."""
        written = self.offset - start
        whole = _data_of(batch).rfind(b"\n", self._skip, self._skip + written) + 1
        kept = max(0, whole - self._skip)
        self._skip += kept
        self.offset = start + kept
        try:
            self._storage.truncate(descriptor, self.offset)
            self._end = self.offset
        except OSError as error:
            # The torn bytes are the beginning of what will be written there next, so they do no harm.
            _log.warning("torn line left in %s until it can be written: %s", self.path, error)

    def sync(self) -> None:
        """See what is written onto the disk. Raises ``OSError``."""
        if self.descriptor is None or not self._unsynced:
            return
        try:
            self._storage.sync(self.descriptor)
        except OSError:
            self._rewind()
            raise
        if not self._storage.linked(self.descriptor):
            raise FileNotFoundError(errno.ENOENT, "the segment was removed", str(self.path))
        self._synced()

    def _rewind(self) -> None:
        """Nothing since the last sync counts as written: what became of the kernel's pages is not known."""
        self.offset = self._synced_offset
        self._tree = self.synced_tree.copy()
        self._skip = 0
        self._todo.extendleft(reversed(self._unsynced))
        self._unsynced.clear()

    def _synced(self) -> None:
        self._synced_offset = self.offset
        self.synced_tree = self._tree.copy()
        done, self._unsynced = self._unsynced, []
        self._on_synced(done)

    def block(self, batch: Batch | None) -> bytes:
        """What a ``Putter`` is to put at the end for a batch: its lines, and room for others where there is none."""
        data = b"" if batch is None else _data_of(batch)
        return data if self.offset + len(data) <= self._end else data + _ROOM

    def landed(self, batch: Batch | None, put: tuple[int, bool, bool, int]) -> OSError | None:
        """A ``Putter`` has put the ``block`` of ``batch`` and synced: what ``result`` gave, taken in.

        Gives back what is amiss; the batch is to be written again then, unless only the segment's name is gone.
        """
        written, synced, linked, failed = put
        size = 0 if batch is None else batch.size
        self._end = max(self._end, self.offset + written)
        if not synced:
            if written >= size:
                self._rewind()
            if batch is not None:
                self._todo.append(batch)
                if written < size and self.descriptor is not None:
                    start = self.offset
                    self.offset += written
                    self._cut_torn_line(batch, start, self.descriptor)
            return _error(failed or errno.EIO)
        self.offset += size
        if batch is not None:
            self._written(batch)
        if not linked:
            return FileNotFoundError(failed or errno.ENOENT, "the segment was removed")
        self._synced()
        return None

    # --- segments ---------------------------------------------------------------------------------------------------

    def trim(self) -> None:
        """Let the file end with its last line, on the disk too. Raises ``OSError``."""
        if self.descriptor is not None and self.room:
            self._storage.truncate(self.descriptor, self.offset)
            self._storage.sync(self.descriptor)
            self._end = self.offset

    def _open_segment(self, first: int) -> None:
        self.sync()
        self.trim()  # only the last segment may end with zeros
        path = self._directory / segment_name(first)
        if first:
            # After a sync, so that the tree has everything before.
            write_frontier(self._storage, path, self._tree)
        descriptor = self._storage.create(path)
        self.close()
        self.descriptor = descriptor
        self.path = path
        self.offset = self._synced_offset = self._end = 0
        self._before_segment = self._tree.copy()
        self._on_segment(descriptor)

    def restore(self) -> None:
        """The segment was removed: write it again from the file that is still open. Raises ``OSError``."""
        descriptor = self.descriptor
        if descriptor is None:
            return
        if self._before_segment.size:
            write_frontier(self._storage, self.path, self._before_segment)
        copy = self._storage.create(self.path)
        position = 0
        try:
            while position < self.offset:
                block = self._storage.read(descriptor, min(_COPY_BLOCK, self.offset - position), position)
                if not block:
                    raise OSError(errno.EIO, "the removed segment cannot be read any more", str(self.path))
                self._storage.write_all(copy, block, position)
                position += len(block)
            self._storage.sync(copy)
        except OSError:
            self._storage.close(copy)
            self.path.unlink(missing_ok=True)
            raise
        self._storage.close(descriptor)
        self.descriptor = copy
        self._end = self.offset
        self._on_segment(copy)

    def close(self) -> None:
        """Close the open segment's file, if there is one."""
        if self.descriptor is not None:
            self._storage.close(self.descriptor)
            self.descriptor = None


def _data_of(batch: Batch) -> bytes:
    """A batch as it stands in the file."""
    return b"\n".join((*batch.lines, b""))


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))

"""The system calls that the log makes, in one place, so that tests can make each of them fail."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from gateway.audit._disk_reference import Putter

if TYPE_CHECKING or os.environ.get("QUERYGATE_PURE_PYTHON") == "1":
    from gateway.audit._disk_reference import Putter as QuickPutter
else:
    try:
        from gateway.audit._disk import Putter as QuickPutter
    except ImportError:
        from gateway.audit._disk_reference import Putter as QuickPutter

_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700


class Storage:
    """Plain files. Every method raises ``OSError`` where the system does."""

    def make_directory(self, directory: Path) -> None:
        """Create the directory, readable by its owner only, unless it is there."""
        directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)

    def lock(self, directory: Path) -> int:
        """Take the directory's exclusive lock, held by the descriptor. Raises ``BlockingIOError`` where it is taken."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def create(self, path: Path) -> int:
        """Create a file that is not there yet, for reading and writing, and make its name durable."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        try:
            self.sync_directory(path.parent)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return descriptor

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        """Write at ``offset``; returns how many bytes went, which may be fewer than asked."""
        return os.pwrite(descriptor, data, offset)

    def write_all(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write all of ``data`` at ``offset``."""
        view = memoryview(data)
        while view:
            written = self.write(descriptor, view, offset)
            if written <= 0:
                raise OSError(errno.EIO, "the system wrote nothing")
            offset += written
            view = view[written:]

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        """Read at ``offset``."""
        return os.pread(descriptor, size, offset)

    def sync(self, descriptor: int) -> None:
        """Return when the file's content is on the disk."""
        os.fdatasync(descriptor)

    def sync_directory(self, directory: Path) -> None:
        """Return when the directory's names are on the disk."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file to ``size`` bytes."""
        os.ftruncate(descriptor, size)

    def in_place(self, descriptor: int, path: Path) -> bool:
        """Whether ``path`` is (still) the open file. Raises ``FileNotFoundError`` where nothing is there."""
        opened = os.fstat(descriptor)
        named = path.stat(follow_symlinks=False)
        return (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino)

    def linked(self, descriptor: int) -> bool:
        """Whether the open file still has a name at all."""
        return os.fstat(descriptor).st_nlink > 0

    def putter(self, wake: int) -> Putter:
        """A thread that writes, syncs and looks for the file's name, by this storage's own methods."""
        return Putter(wake, self.write, self.sync, self.linked)

    def free_bytes(self, directory: Path) -> int:
        """Bytes that an ordinary user may still write on the directory's file system."""
        status = os.statvfs(directory)
        return status.f_bavail * status.f_frsize

    def used_bytes(self, directory: Path) -> int:
        """Bytes in the directory's files."""
        with os.scandir(directory) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)

    def replace(self, path: Path, data: bytes) -> None:
        """Give a small file a new content, at once and durably: readers see the old one or the new one."""
        scratch = path.with_name(path.name + ".new")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _FILE_MODE)
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(f"short write to {scratch}")
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        scratch.replace(path)


class QuickStorage(Storage):
    """The same, with a putter that needs no interpreter, where one was built."""

    @override
    def putter(self, wake: int) -> Putter:
        return QuickPutter(wake)

"""Putting lines on the disk in a thread of its own: the specification, and what runs where nothing was compiled."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

COMPILED: Final = False

Result = tuple[int, bool, bool, int]
"""Bytes written, whether the file is on the disk, whether it still has a name, and the ``errno`` of what failed or 0.

Nothing failed and yet not all was written: the system took no more.
"""


class Putter:
    """Writes at an offset, syncs the file and looks whether it still has a name: one put at a time.

    When a put is over, the eventfd ``wake`` becomes readable. ``begin`` and ``result`` may be called from any thread.
    """

    def __init__(
        self,
        wake: int,
        write: Callable[[int, memoryview, int], int] = os.pwrite,
        sync: Callable[[int], None] = os.fdatasync,
        linked: Callable[[int], bool] = lambda descriptor: os.fstat(descriptor).st_nlink > 0,
    ) -> None:
        """``wake`` is not closed here, and must stay open until ``close`` has returned."""
        self._wake = wake
        self._write, self._sync, self._linked = write, sync, linked
        self._changed = threading.Condition()
        self._asked: tuple[int, bytes, int] | None = None
        self._over: Result | Exception | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="audit-putter", daemon=True)
        self._thread.start()

    def begin(self, descriptor: int, data: bytes, offset: int) -> None:
        """Put all of ``data`` at ``offset``. Raises ``RuntimeError`` until the last put's ``result`` was taken."""
        with self._changed:
            if self._asked is not None or self._closing:
                raise RuntimeError("one at a time")
            self._asked = descriptor, data, offset
            self._changed.notify()

    def result(self) -> Result | None:
        """Take what became of it; None while that is not known, or where nothing was begun.

        Raises what is no ``OSError``.
        """
        with self._changed:
            over, self._over = self._over, None
            if over is not None:
                self._asked = None
        if isinstance(over, Exception):
            raise over
        return over

    def close(self) -> None:
        """Wait for what is under way, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while (self._asked is None or self._over is not None) and not self._closing:
                    self._changed.wait()
                if self._closing:
                    return
                asked = self._asked
            over = self._put(*asked) if asked is not None else None
            with self._changed:
                self._over = over
            os.eventfd_write(self._wake, 1)

    def _put(self, descriptor: int, data: bytes, offset: int) -> Result | Exception:
        view, written, synced = memoryview(data), 0, False
        try:
            while written < len(data):
                more = self._write(descriptor, view[written:], offset + written)
                if more <= 0:
                    return written, False, False, 0
                written += more
            self._sync(descriptor)
            synced = True
            return written, True, self._linked(descriptor), 0
        except OSError as error:
            return written, synced, False, error.errno or 0
        except Exception as error:  # noqa: BLE001 - whoever asks for the result is to have it
            return error

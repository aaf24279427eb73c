"""Sending on a socket that never waits.

There are two of it: compiled (``_send``, used where it was built), which keeps the interpreter for short data instead
of handing it over and waiting for it again, and this one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

Bytes = bytes | bytearray | memoryview


def _send_now(fd: int, data: Bytes) -> int:
    """Send what the kernel takes at once of ``data`` and return the number of bytes.

    0 also where it would wait or the connection is broken: whoever sends the rest in the ordinary way finds out. ``fd``
    must be a non-blocking socket.
    """
    try:
        return os.write(fd, data)
    except OSError:
        return 0


if TYPE_CHECKING or os.environ.get("QUERYGATE_PURE_PYTHON") == "1":
    send_now = _send_now
else:
    try:
        from gateway.server._send import send_now
    except ImportError:
        send_now = _send_now

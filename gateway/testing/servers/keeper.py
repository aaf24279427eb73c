"""Runs beside a server and ends it when the process that asked for it is gone, however it went.

Started as a script of its own with ``python -I -S``, so it uses the standard library only. Its standard input is a pipe
from the owner: every byte on it is a signal number for the server, and its end means that the owner is gone. On its
standard output it tells the server's process id. Its exit status is the server's (128 + n for signal n).
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", required=True)
    parser.add_argument("--pid-file", required=True)
    parser.add_argument("--stop-signal", type=int, default=signal.SIGQUIT, help="sent when the owner is gone")
    parser.add_argument("--grace", type=float, default=5.0, help="seconds until SIGKILL follows")
    parser.add_argument("--remove", help="folder to remove when the owner is gone")
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)

    libc = ctypes.CDLL(None)
    with Path(options.log).open("ab") as log:
        server = subprocess.Popen(
            options.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # Safe: this process has one thread. It covers the case that the keeper itself is killed.
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, options.stop_signal),
            user=options.uid,
            group=options.gid,
            extra_groups=None if options.uid is None else (),
        )
    Path(options.pid_file).write_text(f"{server.pid}\n")
    print(server.pid, flush=True)  # noqa: T201 - the owner reads it

    owned = True
    while server.poll() is None:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready and os.read(woken, 64).strip(bytes([signal.SIGCHLD])):
            owned = False  # somebody asks the keeper itself to end
        if 0 in ready:
            orders = os.read(0, 64)
            owned = owned and bool(orders)
            for order in orders:
                _deliver(server, order)
        if not owned:
            _end(server, options.stop_signal, options.grace)
    Path(options.pid_file).unlink(missing_ok=True)
    if options.remove and (not owned or not _owner_listens()):
        shutil.rmtree(options.remove, ignore_errors=True)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _deliver(server: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal; SIGKILL goes to the server's own children too, as a power cut would."""
    children = _children(server.pid) if number == signal.SIGKILL else []
    server.send_signal(number)
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _end(server: subprocess.Popen[bytes], number: int, grace: float) -> None:
    server.send_signal(number)
    deadline = time.monotonic() + grace
    while server.poll() is None:
        if time.monotonic() > deadline:
            _deliver(server, signal.SIGKILL)
            server.wait()
        time.sleep(0.01)


def _owner_listens() -> bool:
    ready, _, _ = select.select([0], [], [], 0)
    return not ready or bool(os.read(0, 64))


if __name__ == "__main__":
    sys.exit(main())

"""A server process under a keeper."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gateway.testing.servers import keeper
from gateway.testing.servers.account import Account
from gateway.testing.servers.errors import ServerFailed


class StopMode(StrEnum):
    """How a server ends: ``smart`` waits for clients, ``fast`` disconnects them, ``immediate`` skips the clean-up."""

    SMART = "smart"
    FAST = "fast"
    IMMEDIATE = "immediate"


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how to end it: one signal for each stop mode."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    pid_file: Path
    signals: Mapping[StopMode, signal.Signals]
    folder: Path = Path("/")
    remove_if_orphaned: Path | None = None


class ServerProcess:
    """A running server. It ends when the present process ends, even by SIGKILL."""

    def __init__(self, program: Program, account: Account) -> None:
        self._program = program
        arguments = ["--log", os.fspath(program.log), "--pid-file", os.fspath(program.pid_file)]
        arguments += ["--stop-signal", str(int(program.signals[StopMode.IMMEDIATE]))]
        if program.remove_if_orphaned is not None:
            arguments += ["--remove", os.fspath(program.remove_if_orphaned)]
        if account.dropped:
            arguments += ["--uid", str(account.uid), "--gid", str(account.gid)]
        with program.log.open("ab") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", keeper.__file__, *arguments, "--", *program.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(program.environment),
                cwd=program.folder,
                start_new_session=True,
            )
        assert self._keeper.stdout is not None  # noqa: S101 - asked for above
        told = self._keeper.stdout.readline()
        self._keeper.stdout.close()
        if not told:
            self._keeper.wait()
            raise ServerFailed(f"{program.command[0]} could not be run\n{log_tail(program.log)}")
        self.pid = int(told)

    def running(self) -> bool:
        """Whether the server process exists."""
        return self._keeper.poll() is None

    def wait_until_ready(self, ready: Callable[[], bool], name: str, seconds: float) -> None:
        """Wait until it can be used; ``ServerFailed``, with the log's tail, if it ends or is not ready in time."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running():
                raise ServerFailed(
                    f"{name} ended at its start with status {self.wait()}\n{log_tail(self._program.log)}"
                )
            if time.monotonic() > deadline:
                self.kill()
                raise ServerFailed(f"{name} was not ready in {seconds:g} s\n{log_tail(self._program.log)}")
            time.sleep(0.005)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status (128 + n for signal n); ``TimeoutError`` after ``timeout``."""
        try:
            status = self._keeper.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"server {self.pid} still runs after {timeout:g} s") from None
        self._close()
        return status

    def stop(self, mode: StopMode = StopMode.FAST, *, timeout: float = 30) -> None:
        """End the server and wait for it; after ``timeout`` seconds it is killed and ``ServerFailed`` raised."""
        self._signal(self._program.signals[mode])
        try:
            self.wait(timeout)
        except TimeoutError as error:
            self.kill()
            raise ServerFailed(f"{error} ({mode} stop)\n{log_tail(self._program.log)}") from None

    def kill(self) -> None:
        """End the server and its children by SIGKILL, and wait."""
        self._signal(signal.SIGKILL)
        self.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self.running():
            assert self._keeper.stdin is not None  # noqa: S101 - asked for at the start
            try:
                os.write(self._keeper.stdin.fileno(), bytes([number]))
            except BrokenPipeError:
                return  # it ended by itself meanwhile

    def _close(self) -> None:
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()


def log_tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log file, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(no log: {error})"

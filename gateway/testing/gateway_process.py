"""``querygate serve`` as a process of its own, for tests, the demo and the benchmarks."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from gateway.testing.servers.account import Account
from gateway.testing.servers.ports import listening
from gateway.testing.servers.process import Program, ServerProcess, StopMode

_COMMAND = (sys.executable, "-P", "-m", "gateway", "serve", "--config")
_SIGNALS = {StopMode.SMART: signal.SIGTERM, StopMode.FAST: signal.SIGTERM, StopMode.IMMEDIATE: signal.SIGKILL}


class GatewayProcess:
    """A running gateway. A context manager: leaving it stops the gateway by SIGTERM.

    Both outputs of the gateway go into one log file, ``gateway.log`` beside the configuration.
    """

    def __init__(self, process: ServerProcess, log_path: Path) -> None:
        self._process = process
        self._log_path = log_path
        self.pid = process.pid

    @classmethod
    def start(
        cls,
        config: Path,
        *,
        ports: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = _COMMAND,
        timeout: float = 60,
    ) -> Self:
        """Start a gateway and wait until it printed a line ``ready``, or until it listens on all ``ports``.

        ``environment`` is added to the present one. ``command`` gets the configuration's path as its last argument and
        runs in the configuration's folder. Raises ``ServerFailed``, with the log's tail, if it ends or is not ready in
        ``timeout`` seconds.
        """
        config = config.absolute()
        log = config.with_name("gateway.log")
        start_of_log = log.stat().st_size if log.exists() else 0
        program = Program(
            command=(*command, str(config)),
            environment={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            log=log,
            pid_file=config.with_name("gateway.pid"),
            signals=_SIGNALS,
            folder=config.parent,
        )
        process = ServerProcess(program, Account.present())
        process.wait_until_ready(
            lambda: _says_ready(log, start_of_log) or bool(ports and all(map(listening, ports))), "the gateway", timeout
        )
        return cls(process, log)

    def running(self) -> bool:
        """Whether the process exists."""
        return self._process.running()

    def stop(self, *, timeout: float = 30) -> int:
        """Ask it to end by SIGTERM and return its exit status; ``ServerFailed`` if it takes longer than ``timeout``."""
        self._process.stop(StopMode.SMART, timeout=timeout)
        return self._process.wait()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._process.kill()

    def log(self) -> str:
        """All that it printed."""
        return self._log_path.read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _says_ready(log: Path, start: int) -> bool:
    with log.open("rb") as file:
        file.seek(start)
        return any(line.split()[:1] == [b"ready"] for line in file)

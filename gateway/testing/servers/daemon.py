"""The life of one server program: started on a port that was free, ready when it says so, ended, started again."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.testing.servers.account import Account
from gateway.testing.servers.errors import ServerFailed
from gateway.testing.servers.installation import Installation
from gateway.testing.servers.ports import free_port
from gateway.testing.servers.process import Program, ServerProcess, StopMode

_PORT_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Product:
    """How the servers of one product are ended, and how they tell that somebody else has their port."""

    name: str
    signals: Mapping[StopMode, signal.Signals]
    port_taken: str
    start_seconds: float = 30.0


Prepare = Callable[[int], Sequence[str]]
"""Writes what depends on the port, and returns the command that runs the server there."""
Ready = Callable[[int, bytes], bool]
"""Whether a server takes connections, by its process id and by what it has logged since its start.

That is asked of the server itself: no attempt to connect can tell it more exactly.
"""


class Daemon:
    """One server program in a folder of its own, on 127.0.0.1."""

    host = "127.0.0.1"

    def __init__(
        self,
        product: Product,
        installation: Installation,
        account: Account,
        directory: Path,
        *,
        prepare: Prepare,
        ready: Ready,
        remove_if_orphaned: Path | None,
    ) -> None:
        self.port = 0
        self.log_path = directory / "server.log"
        self._product = product
        self._installation = installation
        self._account = account
        self._directory = directory
        self._prepare = prepare
        self._ready = ready
        self._remove_if_orphaned = remove_if_orphaned
        self._command: Sequence[str] = ()
        self._process: ServerProcess | None = None

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the server's first process."""
        if self._process is None:
            raise ServerFailed("the server is stopped")
        return self._process.pid

    def start_on_free_port(self) -> None:
        """Choose a port and start there; on another one if somebody was faster."""
        for attempt in range(_PORT_ATTEMPTS):
            self.port = free_port()
            self._command = self._prepare(self.port)
            try:
                return self.start()
            except ServerFailed as error:
                if attempt == _PORT_ATTEMPTS - 1 or self._product.port_taken not in str(error):
                    raise
        return None

    def start(self) -> None:
        """Start on the port that was chosen, and wait until it takes connections."""
        start_of_log = self.log_path.stat().st_size if self.log_path.exists() else 0
        program = Program(
            command=self._command,
            environment=self._installation.environment(),
            log=self.log_path,
            pid_file=self._directory / "server.pid",
            signals=self._product.signals,
            remove_if_orphaned=self._remove_if_orphaned,
        )
        process = ServerProcess(program, self._account)
        process.wait_until_ready(
            lambda: self._ready(process.pid, self._said_since(start_of_log)),
            self._product.name,
            self._product.start_seconds,
        )
        self._process = process

    def running(self) -> bool:
        """Whether the process exists."""
        return self._process is not None and self._process.running()

    def stop(self, mode: StopMode = StopMode.FAST) -> None:
        """Stop and wait for the end."""
        if self._process is not None:
            self._process.stop(mode)
            self._process = None

    def kill(self) -> None:
        """End it and all its children by SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def log(self) -> str:
        """All that it logged since its folder was made."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def _said_since(self, start: int) -> bytes:
        with self.log_path.open("rb") as log:
            log.seek(start)
            return log.read()

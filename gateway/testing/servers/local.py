"""What all test servers have in common: a folder, one or more programs, certificates, an end."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from gateway.testing.servers.certificates import CertificateFiles
from gateway.testing.servers.daemon import Daemon
from gateway.testing.servers.installation import Installation
from gateway.testing.servers.process import StopMode


class LocalServer:
    """A server on 127.0.0.1, of one program or of several. A context manager."""

    host = "127.0.0.1"

    def __init__(
        self,
        installation: Installation,
        directory: Path,
        daemons: Sequence[Daemon],
        *,
        temporary: bool,
        password: str,
        certificates: CertificateFiles | None,
    ) -> None:
        self.installation = installation
        self.directory = directory
        self.password = password
        self._daemons = daemons
        self._temporary = temporary
        self._certificates = certificates

    @property
    def bindir(self) -> Path:
        """The folder with this version's programs, its command line client among them."""
        return self.installation.bindir

    @property
    def port(self) -> int:
        """The first program's port."""
        return self._daemons[0].port

    @property
    def pid(self) -> int:
        """The process id of the first program's first process."""
        return self._daemons[0].pid

    @property
    def tls(self) -> bool:
        """Whether the server offers TLS."""
        return self._certificates is not None

    @property
    def ca_path(self) -> Path | None:
        """The authority behind the server's certificate (for ``localhost`` and ``127.0.0.1``); None without TLS."""
        return self._certificates.ca if self._certificates is not None else None

    def running(self) -> bool:
        """Whether every program's process exists."""
        return all(daemon.running() for daemon in self._daemons)

    def stop(self, mode: StopMode | str = StopMode.FAST) -> None:
        """Stop the server and wait for its end. Its data stays until the context is left."""
        for daemon in self._daemons:
            daemon.stop(StopMode(mode))

    def kill(self) -> None:
        """End the server by SIGKILL, as a power cut would."""
        for daemon in self._daemons:
            daemon.kill()

    def restart(self, mode: StopMode | str = StopMode.FAST) -> None:
        """Stop the server if it runs, and start it on the same ports and data."""
        self.stop(mode)
        for daemon in self._daemons:
            daemon.start()

    def log(self) -> str:
        """All that the server logged since its directory was made."""
        return "".join(daemon.log() for daemon in self._daemons)

    def close(self) -> None:
        """Stop the server, quickly if its data is temporary, and remove temporary data."""
        self.stop(StopMode.IMMEDIATE if self._temporary else StopMode.FAST)
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

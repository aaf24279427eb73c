"""What every kind of test server offers, so that fixtures and the demo treat all databases alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

from gateway.testing.servers.installation import Installation
from gateway.testing.servers.process import StopMode


class DatabaseServer(Protocol):
    """A running server. Leaving its context stops it and removes what it made."""

    @property
    def host(self) -> str:
        """Always ``127.0.0.1``."""

    @property
    def port(self) -> int:
        """The TCP port."""

    @property
    def superuser(self) -> str:
        """The name of the account that may do everything."""

    @property
    def password(self) -> str:
        """The superuser's password."""

    @property
    def ca_path(self) -> Path | None:
        """The authority to verify the server's certificate with; None without TLS."""

    @property
    def installation(self) -> Installation:
        """The programs in use."""

    def create_database(self, name: str) -> None:
        """Create an empty database. One of that name is dropped before."""

    def stop(self, mode: StopMode = StopMode.FAST) -> None:
        """Stop the server; its data stays until the context is left."""

    def restart(self) -> None:
        """Stop the server if it runs, and start it on the same port and data."""

    def kill(self) -> None:
        """End the server as a power cut would."""

    def log(self) -> str:
        """All that the server logged."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class ServerKind(Protocol):
    """A database product that can be started for a test."""

    @property
    def name(self) -> str:
        """The name of the protocol plugin that speaks to it."""

    def find(self, *, tls: bool | None = None, version: int | None = None) -> Installation:
        """The installation that ``start`` would use; ``ServerUnavailable`` if there is none."""

    def start(
        self,
        directory: Path | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        tls: bool | None = None,
        version: int | None = None,
    ) -> DatabaseServer:
        """Start a server in ``directory`` (kept afterwards) or in a temporary one (removed)."""

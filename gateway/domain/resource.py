"""What is behind the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType


class UpstreamTlsMode(StrEnum):
    """How the connection to the database is protected. The words are libpq's."""

    DISABLE = "disable"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """TLS towards one database; ``ca`` None means the system's trust store."""

    mode: UpstreamTlsMode = UpstreamTlsMode.VERIFY_FULL
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """One upstream database server, as the configuration names it. Holds no secret."""

    name: str
    protocol: str
    host: str
    port: int
    database: str | None = None
    environment: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    tls: UpstreamTls = UpstreamTls()
    listen: tuple[str, int] | None = None
    """A listener (host, port) of its own; there the client's database name is the upstream's."""
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What else the protocol plugin is told about the connection to the database; each plugin documents its own."""


@dataclass(frozen=True, slots=True)
class UpstreamCredentials:
    """What the gateway logs in to a database with. Never leaves the gateway; its repr holds no secret."""

    username: str
    password: str | None = field(default=None, repr=False)

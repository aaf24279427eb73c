"""The two ways to the same kind of server: directly, and through a gateway that allows everything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml

from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers import MariaDbServer, MongoServer, PostgresServer
from gateway.testing.servers.ports import free_port

_TOKEN = "SUPERUSER_TOKEN"

Server = PostgresServer | MariaDbServer | MongoServer


class Way(StrEnum):
    """How clients reach the server."""

    DIRECT = "direct"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to connect to as the superuser, and the server behind it."""

    server: Server
    port: int
    way: Way

    host = "127.0.0.1"

    @property
    def postgres(self) -> PostgresServer:
        """The server, where it is PostgreSQL."""
        if not isinstance(self.server, PostgresServer):
            raise TypeError("the server behind this endpoint is not PostgreSQL")
        return self.server

    @property
    def user(self) -> str:
        """The superuser's name, here and there."""
        return self.server.superuser

    @property
    def password(self) -> str:
        """The superuser's password; at the gateway it is an access token."""
        return self.server.password

    def variables(self, database: str = "postgres") -> dict[str, str]:
        """The variables that libpq and drivers read."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": database,
        }

    def program(self, name: str) -> str:
        """The path of psql or pgbench, of the server's own version where it has one."""
        bindir = self.server.installation.bindir
        own = bindir / name
        found = str(own) if own.exists() else shutil.which(name)
        if found is None:
            raise FileNotFoundError(f"no {name} in {bindir} or on the PATH")
        return found


@contextmanager
def gateway_before(server: Server, folder: Path, *, tls: bool = True) -> Iterator[Endpoint]:
    """A gateway of its own in front of ``server``: one principal, named like the superuser, who may do everything.

    The resource has a listener of its own, so that database names are the server's. ``tls`` is whether clients come
    with TLS.
    """
    port = free_port()
    upstream: dict[str, str] = {"mode": "disable"}
    if server.ca_path is not None:
        upstream = {"mode": "verify-full", "ca": str(server.ca_path)}
    resource = {
        "name": "suites",
        "protocol": server.name,
        "address": f"{server.host}:{server.port}",
        **({"database": "postgres"} if isinstance(server, PostgresServer) else {}),
        "listen": f"127.0.0.1:{port}",
        "credentials": {"username": server.superuser, "password": {"env": _TOKEN}},
        "tls": upstream,
    }
    everything = {"actions": ["*", "function_call", "replicate"]}
    document: dict[str, object] = {
        **({} if tls else {"tls": {"mode": "disable"}}),
        "data_dir": str(folder / "gateway"),
        "resources": [resource],
        "principals": [{"name": server.superuser, "kind": "service", "token": {"env": _TOKEN}}],
        "policies": [{"name": "everything", "effect": "allow", "match": everything}],
        "audit": {"durability": {"write": "buffered", "read": "buffered"}},
    }
    path = folder / "querygate.yaml"
    path.write_text(yaml.safe_dump(document))
    environment = {_TOKEN: server.password}
    with GatewayProcess.start(path, ports=[port], environment=environment) as gateway:
        yield Endpoint(server, port, Way.GATEWAY)
        if not gateway.running():
            raise AssertionError(f"the gateway ended by itself:\n{gateway.log()[-4000:]}")


@contextmanager
def open_endpoint(
    way: Way, folder: Path, kind: str = "postgres", *, settings: Mapping[str, str] | None = None, tls: bool = True
) -> Iterator[Endpoint]:
    """A fresh server, with a gateway before it or not. ``folder`` takes the gateway's files."""
    with _server(kind, settings or {}) as server:
        match way:
            case Way.DIRECT:
                yield Endpoint(server, server.port, way)
            case Way.GATEWAY:
                with gateway_before(server, folder, tls=tls) as endpoint:
                    yield endpoint


def _server(kind: str, settings: Mapping[str, str]) -> Server:
    if kind == MongoServer.name:
        # A replica set with authentication, whose failures can be commanded.
        return MongoServer.start(members=1, settings={"enableTestCommands": "1", **settings})
    if kind == MariaDbServer.name:
        return MariaDbServer.start(settings=settings)
    return PostgresServer.start(settings={"max_connections": "300", **settings})

"""Where a resource is reached, and the client program that opens it with a fresh token.

The token goes into the program's environment, or into a URL where that was asked for; never onto a command line, which
every user of the machine can read.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from gateway.client.api import ApiClient
from gateway.config import Config, TlsMode
from gateway.errors import ConfigurationError

_WILDCARDS: Final = {"0.0.0.0", "::", ""}  # noqa: S104 - recognised, not listened on


@dataclass(frozen=True, slots=True)
class Route:
    """How a client gets to a resource. ``database`` is what it names as the database. ``ca`` verifies the gateway."""

    protocol: str
    host: str
    port: int
    database: str
    user: str
    tls: bool
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A client program made ready. ``environment`` is added to the present one, and holds the token."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


def local_route(config: Config, resource: str, user: str, database: str | None) -> Route:
    """Through a gateway on this machine. Raises ``ConfigurationError``."""
    found = config.resources.get(resource)
    if found is None:
        known = ", ".join(sorted(config.resources)) or "none"
        raise ConfigurationError(f"there is no resource {resource!r} in {config.path} (there are: {known})")
    address = found.listen or config.listeners.get(found.protocol)
    if address is None:
        raise ConfigurationError(f"nothing listens for {found.protocol}, so that {resource} is out of reach")
    host = "127.0.0.1" if address[0] in _WILDCARDS else address[0]
    tls = config.tls.mode is not TlsMode.DISABLE
    # The pair that the gateway made for itself is good for loopback names: it can be verified.
    ca = config.tls.certificate if config.tls.mode is TlsMode.SELF_SIGNED else None
    own = found.listen is not None
    name = (database or found.database or resource) if own else resource + (f"/{database}" if database else "")
    return Route(found.protocol, host, address[1], name, user, tls, ca)


def api_route(client: ApiClient, resource: str, user: str, database: str | None, gateway: str | None) -> Route:
    """Through a gateway that an admin API knows, or the one at ``gateway`` (``host:port``)."""
    found = client.get(f"/v1/connect/{quote(resource, safe='')}")
    host, port = found["host"], found["port"]
    if gateway is not None:
        from gateway.config.documents import parse_address

        try:
            host, port = parse_address(gateway)
        except ValueError as error:
            raise ConfigurationError(f"--gateway: {error}") from None
    if not host or not port:
        raise ConfigurationError(f"the API does not know a gateway for {resource}; give one: --gateway host:port")
    name = resource + (f"/{database}" if database else "")
    return Route(found["protocol"], host, port, name, user, found["tls"])


def url_of(route: Route, token: str) -> str:
    """A connection URL with the token in it."""
    who, secret, where = quote(route.user, safe=""), quote(token, safe=""), _authority(route)
    match route.protocol:
        case "postgres":
            options = {"sslmode": _ssl_mode(route), **({"sslrootcert": str(route.ca)} if route.ca else {})}
            return f"postgresql://{who}:{secret}@{where}/{quote(route.database, safe='')}?{urlencode(options)}"
        case "mysql":
            return f"mysql://{who}:{secret}@{where}/{quote(route.database, safe='')}"
        case "mongodb":
            resource, _, database = route.database.partition("/")
            # The user names the resource, since a MongoDB client's database says where it begins and nothing more.
            who = quote(f"{route.user}#{resource}", safe="")
            options = _mongodb_options(route)
            return f"mongodb://{who}:{secret}@{where}/{quote(database, safe='')}?{urlencode(options)}"
        case other:
            raise ConfigurationError(f"it is not known how clients for {other} are started; use --url with your own")


def program_for(route: Route, token: str, arguments: Sequence[str] = ()) -> Program:
    """The client program for a protocol. Raises ``ConfigurationError`` where there is none."""
    match route.protocol:
        case "postgres":
            environment = {
                "PGHOST": route.host,
                "PGPORT": str(route.port),
                "PGUSER": route.user,
                "PGDATABASE": route.database,
                "PGPASSWORD": token,
                "PGSSLMODE": _ssl_mode(route),
                **({"PGSSLROOTCERT": str(route.ca)} if route.ca else {}),
            }
            return Program((_find("psql"), *arguments), environment)
        case "mysql":
            tls = ("--ssl", *((f"--ssl-ca={route.ca}",) if route.ca else ())) if route.tls else ("--skip-ssl",)
            command = (
                _find("mariadb", "mysql"),
                f"--host={route.host}",
                f"--port={route.port}",
                "--protocol=tcp",
                f"--user={route.user}",
                *tls,
                *arguments,
                route.database,
            )
            return Program(command, {"MYSQL_PWD": token})
        case "mongodb":
            # The shell takes a password from its command line or a prompt only; a script may look into the environment.
            script = "db = connect(process.env.QUERYGATE_MONGODB_URL)"
            command = (_find("mongosh"), "--nodb", "--eval", script, "--shell", *arguments)
            return Program(command, {"QUERYGATE_MONGODB_URL": url_of(route, token)})
        case other:
            raise ConfigurationError(f"it is not known how clients for {other} are started; use --url with your own")


def run_program(program: Program, environ: Mapping[str, str]) -> int:
    """Run it in the foreground; its exit status. Ctrl-C is the program's."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run(
            program.command,
            env={**environ, **program.environment},
            check=False,
            # What this process ignores, its child would, too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    finally:
        signal.signal(signal.SIGINT, before)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _find(*names: str) -> str:
    for name in names:
        if (path := shutil.which(name)) is not None:
            return path
    raise ConfigurationError(
        f"{' or '.join(names)} is not installed; install it, or get a URL for another client with --url"
    )


def _authority(route: Route) -> str:
    return f"[{route.host}]:{route.port}" if ":" in route.host else f"{route.host}:{route.port}"


def _ssl_mode(route: Route) -> str:
    return "disable" if not route.tls else "verify-full" if route.ca is not None else "require"


def _mongodb_options(route: Route) -> dict[str, str]:
    options = {"authMechanism": "SCRAM-SHA-256", "directConnection": "true"}
    if not route.tls:
        return options
    verified = {"tlsCAFile": str(route.ca)} if route.ca is not None else {}
    return {**options, "tls": "true", **verified}

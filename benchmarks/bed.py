"""The bench itself: one database, and the routes to it."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from benchmarks.bouncer import PgBouncer
from benchmarks.configuration import PASSWORD_VARIABLE, PRINCIPAL, TOKEN_VARIABLE, Variant, configuration
from benchmarks.data import DATABASE, PGBENCH_SCALE, RESOURCE, ROLE, schema
from benchmarks.report import Progress
from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers import PostgresServer, ServerUnavailable
from gateway.testing.servers.account import Account
from gateway.testing.servers.ports import free_port

_SETTINGS = {
    "max_connections": "1200",
    "shared_buffers": "640MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "max_parallel_workers_per_gather": "0",
    # One chunk of a big read would otherwise be left to chance: scans begin where another one happens to be.
    "synchronize_seqscans": "off",
    "jit": "off",
}


_RUN_INSTALLED = Path(__file__).resolve().parents[1] / "scripts" / "run_installed.py"
_UNAUDITED = (sys.executable, str(_RUN_INSTALLED), "benchmarks.unaudited", "serve", "--config")


@dataclass(frozen=True, slots=True)
class Route:
    """One way to the database. ``pid`` is the process in between; None where there is none."""

    name: str
    port: int
    user: str
    database: str
    password: str = field(repr=False)
    pid: int | None = None
    tls: bool = False

    def environment(self) -> dict[str, str]:
        """What libpq's programs need."""
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LC_ALL": "C",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.database,
            "PGSSLMODE": "require" if self.tls else "disable",
            "PGGSSENCMODE": "disable",
        }

    def conninfo(self) -> str:
        """A libpq connection string."""
        mode = "require" if self.tls else "disable"
        return (
            f"host=127.0.0.1 port={self.port} user='{self.user}' dbname='{self.database}' password='{self.password}'"
            f" sslmode={mode} gssencmode=disable connect_timeout=10"
        )


class Bed:
    """A PostgreSQL with data, and gateways and a PgBouncer in front of it, started when first asked for."""

    def __init__(self, rows: int, progress: Progress) -> None:
        """``rows`` of each big table."""
        self.rows = rows
        self._progress = progress
        self._stack = ExitStack()
        self._password = secrets.token_urlsafe(18)
        self._gateways: dict[Variant, Route] = {}
        self._bouncer: Route | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._progress.say("starting PostgreSQL")
            self._server = stack.enter_context(PostgresServer.start(settings=_SETTINGS))
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="querygate-bench-")))
            self._fill()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def description(self) -> str:
        """The database server and the gateway in words."""
        major, minor = self._server.installation.version
        relay = importlib.util.find_spec("gateway_postgres.relay")
        compiled = relay is not None and relay.origin is not None and not relay.origin.endswith(".py")
        gateway = "compiled, as in a wheel" if compiled else "NOT compiled: the sources as plain Python"
        return f"PostgreSQL {major}.{minor} ({self._server.installation.source}), relay {gateway}"

    def _fill(self) -> None:
        server = self._server
        server.create_role(ROLE, self._password)
        server.create_database(DATABASE, owner=ROLE)
        self._progress.say(f"filling two tables of {self.rows:,} rows, and pgbench's")
        server.psql(schema(self.rows), database=DATABASE, user=ROLE, password=self._password, timeout=300)
        done = Account.present().run(
            [self.program("pgbench"), "--initialize", "--quiet", f"--scale={PGBENCH_SCALE}", "--init-steps=dtGvp"],
            environment=self.direct.environment(),
            timeout=300,
        )
        if done.returncode:
            raise ServerUnavailable(f"pgbench could not fill its tables: {done.stdout}")

    def program(self, name: str) -> str:
        """One of PostgreSQL's programs, of the server's own installation or from the PATH."""
        own = self._server.bindir / name
        found = str(own) if own.exists() else shutil.which(name)
        if found is None:
            raise ServerUnavailable(f"no {name} in {own.parent} or on the PATH; on Debian: apt-get install postgresql")
        return found

    # --- routes -------------------------------------------------------------------------------------------------

    @property
    def direct(self) -> Route:
        """Nothing in between."""
        return Route("direct", self._server.port, ROLE, DATABASE, self._password)

    def pgbouncer(self) -> Route:
        """Through PgBouncer in session mode."""
        if self._bouncer is None:
            self._progress.say("starting PgBouncer")
            bouncer = self._stack.enter_context(PgBouncer(self._server.port, self._password))
            self._bouncer = Route("pgbouncer", bouncer.port, ROLE, DATABASE, self._password, bouncer.pid)
        return self._bouncer

    def gateway(self, variant: Variant | None = None) -> Route:
        """Through a gateway; the same one for the same variant."""
        chosen = variant or Variant()
        route = self._gateways.get(chosen)
        if route is None:
            route = self._gateways[chosen] = self.fresh_gateway(chosen, self._stack)
        return route

    def fresh_gateway(self, variant: Variant, stack: ExitStack) -> Route:
        """Through a gateway that has served nobody yet and ends with ``stack``."""
        self._progress.say(f"starting a gateway ({variant.name})")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self._folder)))
        port, token = free_port(), f"qgt-{secrets.token_urlsafe(32)}"
        file = folder / "querygate.yaml"
        file.write_text(configuration(variant, port=port, upstream_port=self._server.port))
        environment = {TOKEN_VARIABLE: token, PASSWORD_VARIABLE: self._password}
        start = GatewayProcess.start if variant.audited else partial(GatewayProcess.start, command=_UNAUDITED)
        gateway = stack.enter_context(start(file, environment=environment))
        return Route(variant.name, port, PRINCIPAL, RESOURCE, token, gateway.pid, variant.tls)

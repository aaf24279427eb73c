"""PostgreSQL for tests and for the demo."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from gateway.testing.servers.account import Account, server_account
from gateway.testing.servers.certificates import write_certificates
from gateway.testing.servers.daemon import Daemon, Product
from gateway.testing.servers.errors import ServerFailed, ServerUnavailable
from gateway.testing.servers.installation import Installation, choose
from gateway.testing.servers.local import LocalServer
from gateway.testing.servers.places import server_folder
from gateway.testing.servers.postgres_cluster import SUPERUSER, configure, create_cluster
from gateway.testing.servers.postgres_finder import postgres_sources
from gateway.testing.servers.process import StopMode
from gateway.testing.servers.text import identifier, literal

_PRODUCT = Product(
    "PostgreSQL",
    {StopMode.SMART: signal.SIGTERM, StopMode.FAST: signal.SIGINT, StopMode.IMMEDIATE: signal.SIGQUIT},
    port_taken="could not bind",
)


class PostgresServer(LocalServer):
    """A PostgreSQL server on 127.0.0.1 with SCRAM-SHA-256 and, where the build can, TLS. A context manager.

    Connections without TLS are accepted too. The server ends with the process that started it.
    """

    name = "postgres"
    superuser = SUPERUSER

    @classmethod
    def find(cls, *, tls: bool | None = None, version: int | None = None) -> Installation:
        """The installation that ``start`` would use; ``ServerUnavailable`` names what is missing and how to get it."""
        return choose("PostgreSQL", postgres_sources(_account()), tls=tls, version=version)

    @classmethod
    def start(
        cls,
        directory: Path | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        tls: bool | None = None,
        version: int | None = None,
    ) -> Self:
        """Start a server in a temporary folder, or in ``directory``, whose data then stays and is used again.

        ``settings`` go into postgresql.conf. ``tls`` None takes TLS if the build has it, True insists, False goes
        without. ``version`` is a major version. Root's server runs as ``postgres`` or ``nobody``, so it must be able to
        enter ``directory``. Raises ``ServerUnavailable`` or ``ServerFailed``.
        """
        account = _account()
        installation = cls.find(tls=tls, version=version)
        with server_folder(directory, account, "querygate-postgres-") as place:
            cluster = create_cluster(place, installation, account)
            certificates = None
            if installation.tls and tls is not False:
                certificates = write_certificates(place)
                account.own(certificates.key)

            def prepare(port: int) -> tuple[str, ...]:
                configure(cluster, account, port, settings or {}, certificates)
                return (str(installation.bindir / "postgres"), "-D", str(cluster.data))

            temporary = directory is None
            daemon = Daemon(
                _PRODUCT,
                installation,
                account,
                place,
                prepare=prepare,
                ready=lambda pid, _: _says_ready(cluster.data, pid),
                remove_if_orphaned=place if temporary else None,
            )
            daemon.start_on_free_port()
            return cls(
                installation,
                place,
                [daemon],
                temporary=temporary,
                password=cluster.password,
                certificates=certificates,
            )

    @property
    def version(self) -> int:
        """The major version."""
        return self.installation.version[0]

    def psql(
        self,
        sql: str,
        *,
        database: str = "postgres",
        user: str | None = None,
        password: str | None = None,
        timeout: float = 60,
    ) -> str:
        """Run a script with psql and return what it prints: rows without header, columns separated by ``|``.

        It stops at the first error, which ``ServerFailed`` quotes.
        """
        program = self.bindir / "psql"
        client = str(program) if program.exists() else shutil.which("psql")
        if client is None:
            raise ServerUnavailable(f"no psql in {self.bindir} or on the PATH")
        environment = self.installation.environment() | {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": user or self.superuser,
            "PGPASSWORD": self.password if password is None else password,
            "PGDATABASE": database,
            "PGSSLMODE": "disable",
            "PGCLIENTENCODING": "UTF8",
            "PGCONNECT_TIMEOUT": "10",
        }
        done = subprocess.run(
            [client, "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", "--file=-"],
            input=sql.encode(),
            capture_output=True,
            env=environment,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise ServerFailed(f"psql: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode()

    def create_database(self, name: str, *, owner: str | None = None) -> None:
        """Create an empty database. One of that name is dropped before, with all its connections."""
        self.drop_database(name)
        self.psql(f"CREATE DATABASE {identifier(name)}" + (f" OWNER {identifier(owner)}" if owner else ""))

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, with all its connections."""
        self.psql(f"DROP DATABASE IF EXISTS {identifier(name)} WITH (FORCE)")

    def create_role(self, name: str, password: str, *, options: str = "LOGIN") -> None:
        """Create a role, or give an existing one this password and these options."""
        verb = "ALTER" if self.psql(f"SELECT 1 FROM pg_roles WHERE rolname = {literal(name)}").strip() else "CREATE"
        self.psql(f"{verb} ROLE {identifier(name)} {options} PASSWORD {literal(password)}")


def _says_ready(data: Path, pid: int) -> bool:
    """What the server says in its pid file (line 8)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _account() -> Account:
    return server_account("postgres", "nobody")

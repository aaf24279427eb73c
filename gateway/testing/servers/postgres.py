"""PostgreSQL for tests and for the demo."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from gateway.testing.servers.account import Account, server_account
from gateway.testing.servers.certificates import CertificateFiles, write_certificates
from gateway.testing.servers.errors import ServerFailed, ServerUnavailable
from gateway.testing.servers.installation import Installation, choose
from gateway.testing.servers.places import temporary_folder
from gateway.testing.servers.ports import free_port
from gateway.testing.servers.postgres_cluster import SUPERUSER, Cluster, configure, create_cluster
from gateway.testing.servers.postgres_finder import postgres_sources
from gateway.testing.servers.process import Program, ServerProcess, StopMode, log_tail
from gateway.testing.servers.text import identifier, literal

_SIGNALS = {
    StopMode.SMART: signal.SIGTERM,
    StopMode.FAST: signal.SIGINT,
    StopMode.IMMEDIATE: signal.SIGQUIT,
}
_START_SECONDS = 30.0
_PORT_ATTEMPTS = 5


class PostgresServer:
    """A PostgreSQL server on 127.0.0.1 with SCRAM-SHA-256 and, where the build can, TLS. A context manager.

    Connections without TLS are accepted too. The server ends with the process that started it.
    """

    name = "postgres"
    host = "127.0.0.1"
    superuser = SUPERUSER

    def __init__(
        self,
        installation: Installation,
        account: Account,
        cluster: Cluster,
        directory: Path,
        *,
        temporary: bool,
        settings: Mapping[str, str],
        certificates: CertificateFiles | None,
    ) -> None:
        self.installation = installation
        self.directory = directory
        self.password = cluster.password
        self.port = 0
        self._account = account
        self._cluster = cluster
        self._temporary = temporary
        self._settings = settings
        self._certificates = certificates
        self._process: ServerProcess | None = None

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
        temporary = directory is None
        place = temporary_folder(account, "querygate-postgres-") if directory is None else directory.absolute()
        try:
            place.mkdir(parents=True, exist_ok=True)
            if not account.can_enter(place):
                raise ServerUnavailable(f"the account {account.name} cannot enter {place}; choose another folder")
            cluster = create_cluster(place, installation, account)
            certificates = None
            if installation.tls and tls is not False:
                certificates = write_certificates(place)
                account.own(certificates.key)
            server = cls(
                installation,
                account,
                cluster,
                place,
                temporary=temporary,
                settings=dict(settings or {}),
                certificates=certificates,
            )
            server._launch_on_free_port()
        except BaseException:
            if temporary:
                shutil.rmtree(place, ignore_errors=True)
            raise
        return server

    @property
    def bindir(self) -> Path:
        """The folder with psql, pgbench and the rest of this version's programs."""
        return self.installation.bindir

    @property
    def version(self) -> int:
        """The major version."""
        return self.installation.version[0]

    @property
    def tls(self) -> bool:
        """Whether the server offers TLS."""
        return self._certificates is not None

    @property
    def ca_path(self) -> Path | None:
        """The authority behind the server's certificate (for ``localhost`` and ``127.0.0.1``); None without TLS."""
        return self._certificates.ca if self._certificates is not None else None

    @property
    def pid(self) -> int:
        """The process id of the server's first process."""
        return self._running().pid

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

    def running(self) -> bool:
        """Whether the server's process exists."""
        return self._process is not None and self._process.running()

    def stop(self, mode: StopMode | str = StopMode.FAST) -> None:
        """Stop the server and wait for its end. Its data stays until the context is left."""
        if self._process is not None:
            self._process.stop(StopMode(mode))
            self._process = None

    def kill(self) -> None:
        """End the server and all its backends by SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def restart(self, mode: StopMode | str = StopMode.FAST) -> None:
        """Stop the server if it runs, and start it on the same port and data."""
        self.stop(mode)
        self._launch()

    def log(self) -> str:
        """All that the server logged since its directory was made."""
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    def close(self) -> None:
        """Stop the server, quickly if its data is temporary, and remove temporary data."""
        self.stop(StopMode.IMMEDIATE if self._temporary else StopMode.FAST)
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _log_path(self) -> Path:
        return self.directory / "server.log"

    def _running(self) -> ServerProcess:
        if self._process is None:
            raise ServerFailed("the server is stopped")
        return self._process

    def _launch_on_free_port(self) -> None:
        for attempt in range(_PORT_ATTEMPTS):
            self.port = free_port()
            configure(self._cluster, self._account, self.port, self._settings, self._certificates)
            try:
                return self._launch()
            except ServerFailed as error:
                # Somebody else may take a port between the look and the start.
                if attempt == _PORT_ATTEMPTS - 1 or "could not bind" not in str(error):
                    raise
        return None

    def _launch(self) -> None:
        program = Program(
            command=(str(self.bindir / "postgres"), "-D", str(self._cluster.data)),
            environment=self.installation.environment(),
            log=self._log_path,
            pid_file=self.directory / "server.pid",
            signals=_SIGNALS,
            remove_if_orphaned=self.directory if self._temporary else None,
        )
        process = ServerProcess(program, self._account)
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready(process.pid):
            if not process.running():
                status = process.wait()
                raise ServerFailed(f"PostgreSQL ended at its start with status {status}\n{log_tail(self._log_path)}")
            if time.monotonic() > deadline:
                process.kill()
                raise ServerFailed(f"PostgreSQL was not ready in {_START_SECONDS:g} s\n{log_tail(self._log_path)}")
            time.sleep(0.005)
        self._process = process

    def _ready(self, pid: int) -> bool:
        """What the server itself says in its pid file (line 8), which no connection attempt can tell more exactly."""
        try:
            lines = (self._cluster.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _account() -> Account:
    return server_account("postgres", "nobody")

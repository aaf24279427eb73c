"""MariaDB for tests and for the demo."""

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
from gateway.testing.servers.mariadb_data import SUPERUSER, DataDirectory, configure, create_data
from gateway.testing.servers.mariadb_finder import mariadb_sources, server_program
from gateway.testing.servers.places import temporary_folder
from gateway.testing.servers.ports import free_port
from gateway.testing.servers.process import Program, ServerProcess, StopMode, log_tail
from gateway.testing.servers.text import mysql_identifier, mysql_literal

# SIGTERM disconnects clients and writes back; the server knows no gentler and no ruder way but SIGKILL.
_SIGNALS = {
    StopMode.SMART: signal.SIGTERM,
    StopMode.FAST: signal.SIGTERM,
    StopMode.IMMEDIATE: signal.SIGKILL,
}
_READY = "ready for connections."
_START_SECONDS = 60.0
_PORT_ATTEMPTS = 5


class MariaDbServer:
    """A MariaDB server on 127.0.0.1 with passwords and TLS. A context manager.

    Passwords are mysql_native_password's; ``create_user`` can take another plugin. Connections without TLS
    are accepted too. The server ends with the process that started it.
    """

    name = "mysql"
    host = "127.0.0.1"
    superuser = SUPERUSER

    def __init__(
        self,
        installation: Installation,
        account: Account,
        place: DataDirectory,
        directory: Path,
        *,
        temporary: bool,
        settings: Mapping[str, str],
        certificates: CertificateFiles | None,
    ) -> None:
        self.installation = installation
        self.directory = directory
        self.password = place.password
        self.port = 0
        self._account = account
        self._place = place
        self._temporary = temporary
        self._settings = settings
        self._certificates = certificates
        self._process: ServerProcess | None = None

    @classmethod
    def find(cls, *, tls: bool | None = None, version: int | None = None) -> Installation:
        """The installation that ``start`` would use; ``ServerUnavailable`` names what is missing and how to get it."""
        return choose("MariaDB", mariadb_sources(_account()), tls=tls, version=version)

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

        ``settings`` go into the option file. ``tls`` False goes without. ``version`` is a major version. Root's server
        runs as ``mysql`` or ``nobody``, so it must be able to enter ``directory``. Raises ``ServerUnavailable`` or
        ``ServerFailed``.
        """
        account = _account()
        installation = cls.find(tls=tls, version=version)
        temporary = directory is None
        place = temporary_folder(account, "querygate-mariadb-") if directory is None else directory.absolute()
        try:
            place.mkdir(parents=True, exist_ok=True)
            if not account.can_enter(place):
                raise ServerUnavailable(f"the account {account.name} cannot enter {place}; choose another folder")
            data = create_data(place, installation, account)
            certificates = None
            if tls is not False:
                certificates = write_certificates(place)
                account.own(certificates.key)
            server = cls(
                installation,
                account,
                data,
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
        """The folder with the ``mariadb`` shell."""
        return self.installation.bindir

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor version."""
        return self.installation.version

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
        """The process id of the server."""
        return self._running().pid

    def client_command(self, *, user: str, database: str = "") -> list[str]:
        """The ``mariadb`` shell in batch mode against this server; its password comes from ``MYSQL_PWD``."""
        program = self.bindir / "mariadb"
        client = str(program) if program.exists() else shutil.which("mariadb")
        if client is None:
            raise ServerUnavailable(f"no mariadb shell in {self.bindir} or on the PATH")
        command = [client, "--no-defaults", "--protocol=tcp", f"--host={self.host}", f"--port={self.port}"]
        command += [f"--user={user}", "--batch", "--skip-column-names", "--default-character-set=utf8mb4"]
        return [*command, "--skip-ssl", *([f"--database={database}"] if database else [])]

    def sql(
        self,
        script: str,
        *,
        database: str = "",
        user: str | None = None,
        password: str | None = None,
        timeout: float = 60,
    ) -> str:
        """Run a script with the ``mariadb`` shell and return what it prints: rows without header, tab-separated.

        It stops at the first error, which ``ServerFailed`` quotes.
        """
        environment = self.installation.environment()
        environment["MYSQL_PWD"] = self.password if password is None else password
        done = subprocess.run(
            self.client_command(user=user or self.superuser, database=database),
            input=script.encode(),
            capture_output=True,
            env=environment,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise ServerFailed(f"mariadb: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode()

    def create_database(self, name: str) -> None:
        """Create an empty database. One of that name is dropped before."""
        self.sql(f"CREATE OR REPLACE DATABASE {mysql_identifier(name)}")

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists."""
        self.sql(f"DROP DATABASE IF EXISTS {mysql_identifier(name)}")

    def create_user(self, name: str, password: str, *, grants: str = "", plugin: str = "") -> None:
        """Create a user, or give an existing one this password.

        ``grants`` is what follows GRANT, up to TO: ``ALL ON shop.*``. ``plugin`` is the authentication plugin, such as
        ``ed25519``, which is installed if needed.
        """
        account = f"{mysql_literal(name)}@'%'"
        by = f"VIA {plugin} USING PASSWORD({mysql_literal(password)})" if plugin else f"BY {mysql_literal(password)}"
        install = f"INSTALL SONAME 'auth_{plugin}';" if plugin and not self._has_plugin(plugin) else ""
        grant = f"GRANT {grants} TO {account};" if grants else ""
        self.sql(f"{install} CREATE OR REPLACE USER {account} IDENTIFIED {by}; {grant}")

    def _has_plugin(self, plugin: str) -> bool:
        query = f"SELECT 1 FROM information_schema.plugins WHERE plugin_name = {mysql_literal(plugin)}"
        return bool(self.sql(query).strip())

    def running(self) -> bool:
        """Whether the server's process exists."""
        return self._process is not None and self._process.running()

    def stop(self, mode: StopMode | str = StopMode.FAST) -> None:
        """Stop the server and wait for its end. Its data stays until the context is left."""
        if self._process is not None:
            self._process.stop(StopMode(mode))
            self._process = None

    def kill(self) -> None:
        """End the server by SIGKILL, as a power cut would."""
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
            try:
                return self._launch()
            except ServerFailed as error:
                # Somebody else may take a port between the look and the start.
                if attempt == _PORT_ATTEMPTS - 1 or "Bind on TCP/IP port" not in str(error):
                    raise
        return None

    def _launch(self) -> None:
        options = configure(
            self._place,
            self.installation,
            self._account,
            port=self.port,
            settings=self._settings,
            certificates=self._certificates,
        )
        start_of_log = self._log_path.stat().st_size if self._log_path.exists() else 0
        program = Program(
            command=(str(server_program(self.installation)), f"--defaults-file={options}"),
            environment=self.installation.environment(),
            log=self._log_path,
            pid_file=self.directory / "server.pid",
            signals=_SIGNALS,
            remove_if_orphaned=self.directory if self._temporary else None,
        )
        process = ServerProcess(program, self._account)
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready(start_of_log):
            if not process.running():
                status = process.wait()
                raise ServerFailed(f"MariaDB ended at its start with status {status}\n{log_tail(self._log_path)}")
            if time.monotonic() > deadline:
                process.kill()
                raise ServerFailed(f"MariaDB was not ready in {_START_SECONDS:g} s\n{log_tail(self._log_path)}")
            time.sleep(0.01)
        self._process = process

    def _ready(self, start_of_log: int) -> bool:
        """What the server itself logs, which no connection attempt can tell more exactly."""
        with self._log_path.open("rb") as log:
            log.seek(start_of_log)
            return _READY.encode() in log.read()


def _account() -> Account:
    return server_account("mysql", "nobody")

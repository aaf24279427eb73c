"""MariaDB for tests and for the demo."""

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
from gateway.testing.servers.mariadb_data import SUPERUSER, configure, create_data
from gateway.testing.servers.mariadb_finder import mariadb_sources, server_program
from gateway.testing.servers.places import server_folder
from gateway.testing.servers.process import StopMode
from gateway.testing.servers.text import mysql_identifier, mysql_literal

# SIGTERM disconnects clients and writes back; the server knows no gentler and no ruder way but SIGKILL.
_PRODUCT = Product(
    "MariaDB",
    {StopMode.SMART: signal.SIGTERM, StopMode.FAST: signal.SIGTERM, StopMode.IMMEDIATE: signal.SIGKILL},
    port_taken="Bind on TCP/IP port",
    start_seconds=60,
)
_READY = b"ready for connections."


class MariaDbServer(LocalServer):
    """A MariaDB server on 127.0.0.1 with passwords and TLS. A context manager.

    Passwords are mysql_native_password's; ``create_user`` can take another plugin. Connections without TLS
    are accepted too. The server ends with the process that started it.
    """

    name = "mysql"
    superuser = SUPERUSER

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
        with server_folder(directory, account, "querygate-mariadb-") as place:
            data = create_data(place, installation, account)
            certificates = None
            if tls is not False:
                certificates = write_certificates(place)
                account.own(certificates.key)

            def prepare(port: int) -> tuple[str, ...]:
                options = configure(
                    data, installation, account, port=port, settings=settings or {}, certificates=certificates
                )
                return (str(server_program(installation)), f"--defaults-file={options}")

            temporary = directory is None
            daemon = Daemon(
                _PRODUCT,
                installation,
                account,
                place,
                prepare=prepare,
                ready=lambda _, said: _READY in said,
                remove_if_orphaned=place if temporary else None,
            )
            daemon.start_on_free_port()
            return cls(
                installation,
                place,
                [daemon],
                temporary=temporary,
                password=data.password,
                certificates=certificates,
            )

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor version."""
        return self.installation.version

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


def _account() -> Account:
    return server_account("mysql", "nobody")

"""A gateway in front of a real MariaDB, and something between the two that may spoil what the database says."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

from gateway.testing.servers import MariaDbServer
from tests.adversity.bed import ANA, DATABASE, PASSWORD, RESOURCE, ROLE, TOKENS, GatewayBed

_CHUNK = 65536


def prepare(server: MariaDbServer) -> None:
    """The database that the gateway logs in to: an empty table, and one with two rows."""
    server.create_database(DATABASE)
    server.create_user(ROLE, PASSWORD, grants="ALL ON *.*")
    server.sql(
        "CREATE TABLE items (id bigint PRIMARY KEY, note text);"
        "CREATE TABLE people (id int PRIMARY KEY, email text);"
        "INSERT INTO people VALUES (1, 'secret1@example.com'), (2, 'secret2@example.com');",
        database=DATABASE,
    )


class MySqlBed(GatewayBed):
    """``port`` is the gateway's; ``address`` changes where it thinks that the database is."""

    def __init__(self, folder: Path, server: MariaDbServer, *, address: str = "") -> None:
        super().__init__(folder)
        self.server = server
        self.document |= {
            "listeners": {"mysql": f"127.0.0.1:{self.port}"},
            "resources": [
                {
                    "name": RESOURCE,
                    "protocol": "mysql",
                    "address": address or f"127.0.0.1:{server.port}",
                    "database": DATABASE,
                    "credentials": {"username": ROLE, "password": {"env": "SHOP_PASSWORD"}},
                    "tls": {"mode": "disable"},
                    "environment": "production",
                }
            ],
        }

    def connect(self, user: str = ANA, **changes: Any) -> Any:
        """A session through the gateway; to be used with ``closing``."""
        arguments: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": user,
            "password": TOKENS.get(user, "none"),
            "database": RESOURCE,
            "autocommit": True,
            "connect_timeout": 10,
            "read_timeout": 20,
            "ssl_disabled": True,  # its context would read all of the system's authorities, for each session anew
        }
        return pymysql.connect(**(arguments | changes))

    def ask(self, text: str) -> Any:
        """The first cell of a query in a session of its own."""
        with closing(self.connect()) as session:
            return value(session, text)

    def shell(self, script: str) -> subprocess.Popen[bytes]:
        """The mariadb shell with a script, through the gateway."""
        command = self.server.client_command(user=ANA, database=RESOURCE)
        command = [f"--port={self.port}" if one.startswith("--port=") else one for one in command]
        environment = self.server.installation.environment() | {"MYSQL_PWD": TOKENS[ANA], "PATH": os.environ["PATH"]}
        return subprocess.Popen(
            [*command, "--execute", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def upstream(self, sql: str) -> str:
        """Ask the database behind the gateway's back."""
        return self.server.sql(sql, database=DATABASE).strip()

    def running(self, part: str) -> int:
        """Statements with this in their text that run in the database for the gateway's account."""
        return int(
            self.upstream(
                f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '{ROLE}' AND INFO LIKE '%{part}%'"
            )
        )

    def connections(self) -> int:
        """Sessions that the database has for the gateway's account."""
        return int(self.upstream(f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '{ROLE}'"))

    def sessions(self) -> int:
        """Sessions that the gateway has."""
        return int(self.health()[1]["sessions"])


def value(session: Any, text: str) -> Any:
    """The first cell of a query's first row."""
    with session.cursor() as cursor:
        cursor.execute(text)
        row = cursor.fetchone()
        return None if row is None else row[0]


@contextmanager
def mysql_bed_in(folder: Path, server: MariaDbServer, *, address: str = "") -> Iterator[MySqlBed]:
    """A bed that is cleared away afterwards."""
    bed = MySqlBed(folder, server, address=address)
    try:
        yield bed
    finally:
        bed.close()


# --- load -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Writers:
    """Clients in threads that write rows until ``stop``, and remember what they were told in turn.

    ``written`` are the rows that clients know to be committed, with the time; ``failures`` what else they heard.
    """

    bed: MySqlBed
    written: dict[int, float] = field(default_factory=dict)
    failures: list[tuple[int | None, pymysql.err.MySQLError]] = field(default_factory=list)
    stop: bool = False
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    @contextmanager
    def running(self, clients: int) -> Iterator[None]:
        """Write while the block runs."""
        threads = [threading.Thread(target=self._write) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop = True
            for thread in threads:
                thread.join()

    def _write(self) -> None:
        session: Any = None
        while not self.stop:
            number: int | None = None
            try:
                if session is None:
                    session = self.bed.connect()
                number = next(self._numbers)
                with session.cursor() as cursor:
                    cursor.execute(f"INSERT INTO items VALUES ({number}, 'written')")
                self.written[number] = time.monotonic()
            except pymysql.err.MySQLError as error:
                self.failures.append((number, error))
                if session is not None:
                    with suppress(pymysql.err.Error):
                        session.close()
                session = None
                time.sleep(0.05)
        if session is not None:
            session.close()


def statements_by_row(bed: MySqlBed) -> dict[int, list[tuple[str, str]]]:
    """What the audit holds of each row's INSERT: outcomes (and codes) in order."""
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    prefix = "INSERT INTO items VALUES ("
    for event in bed.audit():
        text = event.get("query_info", {}).get("query_string", "")
        if text.startswith(prefix):
            number = int(text.removeprefix(prefix).partition(",")[0])
            found[number].append((event["status_detail"], event.get("status_code", "")))
    return found


# --- a spoiled database -----------------------------------------------------------------------------------------------


class Spoiler:
    """Passes everything on between a gateway and a database until a command holds ``MARK``.

    Then the gateway gets ``answer`` instead of what the database says, and if ``hang_up``, the end of the connection.
    """

    MARK = b"spoil this"

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.answer = b""
        self.hang_up = True
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                gateway, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(gateway,), daemon=True).start()

    def _serve(self, gateway: socket.socket) -> None:
        spoiled = threading.Event()
        with gateway, socket.create_connection(("127.0.0.1", self._server)) as server:
            answers = threading.Thread(target=self._answers, args=(server, gateway, spoiled), daemon=True)
            answers.start()
            with suppress(OSError):
                while data := gateway.recv(_CHUNK):
                    if self.MARK in data:
                        spoiled.set()
                        gateway.sendall(self.answer)
                        if self.hang_up:
                            break
                    server.sendall(data)
            for side in (server, gateway):
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
            answers.join()

    @staticmethod
    def _answers(server: socket.socket, gateway: socket.socket, spoiled: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(_CHUNK):
                if not spoiled.is_set():
                    gateway.sendall(data)
        if not spoiled.is_set():
            with suppress(OSError):
                gateway.shutdown(socket.SHUT_RDWR)

"""A gateway process in front of a real database, to be treated badly."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import asyncpg
import yaml

from gateway.audit.events import EventFilter
from gateway.audit.reader import iter_events
from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers import PostgresServer
from gateway.testing.servers.ports import free_ports

T = TypeVar("T")
FIGURES = logging.getLogger("tests.figures")
"""Takes what was measured; ``--log-cli-level=info`` shows it."""

ANA, BOB = "ana@example.com", "bob@example.com"
TOKENS = {ANA: "qg_ana-token-0123456789abcdef", BOB: "qg_bob-token-0123456789abcdef"}
DATABASE, ROLE, PASSWORD = "adversity", "gateway", "upstream-secret"
RESOURCE = "shop-prod"


def prepare(server: PostgresServer) -> None:
    """The database that the gateway logs in to: an empty table, and one with personal data."""
    server.create_role(ROLE, PASSWORD)
    server.create_database(DATABASE, owner=ROLE)
    server.psql(
        "CREATE TABLE items (id bigint PRIMARY KEY, note text);"
        "CREATE TABLE people (id int PRIMARY KEY, email text);"
        "INSERT INTO people VALUES (1, 'secret1@example.com'), (2, 'secret2@example.com');",
        database=DATABASE,
        user=ROLE,
        password=PASSWORD,
    )


class GatewayBed:
    """The configuration, the process, and ways to look at both, whatever the database is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.admin_port = free_ports(2)
        self.path = folder / "querygate.yaml"
        self.gateway: GatewayProcess | None = None
        self.document: dict[str, Any] = {
            "admin_api": f"127.0.0.1:{self.admin_port}",
            "data_dir": "./data",
            "tls": {"mode": "disable"},
            "principals": [
                {"name": ANA, "groups": ["staff"], "token": {"env": "ANA_TOKEN"}},
                {"name": BOB, "groups": ["staff"], "token": {"env": "BOB_TOKEN"}},
            ],
            "policies": [{"name": "staff-may", "effect": "allow", "match": {"groups": ["staff"], "actions": ["*"]}}],
            "audit": {"min_free": "1MiB"},
            "limits": {"login_timeout": "2s", "drain_timeout": "10s"},
        }

    # --- the process --------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Write the configuration as ``document`` has it now."""
        self.path.write_text(yaml.safe_dump(self.document, sort_keys=False))

    def start(self) -> GatewayProcess:
        """Start the gateway with the configuration as it is now."""
        self.write()
        self.gateway = GatewayProcess.start(self.path, environment=ENVIRONMENT)
        return self.gateway

    def reload(self) -> None:
        """Write the configuration and have it read again."""
        self.write()
        self.signal(signal.SIGHUP)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the gateway."""
        os.kill(self.pid, number)

    @property
    def pid(self) -> int:
        """The gateway's process id."""
        assert self.gateway is not None
        return self.gateway.pid

    def close(self) -> None:
        """End the gateway, if a test has not."""
        if self.gateway is not None and self.gateway.running():
            self.gateway.kill()

    # --- looking ------------------------------------------------------------------------------------------------

    def memory(self) -> int:
        """The gateway's private memory, bytes."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Private"))

    def descriptors(self) -> int:
        """Files and sockets that the gateway has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def health(self) -> tuple[int, dict[str, Any]]:
        """What ``/health`` answers; 0 where nobody answers."""
        try:
            with urlopen(f"http://127.0.0.1:{self.admin_port}/health", timeout=5) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)
        except (URLError, ConnectionError):
            return 0, {}

    def log(self) -> str:
        """All that the gateway printed."""
        return self.path.with_name("gateway.log").read_text(errors="replace")

    def audit(self) -> list[dict[str, Any]]:
        """Every event in the audit."""
        return [json.loads(found.line) for found in iter_events(self.folder / "data" / "audit", EventFilter())]

    def outcomes(self, text: str) -> list[tuple[str, str]]:
        """Outcome and error code of everything that the audit holds of a statement, in order."""
        return [
            (event["status_detail"], event.get("status_code", ""))
            for event in self.audit()
            if event.get("query_info", {}).get("query_string") == text
        ]

    def verify(self) -> subprocess.CompletedProcess[str]:
        """``querygate audit verify``."""
        return run_cli("audit", "verify", "--data-dir", str(self.folder / "data"))


class Bed(GatewayBed):
    """The same in front of a PostgreSQL."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        super().__init__(folder)
        self.server = server
        self.document |= {
            "listeners": {"postgres": f"127.0.0.1:{self.port}"},
            "resources": [
                {
                    "name": RESOURCE,
                    "protocol": "postgres",
                    "address": f"127.0.0.1:{server.port}",
                    "database": DATABASE,
                    "credentials": {"username": ROLE, "password": {"env": "SHOP_PASSWORD"}},
                    "tls": {"mode": "disable"},
                    "environment": "production",
                }
            ],
            "classifications": [{"resource": RESOURCE, "label": "pii.email", "columns": ["public.people.email"]}],
        }
        self._opened: list[asyncpg.Connection] = []

    # --- clients ------------------------------------------------------------------------------------------------

    async def connect(self, user: str = ANA, **changes: Any) -> asyncpg.Connection:
        """A session through the gateway."""
        arguments: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": user,
            "password": TOKENS.get(user),
            "database": RESOURCE,
            "ssl": False,
            "timeout": 20,
        }
        session: asyncpg.Connection = await asyncpg.connect(**(arguments | changes))
        self._opened.append(session)
        return session

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        """Run a story to its end, with no session of it left open."""

        async def whole() -> T:
            try:
                return await story
            finally:
                for session in self._opened:
                    if not session.is_closed():
                        session.terminate()
                self._opened.clear()

        return asyncio.run(whole())

    def psql(self, sql: str, *, user: str = ANA, **more: Any) -> subprocess.Popen[bytes]:
        """A psql that runs one statement through the gateway."""
        installation = self.server.installation
        program = self.server.bindir / "psql"
        environment = installation.environment() | {"PGPASSWORD": TOKENS[user]}
        target = f"host=127.0.0.1 port={self.port} user={user} dbname={RESOURCE} sslmode=disable"
        command = [str(program) if program.exists() else "psql", "-XAtq", target, "-c", sql]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    # --- looking behind the gateway's back ------------------------------------------------------------------------

    def upstream(self, sql: str, *, superuser: bool = False) -> str:
        """Ask the database behind the gateway's back."""
        if superuser:
            return self.server.psql(sql, database=DATABASE).strip()
        return self.server.psql(sql, database=DATABASE, user=ROLE, password=PASSWORD).strip()

    def backends(self) -> int:
        """Sessions that the database has from the gateway for clients (not its readings of the catalog)."""
        return int(
            self.upstream(
                f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{ROLE}' AND backend_type = 'client backend'"
                " AND application_name <> 'querygate'",
                superuser=True,
            )
        )


ENVIRONMENT: Mapping[str, str] = {"SHOP_PASSWORD": PASSWORD, "ANA_TOKEN": TOKENS[ANA], "BOB_TOKEN": TOKENS[BOB]}


def run_cli(*arguments: str, timeout: float = 60, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run ``querygate`` to its end."""
    command = [sys.executable, "-m", "gateway.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **more)


@contextmanager
def bed_in(folder: Path, server: PostgresServer) -> Iterator[Bed]:
    """A bed that is cleared away afterwards."""
    bed = Bed(folder, server)
    try:
        yield bed
    finally:
        bed.close()

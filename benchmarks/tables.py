"""A MariaDB with sysbench's table and a big one, a gateway in front of it, and clients in C."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers import MariaDbServer
from gateway.testing.servers.ports import free_port

_DATABASE = "bench"
_RATE = re.compile(r"transactions:\s+\d+\s+\(([\d.]+) per sec")
_COLUMNS = (
    "id int PRIMARY KEY, name varchar(40), email varchar(60), city varchar(20), card varchar(20), "
    "balance decimal(12,2), orders int, vip bool, born date, note varchar(60)"
)
_FILL = (
    "SELECT seq, 'Ana Alder', concat('ana.', seq, '@example.com'), 'Bergen', concat('4000', lpad(seq, 12, '0')), "
    "seq / 7, seq % 50, seq % 10 = 0, '1980-01-01' + INTERVAL seq % 9000 DAY, repeat('x', 40) FROM seq_1_to_{rows}"
)


@dataclass(frozen=True, slots=True)
class TableRoute:
    """A way to the server; ``pid`` is the gateway's process, None without one."""

    name: str
    port: int
    user: str
    shell: str
    password: str = field(repr=False)
    pid: int | None = None


@contextmanager
def table_routes(folder: Path, rows: int) -> Iterator[tuple[TableRoute, TableRoute]]:
    """The direct route and one through a gateway; ``people`` and ``people_masked`` hold ``rows`` rows each."""
    token = secrets.token_urlsafe(32)
    with ExitStack() as stack:
        server = stack.enter_context(MariaDbServer.start(tls=False))
        shell = str(server.bindir / "mariadb")
        direct = TableRoute("direct", server.port, server.superuser, shell, server.password)
        ask(direct, f"CREATE DATABASE {_DATABASE}", database="")
        for table in ("people", "people_masked"):
            ask(direct, f"CREATE TABLE {table} ({_COLUMNS}); INSERT INTO {table} {_FILL.format(rows=rows)}")
        _sysbench(direct, "prepare")
        port = free_port()
        file = folder / "querygate.yaml"
        file.write_text(json.dumps(_configuration(server, port, folder)))
        environment = {"BENCH_TOKEN": token, "BENCH_PASSWORD": server.password}
        gateway = stack.enter_context(GatewayProcess.start(file, ports=(port,), environment=environment))
        yield direct, TableRoute("gateway", port, "bench", shell, token, gateway.pid)


def point_selects(route: TableRoute, *, clients: int, seconds: float) -> float:
    """Point selects a second, by sysbench's own script and its prepared statements."""
    said = _sysbench(route, "run", f"--threads={clients}", f"--time={max(1, round(seconds))}")
    found = _RATE.search(said)
    if found is None:
        raise ValueError(f"sysbench did not say how many: {said[-500:]}")
    return float(found.group(1))


def read_table(route: TableRoute, table: str) -> float:
    """Seconds in which the shell reads a whole table, row by row, and throws it away."""
    began = time.perf_counter()
    with Path("/dev/null").open("wb") as nowhere:
        subprocess.run([*_shell(route, _DATABASE), "-e", f"SELECT * FROM {table}"], stdout=nowhere, check=True)
    return time.perf_counter() - began


def ask(route: TableRoute, sql: str, *, database: str = _DATABASE) -> str:
    """What the shell prints for a text."""
    done = subprocess.run([*_shell(route, database), "-e", sql], capture_output=True, text=True, check=True)
    return done.stdout


def _shell(route: TableRoute, database: str) -> list[str]:
    words = [f"--port={route.port}", f"--user={route.user}", f"--password={route.password}", "--host=127.0.0.1"]
    return [
        route.shell,
        "--no-defaults",
        *words,
        "--skip-ssl",
        "--quick",
        "--batch",
        "-N",
        *([database] if database else []),
    ]


def _sysbench(route: TableRoute, what: str, *more: str) -> str:
    program = shutil.which("sysbench")
    if program is None:
        raise FileNotFoundError("sysbench is missing (package sysbench)")
    options = (
        "--db-driver=mysql",
        "--mysql-host=127.0.0.1",
        f"--mysql-port={route.port}",
        f"--mysql-user={route.user}",
        f"--mysql-password={route.password}",
        f"--mysql-db={_DATABASE}",
        "--mysql-ssl=off",
        "--tables=1",
        "--table-size=10000",
    )
    command = [program, "oltp_point_select", *options, *more, what]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _configuration(server: MariaDbServer, port: int, folder: Path) -> dict[str, Any]:
    return {
        "data_dir": str(folder / "data"),
        "tls": {"mode": "disable"},
        "plugins": {"enabled": ["mysql"]},
        "resources": [
            {
                "name": "bench",
                "protocol": "mysql",
                "address": f"127.0.0.1:{server.port}",
                "listen": f"127.0.0.1:{port}",
                "credentials": {"username": server.superuser, "password": {"env": "BENCH_PASSWORD"}},
                "tls": {"mode": "disable"},
            }
        ],
        "principals": [{"name": "bench", "kind": "service", "token": {"env": "BENCH_TOKEN"}}],
        "classifications": [
            {
                "resource": "bench",
                "label": "pii.contact",
                "columns": [f"{_DATABASE}.people_masked.email", f"{_DATABASE}.people_masked.card"],
            }
        ],
        "policies": [
            {"name": "all", "effect": "allow", "match": {"actions": ["*"]}},
            {"name": "mask", "effect": "mask", "match": {"labels": ["pii.*"]}, "mask": {"function": "redact"}},
        ],
        "audit": {"durability": {"write": "buffered", "read": "buffered"}},
    }

"""MariaDB: point selects of eight clients, and a whole table, unmasked and with two columns masked."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from benchmarks.accounting import cpu_seconds
from benchmarks.report import Result, Series, ratio
from benchmarks.scenarios.base import Run, Scenario
from benchmarks.scenarios.bulk import NotMasked
from benchmarks.tables import TableRoute, ask, point_selects, read_table, table_routes

_CLIENTS = 8
_POINT_TARGET = 0.45
_TARGETS = {"people": 0.85, "people_masked": 0.75}
"""Of direct throughput, by table."""


def _cpu(route: TableRoute) -> float:
    return 0.0 if route.pid is None else cpu_seconds(route.pid)


def _point(run: Run) -> Result:
    rates: dict[str, list[float]] = {"direct": [], "gateway": []}
    cpu: list[float] = []
    with tempfile.TemporaryDirectory() as folder, table_routes(Path(folder), 1000) as routes:
        for route in routes:
            point_selects(route, clients=_CLIENTS, seconds=1)
        for number in range(run.options.rounds):
            for route in routes:
                before = _cpu(route)
                rate = point_selects(route, clients=_CLIENTS, seconds=run.options.seconds)
                rates[route.name].append(rate)
                if route.pid is not None:
                    cpu.append((_cpu(route) - before) * 1e6 / (rate * max(1, round(run.options.seconds))))
            said = ", ".join(f"{name} {found[-1]:,.0f}/s" for name, found in rates.items())
            run.progress.say(f"mysql-point, round {number + 1} of {run.options.rounds}: {said}")
    series = {name: Series(name, "throughput", "selects/s", tuple(found)) for name, found in rates.items()}
    return Result(
        "mysql-point",
        (*series.values(), Series("gateway", "CPU of the process", "µs/select", tuple(cpu))),
        (ratio("throughput, gateway / direct", series["gateway"], series["direct"], _POINT_TARGET),),
    )


def _bulk(table: str, run: Run) -> Result:
    name = "mysql-masked" if table == "people_masked" else "mysql-bulk"
    rows = run.bed.rows
    rates: dict[str, list[float]] = {"direct": [], "gateway": []}
    cpu: list[float] = []
    with tempfile.TemporaryDirectory() as folder, table_routes(Path(folder), rows) as routes:
        for route in routes:
            hidden = "@example.com" not in ask(route, f"SELECT email FROM {table} LIMIT 1")
            if hidden is not (route.pid is not None and table == "people_masked"):
                raise NotMasked(f"{table} is {'masked' if hidden else 'not masked'} by {route.name}")
        for number in range(run.options.rounds):
            for route in routes:
                before = _cpu(route)
                rates[route.name].append(rows / read_table(route, table))
                if route.pid is not None:
                    cpu.append((_cpu(route) - before) * 1e9 / rows)
            said = ", ".join(f"{way} {rows / found[-1]:.2f} s" for way, found in rates.items())
            run.progress.say(f"{name}, round {number + 1} of {run.options.rounds}: {said}")
    series = {way: Series(way, "throughput", "rows/s", tuple(found)) for way, found in rates.items()}
    return Result(
        name,
        (*series.values(), Series("gateway", "CPU of the process", "ns/row", tuple(cpu))),
        (ratio("throughput, gateway / direct", series["gateway"], series["direct"], _TARGETS[table]),),
        (f"{rows:,} rows of 10 columns, read by the mariadb shell",),
    )


MYSQL_POINT = Scenario("mysql-point", "MariaDB: sysbench point selects, 8 clients", _point)
MYSQL_BULK = Scenario("mysql-bulk", "MariaDB: a whole table without labels", partial(_bulk, "people"))
MYSQL_MASKED = Scenario("mysql-masked", "MariaDB: a whole table, two columns masked", partial(_bulk, "people_masked"))

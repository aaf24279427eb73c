"""Big results: ten columns of a whole table, read by a client that only counts bytes."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from benchmarks.accounting import cpu_seconds
from benchmarks.bed import Route
from benchmarks.client import RawReader, connect
from benchmarks.report import Result, Series, ratio
from benchmarks.scenarios.base import Run, Scenario

_TARGETS = {"people": 0.85, "people_masked": 0.80}
"""Of direct throughput, by table."""


class NotMasked(RuntimeError):
    """The benchmark would measure something else than it says."""


def _check_masking(route: Route, table: str) -> None:
    """Look at a row: what is fast because it does not happen is no result."""
    with connect(route) as connection:
        row = connection.execute(f"SELECT email, card_number, note FROM {table} LIMIT 1").fetchone()
    if row is None:
        raise NotMasked(f"{table} is empty")
    hidden = "@" not in row[0] and not row[1][:-4].isdigit()
    if hidden is not (table == "people_masked"):
        raise NotMasked(f"{table} is {'masked' if hidden else 'not masked'} by the gateway: {row}")


def _bulk(table: str, run: Run) -> Result:
    name = "bulk-masked" if table == "people_masked" else "bulk-unmasked"
    routes = [run.bed.direct, run.bed.pgbouncer(), run.bed.gateway()]
    _check_masking(routes[-1], table)
    sql = f"SELECT * FROM {table}"
    rates: dict[str, list[float]] = {route.name: [] for route in routes}
    cpu: dict[str, list[float]] = {route.name: [] for route in routes}
    size = 0
    with ExitStack() as stack:
        readers = [RawReader(route) for route in routes]
        for reader in readers:
            stack.callback(reader.close)
            reader.drain(sql)
        for number in range(run.options.rounds):
            for route, reader in zip(routes, readers, strict=True):
                before = 0.0 if route.pid is None else cpu_seconds(route.pid)
                drained = reader.drain(sql)
                after = 0.0 if route.pid is None else cpu_seconds(route.pid)
                rates[route.name].append(run.bed.rows / drained.seconds)
                cpu[route.name].append((after - before) * 1e9 / run.bed.rows)
                if route is routes[0]:
                    size = drained.bytes
                elif (drained.bytes < size) is not (table == "people_masked" and route is routes[-1]):
                    raise NotMasked(f"{route.name} gave {drained.bytes} bytes of {table}, the database {size}")
            said = ", ".join(f"{route.name} {run.bed.rows / rates[route.name][-1]:.2f} s" for route in routes)
            run.progress.say(f"{name}, round {number + 1} of {run.options.rounds}: {said}")
    rate = {route.name: Series(route.name, "throughput", "rows/s", tuple(rates[route.name])) for route in routes}
    used = [
        Series(route.name, "CPU of the process", "ns/row", tuple(cpu[route.name]))
        for route in routes
        if route.pid is not None
    ]
    return Result(
        name,
        (*rate.values(), *used),
        (
            ratio("throughput, gateway / direct", rate["gateway"], rate["direct"], _TARGETS[table]),
            ratio("throughput, pgbouncer / direct", rate["pgbouncer"], rate["direct"]),
        ),
        (f"{run.bed.rows:,} rows of 10 columns, {size / 1e6:.0f} MB",),
    )


BULK_UNMASKED = Scenario("bulk-unmasked", "a whole table without labels", partial(_bulk, "people"))
BULK_MASKED = Scenario("bulk-masked", "a whole table, two of ten columns masked", partial(_bulk, "people_masked"))

"""What it costs to see a statement for the first time: parsing, facts, labels, policies."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from benchmarks.accounting import cpu_seconds
from benchmarks.bed import Route
from benchmarks.client import connect
from benchmarks.report import Better, Comparison, Result, Series
from benchmarks.scenarios.base import Run, Scenario

_NEW = 100
_KNOWN = 1000
_TARGET = 1500
"""µs."""


def _join(mark: int, value: int) -> str:
    """Three joins. ``mark`` is in a name and makes another statement; ``value`` is a literal and does not."""
    return f"""
        SELECT c.id AS customer_{mark}, c.email, p.name, s.name, sum(o.total) AS spent
        FROM customers c
        JOIN orders o ON o.customer_id = c.id
        JOIN products p ON p.id = o.product_id
        LEFT JOIN suppliers s ON s.id = p.supplier_id
        WHERE c.id = {value} AND o.total > 10 AND p.name LIKE 'Product%'
        GROUP BY c.id, c.email, p.name, s.name
        ORDER BY spent DESC LIMIT 1
    """


def _cost(route: Route, connection: psycopg.Connection, texts: Callable[[int], str], count: int) -> tuple[float, float]:
    """CPU of the gateway and elapsed time per statement, in µs."""
    if route.pid is None:
        raise ValueError("the direct route has no rulings")
    cursor = connection.cursor()
    started, before = time.perf_counter(), cpu_seconds(route.pid)
    for number in range(count):
        cursor.execute(texts(number)).fetchall()
    after, ended = cpu_seconds(route.pid), time.perf_counter()
    return (after - before) * 1e6 / count, (ended - started) * 1e6 / count


def _first_sight(run: Run) -> Result:
    route = run.bed.gateway()
    cpu: dict[str, list[float]] = {"new": [], "known, other literals": [], "known, same text": []}
    spent: dict[str, list[float]] = {kind: [] for kind in cpu}
    with connect(route) as connection:
        connection.execute(_join(0, 1)).fetchall()
        for number in range(run.options.rounds):
            base = 1 + number * _NEW
            kinds: dict[str, tuple[Callable[[int], str], int]] = {
                "new": (lambda n, base=base: _join(base + n, 1), _NEW),  # type: ignore[misc]
                "known, other literals": (lambda n: _join(0, n % 1000 + 1), _KNOWN),
                "known, same text": (lambda n: _join(0, 1), _KNOWN),
            }
            for kind, (texts, count) in kinds.items():
                used, elapsed = _cost(route, connection, texts, count)
                cpu[kind].append(used)
                spent[kind].append(elapsed)
            run.progress.say(
                f"first-sight, round {number + 1} of {run.options.rounds}: "
                + ", ".join(f"{kind} {values[-1]:,.0f} µs" for kind, values in cpu.items())
            )
    series = [Series(kind, "CPU of the gateway", "µs", tuple(values)) for kind, values in cpu.items()]
    times = [Series(kind, "time for the client", "µs", tuple(values)) for kind, values in spent.items()]
    comparison = Comparison(
        "CPU of a ruling, three joins, seen first",
        series[0].median - series[2].median,
        "µs",
        target=_TARGET,
        better=Better.AT_MOST,
    )
    return Result("first-sight", (*series, *times), (comparison,))


FIRST_SIGHT = Scenario("first-sight", "a statement with three joins: never seen before, and known", _first_sight)

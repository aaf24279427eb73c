"""MongoDB: small finds of eight clients, and a whole collection in batches, unmasked and with two paths masked."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from benchmarks.accounting import cpu_seconds
from benchmarks.documents import DocumentRoute, document_routes, find_by_id, scan
from benchmarks.report import Result, Series, ratio
from benchmarks.scenarios.base import Run, Scenario
from benchmarks.scenarios.bulk import NotMasked

_CLIENTS = 8
_POINT_TARGET = 0.45
_TARGETS = {"people": 0.85, "people_masked": 0.60}
"""Of direct throughput, by collection."""


def _cpu(route: DocumentRoute) -> float:
    return 0.0 if route.pid is None else cpu_seconds(route.pid)


def _point(run: Run) -> Result:
    rates: dict[str, list[float]] = {"direct": [], "gateway": []}
    cpu: list[float] = []
    with tempfile.TemporaryDirectory() as folder, document_routes(Path(folder), 10_000) as routes:
        for route in routes:
            find_by_id(route, clients=_CLIENTS, seconds=1, rows=10_000)
        for number in range(run.options.rounds):
            for route in routes:
                before = _cpu(route)
                rate = find_by_id(route, clients=_CLIENTS, seconds=run.options.seconds, rows=10_000)
                rates[route.name].append(rate)
                if route.pid is not None:
                    cpu.append((_cpu(route) - before) * 1e6 / (rate * run.options.seconds))
            said = ", ".join(f"{name} {found[-1]:,.0f}/s" for name, found in rates.items())
            run.progress.say(f"mongodb-point, round {number + 1} of {run.options.rounds}: {said}")
    series = {name: Series(name, "throughput", "finds/s", tuple(found)) for name, found in rates.items()}
    return Result(
        "mongodb-point",
        (*series.values(), Series("gateway", "CPU of the process", "µs/find", tuple(cpu))),
        (ratio("throughput, gateway / direct", series["gateway"], series["direct"], _POINT_TARGET),),
    )


def _scan(collection: str, run: Run) -> Result:
    name = "mongodb-masked" if collection == "people_masked" else "mongodb-scan"
    rows = run.bed.rows
    rates: dict[str, list[float]] = {"direct": [], "gateway": []}
    cpu: list[float] = []
    with tempfile.TemporaryDirectory() as folder, document_routes(Path(folder), rows) as routes:
        for number in range(run.options.rounds):
            for route in routes:
                before = _cpu(route)
                seconds, _, first = scan(route, collection)
                rates[route.name].append(rows / seconds)
                hidden = b"@example.com" not in first
                if hidden is not (route.pid is not None and collection == "people_masked"):
                    raise NotMasked(f"{collection} is {'masked' if hidden else 'not masked'} by {route.name}")
                if route.pid is not None:
                    cpu.append((_cpu(route) - before) * 1e9 / rows)
            said = ", ".join(f"{way} {rows / found[-1]:.2f} s" for way, found in rates.items())
            run.progress.say(f"{name}, round {number + 1} of {run.options.rounds}: {said}")
    series = {way: Series(way, "throughput", "documents/s", tuple(found)) for way, found in rates.items()}
    return Result(
        name,
        (*series.values(), Series("gateway", "CPU of the process", "ns/document", tuple(cpu))),
        (ratio("throughput, gateway / direct", series["gateway"], series["direct"], _TARGETS[collection]),),
        (f"{rows:,} documents in batches of 10,000",),
    )


MONGODB_POINT = Scenario("mongodb-point", "MongoDB: find by _id, 8 clients", _point)
MONGODB_SCAN = Scenario("mongodb-scan", "MongoDB: a whole collection without labels", partial(_scan, "people"))
MONGODB_MASKED = Scenario(
    "mongodb-masked", "MongoDB: a whole collection, two paths masked", partial(_scan, "people_masked")
)

"""Small statements: pgbench's select-only script by every route in turn."""

from __future__ import annotations

from functools import partial

from benchmarks.bed import Route
from benchmarks.configuration import Variant
from benchmarks.pgbench import Figures, Mode, select_only
from benchmarks.report import Comparison, Result, Series, ratio
from benchmarks.scenarios.base import Run, Scenario

_CLIENTS = 8
_TARGET = 0.70
"""Of PgBouncer's throughput."""


def _rounds(
    run: Run, name: str, routes: list[Route], mode: Mode, *, clients: int = _CLIENTS
) -> dict[str, list[Figures]]:
    program = run.bed.program("pgbench")
    for route in routes:
        select_only(program, route, mode, clients=clients, seconds=1)
    runs: dict[str, list[Figures]] = {route.name: [] for route in routes}
    for number in range(run.options.rounds):
        for route in routes:
            runs[route.name].append(select_only(program, route, mode, clients=clients, seconds=run.options.seconds))
        rates = ", ".join(f"{route.name} {runs[route.name][-1].rate:,.0f}/s" for route in routes)
        run.progress.say(f"{name}, round {number + 1} of {run.options.rounds}: {rates}")
    return runs


def _series(runs: dict[str, list[Figures]], routes: list[Route]) -> dict[tuple[str, str], Series]:
    found: dict[tuple[str, str], Series] = {}
    for route in routes:
        mine = runs[route.name]
        found["rate", route.name] = Series(route.name, "throughput", "tx/s", tuple(r.rate for r in mine))
        if route.pid is not None:
            found["cpu", route.name] = Series(route.name, "CPU of the process", "µs/tx", tuple(r.cpu for r in mine))
    return found


def _point(mode: Mode, run: Run) -> Result:
    routes = [run.bed.direct, run.bed.pgbouncer(), run.bed.gateway()]
    name = f"point-{mode}"
    series = _series(_rounds(run, name, routes, mode), routes)
    rate, bouncer = series["rate", "gateway"], series["rate", "pgbouncer"]
    cpu = ratio("CPU, gateway / pgbouncer", series["cpu", "gateway"], series["cpu", "pgbouncer"])
    return Result(
        name,
        tuple(series.values()),
        (
            ratio("throughput, gateway / pgbouncer", rate, bouncer, _TARGET),
            ratio("throughput, gateway / direct", rate, series["rate", "direct"]),
            ratio("throughput, pgbouncer / direct", bouncer, series["rate", "direct"]),
            cpu,
        ),
    )


def _latency(run: Run) -> Result:
    """What one client alone notices."""
    routes = [run.bed.direct, run.bed.pgbouncer(), run.bed.gateway()]
    runs = _rounds(run, "latency", routes, Mode.PREPARED, clients=1)
    series = {
        route.name: Series(route.name, "mean latency", "µs", tuple(r.latency for r in runs[route.name]))
        for route in routes
    }
    direct = series["direct"].median
    added = [
        Comparison(f"added to direct by {name}", series[name].median - direct, "µs")
        for name in ("pgbouncer", "gateway")
    ]
    return Result("latency", tuple(series.values()), tuple(added))


def _audit(clients: int, target: float, variant: Variant, run: Run) -> Result:
    """What the audit costs: against a gateway that records nothing."""
    forgetful = Variant("no audit", audited=False)
    routes = [run.bed.gateway(forgetful), run.bed.gateway(variant)]
    name = f"audit-{variant.read_durability}"
    series = _series(_rounds(run, name, routes, Mode.PREPARED, clients=clients), routes)
    rate = ratio("throughput, with / without", series["rate", variant.name], series["rate", forgetful.name], target)
    cpu = ratio("CPU, with / without", series["cpu", variant.name], series["cpu", forgetful.name])
    return Result(name, tuple(series.values()), (rate, cpu))


POINT_SIMPLE = Scenario("point-simple", "pgbench select-only, 8 clients, simple protocol", partial(_point, Mode.SIMPLE))
POINT_EXTENDED = Scenario(
    "point-extended", "the same by Parse, Bind, Execute each time", partial(_point, Mode.EXTENDED)
)
POINT_PREPARED = Scenario("point-prepared", "the same by prepared statements", partial(_point, Mode.PREPARED))
LATENCY = Scenario("latency", "mean latency of one client alone, prepared statements", _latency, extra=True)
AUDIT_BUFFERED = Scenario(
    "audit-buffered",
    "the price of the audit: 8 clients, statements recorded soon afterwards",
    partial(_audit, _CLIENTS, 0.90, Variant()),
)
AUDIT_BEFORE = Scenario(
    "audit-before",
    "the same with 32 clients, every statement on disk before it is forwarded",
    partial(_audit, 32, 0.65, Variant("before-forward", read_durability="before_forward")),
)

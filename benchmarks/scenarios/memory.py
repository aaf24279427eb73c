"""Memory: of sessions that do nothing, and of clients that do not read."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from functools import partial

import psycopg

from benchmarks.accounting import resident_bytes
from benchmarks.bed import Route
from benchmarks.client import RawReader, connect
from benchmarks.configuration import Variant
from benchmarks.controlled import start_controlled
from benchmarks.report import Better, Comparison, Result, Series
from benchmarks.scenarios.base import Run, Scenario

_SETTLE = 1.0
"""Seconds until a process has done what was left to do."""
_IDLE_TARGET = 32.0
"""KiB per session."""
_HELD_TARGET = 64.0
"""KiB per statement that waits for an approval."""
_HELD_AT_ONCE = 1000
_STALLED = 8
_STALLED_TARGET = 1.0
"""MiB per client."""
_STALLED_SECONDS = 3.0
_KIB, _MIB = 1024, 1024 * 1024
_STATEMENT = "SELECT id, email FROM customers WHERE id = 1"


def _resident(route: Route) -> int:
    if route.pid is None:
        raise ValueError(f"nothing is in between on the route {route.name}")
    return resident_bytes(route.pid)


def _idle(tls: bool, run: Run) -> Result:
    """Sessions that have run one statement each, under a mask, and then wait. The gateway is a fresh one."""
    name = "idle-memory-tls" if tls else "idle-memory"
    points: list[tuple[int, int]] = []
    with ExitStack() as stack:
        route = run.bed.fresh_gateway(Variant(f"gateway, {'TLS' if tls else 'plaintext'}", tls=tls), stack)
        sessions: list[psycopg.Connection] = []
        # What the first session costs (catalog, analyser, caches) is base, not session.
        for wanted in (1, *run.options.sessions):
            while len(sessions) < wanted:
                session = stack.enter_context(closing(connect(route)))
                sessions.append(session)
                session.execute(_STATEMENT).fetchall()
            time.sleep(_SETTLE)
            points.append((wanted, _resident(route)))
            run.progress.say(f"{name}: {wanted} sessions, {points[-1][1] / _MIB:.1f} MiB")
    return Result(
        name,
        tuple(Series(f"{count} sessions", "resident memory", "MiB", (size / _MIB,)) for count, size in points),
        (
            Comparison(
                f"per idle session, {points[0][0]} to {points[-1][0]}",
                _slope(points) / _KIB,
                "KiB",
                target=_IDLE_TARGET,
                better=Better.AT_MOST,
            ),
            Comparison("base, with one session", points[0][1] / _MIB, "MiB"),
        ),
    )


def _held(linked: bool, run: Run) -> Result:
    """Sessions whose one statement waits for an approval. The gateways are fresh ones.

    Over the link a statement costs twice: in the gateway that holds it, and on the desk of the control plane.
    """
    name = "held-memory-linked" if linked else "held-memory"
    points: list[tuple[int, int]] = []
    desk: list[tuple[int, int]] = []
    with ExitStack() as stack:
        controlled = start_controlled(run.bed, Variant("gateway, holding", holds=True), stack)
        route = controlled.linked if linked else controlled.own
        sessions: list[psycopg.Connection] = []
        for wanted in sorted({1, *run.options.sessions, _HELD_AT_ONCE}):
            while len(sessions) < wanted:
                session = stack.enter_context(closing(connect(route)))
                sessions.append(session)
                session.pgconn.send_query(_STATEMENT.encode())
            controlled.wait_for(wanted)
            time.sleep(_SETTLE)
            points.append((wanted, _resident(route)))
            desk.append((wanted, resident_bytes(controlled.control_pid)))
            run.progress.say(f"{name}: {wanted} statements wait, {points[-1][1] / _MIB:.1f} MiB")
        if any(not _waits(session) for session in sessions):
            raise ValueError("a statement that should wait was answered")
    series = [Series(f"{count} statements", "resident memory", "MiB", (size / _MIB,)) for count, size in points]
    comparisons = [_per_statement("per held statement, session included", points)]
    if linked:
        series += [Series(f"{count} statements", "of the control plane", "MiB", (size / _MIB,)) for count, size in desk]
        comparisons.append(_per_statement("on the control plane's desk", desk))
    return Result(name, tuple(series), tuple(comparisons))


def _per_statement(what: str, points: list[tuple[int, int]]) -> Comparison:
    return Comparison(
        f"{what}, {points[0][0]} to {points[-1][0]}",
        _slope(points) / _KIB,
        "KiB",
        target=_HELD_TARGET,
        better=Better.AT_MOST,
    )


def _waits(session: psycopg.Connection) -> bool:
    session.pgconn.consume_input()
    return bool(session.pgconn.is_busy())


def _slope(points: list[tuple[int, int]]) -> float:
    """Bytes per session by least squares."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def _stalled(run: Run) -> Result:
    """Clients that ask for a whole big table and never read."""
    route = run.bed.gateway()
    series: list[Series] = []
    comparisons: list[Comparison] = []
    for table in ("people", "people_masked"):
        sql = f"SELECT * FROM {table}"
        with ExitStack() as stack:
            warm = RawReader(route)
            stack.callback(warm.close)
            warm.drain(sql)
            readers = []
            for _ in range(_STALLED):
                reader = RawReader(route)
                stack.callback(reader.close)
                readers.append(reader)
            time.sleep(_SETTLE)
            before = _resident(route)
            for reader in readers:
                reader.ask(sql)
            peak, deadline = before, time.monotonic() + _STALLED_SECONDS
            while time.monotonic() < deadline:
                time.sleep(0.05)
                peak = max(peak, _resident(route))
        name = "masked" if table == "people_masked" else "unmasked"
        growth = (peak - before) / _MIB
        series.append(Series(name, f"growth, {_STALLED} clients", "MiB", (growth,)))
        comparisons.append(
            Comparison(
                f"per client that stopped reading, {name}",
                growth / _STALLED,
                "MiB",
                target=_STALLED_TARGET,
                better=Better.AT_MOST,
            )
        )
        run.progress.say(f"stalled-client, {name}: {_STALLED} clients cost {growth:.2f} MiB")
    return Result("stalled-client", tuple(series), tuple(comparisons))


IDLE_MEMORY = Scenario("idle-memory", "memory of idle sessions in plaintext", partial(_idle, False))
IDLE_MEMORY_TLS = Scenario("idle-memory-tls", "memory of idle sessions with TLS to the client", partial(_idle, True))
STALLED_CLIENT = Scenario("stalled-client", "memory that clients cost who do not read what they asked for", _stalled)
HELD_MEMORY = Scenario("held-memory", "memory of statements that wait for an approval", partial(_held, False))
HELD_MEMORY_LINKED = Scenario(
    "held-memory-linked", "the same on a linked gateway and at its control plane", partial(_held, True)
)

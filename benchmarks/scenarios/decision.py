"""How long after its approval a held statement goes on."""

from __future__ import annotations

import select
import time
from contextlib import ExitStack, closing
from statistics import median

import psycopg

from benchmarks.bed import Route
from benchmarks.client import connect
from benchmarks.configuration import Variant
from benchmarks.controlled import Controlled, start_controlled
from benchmarks.report import Better, Comparison, Result, Series
from benchmarks.scenarios.base import Run, Scenario

_TARGET = 100.0
"""Milliseconds from the decision to the answer of the statement."""
_DECISIONS = 10
"""For each round."""
_STATEMENT = b"SELECT id, email FROM customers WHERE id = 1"


def _decision(run: Run) -> Result:
    """From the moment in which the approval is sent to the API to the end of the statement's answer."""
    series: list[Series] = []
    comparisons: list[Comparison] = []
    with ExitStack() as stack:
        controlled = start_controlled(run.bed, Variant("gateway, holding", holds=True), stack)
        for route in (controlled.own, controlled.linked):
            session = stack.enter_context(closing(connect(route)))
            _once(session, controlled)
            delays = tuple(_once(session, controlled) for _ in range(_DECISIONS * run.options.rounds))
            run.progress.say(f"decision, {route.name}: {median(delays):.1f} ms")
            series.append(Series(route.name, "from decision to answer", "ms", delays))
            comparisons.append(_comparison(route, delays))
    return Result("decision", tuple(series), tuple(comparisons))


def _comparison(route: Route, delays: tuple[float, ...]) -> Comparison:
    longest = sorted(delays)[int(len(delays) * 0.95)]
    return Comparison(f"19 of 20 decisions, {route.name}", longest, "ms", target=_TARGET, better=Better.AT_MOST)


def _once(session: psycopg.Connection, controlled: Controlled) -> float:
    """One statement, held and approved; milliseconds."""
    connection = session.pgconn
    connection.send_query(_STATEMENT)
    controlled.wait_for(1)
    (request,) = controlled.pending()
    began = time.perf_counter()
    controlled.approve(request)
    while connection.is_busy():
        if not select.select([connection.socket], [], [], 60)[0]:
            raise TimeoutError("an approved statement was not answered")
        connection.consume_input()
    took = time.perf_counter() - began
    while (result := connection.get_result()) is not None:
        if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
            raise ValueError(f"an approved statement ended with {result.error_message.decode()}")
    return took * 1000


DECISION = Scenario("decision", "from an approval to the answer of the statement that waits for it", _decision)

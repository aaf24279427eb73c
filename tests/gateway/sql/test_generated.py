"""Random queries on a real server: what comes out must be what was said, also where names collide."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.sql.catalog import Catalog
from tests.gateway.sql.canary import Connection, check
from tests.gateway.sql.generator import Generator


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seed=st.integers(0, 2**63))
def test_no_generated_query_shows_what_was_proven_not_to_be_there(
    connection: Connection, catalog: Catalog, seed: int
) -> None:
    text = Generator(Random(seed)).statement()

    outcome = check(connection, catalog, text)

    assert outcome.leaks == (), text


def test_generated_queries_are_mostly_understood(connection: Connection, catalog: Catalog) -> None:
    ran = understood = 0
    for seed in range(400):
        outcome = check(connection, catalog, Generator(Random(seed)).statement())
        if outcome.error is None:
            ran += 1
            understood += not outcome.analysis.statements[-1].opaque

    assert ran >= 100
    assert understood >= 0.8 * ran

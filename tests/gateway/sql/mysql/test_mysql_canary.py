"""What comes out of a real MariaDB must be what the analysis said may come out."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.sql.catalog import Catalog
from tests.gateway.sql.mysql.canary import Connection, check
from tests.gateway.sql.mysql.generator import MySqlGenerator


def _statements(name: str) -> list[str]:
    lines = Path(__file__).with_name(name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("-- ")]


@pytest.mark.parametrize("text", _statements("statements.txt"))
def test_nothing_comes_out_that_was_proven_not_to(connection: Connection, catalog: Catalog, text: str) -> None:
    outcome = check(connection, catalog, text)

    assert outcome.leaks == ()


@pytest.mark.parametrize("text", _statements("understood.txt"))
def test_ordinary_statements_are_understood(connection: Connection, catalog: Catalog, text: str) -> None:
    outcome = check(connection, catalog, text)

    facts = outcome.analysis.statements[-1]
    assert outcome.error is None
    assert outcome.leaks == ()
    assert facts.opaque == ()
    assert not facts.reads_everything
    if outcome.columns:
        assert facts.outputs is None or len(facts.outputs) == outcome.columns
        assert facts.outputs is not None or not facts.columns_read
        assert all(output.proven for output in facts.outputs or ())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(seed=st.integers(0, 2**63))
def test_no_generated_query_shows_what_was_proven_not_to_be_there(
    connection: Connection, catalog: Catalog, seed: int
) -> None:
    text = MySqlGenerator(Random(seed)).statement()

    outcome = check(connection, catalog, text)

    assert outcome.leaks == (), text


def test_generated_queries_are_mostly_understood(connection: Connection, catalog: Catalog) -> None:
    ran = understood = 0
    for seed in range(400):
        outcome = check(connection, catalog, MySqlGenerator(Random(seed)).statement())
        if outcome.error is None:
            ran += 1
            understood += not outcome.analysis.statements[-1].opaque

    assert ran >= 100
    # Most of the others use a name of a common table expression twice, which MariaDB reads in its own way.
    assert understood >= 0.6 * ran

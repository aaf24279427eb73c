"""What comes out of a real server must be what the analysis said may come out."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.sql.catalog import Catalog
from tests.gateway.sql.canary import Connection, check


def _statements(name: str) -> list[str]:
    lines = Path(__file__).with_name(name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("-- ")]


@pytest.mark.parametrize("text", _statements("statements.txt"))
def test_nothing_comes_out_that_was_proven_not_to(connection: Connection, catalog: Catalog, text: str) -> None:
    outcome = check(connection, catalog, text)

    assert outcome.leaks == ()


@pytest.mark.parametrize("text", _statements("utility.txt"))
def test_ordinary_statements_are_understood(connection: Connection, catalog: Catalog, text: str) -> None:
    outcome = check(connection, catalog, text)

    facts = outcome.analysis.statements[-1]
    assert outcome.leaks == ()
    assert facts.opaque == ()
    assert not facts.reads_everything
    if outcome.columns and outcome.error is None:
        assert facts.outputs is not None
        assert len(facts.outputs) == outcome.columns
        assert all(output.proven for output in facts.outputs)

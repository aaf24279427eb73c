"""Long texts are analysed elsewhere, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from gateway.domain.statement import Action
from gateway.sql.analyse import analyse
from gateway.sql.offload import Analyser
from tests.gateway.sql.shop import CATALOG, STATE

LONG = "SELECT id FROM orders WHERE note IN (" + ", ".join(f"'{n}'" for n in range(2_000)) + ")"


@pytest.fixture
def analyser() -> Iterator[Analyser]:
    analyser = Analyser(deadline=60.0)
    yield analyser
    analyser.close()


def test_a_short_text_is_analysed_at_once(analyser: Analyser) -> None:
    assert analyser.analyse_now("SELECT 1", STATE, CATALOG) == analyse("SELECT 1", STATE, CATALOG)


def test_a_long_text_gives_the_same_facts_elsewhere(analyser: Analyser) -> None:
    assert analyser.analyse_now(LONG, STATE, CATALOG) is None
    found = asyncio.run(analyser.analyse(LONG, STATE, CATALOG))
    assert found == analyse(LONG, STATE, CATALOG)
    assert asyncio.run(analyser.analyse(LONG, STATE, None)) == analyse(LONG, STATE, None)


def test_a_text_beyond_the_limit_is_unknown(analyser: Analyser) -> None:
    found = analyser.analyse_now("SELECT '" + "x" * 300_000 + "'", STATE, CATALOG)
    assert found is not None
    assert found.actions == {Action.UNKNOWN}
    assert found.statements[0].opaque == ("statement too long to analyse",)


def test_an_analysis_that_takes_too_long_is_given_up_and_the_next_one_works() -> None:
    analyser = Analyser(deadline=0.001)
    try:
        found = asyncio.run(analyser.analyse(LONG, STATE, CATALOG))
        assert found.statements[0].opaque == ("analysis took too long",)
        analyser._deadline = 30.0
        assert asyncio.run(analyser.analyse(LONG, STATE, CATALOG)).statements[0].kind == "select"
    finally:
        analyser.close()


def test_a_worker_that_dies_makes_one_unknown_statement(analyser: Analyser) -> None:
    asyncio.run(analyser.analyse(LONG, STATE, CATALOG))
    assert analyser._pool is not None
    for process in list(analyser._pool._processes.values()):
        process.kill()
        process.join()

    async def twice() -> list[str]:
        kinds = []
        for _ in range(2):
            kinds.append((await analyser.analyse(LONG, STATE, CATALOG)).statements[0].kind)
        return kinds

    assert asyncio.run(twice())[-1] == "select"

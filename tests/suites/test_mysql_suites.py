"""MySQL's drivers' own tests, a selection of each suite, end through the gateway as they end directly.

``python -m tests.suites --full`` runs all of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.testing.servers import ServerUnavailable
from tests.suites.catalogue_mysql import MYSQL_SUITES
from tests.suites.runner import run_both_ways
from tests.suites.sources import SourceUnavailable
from tests.suites.suite import Suite

# So many must pass both ways: were the suite broken by itself, nothing would differ.
LEAST = {"pymysql": 140, "aiomysql": 50, "sqlalchemy-pymysql": 320, "sqlalchemy-mysqlconnector": 140}


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize("suite", MYSQL_SUITES, ids=lambda suite: suite.name)
def test_a_drivers_own_tests_end_the_same_way(suite: Suite, tmp_path: Path) -> None:
    try:
        report = run_both_ways(suite, suite.bounded, keep=tmp_path / "suite")
    except (ServerUnavailable, SourceUnavailable) as error:
        if os.environ.get("REQUIRE_SERVERS") == "1":
            raise
        pytest.skip(str(error).splitlines()[0])
    assert not report.unexplained, report.render()
    assert report.equal >= LEAST[suite.name], report.render()

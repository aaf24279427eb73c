"""MySQL's drivers' own tests, a selection of each suite, end through the gateway as they end directly.

``python -m tests.suites --full`` runs all of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suites.selection import check_both_ways


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize(
    ("name", "at_least"),
    [("pymysql", 140), ("aiomysql", 50), ("sqlalchemy-pymysql", 320), ("sqlalchemy-mysqlconnector", 140)],
)
def test_a_drivers_own_tests_end_the_same_way(name: str, at_least: int, tmp_path: Path) -> None:
    check_both_ways(name, None, tmp_path, at_least=at_least, limit=360)

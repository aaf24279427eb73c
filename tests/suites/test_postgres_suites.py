"""A part of the suites of PostgreSQL's drivers, for every run; ``python -m tests.suites`` runs the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suites.selection import check_both_ways

ASYNCPG = "cache_invalidation copy cursor execute introspection listeners prepare record transaction"
PSYCOPG2 = "async copy cursor extras_dictcursor fast_executemany green lobject notify transaction types_basic with"
SELECTION = {
    "asyncpg": (*(f"tests/test_{name}.py" for name in ASYNCPG.split()), "-k", "not large_db"),
    "psycopg2": tuple(f"tests/test_{name}.py" for name in PSYCOPG2.split()),
    "pg8000": tuple(
        f"test/{name}.py"
        for name in ("dbapi/test_dbapi", "dbapi/test_copy", "dbapi/test_query", "native/test_query", "native/test_copy")
    ),
    "sqlalchemy-psycopg2": None,
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "at_least"), [("asyncpg", 100), ("psycopg2", 250), ("pg8000", 60), ("sqlalchemy-psycopg2", 100)]
)
def test_a_drivers_own_tests_end_as_without_a_gateway(tmp_path: Path, name: str, at_least: int) -> None:
    check_both_ways(name, SELECTION[name], tmp_path, at_least=at_least)

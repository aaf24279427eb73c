"""A part of the suites of MongoDB's drivers, small enough for every run; ``python -m tests.suites`` runs the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suites.selection import check_both_ways

SELECTION = {
    "motor": (
        "test/asyncio_tests/test_asyncio_collection.py",
        *(f"test/tornado_tests/test_motor_{name}.py" for name in ("collection", "session", "transaction", "grid_file")),
    ),
    "pymongo": ("test/test_bulk.py", "-k", "not Authorization"),
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "at_least"), [("motor", 50), ("pymongo", 30)])
def test_a_drivers_own_tests_end_as_without_a_gateway(tmp_path: Path, name: str, at_least: int) -> None:
    check_both_ways(name, SELECTION[name], tmp_path, at_least=at_least)

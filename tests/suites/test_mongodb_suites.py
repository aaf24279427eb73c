"""A part of the suites of MongoDB's drivers, small enough for every run; ``python -m tests.suites`` runs the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.suites.catalogue import SUITES
from tests.suites.runner import run_both_ways
from tests.suites.sources import SourceUnavailable

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
    (suite,) = (suite for suite in SUITES if suite.name == name)
    try:
        report = run_both_ways(suite, SELECTION[name], keep=tmp_path / "suite")
    except SourceUnavailable as error:
        if os.environ.get("REQUIRE_SERVERS") == "1":
            raise
        pytest.skip(str(error).splitlines()[0])
    assert not report.unexplained, report.render()
    assert report.equal >= at_least, report.render()

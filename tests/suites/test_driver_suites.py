"""The runner of drivers' suites: what it calls a difference, what it excludes, and what it does with a test that hangs.

The suites themselves are run by ``python -m tests.suites``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.suites.catalogue import SUITES
from tests.suites.comparison import Exclusion, differences, load_exclusions, unexplained
from tests.suites.documentation import DOCUMENT, exclusion_table, with_table
from tests.suites.execution import Outcome, Result, Results
from tests.suites.runner import Report

PASSED, SKIPPED = Result(Outcome.PASSED, 1, ""), Result(Outcome.SKIPPED, 0, "why")
FAILED, HUNG = Result(Outcome.FAILED, 1, "boom"), Result(Outcome.HUNG, 60, "")

TESTS = """
import os
import unittest
import pytest

def test_passes(): pass
def test_fails(): assert 1 == 2, "not equal"
def test_is_skipped(): pytest.skip("for a reason")
@pytest.fixture
def broken(): raise RuntimeError("no fixture")
def test_without_fixture(broken): pass
class TestUnit(unittest.TestCase):
    def test_parts(self):
        for part in range(3):
            with self.subTest(part=part):
                self.assertNotEqual(part, 1)
def test_ends_the_process():
    if os.environ.get("END"): os._exit(7)
"""


def _found(direct: Results, gateway: Results) -> list[str]:
    return [item.test for item in differences("suite", direct, gateway)]


def test_a_test_that_the_gateway_spoils_is_a_difference() -> None:
    direct = {"a": PASSED, "b": PASSED, "c": PASSED, "d": SKIPPED, "e": PASSED}
    assert _found(direct, {"a": PASSED, "b": FAILED, "c": SKIPPED, "d": FAILED}) == ["b", "c", "d", "e"]
    assert _found({"a": PASSED}, {"a": HUNG}) == ["a"]


def test_a_test_that_fails_directly_says_nothing() -> None:
    assert _found({"a": FAILED, "b": HUNG, "c": SKIPPED}, {"a": FAILED, "b": PASSED, "c": PASSED}) == []


def test_only_a_listed_test_of_a_listed_suite_is_excluded() -> None:
    known = [Exclusion("driver", ("test_login.py::*",), "because")]
    direct = {"test_login.py::test_a": PASSED, "test_other.py::test_a": PASSED}
    found = list(differences("driver", direct, {}))
    assert [item.test for item in unexplained(found, known)] == ["test_other.py::test_a"]
    assert len(unexplained(differences("another", direct, {}), known)) == 2


def test_a_report_names_every_difference() -> None:
    direct, gateway = {"good": PASSED, "bad": PASSED, "never": FAILED}, {"good": PASSED, "bad": FAILED, "never": FAILED}
    found = tuple(differences("driver", direct, gateway))
    report = Report("driver", direct, gateway, excluded=(), unstable=(), unexplained=found, seconds=2)
    assert report.equal == 1
    assert "DIFFERENT: driver: bad: directly passed, through the gateway failed" in report.render()
    assert "boom" in report.render()


def test_every_exclusion_is_justified_and_is_for_a_suite_that_there_is() -> None:
    for entry in load_exclusions():
        assert len(entry.reason) > 60, entry
        assert any(entry.covers(suite.name, test.replace("*", "x")) for suite in SUITES for test in entry.tests), entry


def test_users_can_read_the_exclusions() -> None:
    document = DOCUMENT.read_text()
    assert document == with_table(document, exclusion_table(load_exclusions())), "run python -m tests.suites --document"


@pytest.fixture
def record(tmp_path: Path):
    """Run the tests above as a suite is run; the recorder's lines."""
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "recorder.py").write_bytes(Path(__file__).with_name("recorder.py").read_bytes())

    def run(**variables: str) -> list[list[object]]:
        output = tmp_path / "outcomes"
        output.unlink(missing_ok=True)
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "RECORDER_OUTPUT": str(output)}
        command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, f"--rootdir={tmp_path}", "-p", "recorder"]
        subprocess.run(
            [*command, "-p", "no:cacheprovider", "test_some.py"],
            cwd=tmp_path,
            env=environment | variables,
            capture_output=True,
            timeout=50,
            check=False,
        )
        return [json.loads(line) for line in output.read_text().splitlines()]

    return run


def test_the_recorder_tells_how_each_test_ended(record) -> None:
    ends = {entry[1].partition("::")[2]: entry[2:] for entry in record() if entry[0] == "end"}
    assert {name: end[0] for name, end in ends.items()} == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_is_skipped": "skipped",
        "test_without_fixture": "failed",
        "TestUnit::test_parts": "failed",
        "test_ends_the_process": "passed",
    }
    assert "not equal" in ends["test_fails"][2]
    assert "for a reason" in ends["test_is_skipped"][2]


def test_a_test_that_takes_the_process_down_has_a_beginning_and_no_end(record) -> None:
    assert record(END="1")[-1] == ["start", "test_some.py::test_ends_the_process"]


def test_tests_can_be_left_out_and_picked(record, tmp_path: Path) -> None:
    skip, only = tmp_path / "skip", tmp_path / "only"
    skip.write_text("test_some.py::test_passes\n")
    only.write_text("test_some.py::test_passes\ntest_some.py::test_fails\n")
    entries = record(RECORDER_SKIP=str(skip), RECORDER_ONLY=str(only))
    assert [entry[1] for entry in entries if entry[0] == "end"] == ["test_some.py::test_fails"]

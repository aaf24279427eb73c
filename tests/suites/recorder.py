"""A pytest plugin that writes each test's outcome to a file as soon as it is known.

It is copied beside a driver's own tests and loaded with ``-p``, in an environment that has pytest and the driver and
nothing of the project. Lines are JSON: ``["start", id]``, then ``["end", id, outcome, seconds, why]``; a run that dies
leaves a start without an end. ``RECORDER_OUTPUT`` names the file, ``RECORDER_SKIP`` one with ids not to run, and
``RECORDER_ONLY`` one with the only ids to run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

_WHY_CHARACTERS = 4000


class Recorder:
    """Collects the reports of the running test: one for each phase, and for each subtest."""

    def __init__(self, output: Path) -> None:
        self._file = output.open("a", encoding="utf-8")
        self._reports: list[pytest.TestReport] = []

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._reports = []
        self._write("start", nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        seconds = sum(report.duration for report in self._reports)
        failed = [report for report in self._reports if report.failed]
        skipped = [report for report in self._reports if report.skipped]
        if failed:
            outcome, shown = "failed", failed
        elif skipped:
            outcome, shown = "skipped", skipped
        else:
            outcome, shown = "passed", []
        # A report in the style "native" ends with the error itself, which is what matters.
        why = "\n".join(str(report.longrepr) for report in shown)[-_WHY_CHARACTERS:]
        self._write("end", nodeid, outcome, round(seconds, 3), why)

    def _write(self, *entry: object) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to record."""
    config.pluginmanager.register(Recorder(Path(os.environ["RECORDER_OUTPUT"])))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what an earlier attempt has run, and what the list of ids not to run names."""
    done = set(_lines(os.environ.get("RECORDER_SKIP")))
    only = set(_lines(os.environ.get("RECORDER_ONLY")))
    left = [item for item in items if item.nodeid in done or (only and item.nodeid not in only)]
    if left:
        leaving = set(map(id, left))
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if id(item) not in leaving]


def _lines(path: str | None) -> Iterator[str]:
    if path:
        yield from Path(path).read_text(encoding="utf-8").splitlines()

"""What the tests run of drivers' suites, and what they want of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gateway.testing.servers import ServerUnavailable
from tests.fixtures.missing import missing
from tests.suites.catalogue import SUITES
from tests.suites.runner import run_both_ways
from tests.suites.sources import SourceUnavailable


def check_both_ways(
    name: str, targets: Sequence[str] | None, folder: Path, *, at_least: int, limit: float = 240
) -> None:
    """Run a suite's ``targets`` (None: its selection) directly and through a gateway.

    Each test must end the same way, and ``at_least`` so many must pass: were the suite broken by itself, nothing would
    differ. A run may take ``limit`` seconds. What cannot be fetched or started skips the test, but with
    ``REQUIRE_SERVERS=1``.
    """
    suite = next(suite for suite in SUITES if suite.name == name)
    try:
        report = run_both_ways(suite, suite.bounded if targets is None else targets, keep=folder / "suite", limit=limit)
    except (ServerUnavailable, SourceUnavailable) as error:
        missing(str(error))
    assert not report.unexplained, report.render()
    assert report.equal >= at_least, report.render()

"""Runs a suite both ways at the same time and reports."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from tests.suites.comparison import Difference, differences, load_exclusions, unexplained
from tests.suites.endpoints import Way
from tests.suites.execution import Results, run_suite
from tests.suites.suite import Suite


@dataclass(frozen=True, slots=True)
class Report:
    """What both runs of a suite gave. ``unstable`` differed in the first run and not when repeated alone."""

    suite: str
    direct: Results
    gateway: Results
    excluded: tuple[Difference, ...]
    unstable: tuple[Difference, ...]
    unexplained: tuple[Difference, ...]
    seconds: float

    @property
    def equal(self) -> int:
        """Tests that passed directly and through the gateway."""
        return sum(
            result.outcome == "passed" and self.gateway.get(test, result).outcome == "passed"
            for test, result in self.direct.items()
        )

    def render(self) -> str:
        """A few lines for a person."""
        lines = [f"{self.suite}: {self.equal} tests pass both ways ({self.seconds:.0f} s)"]
        for way, results in ((Way.DIRECT, self.direct), (Way.GATEWAY, self.gateway)):
            counts = Counter(str(result.outcome) for result in results.values())
            lines.append(f"  {way}: " + ", ".join(f"{number} {name}" for name, number in sorted(counts.items())))
        lines += [f"  excluded: {item.test}" for item in self.excluded]
        lines += [f"  unstable: {item.test}" for item in self.unstable]
        for item in self.unexplained:
            lines += [f"  DIFFERENT: {item}", *(f"      {line}" for line in item.gateway.why.splitlines()[-12:])]
        return "\n".join(lines)


class TooSlow(Exception):
    """A suite did not get through in its time; the text says where each half stood."""


def run_both_ways(
    suite: Suite, targets: Sequence[str], *, keep: Path | None = None, limit: float | None = None
) -> Report:
    """Run ``targets`` of the suite against a server and against a gateway before another, and compare.

    What differs is repeated alone, both ways, so that a test that depends on the machine's load is not held against the
    gateway; the report lists it all the same. Raises ``TooSlow`` where a run takes longer than ``limit`` seconds.
    """
    began = time.monotonic()
    if keep is not None:
        shutil.rmtree(keep, ignore_errors=True)
    folder = keep if keep is not None else Path(tempfile.mkdtemp(prefix="querygate-suites-"))
    try:
        direct, gateway = _both(suite, targets, folder / "first", limit)
        known = load_exclusions()
        found = list(differences(suite.name, direct, gateway))
        suspects = unexplained(found, known)
        confirmed = suspects
        if suspects:
            again = _both(suite, targets, folder / "again", limit, only=[item.test for item in suspects])
            confirmed = list(differences(suite.name, *again))
        names = {item.test for item in confirmed}
        return Report(
            suite=suite.name,
            direct=direct,
            gateway=gateway,
            excluded=tuple(item for item in found if item not in suspects),
            unstable=tuple(item for item in suspects if item.test not in names),
            unexplained=tuple(confirmed),
            seconds=time.monotonic() - began,
        )
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _both(
    suite: Suite, targets: Sequence[str], folder: Path, limit: float | None, *, only: Sequence[str] = ()
) -> tuple[Results, Results]:
    stop = threading.Event()

    def run(way: Way) -> Results:
        place = folder / way
        place.mkdir(parents=True)
        return run_suite(suite, way, place, stop, targets=targets, only=only)

    with ThreadPoolExecutor(2) as pool:
        halves = (pool.submit(run, Way.DIRECT), pool.submit(run, Way.GATEWAY))
        try:
            done, late = wait(halves, limit, return_when=FIRST_EXCEPTION)
            for half in done:
                half.result()
        finally:
            stop.set()  # of no effect where both have ended
        if late:
            # Each half says where it stood; who was through has nothing to say.
            raise TooSlow("\n".join(str(half.exception() or "the other half was through") for half in halves))
    direct, gateway = (half.result() for half in halves)
    return direct, gateway

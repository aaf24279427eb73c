"""Compares a suite's outcomes, test by test, and says which differences are the gateway's."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.suites.execution import Outcome, Result, Results

EXCLUSIONS = Path(__file__).with_name("exclusions.toml")
_NO_RESULT = Result(Outcome.CRASHED, 0, "the test was not run")


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Tests (``fnmatch`` patterns over pytest's ids) of suites (likewise) that no proxy can pass, and why."""

    suites: str
    tests: tuple[str, ...]
    reason: str

    def covers(self, suite: str, test: str) -> bool:
        """Whether the test is one of these."""
        return fnmatch.fnmatchcase(suite, self.suites) and any(fnmatch.fnmatchcase(test, it) for it in self.tests)


@dataclass(frozen=True, slots=True)
class Difference:
    """A test that passes directly, or is skipped there, and does not end so through the gateway."""

    suite: str
    test: str
    direct: Result
    gateway: Result

    def __str__(self) -> str:
        return f"{self.suite}: {self.test}: directly {self.direct.outcome}, through the gateway {self.gateway.outcome}"


def load_exclusions(path: Path = EXCLUSIONS) -> tuple[Exclusion, ...]:
    """The list in ``exclusions.toml``."""
    entries = tomllib.loads(path.read_text())["exclusion"]
    return tuple(Exclusion(entry["suites"], tuple(entry["tests"]), entry["reason"]) for entry in entries)


def differences(suite: str, direct: Results, gateway: Results) -> Iterator[Difference]:
    """Every test that the gateway spoils. What fails directly says nothing about the gateway."""
    for test, result in direct.items():
        through = gateway.get(test, _NO_RESULT)
        if result.outcome in (Outcome.PASSED, Outcome.SKIPPED) and through.outcome not in (
            result.outcome,
            Outcome.PASSED,
        ):
            yield Difference(suite, test, result, through)


def unexplained(found: Iterable[Difference], exclusions: Iterable[Exclusion]) -> list[Difference]:
    """The differences that no exclusion covers."""
    known = tuple(exclusions)
    return [item for item in found if not any(entry.covers(item.suite, item.test) for entry in known)]

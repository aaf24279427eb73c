"""What a scenario is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.bed import Bed
from benchmarks.report import Progress, Result


@dataclass(frozen=True, slots=True)
class Options:
    """``rounds`` of every comparison; ``seconds`` of each pgbench run; ``sessions`` for idle memory, ascending."""

    rounds: int
    seconds: float
    sessions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """What a scenario runs with."""

    bed: Bed
    options: Options
    progress: Progress


@dataclass(frozen=True, slots=True)
class Scenario:
    """``extra`` scenarios run only when they are named."""

    name: str
    summary: str
    measure: Callable[[Run], Result]
    extra: bool = False

"""What was measured, and how it compares with what was promised."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Progress:
    """Lines on standard error that say what is going on."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line with the seconds since the start."""
        if not self._quiet:
            print(f"[{time.monotonic() - self._start:5.0f} s] {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Series:
    """One figure of one route, once per round."""

    route: str
    figure: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half the distance between the highest and the lowest round, as a part of the median: how noisy it was."""
        return (max(self.values) - min(self.values)) / 2 / self.median if self.median else 0.0


class Better(StrEnum):
    """Which way a target points."""

    AT_LEAST = "≥"
    AT_MOST = "≤"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure that says something by itself. ``target`` None: nothing was promised, it is for information."""

    name: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    target: float | None = None
    better: Better = Better.AT_LEAST

    @property
    def passed(self) -> bool | None:
        """Whether the promise was kept; None without a promise."""
        if self.target is None:
            return None
        return self.value >= self.target if self.better is Better.AT_LEAST else self.value <= self.target


def ratio(name: str, of: Series, to: Series, target: float | None = None) -> Comparison:
    """The median of the rounds' ratios: what disturbs a whole round disturbs both sides."""
    ratios = [ours / theirs for ours, theirs in zip(of.values, to.values, strict=True)]
    return Comparison(name, statistics.median(ratios), low=min(ratios), high=max(ratios), target=target)


@dataclass(frozen=True, slots=True)
class Result:
    """What a scenario found."""

    scenario: str
    series: tuple[Series, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)


def show(results: Sequence[Result], heading: str) -> None:
    """Print tables on standard output."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(heading, highlight=False)
    for result in results:
        _show_series(console, result)
    _show_comparisons(console, results)


def _show_series(console: Console, result: Result) -> None:
    if result.series:
        table = Table(title=result.scenario, title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("route", min_width=12)
        table.add_column("figure", min_width=26)
        for column in ("median", "min", "max", "± spread"):
            table.add_column(column, justify="right", min_width=10)
        table.add_column("unit")
        for series in result.series:
            values = (series.median, min(series.values), max(series.values))
            cells = [_number(value) for value in values]
            table.add_row(series.route, series.figure, *cells, f"{series.spread:.0%}", series.unit)
        console.print()
        console.print(table)
    elif result.notes:
        console.print(f"\n[bold]{result.scenario}[/]")
    for note in result.notes:
        console.print(f"  {note}", highlight=False)


def _show_comparisons(console: Console, results: Sequence[Result]) -> None:
    table = Table(title="results", title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("scenario")
    table.add_column("figure")
    for column in ("value", "over the rounds", "target"):
        table.add_column(column, justify="right")
    table.add_column("")
    for result in results:
        for item in result.comparisons:
            rounds = "" if item.low is None or item.high is None else f"{item.low:.2f} to {item.high:.2f}"
            target = "" if item.target is None else f"{item.better.value} {item.target:g}"
            verdict = {True: Text("pass", "green"), False: Text("FAIL", "bold red"), None: Text("")}[item.passed]
            value = f"{_number(item.value)} {item.unit}".rstrip()
            table.add_row(result.scenario, item.name, value, rounds, target, verdict)
    console.print()
    console.print(table)


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"

"""``python -m benchmarks``: see ``--help``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.bed import Bed
from benchmarks.pgbench import PgbenchFailed
from benchmarks.report import Progress, Result, show
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.base import Options, Run, Scenario
from benchmarks.scenarios.bulk import NotMasked
from gateway.testing.servers import ServerFailed, ServerUnavailable

_EXAMPLES = """\
examples:
  python -m benchmarks                                  everything that has a target, about four minutes
  python -m benchmarks --only point-simple --rounds 9   one scenario, steadier
  python -m benchmarks --only bulk-masked --rows 200000
  python -m benchmarks --json > figures.json            for machines; progress goes to standard error
  make bench ARGS="--only point-simple,point-prepared"

Every comparison takes turns (A B C, A B C, …) and reports the median of the rounds' ratios, with the lowest and the
highest, because absolute figures follow whatever else the machine does. CPU is what the kernel has accounted to the
process in between. Missed targets do not fail the command unless --check is given.
"""


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(
        f"  {scenario.name:16} {scenario.summary}{' (only if named)' if scenario.extra else ''}"
        for scenario in SCENARIOS.values()
    )
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=(
            "Measure the gateway against PgBouncer in session mode and a direct connection, on a database of its own.\n"
            "The gateway is the one that this Python has: by `make bench` the compiled wheel, in .venv plain sources.\n"
            f"Needs pgbench and pgbouncer.\n\nscenarios:\n{listed}"
        ),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", type=_names, metavar="NAME[,NAME]", help="run these scenarios, in their order")
    parser.add_argument("--rounds", type=_positive, default=5, help="turns of every comparison (default 5)")
    parser.add_argument("--seconds", type=_positive, default=2, help="length of a pgbench run (default 2)")
    parser.add_argument("--rows", type=_positive, default=1_000_000, help="rows of the big tables (default 1000000)")
    parser.add_argument(
        "--sessions", type=_counts, default=(100, 300, 500), metavar="N,N", help="idle sessions (default 100,300,500)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--check", action="store_true", help="exit with status 1 if a target was missed")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    return parser


def _names(text: str) -> list[Scenario]:
    wanted = text.split(",")
    unknown = [name for name in wanted if name not in SCENARIOS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    return [scenario for scenario in SCENARIOS.values() if scenario.name in wanted]


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(sorted(_positive(part) for part in text.split(",")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios; 0, or 1 for a missed target with ``--check``, or 2 where something is missing or broke."""
    chosen = _parser().parse_args(arguments)
    scenarios: list[Scenario] = chosen.only or [scenario for scenario in SCENARIOS.values() if not scenario.extra]
    progress = Progress(quiet=chosen.quiet)
    options = Options(rounds=chosen.rounds, seconds=chosen.seconds, sessions=chosen.sessions)
    results: list[Result] = []
    try:
        with Bed(chosen.rows, progress) as bed:
            heading = f"{bed.description}, Python {platform.python_version()}, {os.cpu_count()} cores, load {_load()}"
            for scenario in scenarios:
                results.append(scenario.measure(Run(bed, options, progress)))
    except (ServerUnavailable, ServerFailed, PgbenchFailed, NotMasked) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    heading += f" before and {_load()} after"
    if chosen.json:
        print(json.dumps({"machine": heading, "results": [_plain(result) for result in results]}, indent=2))
    else:
        show(results, heading)
    missed = [item for result in results for item in result.comparisons if item.passed is False]
    return 1 if missed and chosen.check else 0


def _plain(result: Result) -> dict[str, object]:
    document = asdict(result)
    document["series"] = [asdict(series) | {"median": series.median} for series in result.series]
    document["comparisons"] = [asdict(item) | {"passed": item.passed} for item in result.comparisons]
    return document


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    sys.exit(main())

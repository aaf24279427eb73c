"""Short runs of pgbench's select-only script."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.accounting import cpu_seconds
from benchmarks.bed import Route

_TPS = re.compile(r"^tps = ([0-9.]+) \(without initial connection time\)", re.MULTILINE)
_LATENCY = re.compile(r"^latency average = ([0-9.]+) ms", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)


class Mode(StrEnum):
    """pgbench's query modes."""

    SIMPLE = "simple"
    EXTENDED = "extended"
    PREPARED = "prepared"


@dataclass(frozen=True, slots=True)
class Figures:
    """``rate`` in transactions per second, ``latency`` in µs, ``cpu`` of the process in between in µs each."""

    rate: float
    latency: float
    cpu: float


class PgbenchFailed(RuntimeError):
    """pgbench stopped or said something unknown; ``str()`` is what it said."""


def select_only(program: str, route: Route, mode: Mode, *, clients: int, seconds: float) -> Figures:
    """Run pgbench's built-in select-only script for whole seconds (at least one)."""
    before = 0.0 if route.pid is None else cpu_seconds(route.pid)
    done = subprocess.run(
        [
            program,
            "--select-only",
            "--no-vacuum",
            f"--protocol={mode}",
            f"--client={clients}",
            "--jobs=1",
            f"--time={max(1, round(seconds))}",
        ],
        env=route.environment(),
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    after = 0.0 if route.pid is None else cpu_seconds(route.pid)
    rate, latency, count = (pattern.search(done.stdout) for pattern in (_TPS, _LATENCY, _DONE))
    if done.returncode or rate is None or latency is None or count is None or not int(count[1]):
        raise PgbenchFailed(f"pgbench by {route.name} ({mode}): {done.stderr or done.stdout}")
    return Figures(float(rate[1]), float(latency[1]) * 1000, (after - before) * 1e6 / int(count[1]))

"""Runs Locust in a process of its own (it patches Python's sockets) and reads what it measured."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.stage import Way

_ROOT = Path(__file__).resolve().parents[1]
_SPARE = 60
"""Seconds that Locust gets to begin and to end."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One request's figures; times in ms."""

    name: str
    requests: int
    failures: int
    per_second: float
    volume_per_second: float
    """Rows of a database, bytes of the admin API."""
    p50: float
    p95: float
    p99: float


class LoadFailed(Exception):
    """Locust did not measure anything."""


def run(scenario: str, way: Way, *, users: int, seconds: int) -> list[Figures]:
    """``users`` of one scenario's class for ``seconds``; all of them arrive in the first second or two.

    The last of the figures is about all requests together. Raises ``LoadFailed`` with Locust's own words.
    """
    command = [sys.executable, "-m", "locust", "--locustfile", "loadtests/locustfile.py", "--headless", "--json"]
    command += ["--users", str(users), "--spawn-rate", str(max(1, users // 2)), "--run-time", f"{seconds}s"]
    command += ["--host", way.host or "http://127.0.0.1", "--exit-code-on-error", "0", "--loglevel", "WARNING"]
    done = subprocess.run(
        [*command, scenario],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT), **way.environment},
        capture_output=True,
        text=True,
        timeout=seconds + _SPARE,
        check=False,
    )
    try:
        return read(done.stdout)
    except (ValueError, KeyError) as error:
        words = f"{done.stdout[-2000:]}{done.stderr[-4000:]}"
        raise LoadFailed(f"{scenario} ({way.name}): Locust measured nothing\n{words}") from error


def read(text: str) -> list[Figures]:
    """Locust's ``--json``: a list with a histogram of times for each request. ``ValueError`` where it is empty."""
    entries = json.loads(text)
    if not entries:
        raise ValueError("nothing was asked")
    begin = min(entry["start_time"] for entry in entries)
    end = max(entry["last_request_timestamp"] for entry in entries)
    each = [_figures(entry["name"], [entry], end - begin) for entry in sorted(entries, key=lambda item: item["name"])]
    return [*each, _figures("all", entries, end - begin)]


def _figures(name: str, entries: Sequence[dict[str, Any]], seconds: float) -> Figures:
    times: Counter[float] = Counter()
    for entry in entries:
        times.update({float(time): count for time, count in entry["response_times"].items()})
    ordered = sorted(times.elements())
    return Figures(
        name=name,
        requests=sum(entry["num_requests"] for entry in entries),
        failures=sum(entry["num_failures"] for entry in entries),
        per_second=len(ordered) / seconds if seconds else 0.0,
        volume_per_second=sum(entry["total_content_length"] for entry in entries) / seconds if seconds else 0.0,
        p50=quantile(ordered, 0.50),
        p95=quantile(ordered, 0.95),
        p99=quantile(ordered, 0.99),
    )


def quantile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that at least ``part`` of all are not above."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else math.nan

"""The simulation behind the figures of docs/performance.md, small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(180)
def test_gateways_pull_what_was_built_and_decide_by_it() -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.snapshots",
        "--gateways",
        "3",
        "--principals",
        "20",
        "--policies",
        "60",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["gateways"], figures["principals"], figures["policies"]) == (3, 20, 60)
    assert 20 * 100 < figures["compressed_bytes"] < figures["size_bytes"], "verifiers do not compress"
    assert all(figures[name] > 0 for name in ("build_and_sign_ms", "pull_ms_per_gateway", "check_and_compile_ms"))
    assert all(len(figures[name]) == 2 for name in ("first_statement_of_a_person_us", "statement_at_first_sight_us"))

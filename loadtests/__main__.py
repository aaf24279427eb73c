"""``python -m loadtests``: servers, gateway and users on this machine's loopback, and what the users saw."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from gateway.testing.servers import ServerUnavailable
from loadtests import stage
from loadtests.run import Figures, LoadFailed, run
from loadtests.stage import Way

Open = Callable[[Path], AbstractContextManager[list[Way]]]
STAGES: dict[str, Open] = {
    "postgres": stage.postgres,
    "mysql": stage.mysql,
    "mongodb": stage.mongodb,
    "admin-sqlite": partial(stage.admin, store="sqlite"),
    "admin-postgresql": partial(stage.admin, store="postgresql"),
}
CLASSES = {"postgres": "Postgres", "mysql": "MySql", "mongodb": "Mongo"}
MOST_USERS, LONGEST = 500, 600


def main(arguments: Sequence[str] | None = None) -> int:
    """Status 1 where a request failed, 2 where nothing could be measured."""
    chosen = _parse(arguments)
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} (1 minute), {os.cpu_count()} cores")
    failures = 0
    for name in chosen.only:
        scenario = "AdminApi" if name.startswith("admin-") else f"{CLASSES[name]}{chosen.scenario.capitalize()}"
        users = chosen.admin_users if name.startswith("admin-") else chosen.users
        with tempfile.TemporaryDirectory(prefix="querygate-load-") as folder:
            try:
                with STAGES[name](Path(folder)) as ways:
                    for way in ways:
                        print(f"\n{name}, {way.name}: {scenario}, {users} users, {chosen.seconds} s", flush=True)
                        figures = run(scenario, way, users=users, seconds=chosen.seconds)
                        print(table(figures), flush=True)
                        failures += figures[-1].failures
            except (LoadFailed, ServerUnavailable) as error:
                print(error, file=sys.stderr)
                return 2
    print(f"\nload of the machine after: {os.getloadavg()[0]:.1f} (1 minute)")
    return 1 if failures else 0


def table(figures: Sequence[Figures]) -> str:
    """For people. Volume is rows, or bytes of the admin API."""
    lines = [
        f"{'request':<24}{'count':>8}{'failed':>8}{'1/s':>9}{'volume/s':>10}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}"
    ]
    lines += [
        f"{item.name:<24}{item.requests:>8}{item.failures:>8}{item.per_second:>9.1f}{item.volume_per_second:>10.0f}"
        f"{item.p50:>9.0f}{item.p95:>9.0f}{item.p99:>9.0f}"
        for item in figures
    ]
    return "\n".join(lines)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests",
        description="Put users on databases, directly and through a gateway, and on the admin API.",
        epilog="Example: python -m loadtests --only postgres,admin-sqlite --users 20 --seconds 20",
    )
    parser.add_argument("--only", default=",".join(STAGES), help=f"of {', '.join(STAGES)}; left out: all of them")
    parser.add_argument("--scenario", choices=["reads", "mixed"], default="reads", help="what database users do")
    parser.add_argument("--users", type=int, default=20, help=f"on each database, at most {MOST_USERS}")
    parser.add_argument("--admin-users", type=int, default=100, help=f"on the admin API, at most {MOST_USERS}")
    parser.add_argument("--seconds", type=int, default=20, help=f"for each run, at most {LONGEST}")
    chosen = parser.parse_args(arguments)
    chosen.only = [name.strip() for name in chosen.only.split(",")]
    if unknown := [name for name in chosen.only if name not in STAGES]:
        parser.error(f"--only: there is no {unknown[0]!r}; choose from {', '.join(STAGES)}")
    for option, most in (("users", MOST_USERS), ("admin_users", MOST_USERS), ("seconds", LONGEST)):
        if not 1 <= getattr(chosen, option) <= most:
            parser.error(f"--{option.replace('_', '-')}: from 1 to {most}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())

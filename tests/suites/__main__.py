"""Runs drivers' own test suites directly and through a gateway, and fails on any difference that is not justified.

``python -m tests.suites`` runs the bounded selection, ``--full`` everything, ``--suite NAME`` one suite.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from tests.suites.catalogue import SUITES
from tests.suites.comparison import load_exclusions
from tests.suites.documentation import DOCUMENT, exclusion_table, with_table
from tests.suites.runner import Report, run_both_ways


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description=__doc__)
    parser.add_argument("--full", action="store_true", help="everything, not only the selection for CI")
    parser.add_argument("--suite", action="append", choices=[suite.name for suite in SUITES], help="only this one")
    parser.add_argument("--document", action="store_true", help="write the exclusions into docs/compatibility.md")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep logs and outcomes in this folder")
    parser.add_argument("targets", nargs="*", help="pytest targets inside the suite, in the place of its own")
    arguments = parser.parse_args()
    if arguments.document:
        DOCUMENT.write_text(with_table(DOCUMENT.read_text(), exclusion_table(load_exclusions())))
        return 0
    # As Ctrl-C does: servers, gateways and tests end with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(highlight=False, soft_wrap=True, markup=False)
    reports: list[Report] = []
    for suite in SUITES:
        if arguments.suite and suite.name not in arguments.suite:
            continue
        targets = tuple(arguments.targets) or (suite.targets if arguments.full or arguments.suite else suite.bounded)
        if not targets:
            continue
        keep = arguments.keep / suite.name if arguments.keep else None
        report = run_both_ways(suite, targets, keep=keep)
        reports.append(report)
        console.print(report.render())
    failed = sum(len(report.unexplained) for report in reports)
    passed = sum(report.equal for report in reports)
    console.print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

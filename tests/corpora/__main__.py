"""``python -m tests.corpora``: run both corpora and print what came of them.

python -m tests.corpora                    everything, in all three modes
python -m tests.corpora --server 18        on another version, where there is one
python -m tests.corpora --unguarded        also the attacks without a gateway, to see which of them are real
python -m tests.corpora 04_writes          only cases of files whose names begin so
python -m tests.corpora --mysql            in MySQL's terms, on a MariaDB
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.corpora import adversarial, ordinary
from tests.corpora.adversarial import Trial, Verdict
from tests.corpora.cases import Case
from tests.corpora.mysql.report import main as mysql_main
from tests.corpora.ordinary import Comparison
from tests.corpora.stage import STRICT, set_up
from tests.corpora.wire import Mode


def main() -> int:
    """The exit status: 0 if nothing leaked and at least 98 % of the ordinary statements are equal."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpora")
    parser.add_argument("files", nargs="*", help="beginnings of file names")
    parser.add_argument("--server", type=int, help="PostgreSQL's major version")
    parser.add_argument("--unguarded", action="store_true", help="run the attacks without a gateway too")
    parser.add_argument("--mysql", action="store_true", help="the corpora in MySQL's terms, on a MariaDB")
    options = parser.parse_args()

    def chosen(cases: Sequence[Case]) -> Sequence[Case]:
        return [case for case in cases if not options.files or case.where.startswith(tuple(options.files))]

    if options.mysql:
        return mysql_main(chosen, unguarded=options.unguarded)
    attacks, inferences = chosen(adversarial.attacks()), chosen(adversarial.inferences())
    plain = chosen(ordinary.ordinary())
    began = time.monotonic()
    with set_up(*adversarial.DATABASES, *ordinary.DATABASES, version=options.server) as stage:
        _say(f"PostgreSQL {'.'.join(map(str, stage.server.installation.version))}")
        compared = ordinary.run_ordinary(stage, plain) if plain else []
        asked = adversarial.run_attacks(stage, inferences, user=STRICT, modes=(Mode.SIMPLE, Mode.BINARY))
        trials = adversarial.run_attacks(stage, attacks)
        bare = adversarial.run_unguarded(stage, attacks) if options.unguarded else []
    lines = [*_attack_lines(trials), *_inference_lines(asked), *_ordinary_lines(compared)]
    if bare:
        real = sum(trial.verdict is Verdict.LEAKED for trial in bare)
        lines.append(f"without a gateway: {real} of {len(bare)} attacks get a value out")
    for line in lines:
        _say(line)
    _say(f"took {time.monotonic() - began:.0f} s")
    leaked = any(trial.verdict is Verdict.LEAKED for trial in trials)
    answered = any(trial.verdict is not Verdict.REFUSED for trial in asked)
    return int(leaked or answered or share(compared) < 0.98)


def share(compared: Sequence[Comparison]) -> float:
    """How many of the ordinary statements that the server can run are equal, from 0 to 1."""
    tried = [one for one in compared if one.applicable]
    return sum(not one.difference for one in tried) / len(tried) if tried else 1.0


def _attack_lines(trials: Sequence[Trial]) -> list[str]:
    lines = [
        f"  LEAK {trial.mode} {trial.case.where}: {' ;; '.join(trial.case.steps)}\n       {', '.join(trial.found)}"
        for trial in trials
        if trial.verdict is Verdict.LEAKED
    ]
    count = Counter(trial.verdict for trial in trials)
    statements = len({trial.case.where for trial in trials})
    summary = f"adversarial: {statements} statements x {len(Mode)} modes, {count[Verdict.LEAKED]} leaks"
    return [*lines, f"{summary} ({count[Verdict.REFUSED]} refused, {count[Verdict.ANSWERED]} answered under masks)"]


def _inference_lines(trials: Sequence[Trial]) -> list[str]:
    through = [trial for trial in trials if trial.verdict is not Verdict.REFUSED]
    lines = [f"  RAN {trial.mode} {trial.case.where}: {' ;; '.join(trial.case.steps)}" for trial in through]
    statements = len({trial.case.where for trial in trials})
    return [*lines, f"inference denied: {statements} statements, {len(through)} not refused"]


def _ordinary_lines(compared: Sequence[Comparison]) -> list[str]:
    tried = [one for one in compared if one.applicable]
    different = [one for one in tried if one.difference]
    lines = [
        f"  DIFFERENT {one.where}: {' '.join(one.text.split())[:150]}\n       {one.difference}" for one in different
    ]
    equal, lacking = len(tried) - len(different), len(compared) - len(tried)
    without = f"; {lacking} not applicable, since this server lacks extensions" if lacking else ""
    return [*lines, f"utility: {len(tried)} statements, {equal} equal ({100 * share(compared):.1f} %){without}"]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

"""``python -m tests.corpora --mysql``: run both corpora on a MariaDB and print what came of them."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

from tests.corpora.adversarial import Verdict
from tests.corpora.cases import Case
from tests.corpora.mysql import adversarial, ordinary
from tests.corpora.mysql.stage import set_up
from tests.corpora.mysql.wire import Mode
from tests.corpora.stage import STRICT


def main(chosen: Callable[[Sequence[Case]], Sequence[Case]], *, unguarded: bool) -> int:
    """The exit status: 0 if nothing leaked and at least 98 % of the ordinary statements are equal."""
    attacks, inferences = chosen(adversarial.attacks()), chosen(adversarial.inferences())
    plain = chosen(ordinary.ordinary())
    began = time.monotonic()
    with set_up(*adversarial.DATABASES, *ordinary.DATABASES) as stage:
        _say(f"MariaDB {'.'.join(map(str, stage.server.installation.version))}")
        compared = ordinary.run_ordinary(stage, plain)
        asked = adversarial.run_attacks(stage, inferences, user=STRICT)
        trials = adversarial.run_attacks(stage, attacks)
        bare = adversarial.run_unguarded(stage, attacks) if unguarded else []
    count = Counter(trial.verdict for trial in trials)
    for trial in trials:
        if trial.verdict is Verdict.LEAKED:
            _say(f"  LEAK {trial.mode} {trial.case.where}: {' ;; '.join(trial.case.steps)}\n       {trial.found}")
    _say(
        f"adversarial: {len(attacks)} statements x {len(Mode)} modes, {count[Verdict.LEAKED]} leaks"
        f" ({count[Verdict.REFUSED]} refused, {count[Verdict.ANSWERED]} answered under masks)"
    )
    through = [trial for trial in asked if trial.verdict is not Verdict.REFUSED]
    for trial in through:
        _say(f"  RAN {trial.mode} {trial.case.where}: {' ;; '.join(trial.case.steps)}")
    _say(f"inference denied: {len(inferences)} statements, {len(through)} not refused")
    different = [one for one in compared if one.difference]
    for one in different:
        _say(f"  DIFFERENT {one.where}: {' '.join(one.text.split())[:150]}\n       {one.difference}")
    equal = 1 - len(different) / max(len(compared), 1)
    _say(f"utility: {len(compared)} statements, {len(compared) - len(different)} equal ({100 * equal:.1f} %)")
    if bare:
        real = sum(trial.verdict is Verdict.LEAKED for trial in bare)
        _say(f"without a gateway: {real} of {len(bare)} attacks get a value out")
    _say(f"took {time.monotonic() - began:.0f} s")
    return int(bool(count[Verdict.LEAKED]) or bool(through) or equal < 0.98)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()

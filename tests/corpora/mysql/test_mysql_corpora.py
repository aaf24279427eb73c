"""Nothing labelled comes out of MariaDB, and what is not labelled comes as it comes without a gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.testing.servers import ServerUnavailable
from tests.corpora.adversarial import Verdict
from tests.corpora.mysql import adversarial, ordinary
from tests.corpora.mysql.stage import Stage, set_up
from tests.corpora.stage import STRICT
from tests.fixtures.missing import missing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def mysql_stage() -> Iterator[Stage]:
    """One server, one gateway and a copy of the vault for every purpose."""
    try:
        with set_up(*adversarial.DATABASES, *ordinary.DATABASES) as found:
            yield found
    except ServerUnavailable as error:
        missing(str(error))


def test_no_attack_gets_a_labelled_value_out(mysql_stage: Stage) -> None:
    cases = adversarial.attacks()

    trials = adversarial.run_attacks(mysql_stage, cases)

    leaked = [(trial.case.where, trial.mode, trial.found) for trial in trials if trial.verdict is Verdict.LEAKED]
    assert leaked == []
    assert len(cases) >= 150
    # If nothing was answered, nothing was shown of masks.
    assert sum(trial.verdict is Verdict.ANSWERED for trial in trials) > 100


def test_whoever_may_not_infer_gets_no_answer(mysql_stage: Stage) -> None:
    trials = adversarial.run_attacks(mysql_stage, adversarial.inferences(), user=STRICT)

    assert [trial.case.steps for trial in trials if trial.verdict is not Verdict.REFUSED] == []


def test_ordinary_statements_come_as_without_a_gateway(mysql_stage: Stage) -> None:
    compared = ordinary.run_ordinary(mysql_stage, ordinary.ordinary())

    different = [(one.where, one.difference) for one in compared if one.difference]
    assert len(compared) >= 150
    assert len(different) <= 0.02 * len(compared), different

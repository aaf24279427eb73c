"""Nothing labelled leaves, and what is not labelled does.

Each attack is made in one of the three modes here, so that this takes no minutes; ``python -m tests.corpora`` makes all
of them in all modes.
"""

from __future__ import annotations

import pytest

from tests.corpora import adversarial, messages, ordinary
from tests.corpora.__main__ import share
from tests.corpora.adversarial import Runner, Verdict
from tests.corpora.canaries import needles, substitutions
from tests.corpora.stage import STRICT, Stage
from tests.corpora.wire import Mode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_no_attack_gets_a_labelled_value_out(stage: Stage) -> None:
    attacks = adversarial.attacks()
    assert len(attacks) >= 300
    trials = adversarial.run_in_turns(stage, attacks)
    leaks = [(trial.mode, trial.case.where, trial.found) for trial in trials if trial.verdict is Verdict.LEAKED]
    assert leaks == []


def test_no_play_with_messages_gets_a_labelled_value_out(stage: Stage) -> None:
    assert [(name, found) for name, found in messages.run_messages(stage, "probes") if found] == []


def test_who_may_not_infer_can_use_no_labelled_column_at_all(stage: Stage) -> None:
    inferences = adversarial.inferences()
    trials = adversarial.run_attacks(stage, inferences, user=STRICT, modes=(Mode.SIMPLE,))
    assert [trial.case.where for trial in trials if trial.verdict is not Verdict.REFUSED] == []


def test_ordinary_statements_give_the_same_as_without_a_gateway(stage: Stage) -> None:
    compared = ordinary.run_ordinary(stage, ordinary.ordinary())
    assert len(compared) >= 300
    different = [(one.where, one.difference) for one in compared if one.difference]
    assert share(compared) >= 0.98, different


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM customers",
        "SELECT reverse(email), encode(phone::bytea, 'base64'), upper(contact), md5(tax_number) FROM customers",
        "SELECT income + 1, credit, balance, born, ref_uuid, key_material, salary FROM customers JOIN staff USING (id)",
        "SELECT substr(email, g, 1) FROM customers, generate_series(1, 15) g WHERE id = 1 ORDER BY g",
        "SELECT left(email, 8), right(phone, 8) FROM customers",
        "SELECT email::int FROM customers",
        "COPY customers (email) TO STDOUT",
        "DO $$BEGIN RAISE NOTICE '%', (SELECT email FROM customers WHERE id = 1); END$$",
    ],
)
def test_the_search_finds_what_comes_without_a_gateway(stage: Stage, mode: Mode, statement: str) -> None:
    with stage.direct("direct") as client:
        client.run(statement, mode)
        assert needles().find(bytes(client.received))


def test_most_attacks_would_succeed_without_a_gateway(stage: Stage) -> None:
    # Those that change nothing, since these are quick: what is neither refused by the server nor harmless must be real.
    cases = [case for case in adversarial.attacks() if case.alone and not case.may_write]
    runner = Runner(stage, "direct", lambda: stage.direct("direct"))
    try:
        trials = [runner.run(case, Mode.SIMPLE) for case in cases[::4]]
    finally:
        runner.close()
    real = sum(trial.verdict is Verdict.LEAKED for trial in trials)
    assert real / len(trials) > 0.7


def test_every_canary_is_in_a_labelled_place_only(stage: Stage) -> None:
    values = substitutions()
    assert len(set(values.values())) == len(values)
    with stage.owner("direct") as owner:
        (schema,) = owner.execute(
            "SELECT string_agg(pg_get_viewdef(oid), '') || (SELECT string_agg(prosrc, '') FROM pg_proc) FROM pg_class"
            " WHERE relkind IN ('v', 'm')"
        ).fetchone() or ("",)
    assert needles().find_in(str(schema).encode()) == []

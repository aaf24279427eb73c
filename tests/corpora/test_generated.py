"""Whatever is asked of labelled tables, no labelled value comes."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpora.canaries import needles
from tests.corpora.generated import statements
from tests.corpora.stage import Stage
from tests.corpora.wire import Mode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.hypothesis]


def test_no_generated_query_gets_a_labelled_value_out(stage: Stage) -> None:
    find = needles().find
    outcomes: Counter[str] = Counter()
    chosen = settings.default
    examples = max(600, chosen.max_examples if chosen is not None else 0)
    with stage.masked("generated") as guarded, stage.direct("generated") as bare:

        @settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
        @given(statements(), st.sampled_from(list(Mode)))
        def try_one(statement: str, mode: Mode) -> None:
            guarded.received.clear()
            (result,) = guarded.run(statement, mode)[-1:]
            assert find(bytes(guarded.received)) == []
            outcomes["refused" if result.error == "42501" else "failed" if result.error else "answered"] += 1
            if sum(outcomes.values()) % 5 == 0:
                bare.received.clear()
                bare.run(statement, mode)
                outcomes["real"] += bool(find(bytes(bare.received)))

        try_one()
    # If nothing ran, or nothing could have come, nothing was shown.
    assert outcomes["answered"] > sum(outcomes.values()) / 3, outcomes
    assert outcomes["real"] > sum(outcomes.values()) / 50, outcomes

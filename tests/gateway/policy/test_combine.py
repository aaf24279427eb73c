"""The join of several decisions."""

from __future__ import annotations

import pytest

from gateway.domain.decision import Decision, Effect, Obligations, PolicyHit
from gateway.domain.masking import MaskSpec
from gateway.policy.combine import strictest

A, B = MaskSpec("redact"), MaskSpec("null")


def test_the_strictest_leads_and_nothing_is_lost() -> None:
    hit, other = PolicyHit("a", Effect.ALLOW), PolicyHit("b", Effect.DENY)
    joined = strictest(
        [
            Decision(Effect.ALLOW, "fine", hits=(hit,), warnings=("w",)),
            Decision(Effect.DENY, "no", message="sorry", hits=(hit, other), cacheable=False, warnings=("w", "x")),
            Decision(Effect.REQUIRE_APPROVAL, "wait"),
        ]
    )
    assert (joined.effect, joined.reason, joined.message) == (Effect.DENY, "no", "sorry")
    assert joined.hits == (hit, other)
    assert joined.warnings == ("w", "x")
    assert not joined.cacheable


def test_obligations_join_to_the_strictest() -> None:
    first = Obligations(masks={"x": frozenset({A})}, row_limit=5)
    second = Obligations(masks={"x": frozenset({B}), "y": frozenset({A})}, row_limit=9, timeout=1.0, inference=False)
    joined = strictest([Decision(Effect.ALLOW, "", obligations=part) for part in (first, second)]).obligations
    assert joined.masks == {"x": frozenset({A, B}), "y": frozenset({A})}
    assert (joined.row_limit, joined.timeout, joined.inference) == (5, 1.0, False)
    other_way = strictest([Decision(Effect.ALLOW, "", obligations=part) for part in (second, first)]).obligations
    assert other_way == joined


def test_an_effect_that_is_not_an_answer_counts_as_no() -> None:
    joined = strictest([Decision(Effect.REQUIRE_APPROVAL, "wait"), Decision(Effect.MASK, "odd")])
    assert joined.reason == "odd"


def test_no_answers_are_not_an_answer() -> None:
    with pytest.raises(ValueError, match="no decision"):
        strictest([])

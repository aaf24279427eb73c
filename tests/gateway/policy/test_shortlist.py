"""Policies that are looked up by the objects that they name: none that matters may be left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.decision import Decision, Effect
from gateway.domain.statement import StatementFacts
from gateway.policy.compiled import CompiledPolicy
from gateway.policy.shortlist import FEW, Shortlist
from tests.gateway.policy.builders import ALLOW_ALL, allow, decide, deny, facts, limit, policy_set, refs

TABLES = [deny(f"table-{number}", objects=[f"public.table_{number}"]) for number in range(100)]
WORDS = ["a", "ab", "A", "abc", "b", "\u212a", "k", "\u017f", "s"]


def names(*objects: str, documents: list[dict[str, Any]] | None = None) -> list[str]:
    policies: tuple[CompiledPolicy, ...] = policy_set(*(documents or TABLES)).policies
    return [policy.name for policy in Shortlist(policies).about(refs(objects))]


def test_of_many_policies_only_those_are_asked_that_can_be_about_the_objects() -> None:
    assert len(TABLES) > FEW
    assert names("public.table_7") == ["table-7"]
    assert names("public.table_42", "public.table_9") == ["table-4", "table-9", "table-42"]
    assert names("public.other") == []


def test_what_names_no_objects_is_always_asked_and_the_order_stays() -> None:
    documents = [deny("first"), *TABLES, deny("last", objects="*")]
    assert names("public.table_7", documents=documents) == ["first", "table-7", "last"]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("hr.*", "hr.staff"),
        ("*.staff", "hr.staff"),
        ("h?.staff", "hr.staff"),
        ("hr.sta*", "hr.staff"),
        ("HR.Staff", "hr.staff"),
        ("hr.staff", "HR.STAFF"),
        ("hr.staff", "staff"),
        ("hr.kin", "hr.\u212ain"),
        ("hr.\u212ain", "hr.kin"),
    ],
)
def test_a_denial_among_many_policies_is_found_however_it_is_written(pattern: str, name: str) -> None:
    policies = policy_set(ALLOW_ALL, *TABLES, deny("this", objects=[pattern]))
    decision = decide(policies, facts("read", reads=[name]))
    assert decision.effect is Effect.DENY
    assert decision.reason == "denied by policy this"


def test_what_may_be_about_anything_meets_every_policy() -> None:
    policies = policy_set(ALLOW_ALL, *TABLES)
    for unsure in (facts("read", reads=["public.x"], opaque=True), facts("unknown")):
        assert len([hit for hit in decide(policies, unsure).hits if hit.effect is Effect.DENY]) == len(TABLES)


def test_among_many_policies_each_object_is_allowed_by_its_own() -> None:
    policies = policy_set(*(allow(f"t{number}", objects=[f"public.table_{number}"]) for number in range(100)))
    both = decide(policies, facts("read", reads=["public.table_3", "public.table_50"]))
    assert (both.effect, [hit.policy for hit in both.hits]) == (Effect.ALLOW, ["t3", "t50"])
    assert decide(policies, facts("read", reads=["public.table_3", "public.staff"])).effect is Effect.DENY
    assert decide(policies, facts("read", reads=["public.TABLE_3"])).effect is Effect.DENY
    assert decide(policies, facts("read")).effect is Effect.ALLOW


def test_the_answer_of_an_unrelated_policy_does_not_keep_a_decision_from_being_reused() -> None:
    timed = [allow(f"timed-{number}", objects=[f"x.t{number}"], when="now > timestamp(0)") for number in range(100)]
    assert decide(policy_set(ALLOW_ALL, *timed), facts("read", reads=["public.orders"])).cacheable
    assert not decide(policy_set(ALLOW_ALL, *timed), facts("read", reads=["x.t5"])).cacheable


@st.composite
def patterns(draw: st.DrawFn) -> str:
    part = st.sampled_from([*WORDS, "*", "a*", "?", "*b", "a?c"])
    return draw(st.just("*") | st.tuples(part, part).map(".".join))


@st.composite
def documents(draw: st.DrawFn) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    makers: list[Callable[..., dict[str, Any]]] = [allow, deny, limit]
    for number, objects in enumerate(draw(st.lists(patterns(), min_size=FEW + 1, max_size=FEW + 8))):
        make = draw(st.sampled_from(makers))
        options: dict[str, Any] = {"rows": number + 1} if make is limit else {}
        found.append(make(f"p{number}", actions=["read"], objects=[objects], **options))
    return found


@settings(max_examples=200, deadline=None)
@given(
    documents(), st.lists(st.tuples(st.sampled_from(["", *WORDS]), st.sampled_from(WORDS)), max_size=3), st.booleans()
)
def test_a_lookup_decides_as_asking_everybody_does(
    found: list[dict[str, Any]], named: list[tuple[str, str]], opaque: bool
) -> None:
    statement = facts("read", reads=[f"{schema}.{name}" if schema else name for schema, name in named], opaque=opaque)
    together = decide(policy_set(*found), statement)
    assert together.effect is one_by_one(found, statement)
    for document in found:
        alone = decide(policy_set(document), statement)
        hit = any(hit.policy == document["name"] for hit in together.hits)
        assert hit is bool(alone.hits), document


def one_by_one(found: list[dict[str, Any]], statement: StatementFacts) -> Effect:
    """By sets so small that nothing is looked up in them."""
    denials = [document for document in found if document["effect"] == "deny"]
    if any(decide(policy_set(ALLOW_ALL, document), statement).effect is Effect.DENY for document in denials):
        return Effect.DENY
    allowing = [document for document in found if document["effect"] == "allow"]
    if not allowing:
        return Effect.DENY
    objects = [pattern for document in allowing for pattern in document["match"]["objects"]]
    answer: Decision = decide(policy_set(allow(actions=["read"], objects=objects)), statement)
    return answer.effect

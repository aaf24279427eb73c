"""Samples that come with policies."""

from __future__ import annotations

from typing import Any

from gateway.domain.resource import Resource
from gateway.domain.statement import Action, Analysis
from gateway.policy.documents import PolicyDocument
from gateway.policy.verify import verify_samples
from tests.gateway.policy.builders import facts


def run(document: dict[str, Any], **options: Any) -> list[tuple[bool, bool | None]]:
    results = verify_samples([PolicyDocument.model_validate(document)], **options)
    return [(result.refused, result.passed) for result in results]


def policy(effect: str, allowed: list[Any], refused: list[Any], **more: Any) -> dict[str, Any]:
    match = more.pop("match", {"actions": ["drop"]})
    return {"name": "p", "effect": effect, "match": match, "samples": {"allowed": allowed, "refused": refused}} | more


READ = {"statement": {"actions": ["read"], "reads": ["public.a"]}}
DROP = {"statement": {"actions": ["drop"], "writes": ["public.a"]}}


def test_right_samples_pass_and_wrong_ones_do_not() -> None:
    assert run(policy("deny", [READ], [DROP])) == [(False, True), (True, True)]
    assert run(policy("deny", [DROP], [READ])) == [(False, False), (True, False)]


def test_every_effect_has_a_meaning_of_refused() -> None:
    approval = {"approvers": ["dba"]}
    assert run(policy("require_approval", [READ], [DROP], approval=approval)) == [(False, True), (True, True)]
    assert run(policy("limit", [READ], [DROP], limit={"rows": 1})) == [(False, True), (True, True)]
    assert run(policy("allow", [DROP], [READ])) == [(False, True), (True, True)]
    touching = {"statement": {"actions": ["read"], "labels": ["pii.a"]}}
    masking = policy("mask", [READ], [touching], match={"labels": ["pii.*"]}, mask={"function": "redact"})
    assert run(masking) == [(False, True), (True, True)]


def test_a_draft_is_tried_as_if_it_were_enforced() -> None:
    assert run(policy("deny", [READ], [DROP], mode="draft")) == [(False, True), (True, True)]


def test_a_policy_that_is_not_about_a_statement_does_not_get_the_credit() -> None:
    assert run(policy("deny", [], [{"statement": {"actions": ["replicate"]}}])) == [(True, False)]


def test_sql_is_run_where_it_can_be_analysed() -> None:
    def analyse(text: str, resource: Resource) -> Analysis:
        assert resource.protocol == "postgres"
        return Analysis((facts(Action.DROP if text.startswith("DROP") else Action.READ, writes=["public.a"]),))

    sql = policy("deny", [{"sql": "SELECT 1"}], [{"sql": "DROP TABLE a"}, {**READ, "sql": "DROP TABLE a"}])
    assert run(sql) == [(False, None), (True, None), (True, False)]
    assert run(sql, analyse=analyse) == [(False, True), (True, True), (True, False), (True, True)]


def test_a_sample_with_nothing_to_run_is_not_counted_as_passed() -> None:
    assert run(policy("deny", [{}], [])) == [(False, None)]

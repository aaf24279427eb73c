"""What is checked when policies are loaded, and what a policy set says of itself."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.domain.principal import Principal
from gateway.policy.documents import PolicyDocument
from gateway.policy.problems import PolicyProblems
from gateway.policy.scopes import ScopeCache
from tests.gateway.policy.builders import ALLOW_ALL, SHOP, allow, deny, hold, limit, mask, policy_set


def problems(*documents: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(PolicyProblems) as caught:
        policy_set(*documents)
    return {".".join(map(str, problem.location)): problem.message for problem in caught.value.problems}


def test_all_problems_of_all_policies_are_named() -> None:
    found = problems(
        {"name": "a", "effect": "mask", "match": {"labels": ["x"]}},
        deny("a", when="statement.nope"),
        {"name": "c", "effect": "allow", "match": {}, "limit": {"rows": 1}, "inference": "deny"},
    )
    assert set(found) == {"0.effect", "1.match.when", "1.name", "2.limit", "2.inference"}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"name": "x", "effect": "limit", "match": {}}, "0.effect"),
        ({"name": "x", "effect": "require_approval", "match": {}}, "0.effect"),
        (limit(), "0.limit"),
        (limit(timeout="0s"), "0.limit.timeout"),
        ({**hold(), "approval": {"approvers": ["dba"], "timeout": "0s"}}, "0.approval.timeout"),
        ({**deny(), "mask": {"function": "redact"}}, "0.mask"),
        (mask(), "0.match"),
        (mask(labels=["x"], actions=["read"]), "0.match.actions"),
        (mask(labels=["x"], objects=["a.b"]), "0.match.objects"),
        (mask(labels=["x"], when="statement.has_predicate"), "0.match.when"),
        ({**mask(labels=["x"]), "mask": {"function": "redact", "inference": "deny"}}, "0.mask.inference"),
        (allow(actions=["read", "unknown"]), "0.match.actions"),
        (deny(actions=["read"], settings=["role"]), "0.match.settings"),
    ],
)
def test_what_makes_no_sense_is_refused(document: dict[str, Any], place: str) -> None:
    assert place in problems(document)


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "has space"},
        {"effect": "permit"},
        {"mode": "audit"},
        {"extra": 1},
        {"match": {"group": ["x"]}},
        {"match": {"groups": []}},
        {"match": {"groups": ["*"]}},
        {"match": {"principals": ["*@example.com"]}},
        {"match": {"actions": ["destroy"]}},
        {"match": {"objects": ["orders"]}},
        {"match": {"kinds": ["robot"]}},
        {"match": {"when": ""}},
        {"match": None},
        {"limit": {"rows": True}},
        {"limit": {"rows": -1}},
        {"limit": {"timeout": 30}},
        {"mask": {"function": "x", "last": 1.5}},
        {"mask": {"function": "x", "args": {"last": 4}}},
        {"approval": {"approvers": []}},
        {"approval": {"approvers": ["dba"], "count": 0}},
    ],
)
def test_shapes_that_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PolicyDocument.model_validate({**ALLOW_ALL, **change})


def test_a_policy_must_say_to_what_it_applies() -> None:
    with pytest.raises(ValidationError, match="match"):
        PolicyDocument.model_validate({"name": "x", "effect": "allow"})


def test_the_version_follows_the_meaning() -> None:
    one = policy_set(ALLOW_ALL, deny(actions=["drop"]))
    assert one.version == policy_set(ALLOW_ALL, deny(actions=["drop"])).version
    assert one.version != policy_set(ALLOW_ALL, deny(actions=["truncate"])).version
    assert one.version != policy_set(deny(actions=["drop"]), ALLOW_ALL).version
    assert one.version != policy_set(ALLOW_ALL).version
    described = {**ALLOW_ALL, "description": "for the tests", "samples": {"allowed": [{"sql": "SELECT 1"}]}}
    assert one.version == policy_set(described, deny(actions=["drop"])).version


def test_says_what_its_conditions_read() -> None:
    plain = policy_set(ALLOW_ALL, deny(when="principal.name == 'x'"))
    assert not plain.uses_text
    assert plain.session_variables == frozenset()
    reading = policy_set(
        ALLOW_ALL, deny("a", when="statement.text.contains('x')"), deny("b", when="session.tls && now > timestamp(0)")
    )
    assert reading.uses_text
    assert reading.session_variables == {"session.tls"}
    assert [policy.name for policy in reading.policies if policy.volatile] == ["b"]


def test_approvals_and_limits_can_be_looked_up_by_name() -> None:
    found = policy_set({**hold(), "approval": {"approvers": ["dba"], "timeout": "10m", "count": 2, "reason": True}})
    approval = found.by_name["hold"].approval
    assert approval is not None
    assert approval.approvers == {"dba"}
    assert (approval.timeout, approval.count, approval.reason) == (600.0, 2, True)


def test_the_memo_of_scopes_stays_bounded() -> None:
    policies = policy_set(ALLOW_ALL, allow(groups=["g"])).policies
    scopes = ScopeCache(policies, limit=10)
    for number in range(100):
        scope = scopes.of(Principal(f"user{number}"), SHOP)
        assert [policy.name for policy in scope.allowing] == ["everything"]
    assert len(scopes) <= 10

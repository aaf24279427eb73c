"""Replay: a candidate is asked about recorded statements, and only what would differ is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config.outline import Outline, load_outline
from gateway.errors import ConfigurationError
from gateway.policy.recorded import RecordedStatement, read_statement
from gateway.policy.replay import GUARD, NOBODY, Candidate, Change, Replay, replay

ALLOW = {"policies": [{"policy": "readers", "effect": "allow"}]}
READERS = {"name": "readers", "effect": "allow", "match": {"groups": ["analysts"], "actions": ["read", "update"]}}
BASE: dict[str, Any] = {
    "resources": [{"name": "shop", "protocol": "postgres", "address": "db:5432", "environment": "production"}],
    "principals": [{"name": "ana@example.com", "groups": ["analysts"]}],
    "classifications": [{"resource": "shop", "label": "pii.email", "columns": ["public.customers.email"]}],
    "policies": [READERS],
}


def event(
    number: int = 1,
    *,
    text: str = "SELECT name FROM customers",
    user: str = "ana@example.com",
    groups: tuple[str, ...] = ("analysts",),
    decision: dict[str, Any] | None = None,
    facts: dict[str, Any] | None = None,
    code: str = "statement",
    **session: Any,
) -> bytes:
    return json.dumps(
        {
            "metadata": {"sequence": number, "uid": f"s.{number}", "event_code": code},
            "time": 1_795_420_800_000 + number,
            "status_detail": "success",
            "actor": {
                "user": {"name": user, "type_id": 1, "groups": [{"name": group} for group in groups]},
                "session": {"uid": "s"},
            },
            "src_endpoint": {"ip": "10.0.0.7", "port": 5000 + number},
            "dst_endpoint": {"name": "shop", "hostname": "db", "port": 5432, "svc_name": "postgres", "zone": "test"},
            "database": {"name": "shop", "type_id": 1},
            "query_info": {"query_string": text, "uid": f"f-{text[:20]}"},
            "unmapped": {
                "session": {"gateway": "gw", "tls": True, **session},
                "statements": [
                    {
                        "kind": "select",
                        "actions": ["read"],
                        "reads": ["public.customers"],
                        "columns_read": {"public.customers": ["name"]},
                        **(facts or {}),
                    }
                ],
                "decision": {"effect": "allow", **(ALLOW if decision is None else decision)},
            },
        }
    ).encode()


def recorded(**changes: Any) -> RecordedStatement:
    statement = read_statement(event(**changes))
    assert statement is not None
    return statement


def outline(tmp_path: Path, **changes: Any) -> Outline:
    path = tmp_path / "candidate.yaml"
    path.write_text(json.dumps({**BASE, **changes}))
    return load_outline(path)


def run(tmp_path: Path, *statements: RecordedStatement, policies: list[Any], **changes: Any) -> Replay:
    return replay(statements, Candidate(outline(tmp_path, policies=policies, **changes)))


READS_EMAIL = {"columns_read": {"public.customers": ["email", "name"]}}
DENY_EMAIL = {"name": "no-email", "effect": "deny", "match": {"labels": ["pii.*"], "actions": ["read"]}}
MASK_EMAIL = {"name": "mask-email", "effect": "mask", "match": {"labels": ["pii.*"]}, "mask": {"function": "redact"}}


def test_what_stays_as_it_was_is_only_counted(tmp_path: Path) -> None:
    result = run(tmp_path, recorded(number=1), recorded(number=2), policies=[READERS])
    assert (result.statements, result.unchanged, result.differences) == (2, 2, [])


def test_names_the_policy_that_would_refuse(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        recorded(number=1),
        recorded(number=2, facts=READS_EMAIL, text="SELECT email"),
        recorded(number=3, facts=READS_EMAIL, text="SELECT email"),
        policies=[READERS, DENY_EMAIL],
    )
    [difference] = result.differences
    assert (difference.change, difference.principal, difference.policy) == (
        Change.REFUSED,
        "ana@example.com",
        "no-email",
    )
    assert (difference.count, result.unchanged) == (2, 1)
    assert difference.example is not None
    assert difference.example.text == "SELECT email"


def test_what_no_policy_allows_any_more_is_refused(tmp_path: Path) -> None:
    [difference] = run(tmp_path, recorded(), policies=[{**READERS, "match": {"groups": ["others"]}}]).differences
    assert (difference.change, difference.policy) == (Change.REFUSED, NOBODY)


def test_what_was_refused_and_would_pass_comes_first(tmp_path: Path) -> None:
    denied = {"effect": "deny", "policies": [{"policy": "no-shop", "effect": "deny"}], "refusal": "AccessDenied: x"}
    result = run(
        tmp_path,
        recorded(number=1, facts=READS_EMAIL),
        recorded(number=2, decision=denied),
        policies=[READERS, DENY_EMAIL],
    )
    assert [item.change for item in result.differences] == [Change.ALLOWED, Change.REFUSED]
    assert result.differences[0].policy == "no-shop", "the policy that used to refuse is the one to look at"


def test_a_mask_that_comes_or_goes(tmp_path: Path) -> None:
    masked = {
        "policies": [{"policy": "readers", "effect": "allow"}, {"policy": "mask-email", "effect": "mask"}],
        "masks": {"pii.email": [{"function": "redact"}]},
    }
    bare = recorded(facts=READS_EMAIL)
    under_mask = recorded(facts=READS_EMAIL, decision=masked)
    [new] = run(tmp_path, bare, policies=[READERS, MASK_EMAIL]).differences
    assert (new.change, new.policy, new.after) == (Change.MASKED, "mask-email", "allow (mask pii.email)")
    [gone] = run(tmp_path, under_mask, policies=[READERS]).differences
    assert (gone.change, gone.policy) == (Change.UNMASKED, "mask-email")
    other = {**MASK_EMAIL, "mask": {"function": "partial", "last": 4}}
    [changed] = run(tmp_path, under_mask, policies=[READERS, other]).differences
    assert changed.change is Change.MASKED_OTHERWISE
    assert not run(tmp_path, under_mask, policies=[READERS, MASK_EMAIL]).differences
    assert not run(tmp_path, recorded(), policies=[READERS, MASK_EMAIL]).differences, "it does not touch the label"


def test_the_masking_guard_counts(tmp_path: Path) -> None:
    copying = recorded(
        text="INSERT INTO t SELECT email FROM customers",
        facts={**READS_EMAIL, "kind": "insert", "actions": ["insert", "read"], "copies_data": True},
    )
    everything = {**READERS, "match": {"groups": ["analysts"]}}
    [difference] = run(tmp_path, copying, policies=[everything, MASK_EMAIL]).differences
    assert (difference.change, difference.policy) == (Change.REFUSED, GUARD)


def test_drafts_decide_nothing_until_they_are_asked_to(tmp_path: Path) -> None:
    draft = {**DENY_EMAIL, "mode": "draft"}
    found = outline(tmp_path, policies=[READERS, draft])
    statement = recorded(facts=READS_EMAIL)
    assert not replay([statement], Candidate(found)).differences
    assert replay([statement], Candidate(found, enforce=["no-email"])).changed == 1
    assert replay([statement], Candidate(found, enforce_all=True)).changed == 1


def test_two_candidates_can_be_compared(tmp_path: Path) -> None:
    old = Candidate(outline(tmp_path, policies=[READERS, DENY_EMAIL]))
    new = Candidate(outline(tmp_path, policies=[READERS]))
    [difference] = replay([recorded(facts=READS_EMAIL)], new, against=old).differences
    assert (difference.change, difference.policy) == (Change.ALLOWED, "no-email")


def test_a_changed_group_shows(tmp_path: Path) -> None:
    gone = [{"name": "ana@example.com", "groups": ["former"]}]
    assert run(tmp_path, recorded(), policies=[READERS], principals=gone).changed == 1
    stranger = recorded(user="zoe@example.com")
    assert not run(tmp_path, stranger, policies=[READERS]).differences, "somebody unknown is who they were"


def test_an_agent_is_decided_with_whom_it_acted_for(tmp_path: Path) -> None:
    acting = recorded(user="copilot", acts_for=[{"name": "bob@example.com", "kind": "human", "groups": ["former"]}])
    [difference] = run(tmp_path, acting, policies=[READERS]).differences
    assert (difference.principal, difference.change) == ("copilot", Change.REFUSED)


def test_conditions_see_the_time_and_the_text_of_each_statement(tmp_path: Path) -> None:
    by_text = {
        "name": "no-4711",
        "effect": "deny",
        "match": {"actions": ["read"], "when": "statement.text.contains('4711')"},
    }
    result = run(tmp_path, recorded(text="SELECT 4711"), recorded(text="SELECT 4712"), policies=[READERS, by_text])
    assert (result.changed, result.unchanged) == (1, 1)
    later = {"name": "later", "effect": "deny", "match": {"when": "now > timestamp('2026-11-23T08:00:00.005Z')"}}
    moments = [recorded(number=number) for number in range(1, 11)]
    assert run(tmp_path, *moments, policies=[READERS, later]).changed == 5


def test_other_refusals_are_left_out(tmp_path: Path) -> None:
    failed = {"effect": "deny", "reason": "x", "refusal": "PolicyEvaluationError: plugin x hangs"}
    result = run(tmp_path, recorded(decision=failed), policies=[READERS])
    assert (result.not_comparable, result.differences) == (1, [])


@pytest.mark.parametrize("line", [event(code="statement.intent"), b'{"metadata": {"sequence": 1}}', b"{}"])
def test_other_events_are_no_statements(line: bytes) -> None:
    assert read_statement(line) is None


def test_damage_is_told_apart_from_other_events(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not an event"):
        read_statement(b'{"metadata": ')
    assert replay([None], Candidate(outline(tmp_path))).unreadable == 1


def test_an_outline_needs_no_secret_and_no_file(tmp_path: Path) -> None:
    resource = {
        **BASE["resources"][0],
        "credentials": {"username": "gw", "password": {"env": "NOT_SET"}},
        "tls": {"ca": "missing.pem"},
    }
    assert set(outline(tmp_path, resources=[resource]).resources) == {"shop"}
    with pytest.raises(ConfigurationError, match=r"candidate.yaml:1: policies\[0\].*unknown key"):
        outline(tmp_path, policies=[{**READERS, "efect": "deny"}])

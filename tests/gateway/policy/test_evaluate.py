"""What policies together answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.domain.decision import Effect, Mode, PolicyHit
from gateway.domain.masking import MaskSpec
from gateway.domain.principal import Principal
from gateway.domain.statement import Predicate, StatementFacts
from gateway.policy.evaluate import evaluate, evaluate_chain, evaluate_session
from tests.gateway.policy.builders import (
    ALLOW_ALL,
    ANA,
    NOON,
    SESSION,
    SHOP,
    agent,
    allow,
    decide,
    deny,
    facts,
    hold,
    limit,
    mask,
    policy_set,
    request,
)

READ = facts("read", reads=["public.orders"])


# --- combination -----------------------------------------------------------------------------------------------------


def test_nothing_that_allows_means_deny() -> None:
    decision = decide(policy_set(), READ)
    assert decision.effect is Effect.DENY
    assert decision.message is None
    assert "read" in decision.reason


def test_deny_beats_approval_beats_allow() -> None:
    assert decide(policy_set(ALLOW_ALL), READ).effect is Effect.ALLOW
    assert decide(policy_set(ALLOW_ALL, hold()), READ).effect is Effect.REQUIRE_APPROVAL
    assert decide(policy_set(ALLOW_ALL, hold(), deny()), READ).effect is Effect.DENY
    assert decide(policy_set(deny(), hold(), ALLOW_ALL), READ).effect is Effect.DENY


def test_the_first_denying_policy_gives_the_message_and_all_are_recorded() -> None:
    policies = policy_set(ALLOW_ALL, deny("a", message="first"), deny("b", message="second"))
    decision = decide(policies, READ)
    assert decision.message == "first"
    assert decision.reason == "denied by policy a"
    assert {hit.policy for hit in decision.hits} == {"everything", "a", "b"}


def test_an_approval_policy_lets_in_only_what_it_is_about() -> None:
    policies = policy_set(allow(actions=["read"]), hold(actions=["ddl"]))
    assert decide(policies, facts("create", writes=["public.t"])).effect is Effect.REQUIRE_APPROVAL
    both = facts("create", "read", writes=["public.t"], reads=["public.orders"])
    assert decide(policies, both).effect is Effect.REQUIRE_APPROVAL
    assert decide(policies, facts("create", "delete", writes=["public.t"])).effect is Effect.DENY


def test_an_approval_cannot_be_asked_for_what_is_not_understood() -> None:
    policies = policy_set(allow(actions=["read"]), hold(actions=["ddl"]))
    assert decide(policies, facts("unknown", opaque=True)).effect is Effect.DENY


@pytest.mark.parametrize(
    "match", [{"when": "principal.attributes.region == 'no'"}, {"functions": ["*.f"]}, {"objects": ["public.*"]}]
)
def test_an_approval_policy_that_only_may_apply_lets_nothing_in(match: dict[str, Any]) -> None:
    unsure = facts("read", reads=["public.orders"], opaque=True)
    assert decide(policy_set(hold(**match)), unsure).effect is Effect.DENY
    assert decide(policy_set(hold(**match), ALLOW_ALL), unsure).effect is Effect.REQUIRE_APPROVAL


def test_every_statement_of_a_text_must_be_allowed() -> None:
    policies = policy_set(allow(actions=["read"]))
    assert decide(policies, READ, READ).effect is Effect.ALLOW
    assert decide(policies, READ, facts("drop", writes=["public.orders"])).effect is Effect.DENY


def test_a_text_without_statements_needs_only_the_session() -> None:
    assert decide(policy_set(allow(actions=["read"]))).effect is Effect.ALLOW
    assert decide(policy_set()).effect is Effect.DENY


def test_a_condition_is_asked_for_each_statement() -> None:
    policies = policy_set(ALLOW_ALL, deny(actions=["update"], when="!statement.has_predicate"))
    good = facts("update", writes=["public.orders"], predicate=Predicate.PRESENT)
    bad = facts("update", writes=["public.orders"], predicate=Predicate.ABSENT)
    assert decide(policies, good, good).effect is Effect.ALLOW
    assert decide(policies, good, bad).effect is Effect.DENY


# --- who, what, where ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "applies"),
    [
        ({"principals": ["ana@example.com"]}, True),
        ({"principals": "bob@example.com"}, False),
        ({"groups": ["x", "analysts"]}, True),
        ({"groups": ["support"]}, False),
        ({"except_groups": ["analysts"]}, False),
        ({"except_principals": ["ana@example.com"]}, False),
        ({"groups": ["analysts"], "except_principals": ["bob@example.com"]}, True),
        ({"kinds": ["human"]}, True),
        ({"kinds": "agent"}, False),
        ({"resources": ["shop-prod"]}, True),
        ({"resources": ["crm"]}, False),
        ({"environments": ["production"]}, True),
        ({"environments": ["staging"]}, False),
        ({"resource_labels": {"team": ["crm", "shop"]}}, True),
        ({"resource_labels": {"team": "shop", "tier": "1"}}, False),
        ({"protocols": ["postgres"]}, True),
        ({"protocols": ["mysql"]}, False),
    ],
)
def test_a_match_is_every_key_and_any_entry(match: dict[str, Any], applies: bool) -> None:
    denied = decide(policy_set(ALLOW_ALL, deny(**match)), READ)
    assert (denied.effect is Effect.DENY) is applies
    allowed = decide(policy_set(allow(**match)), READ)
    assert (allowed.effect is Effect.ALLOW) is applies


def test_two_principals_of_one_name_are_not_confused() -> None:
    policies = policy_set(allow(groups=["analysts"]))
    assert decide(policies, READ).effect is Effect.ALLOW
    outsider = Principal(ANA.name, groups=frozenset({"guests"}))
    assert decide(policies, READ, principal=outsider).effect is Effect.DENY
    moved = replace(SHOP, environment="staging")
    fenced = policy_set(ALLOW_ALL, deny(environments=["production"]))
    assert decide(fenced, READ).effect is Effect.DENY
    assert decide(fenced, READ, resource=moved).effect is Effect.ALLOW


# --- actions and objects ---------------------------------------------------------------------------------------------


def test_every_action_needs_to_be_allowed() -> None:
    statement = facts("read", "delete", reads=["public.orders"], writes=["public.orders"])
    assert decide(policy_set(allow(actions=["read"])), statement).effect is Effect.DENY
    assert decide(policy_set(allow(actions=["read"]), allow("w", actions=["write"])), statement).effect is Effect.ALLOW


def test_every_object_needs_to_be_allowed_and_policies_add_up() -> None:
    statement = facts("read", reads=["public.a", "public.b"])
    a, b = allow("a", objects=["public.a"]), allow("b", objects=["public.b"])
    assert decide(policy_set(a), statement).effect is Effect.DENY
    assert decide(policy_set(a, b), statement).effect is Effect.ALLOW


def test_allowed_to_read_one_and_write_the_other() -> None:
    policies = policy_set(
        allow("r", actions=["read"], objects=["public.*"]), allow("w", actions=["insert"], objects=["scratch.*"])
    )
    fine = facts("insert", "read", reads=["public.a"], writes=["scratch.a"])
    wrong = facts("insert", "read", reads=["scratch.a"], writes=["public.a"])
    assert decide(policies, fine).effect is Effect.ALLOW
    assert decide(policies, wrong).effect is Effect.DENY


def test_objects_that_an_update_only_reads_count_for_it_too() -> None:
    policies = policy_set(allow(actions=["update"], objects=["public.a"]))
    assert decide(policies, facts("update", writes=["public.a"])).effect is Effect.ALLOW
    assert decide(policies, facts("update", writes=["public.a"], reads=["hr.pay"])).effect is Effect.DENY


def test_statements_without_objects_under_an_object_policy() -> None:
    policies = policy_set(allow(objects=["public.*"]))
    for harmless in (facts("read"), facts("transaction"), facts("set", detail="timezone")):
        assert decide(policies, harmless).effect is Effect.ALLOW
    for other in (facts("create"), facts("call"), facts("grant"), facts("notify")):
        assert decide(policies, other).effect is Effect.DENY


def test_replication_and_function_calls_have_to_be_named() -> None:
    assert decide(policy_set(ALLOW_ALL), facts("replicate")).effect is Effect.DENY
    assert decide(policy_set(allow(actions="*")), facts("function_call")).effect is Effect.DENY
    assert decide(policy_set(allow(actions=["*", "replicate"])), facts("replicate")).effect is Effect.ALLOW
    everything_denied = policy_set(allow(actions=["replicate"]), deny(actions="*"))
    assert decide(everything_denied, facts("replicate")).effect is Effect.DENY


def test_a_deny_fences_objects_read_or_written_whatever_their_case() -> None:
    policies = policy_set(ALLOW_ALL, deny(objects=["hr.*"]))
    assert decide(policies, facts("read", reads=["public.a"])).effect is Effect.ALLOW
    assert decide(policies, facts("read", reads=["public.a", "hr.pay"])).effect is Effect.DENY
    assert decide(policies, facts("insert", writes=["HR.Pay"])).effect is Effect.DENY


def test_an_allow_matches_names_exactly() -> None:
    policies = policy_set(allow(objects=["public.*"]))
    assert decide(policies, facts("read", reads=["Public.a"])).effect is Effect.DENY
    assert decide(policies, facts("read", reads=["public.x.a"])).effect is Effect.DENY


def test_a_deny_is_about_the_objects_of_its_actions() -> None:
    policies = policy_set(ALLOW_ALL, deny(actions=["insert"], objects=["public.orders"]))
    copied_from = facts("insert", "read", reads=["public.orders"], writes=["scratch.t"])
    copied_to = facts("insert", "read", reads=["scratch.t"], writes=["public.orders"])
    assert decide(policies, copied_from).effect is Effect.ALLOW
    assert decide(policies, copied_to).effect is Effect.DENY


def test_functions() -> None:
    policies = policy_set(ALLOW_ALL, deny(functions=["*.pg_read_*"]))
    assert decide(policies, facts("read", functions=["pg_catalog.lower"])).effect is Effect.ALLOW
    assert decide(policies, facts("read", functions=["pg_catalog.pg_read_file"])).effect is Effect.DENY
    assert decide(policies, facts("read", functions=["pg_read_file"])).effect is Effect.DENY
    reports = policy_set(allow(actions=["read"]), allow("c", actions=["call"], functions=["report.*"]))
    assert decide(reports, facts("read", "call", functions=["report.sales"])).effect is Effect.ALLOW
    assert decide(reports, facts("read", "call", functions=["report.sales", "public.f"])).effect is Effect.DENY
    assert decide(reports, facts("read", "call", functions=["sales"])).effect is Effect.DENY


def test_labels_touched() -> None:
    fence = policy_set(ALLOW_ALL, deny(labels=["pii.*"]))
    assert decide(fence, READ, labels=["pii.email"]).effect is Effect.DENY
    assert decide(fence, READ, labels=["finance.pay"], resource_labels=["pii.email"]).effect is Effect.ALLOW
    only = policy_set(allow(labels=["public.*"]))
    assert decide(only, READ, labels=["public.name"]).effect is Effect.ALLOW
    assert decide(only, READ, labels=["public.name", "pii.email"]).effect is Effect.DENY
    assert decide(only, READ).effect is Effect.DENY


def test_settings() -> None:
    policies = policy_set(ALLOW_ALL, deny(settings=["role", "log_*"]))
    assert decide(policies, facts("set", detail="timezone")).effect is Effect.ALLOW
    assert decide(policies, facts("read", detail="role")).effect is Effect.ALLOW
    for setting in ("role", "ROLE", "log_statement", ""):
        assert decide(policies, facts("set", detail=setting)).effect is Effect.DENY
    few = policy_set(allow(actions=["read"]), allow("s", settings=["timezone"]))
    assert decide(few, facts("set", detail="TimeZone")).effect is Effect.ALLOW
    assert decide(few, facts("set", detail="role")).effect is Effect.DENY
    assert decide(few, facts("set")).effect is Effect.DENY
    assert decide(few, facts("set", "create", detail="timezone")).effect is Effect.DENY


# --- what is not proven ----------------------------------------------------------------------------------------------

UNKNOWN = facts("unknown", opaque=True)
UNSURE = facts("read", reads=["public.orders"], opaque=True)


def test_unknown_needs_an_allow_for_everything() -> None:
    assert decide(policy_set(ALLOW_ALL), UNKNOWN).effect is Effect.ALLOW
    assert decide(policy_set(allow(actions="*")), UNKNOWN).effect is Effect.ALLOW
    named = ["read", "write", "ddl", "session", "privileges", "call", "explain"]
    for narrow in (allow(actions=named), allow(objects=["*"]), allow(functions=["*"]), allow(labels=["*"])):
        assert decide(policy_set(narrow), UNKNOWN, labels=["pii.x"]).effect is Effect.DENY


@pytest.mark.parametrize(
    "match",
    [
        {"actions": ["drop"]},
        {"objects": ["hr.*"]},
        {"functions": ["*.dblink"]},
        {"settings": ["role"]},
        {"labels": ["pii.*"]},
        {"when": "!statement.has_predicate"},
        {"when": "'hr.pay' in statement.objects"},
        {"when": "statement.kind == 'drop' && resource.environment == 'production'"},
    ],
)
def test_unknown_meets_everything_that_could_apply(match: dict[str, Any]) -> None:
    for restricting in (deny(**match), hold(**match), limit(rows=5, **match)):
        decision = decide(policy_set(ALLOW_ALL, restricting), UNKNOWN, resource_labels=["pii.email"])
        assert restricting["name"] in {hit.policy for hit in decision.hits}
    assert decide(policy_set(ALLOW_ALL, deny(**match)), UNKNOWN, resource_labels=["pii.x"]).effect is Effect.DENY


def test_unknown_does_not_meet_what_cannot_apply() -> None:
    elsewhere = deny(environments=["staging"], actions=["drop"])
    no_such_label = deny("l", labels=["pii.*"])
    not_her = deny("w", when="principal.name != 'ana@example.com' && !statement.has_predicate")
    assert decide(policy_set(ALLOW_ALL, elsewhere, no_such_label, not_her), UNKNOWN).effect is Effect.ALLOW


def test_no_action_at_all_is_unknown() -> None:
    assert decide(policy_set(ALLOW_ALL, deny(actions=["drop"])), facts()).effect is Effect.DENY


@pytest.mark.parametrize(
    ("match", "applies"),
    [
        ({"actions": ["drop"]}, False),
        ({"actions": ["read"]}, True),
        ({"objects": ["hr.*"]}, True),
        ({"functions": ["*.dblink"]}, True),
        ({"labels": ["pii.*"]}, True),
        ({"labels": ["finance.*"]}, False),
        ({"when": "'hr.pay' in statement.objects"}, True),
        ({"when": "'pii.email' in statement.labels"}, True),
        ({"when": "statement.copies_data"}, True),
        ({"when": "statement.opaque"}, True),
        ({"when": "'drop' in statement.actions"}, False),
        ({"when": "statement.predicate == 'absent'"}, False),
    ],
)
def test_an_opaque_statement_does_what_its_actions_say_to_anything(match: dict[str, Any], applies: bool) -> None:
    decision = decide(policy_set(ALLOW_ALL, deny(**match)), UNSURE, resource_labels=["pii.email"])
    assert (decision.effect is Effect.DENY) is applies


def test_an_opaque_statement_is_not_allowed_by_what_it_seems_to_touch() -> None:
    assert decide(policy_set(allow(actions=["read"])), UNSURE).effect is Effect.ALLOW
    for narrow in (
        allow(objects=["public.*"]),
        allow(objects=["*"]),
        allow(when="statement.objects.all(o, o.startsWith('public.'))"),
        allow(when="!('hr.pay' in statement.objects)"),
    ):
        assert decide(policy_set(narrow), UNSURE).effect is Effect.DENY


def test_labels_that_might_be_touched_allow_nothing() -> None:
    only_labelled = policy_set(allow(labels=["pii.*"]))
    assert decide(only_labelled, READ, labels=["pii.email"]).effect is Effect.ALLOW
    assert decide(only_labelled, UNSURE, resource_labels=["pii.email"]).effect is Effect.DENY
    assert decide(only_labelled, UNSURE, labels=["pii.email"]).effect is Effect.DENY
    everything = facts("read", reads=["public.orders"], reads_everything=True)
    assert decide(only_labelled, everything, resource_labels=["pii.email"]).effect is Effect.DENY


@pytest.mark.parametrize(
    ("statement", "condition"),
    [
        (facts("copy_out", reads=["public.orders"]), "statement.detail == 'program'"),
        (facts("set"), "statement.detail == 'role'"),
        (facts("read", reads=["public.a"], reads_everything=True), "!('pii.email' in statement.labels)"),
        (facts("read", reads=["public.a"], reads_everything=True), "'public.a.x' in statement.columns"),
        (facts("read", functions=["lo_import"]), "'pg_catalog.lo_import' in statement.functions"),
        (facts("read", reads=["a"]), "'public.a' in statement.objects_read"),
    ],
)
def test_a_condition_on_what_is_not_known_is_met(statement: StatementFacts, condition: str) -> None:
    asked: dict[str, Any] = {"resource_labels": ["pii.email"]}
    assert decide(policy_set(ALLOW_ALL, deny(when=condition)), statement, **asked).effect is Effect.DENY
    assert decide(policy_set(allow(when=f"!({condition})")), statement, **asked).effect is Effect.DENY


def test_what_an_opaque_statement_sets_is_not_what_it_says() -> None:
    hidden = facts("alter", "set", detail="system", opaque=True)
    assert decide(policy_set(ALLOW_ALL, deny(settings=["role"])), hidden).effect is Effect.DENY
    assert decide(policy_set(allow(actions=["alter"]), allow("s", settings=["system"])), hidden).effect is Effect.DENY


def test_an_object_without_a_schema_could_be_in_any() -> None:
    somewhere = facts("read", reads=["pay"])
    assert decide(policy_set(ALLOW_ALL, deny(objects=["hr.pay"])), somewhere).effect is Effect.DENY
    assert decide(policy_set(ALLOW_ALL, deny(objects=["hr.orders"])), somewhere).effect is Effect.ALLOW
    assert decide(policy_set(ALLOW_ALL, deny(when="'hr.pay' in statement.objects")), somewhere).effect is Effect.DENY
    assert decide(policy_set(allow(objects=["*"])), somewhere).effect is Effect.DENY
    assert decide(policy_set(ALLOW_ALL, deny(labels=["pii.*"])), somewhere, resource_labels=["pii.a"]).effect is (
        Effect.DENY
    )


def test_reading_everything_reads_every_label() -> None:
    everything = facts("read", reads=["public.orders"], reads_everything=True)
    policies = policy_set(ALLOW_ALL, deny(labels=["pii.*"]))
    assert decide(policies, everything, resource_labels=["pii.email"]).effect is Effect.DENY
    with_condition = policy_set(ALLOW_ALL, deny(when="'pii.email' in statement.labels"))
    assert decide(with_condition, everything, resource_labels=["pii.email"]).effect is Effect.DENY


# --- conditions ------------------------------------------------------------------------------------------------------


def test_a_condition_that_fails_applies_where_it_restricts_and_not_where_it_allows() -> None:
    failing = "principal.attributes.region == 'no'"
    assert decide(policy_set(ALLOW_ALL, deny(when=failing)), READ).effect is Effect.DENY
    assert decide(policy_set(ALLOW_ALL, hold(when=failing)), READ).effect is Effect.REQUIRE_APPROVAL
    assert decide(policy_set(allow(when=failing)), READ).effect is Effect.DENY
    limited = decide(policy_set(ALLOW_ALL, limit(rows=3, when=failing)), READ)
    assert limited.obligations.row_limit == 3
    masked = decide(policy_set(ALLOW_ALL, mask(labels=["pii.*"], when=failing)), READ, labels=["pii.email"])
    assert "pii.email" in masked.obligations.masks


def test_conditions_over_everything_there_is() -> None:
    policies = policy_set(
        allow(
            when="""
            principal.name == 'ana@example.com' && principal.kind == 'human' && 'analysts' in principal.groups
            && principal.acts_for == '' && principal.attributes['region'] == 'no'
            && resource.name == 'shop-prod' && resource.protocol == 'postgres' && resource.environment == 'production'
            && resource.labels.team == 'shop' && resource.database == 'shop'
            && statement.kind == 'select' && statement.actions == ['read']
            && statement.objects == ['public.a', 'public.b'] && statement.objects_written == []
            && statement.objects_read.size() == 2 && statement.functions == ['pg_catalog.lower']
            && 'public.a.id' in statement.columns && statement.labels == ['pii.email']
            && statement.predicate == 'present' && statement.has_predicate && !statement.opaque
            && !statement.copies_data && statement.detail == '' && statement.text.startsWith('SELECT')
            && statement.fingerprint == '' && session.client_address.inCidr('10.0.0.0/8')
            && session.application == '' && session.tls && session.user == 'ana@example.com'
            && session.database == 'shop' && now.getHours('UTC') == 12
            """
        )
    )
    statement = facts(
        "read",
        kind="select",
        reads=["public.a", "public.b"],
        functions=["pg_catalog.lower"],
        columns=["public.a.id"],
        predicate=Predicate.PRESENT,
    )
    someone = replace(ANA, attributes={"region": "no"})
    decision = decide(policies, statement, principal=someone, labels=["pii.email"], text="SELECT 1")
    assert decision.effect is Effect.ALLOW


@pytest.mark.parametrize("predicate", [Predicate.ABSENT, Predicate.CONSTANT])
def test_no_write_without_where(predicate: Predicate) -> None:
    policies = policy_set(ALLOW_ALL, deny(actions=["update", "delete"], when="!statement.has_predicate"))
    assert decide(policies, facts("delete", writes=["public.a"], predicate=predicate)).effect is Effect.DENY
    assert decide(policies, facts("delete", writes=["public.a"], predicate=Predicate.PRESENT)).effect is Effect.ALLOW
    assert decide(policies, facts("read", reads=["public.a"], predicate=predicate)).effect is Effect.ALLOW


def test_the_time_counts_only_where_it_was_asked() -> None:
    policies = policy_set(ALLOW_ALL, deny(actions=["insert"], when="now.getHours('UTC') >= 18"))
    night = datetime(2026, 1, 7, 19, 0, tzinfo=UTC)
    write = facts("insert", writes=["public.a"])
    assert decide(policies, write).effect is Effect.ALLOW
    assert decide(policies, write, now=night).effect is Effect.DENY
    assert not decide(policies, write).cacheable
    assert decide(policies, READ, now=night).cacheable


# --- obligations -----------------------------------------------------------------------------------------------------


def test_masks_are_for_all_labels_of_the_resource() -> None:
    policies = policy_set(
        ALLOW_ALL, mask("a", labels=["pii.*"]), mask("b", "null", labels=["pii.email"]), mask("c", labels=["other.*"])
    )
    decision = decide(policies, READ, labels=["pii.name"], resource_labels=["pii.name", "pii.email", "fin.pay"])
    assert decision.effect is Effect.ALLOW
    assert decision.obligations.masks == {
        "pii.name": frozenset({MaskSpec("redact")}),
        "pii.email": frozenset({MaskSpec("redact"), MaskSpec("null")}),
    }
    assert {hit.policy for hit in decision.hits} == {"everything", "a"}


def test_mask_arguments_and_inference() -> None:
    document = {**mask(labels=["pii.*"]), "mask": {"function": "partial", "last": 4, "first": 0}, "inference": "deny"}
    obligations = decide(policy_set(ALLOW_ALL, document), READ, labels=["pii.card"]).obligations
    assert obligations.masks["pii.card"] == frozenset({MaskSpec("partial", (("first", 0), ("last", 4)))})
    assert not obligations.inference
    assert decide(policy_set(ALLOW_ALL, document), READ, labels=["fin.pay"]).obligations.inference


def test_those_exempt_are_not_masked() -> None:
    policies = policy_set(ALLOW_ALL, mask(labels=["pii.*"], except_groups=["analysts"]))
    assert not decide(policies, READ, labels=["pii.email"]).obligations.masks


def test_the_smallest_limit_wins() -> None:
    policies = policy_set(
        ALLOW_ALL,
        limit("a", rows=100, timeout="30s"),
        limit("b", rows=50),
        limit("c", timeout="500ms"),
        limit("d", rows=80),
    )
    obligations = decide(policies, READ).obligations
    assert (obligations.row_limit, obligations.timeout) == (50, 0.5)


def test_limits_of_several_statements_join() -> None:
    policies = policy_set(
        ALLOW_ALL, limit("a", rows=10, actions=["read"]), limit("b", timeout="1s", actions=["insert"])
    )
    obligations = decide(policies, READ, facts("insert", writes=["public.a"])).obligations
    assert (obligations.row_limit, obligations.timeout) == (10, 1.0)


# --- modes -----------------------------------------------------------------------------------------------------------


def test_draft_and_warn_decide_nothing() -> None:
    policies = policy_set(
        ALLOW_ALL,
        deny("d", mode="draft", message="drafted"),
        deny("w", mode="warn", message="will be refused next week"),
        mask("m", mode="draft", labels=["pii.*"]),
    )
    decision = decide(policies, READ, labels=["pii.email"])
    assert decision.effect is Effect.ALLOW
    assert decision.warnings == ("will be refused next week",)
    assert PolicyHit("d", Effect.DENY, Mode.DRAFT) in decision.hits
    assert PolicyHit("w", Effect.DENY, Mode.WARN) in decision.hits
    assert PolicyHit("m", Effect.MASK, Mode.DRAFT) in decision.hits
    assert not decision.obligations.masks


def test_a_warning_without_a_message_says_nothing_of_the_policy() -> None:
    decision = decide(policy_set(ALLOW_ALL, deny("secret-name", mode="warn")), READ)
    assert len(decision.warnings) == 1
    assert "secret-name" not in decision.warnings[0]


def test_an_allow_that_is_not_enforced_allows_nothing() -> None:
    decision = decide(policy_set(allow("d", mode="draft"), allow("w", mode="warn")), READ)
    assert decision.effect is Effect.DENY
    assert {hit.policy for hit in decision.hits} == {"d", "w"}
    assert evaluate_session(policy_set(allow(mode="draft")), request()).effect is Effect.DENY


# --- agents ----------------------------------------------------------------------------------------------------------


def test_an_agent_may_do_what_both_may() -> None:
    policies = policy_set(
        allow("humans", groups=["analysts"], actions=["read", "insert"]),
        allow("agents", groups=["agents"], actions=["read", "update"]),
    )
    chained = lambda *actions: evaluate_chain(  # noqa: E731
        policies, request(facts(*actions, writes=["public.a"]), principal=agent()), now=NOON
    )
    assert chained("read").effect is Effect.ALLOW
    assert chained("insert").effect is Effect.DENY
    assert chained("update").effect is Effect.DENY
    assert {hit.policy for hit in chained("read").hits} == {"humans", "agents"}


def test_an_agent_alone_has_only_its_own_rights() -> None:
    policies = policy_set(allow(groups=["agents"]))
    asked = request(READ, principal=agent())
    assert evaluate(policies, asked, now=NOON).effect is Effect.ALLOW
    assert evaluate_chain(policies, asked, now=NOON).effect is Effect.DENY


def test_an_agent_is_under_the_masks_and_limits_of_both() -> None:
    policies = policy_set(
        ALLOW_ALL,
        mask("h", labels=["pii.*"], groups=["analysts"]),
        mask("a", "null", labels=["pii.*"], kinds=["agent"]),
        limit("l", rows=10, kinds=["agent"]),
        limit("m", rows=5, kinds=["human"]),
    )
    decision = evaluate_chain(policies, request(READ, principal=agent(), labels=["pii.email"]), now=NOON)
    assert decision.obligations.masks["pii.email"] == frozenset({MaskSpec("redact"), MaskSpec("null")})
    assert decision.obligations.row_limit == 5


def test_a_human_in_an_exempt_group_does_not_unmask_an_agent() -> None:
    policies = policy_set(ALLOW_ALL, mask(labels=["pii.*"], except_groups=["support"]))
    supporter = Principal("sam@example.com", groups=frozenset({"support"}))
    asked = request(READ, principal=agent(supporter), labels=["pii.email"])
    assert evaluate_chain(policies, asked, now=NOON).obligations.masks


# --- sessions --------------------------------------------------------------------------------------------------------


def session(*documents: Mapping[str, Any], **options: Any) -> Effect:
    return evaluate_session(policy_set(*documents), replace(request(), analysis=None, **options)).effect


def test_a_session_needs_something_that_might_be_allowed() -> None:
    assert session() is Effect.DENY
    assert session(allow(groups=["support"])) is Effect.DENY
    assert session(allow(resources=["other"])) is Effect.DENY
    assert session(allow(actions=["read"], objects=["public.*"], when="1 == 2")) is Effect.ALLOW


def test_a_session_is_denied_only_by_what_denies_everything() -> None:
    assert session(ALLOW_ALL, deny(groups=["analysts"])) is Effect.DENY
    assert session(ALLOW_ALL, deny(mode="draft")) is Effect.ALLOW
    for match in ({"actions": ["read"]}, {"objects": ["*"]}, {"when": "true"}, {"labels": ["*"]}, {"functions": ["*"]}):
        assert session(ALLOW_ALL, deny(**match)) is Effect.ALLOW


def test_a_session_of_an_agent_needs_both() -> None:
    policies = (allow("a", groups=["agents"]),)
    assert session(*policies, principal=agent()) is Effect.DENY
    assert session(*policies, allow("h", groups=["analysts"]), principal=agent()) is Effect.ALLOW


def test_a_session_is_masked_whatever_the_condition_says_now() -> None:
    policies = policy_set(ALLOW_ALL, mask(labels=["pii.*"], when="now.getHours('UTC') == 3"))
    asked = replace(request(resource_labels=["pii.email"]), analysis=None)
    assert "pii.email" in evaluate_session(policies, asked).obligations.masks


def test_attributes_and_addresses_that_are_odd_never_raise() -> None:
    policies = policy_set(ALLOW_ALL, deny(when="session.client_address.inCidr('10.0.0.0/8')"))
    odd = replace(SESSION, client_address="not an address")
    assert decide(policies, READ, session=odd).effect is Effect.DENY
    outside = replace(SESSION, client_address="192.0.2.1")
    assert decide(policies, READ, session=outside).effect is Effect.ALLOW

"""The fast evaluation against a slow one that follows the written rule word by word."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.decision import AccessRequest, Decision, Effect
from gateway.domain.principal import Principal
from gateway.domain.statement import ACTION_GROUPS, Action, StatementFacts
from gateway.policy.evaluate import evaluate
from tests.gateway.policy.builders import NOON, SHOP, facts, policy_set, request

ACTIONS = ["read", "insert", "drop", "set", "unknown"]
OBJECTS = ["a.x", "a.y", "b.x"]
GLOBS = ["a.*", "*.x", "b.x", "*"]
LABELS = ["pii.a", "fin.b"]


def optional(values: list[str]) -> st.SearchStrategy[list[str] | None]:
    return st.none() | st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


@st.composite
def documents(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for index in range(draw(st.integers(1, 6))):
        effect = draw(st.sampled_from(["allow", "deny", "require_approval"]))
        named = ["read", "write", "ddl", "session", "*"]
        match: dict[str, Any] = {
            "groups": draw(optional(["g1", "g2"])),
            "except_groups": draw(optional(["g3"])),
            "environments": draw(optional(["production", "staging"])),
            "actions": draw(optional(named)),
            "objects": draw(optional(GLOBS)),
            "labels": draw(optional(["pii.*", "fin.*"])),
        }
        document = {"name": f"p{index}", "effect": effect, "match": match}
        if effect == "require_approval":
            document["approval"] = {"approvers": ["dba"]}
        found.append(document)
    return found


@st.composite
def statements(draw: st.DrawFn) -> StatementFacts:
    objects = st.lists(st.sampled_from(OBJECTS), max_size=2)
    return facts(
        *draw(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=2)),
        reads=draw(objects),
        writes=draw(objects),
        opaque=draw(st.booleans()),
    )


def static(match: dict[str, Any], principal: Principal) -> bool:
    return (
        (match["groups"] is None or bool(set(match["groups"]) & principal.groups))
        and not set(match["except_groups"] or ()) & principal.groups
        and (match["environments"] is None or SHOP.environment in match["environments"])
    )


def actions_of(match: dict[str, Any], effect: str) -> set[Action]:
    if match["actions"] is None or "*" in match["actions"]:
        return set(ACTION_GROUPS["*"]) if effect == "allow" else set(Action)
    return set().union(*(ACTION_GROUPS.get(name) or {Action(name)} for name in match["actions"]))


def inside(glob: str, name: str) -> bool:
    if glob == "*":
        return True
    schema, _, rest = glob.partition(".")
    wanted, _, table = name.partition(".")
    return schema in ("*", wanted) and rest in ("*", table)


def objects_for(action: Action, statement: StatementFacts) -> set[str]:
    reads, writes = {str(o) for o in statement.objects_read}, {str(o) for o in statement.objects_written}
    both = {Action.READ} & statement.actions and {Action.INSERT, Action.DROP} & statement.actions
    if both and action is Action.READ:
        return reads or reads | writes
    if both and action in (Action.INSERT, Action.DROP):
        return writes or reads | writes
    return reads | writes


def naive(documents: list[dict[str, Any]], asked: AccessRequest, statement: StatementFacts) -> Effect:
    unknown = Action.UNKNOWN in statement.actions
    unsure = unknown or bool(statement.opaque)
    labels = asked.labels | (asked.resource_labels if unsure else frozenset())
    open_needs = {(action, None) for action in statement.actions} | {
        (action, name) for action in statement.actions for name in objects_for(action, statement)
    }
    denied = held = False
    for document in documents:
        match, effect = document["match"], document["effect"]
        if not static(match, asked.principal):
            continue
        actions = actions_of(match, effect)
        touching = match["labels"] is None or any(
            label.startswith(glob[:-1]) for glob in match["labels"] for label in labels
        )
        within = match["labels"] is None or (
            not unsure
            and bool(labels)
            and all(any(label.startswith(glob[:-1]) for glob in match["labels"]) for label in labels)
        )
        common = actions & statement.actions
        named = match["objects"] is None or any(
            inside(glob, name)
            for action in common
            for name in objects_for(action, statement)
            for glob in match["objects"]
        )
        if effect != "allow" and touching and (unknown or (common and (unsure or named))):
            denied, held = denied or effect == "deny", held or effect == "require_approval"
        if effect != "deny" and within and (effect == "allow" or (touching and (unknown or common))):
            if effect == "require_approval" and not (unknown or unsure or named):
                continue
            for action in common:
                if match["objects"] is None:
                    open_needs = {need for need in open_needs if need[0] is not action}
                elif not unsure:
                    names = objects_for(action, statement)
                    good = {n for n in names if any(inside(glob, n) for glob in match["objects"])}
                    open_needs -= {(action, name) for name in good}
                    if not names and action in (Action.READ, Action.SET):
                        open_needs.discard((action, None))
    # An action all of whose objects are covered is covered itself.
    for action in statement.actions:
        names = objects_for(action, statement)
        if names and not any((action, name) in open_needs for name in names):
            open_needs.discard((action, None))
    if denied or open_needs:
        return Effect.DENY
    return Effect.REQUIRE_APPROVAL if held else Effect.ALLOW


OTHERS = [
    {
        "name": f"other{number}",
        "effect": "deny" if number % 2 else "allow",
        "match": dict.fromkeys(["groups", "except_groups", "environments", "actions", "labels"]) | {"objects": [glob]},
    }
    for number, glob in enumerate(f"{schema}.{name}" for schema in ("c", "d", "*") for name in ["*", *"uvwpqrstmnop"])
    if glob != "*.*"
]
"""So many, about other objects, that policies are looked up instead of asked one after the other."""


@settings(max_examples=300, deadline=None)
@given(
    st.tuples(documents(), st.sampled_from([[], OTHERS])).map(lambda parts: parts[0] + parts[1]),
    statements(),
    st.frozensets(st.sampled_from(["g1", "g2", "g3"])),
    st.frozensets(st.sampled_from(LABELS)),
    st.frozensets(st.sampled_from(LABELS)),
)
def test_agrees_with_the_written_rule(
    found: list[dict[str, Any]],
    statement: StatementFacts,
    groups: frozenset[str],
    touched: frozenset[str],
    others: frozenset[str],
) -> None:
    asked = request(
        statement, principal=Principal("p", groups=groups), labels=touched, resource_labels=touched | others
    )
    decision: Decision = evaluate(policy_set(*found), asked, now=NOON)
    assert decision.effect is naive(found, asked, statement)


@settings(max_examples=100, deadline=None)
@given(documents(), statements(), st.frozensets(st.sampled_from(["g1", "g2", "g3"])))
def test_knowing_less_never_allows_more(
    found: list[dict[str, Any]], statement: StatementFacts, groups: frozenset[str]
) -> None:
    order = {Effect.ALLOW: 0, Effect.REQUIRE_APPROVAL: 1, Effect.DENY: 2}
    policies, principal = policy_set(*found), Principal("p", groups=groups)
    sure = facts(*statement.actions, reads=map(str, statement.objects_read), writes=map(str, statement.objects_written))
    unsure = facts(
        *statement.actions,
        reads=map(str, statement.objects_read),
        writes=map(str, statement.objects_written),
        opaque=True,
    )
    answers = [
        order[evaluate(policies, request(s, principal=principal, resource_labels=LABELS), now=NOON).effect]
        for s in (sure, unsure)
    ]
    assert answers[0] <= answers[1]

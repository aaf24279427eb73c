"""What can be asked in ``when``, and what happens where the answer cannot be known."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.policy.conditions import VARIABLES, CelEngine, CelInput, ConditionError, in_cidr

ENGINE = CelEngine()


def ask(expression: str, **values: CelInput) -> bool | None:
    bound = {name.replace("__", "."): value for name, value in values.items()}
    return ENGINE.compile(expression).evaluate(ENGINE.bind(bound))


def test_answers() -> None:
    assert ask("'a' in principal.groups", principal__groups=["a", "b"]) is True
    assert ask("'c' in principal.groups", principal__groups=["a", "b"]) is False


@pytest.mark.parametrize(
    "expression",
    [
        "principal.attributes.nope == 'x'",
        "resource.name.matches('(')",
        "session.client_address.inCidr('nonsense')",
        "now.getHours('Nowhere/Land') < 8",
        "principal.groups.all(a, principal.groups.all(b, principal.groups.all(c, a != '')))",
    ],
)
def test_errors_are_no_answer(expression: str) -> None:
    answer = ask(
        expression,
        principal__attributes={},
        principal__groups=["x"] * 1000,
        resource__name="shop",
        session__client_address="10.0.0.1",
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert answer is None


def test_what_is_not_bound_is_unknown_only_where_it_matters() -> None:
    assert ask("!statement.has_predicate") is None
    assert ask("principal.name == 'x' && !statement.has_predicate", principal__name="y") is False
    assert ask("principal.name == 'x' && !statement.has_predicate", principal__name="x") is None
    assert ask("principal.name == 'x' || !statement.has_predicate", principal__name="x") is True
    assert ask("!statement.has_predicate || principal.name == 'x'", principal__name="x") is True
    assert ask("!(statement.has_predicate)") is None
    assert ask("statement.objects.all(o, o != 'hr.pay')") is None


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("statement.has_predicat", 'did you mean "statement.has_predicate"'),
        ("principle.name == 'x'", 'did you mean "principal.name"'),
        ("principal.name + 1 == 2", "no matching overload"),
        ("1 + 1", "type int"),
        ("principal.name", "type string"),
        ("dyn(principal.name)", "type dyn"),
        ("principal.name == ", "column"),
        ("principal.name ==\n 1 1", "line 2"),
        ("x" * 20_000, "characters"),
    ],
)
def test_mistakes_are_found_when_it_is_compiled(expression: str, complaint: str) -> None:
    with pytest.raises(ConditionError, match=complaint):
        ENGINE.compile(expression)


def test_knows_what_a_condition_reads() -> None:
    assert ENGINE.compile("statement.text.contains('x')").reads == {"statement.text"}
    assert ENGINE.compile("statement.objects_read == []").reads == {"statement.objects_read"}
    assert ENGINE.compile("principal.attributes['now'] == 'statement.text'").reads == {"principal.attributes"}
    assert ENGINE.compile("['x'].exists(now, now == 'x')").reads <= {"now"}
    assert ENGINE.compile("timestamp(now) == now || principal.name == ''").reads == {"now", "principal.name"}
    assert ENGINE.compile("true").reads == frozenset()


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_noticed(name: str) -> None:
    other = {"string": "''", "bool": "true", "list": "[]", "map": "{}", "timestamp": "timestamp(0)"}[VARIABLES[name]]
    assert ENGINE.compile(f"{name} == {other}").reads == {name}


def test_equal_expressions_are_one_condition() -> None:
    assert ENGINE.compile("principal.name == 'x'") is ENGINE.compile("principal.name == 'x'")


@pytest.mark.parametrize(
    ("address", "network", "inside"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.9.9.9/8", True),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("2001:db8::1", "2001:db8::/32", True),
        ("2001:db8::1", "10.0.0.0/8", False),
        ("fe80::1%eth0", "fe80::/10", True),
        ("10.1.2.3", "10.1.2.3", True),
    ],
)
def test_networks(address: str, network: str, inside: bool) -> None:
    assert in_cidr(address, network) is inside
    assert ask(f"session.client_address.inCidr('{network}')", session__client_address=address) is inside


def test_a_regular_expression_that_would_hang_others_does_not() -> None:
    assert ask("statement.text.matches('^(a+)+$')", statement__text="a" * 50_000 + "b") is False

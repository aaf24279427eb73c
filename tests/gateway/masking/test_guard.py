"""The guard: a test for each rule, and for what must go through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.statement import Action, ColumnRef, ObjectRef, Predicate, StatementFacts
from gateway.masking.guard import RULES, guard
from gateway.sql.analyse import analyse
from gateway.sql.state import NameResolution

EMAIL = ColumnRef("public", "customers", "email")
CITY = ColumnRef("public", "customers", "city")
CUSTOMERS = ObjectRef("public", "customers")
ORDERS = ObjectRef("public", "orders")
MASKED = frozenset({"pii.email"})
REASONS = {rule.name: rule.reason for rule in RULES}


def labels_of(column: ColumnRef) -> frozenset[str]:
    return {EMAIL: frozenset({"pii.email"}), CITY: frozenset({"internal"})}.get(column, frozenset())


def ask(facts: StatementFacts, *, inference: bool = True, masked: frozenset[str] = MASKED) -> str | None:
    return guard(
        facts,
        labels_of=labels_of,
        masked=masked,
        inference=inference,
        has_masked_columns=lambda target: target == CUSTOMERS,
    )


def facts(*actions: Action, kind: str = "x", **more: Any) -> StatementFacts:
    return StatementFacts(kind, frozenset(actions), **more)


def reads(*columns: ColumnRef) -> dict[str, Any]:
    return {"columns_read": frozenset(columns)}


def writes(*targets: ObjectRef) -> dict[str, Any]:
    return {"objects_written": frozenset(targets)}


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        ("nothing-known", facts()),
        *[
            ("unmaskable-action", facts(action))
            for action in (
                *(Action.UNKNOWN, Action.CALL, Action.PREPARE, Action.CURSOR),
                *(Action.FUNCTION_CALL, Action.REPLICATE),
            )
        ],
        ("unmaskable-action", facts(Action.CURSOR, kind="declare")),
        ("unmaskable-action", facts(Action.CURSOR, kind="fetch")),
        ("unmaskable-action", facts(Action.PREPARE, Action.READ, kind="execute")),
        ("unmaskable-action", facts(Action.CURSOR, Action.READ, kind="close")),
        ("opaque", facts(Action.READ, opaque=("unknown function",))),
        ("opaque", facts(Action.SET, opaque=("value is computed",))),
        ("opaque", facts(Action.READ, Action.NOTIFY, opaque=("unknown function",))),
        ("opaque", facts(Action.CREATE, opaque=("dynamic SQL",))),
        ("opaque", facts(Action.CURSOR, kind="close", opaque=("?",))),
        ("code", facts(Action.CREATE, **writes(ObjectRef("public", "f", "function")))),
        ("code", facts(Action.CREATE, **writes(ObjectRef("public", "t", "trigger")))),
        ("code", facts(Action.CREATE, **writes(ObjectRef("public", "r", "rule")))),
        ("code", facts(Action.ALTER, **writes(ObjectRef("public", "p", "procedure")))),
        ("copy-out", facts(Action.COPY_OUT, Action.READ, **reads(CITY, EMAIL))),
        ("copy-out", facts(Action.COPY_OUT, reads_everything=True)),
        ("laundering", facts(Action.INSERT, Action.READ, copies_data=True, **reads(EMAIL))),
        ("laundering", facts(Action.UPDATE, copies_data=True, reads_everything=True)),
        ("laundering", facts(Action.CREATE, copies_data=True, **reads(EMAIL))),
        ("explain", facts(Action.EXPLAIN, Action.READ, **reads(EMAIL))),
        ("explain", facts(Action.EXPLAIN, columns_filtered=frozenset({EMAIL}))),
        ("explain", facts(Action.EXPLAIN, reads_everything=True)),
        ("definition", facts(Action.CREATE, **reads(EMAIL), **writes(ObjectRef("public", "v", "view")))),
        ("definition", facts(Action.CREATE, columns_filtered=frozenset({EMAIL}))),
        ("definition", facts(Action.CREATE, reads_everything=True)),
        ("relabel", facts(Action.ALTER, **writes(CUSTOMERS))),
        ("relabel", facts(Action.ALTER, columns_written=frozenset({EMAIL}))),
        ("relabel", facts(Action.ALTER, reads_everything=True)),
        ("relabel", facts(Action.ALTER, copies_data=True)),
        ("relabel", facts(Action.ALTER, copies_data=True, **writes(ORDERS))),
    ],
)
def test_what_cannot_be_masked_is_refused(rule: str, statement: StatementFacts) -> None:
    assert ask(statement) == REASONS[rule]


def test_inference_is_refused_where_the_policy_says_so() -> None:
    statement = facts(Action.READ, columns_filtered=frozenset({CITY, EMAIL}))
    assert ask(statement, inference=True) is None
    assert ask(statement, inference=False) == REASONS["inference"]
    assert ask(facts(Action.READ, columns_filtered=frozenset({CITY})), inference=False) is None


@pytest.mark.parametrize(
    "statement",
    [
        facts(Action.READ, **reads(EMAIL)),
        facts(Action.READ, reads_everything=True),
        facts(Action.INSERT, columns_written=frozenset({EMAIL}), **writes(CUSTOMERS)),
        facts(Action.UPDATE, columns_written=frozenset({EMAIL}), predicate=Predicate.PRESENT, **writes(CUSTOMERS)),
        facts(Action.DELETE, **reads(EMAIL), **writes(CUSTOMERS)),
        facts(Action.MERGE, **writes(CUSTOMERS)),
        facts(Action.TRUNCATE, **writes(CUSTOMERS)),
        facts(Action.INSERT, Action.READ, copies_data=True, **reads(CITY)),
        facts(Action.COPY_IN, **writes(CUSTOMERS)),
        facts(Action.COPY_OUT, **reads(CITY)),
        facts(Action.EXPLAIN, Action.READ, **reads(CITY)),
        facts(Action.CREATE, **writes(ORDERS)),
        facts(Action.CREATE, **reads(CITY), **writes(ObjectRef("public", "v", "materialized_view"))),
        facts(Action.ALTER, **writes(ORDERS)),
        facts(Action.DROP, **writes(CUSTOMERS)),
        facts(Action.GRANT),
        facts(Action.REVOKE),
        facts(Action.LOCK, **writes(CUSTOMERS)),
        facts(Action.SET),
        facts(Action.SHOW),
        facts(Action.TRANSACTION),
        facts(Action.NOTIFY),
        facts(Action.NOTIFY, opaque=("payload",)),
        facts(Action.MAINTAIN, **writes(CUSTOMERS)),
        facts(Action.CURSOR, kind="close"),
        facts(Action.PREPARE, kind="DEALLOCATE"),
        facts(Action.PREPARE, Action.CURSOR, kind="discard"),
    ],
)
def test_everything_else_goes_through(statement: StatementFacts) -> None:
    assert ask(statement) is None


def test_an_alteration_is_refused_if_nobody_can_say_what_the_object_holds() -> None:
    statement = facts(Action.ALTER, **writes(ORDERS))
    assert guard(statement, labels_of=labels_of, masked=MASKED, inference=True) == REASONS["relabel"]


@given(st.sets(st.sampled_from(list(Action))), st.booleans(), st.booleans())
def test_a_principal_without_masks_may_do_anything(actions: set[Action], opaque: bool, inference: bool) -> None:
    statement = facts(*actions, opaque=("why",) if opaque else (), reads_everything=True, copies_data=True)
    assert ask(statement, inference=inference, masked=frozenset()) is None


def test_other_labels_are_not_minded() -> None:
    statement = facts(Action.COPY_OUT, **reads(EMAIL))
    assert ask(statement, masked=frozenset({"internal"})) is None


def test_every_rule_has_a_reason_of_its_own() -> None:
    assert len(REASONS) == len(set(REASONS.values())) == len(RULES)


def statement(text: str) -> StatementFacts:
    """The facts of a text that needs no catalog."""
    (found,) = analyse(text, NameResolution(), None).statements
    return found


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "SET application_name = 'x'",
        "SHOW server_version",
        "RESET ALL",
        "CLOSE ALL",
        "DEALLOCATE ALL",
        "DEALLOCATE a",
        "DISCARD ALL",
        "LISTEN a",
        "UNLISTEN *",
        "NOTIFY a, 'b'",
    ],
)
def test_what_drivers_send_on_their_own_goes_through(text: str) -> None:
    assert guard(statement(text), labels_of=labels_of, masked=MASKED, inference=False) is None


@pytest.mark.parametrize(
    "text",
    [
        "DO $$ BEGIN END $$",
        "CALL p()",
        "PREPARE a AS SELECT 1",
        "EXECUTE a",
        "DECLARE c CURSOR FOR SELECT nothing_known(1)",
        "FETCH ALL FROM c",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TRIGGER t BEFORE INSERT ON a EXECUTE FUNCTION f()",
        "CREATE RULE r AS ON SELECT TO a DO INSTEAD SELECT 1",
        "ALTER SCHEMA public RENAME TO other",
        "ALTER TABLE customers RENAME COLUMN email TO e",
        "COPY customers TO STDOUT",
        "not SQL at all",
    ],
)
def test_texts_that_could_get_around_a_mask_are_refused(text: str) -> None:
    assert guard(statement(text), labels_of=labels_of, masked=MASKED, inference=True) is not None


@pytest.mark.parametrize("text", ["DECLARE c CURSOR FOR SELECT 1", "MOVE 3 FROM c", "CLOSE c"])
def test_a_cursor_over_a_known_query_may_be_declared(text: str) -> None:
    assert guard(statement(text), labels_of=labels_of, masked=MASKED, inference=True) is None


def test_dropping_what_is_not_known_shows_nothing() -> None:
    unknown: dict[str, Any] = {"opaque": ("relation not in the catalog",), "reads_everything": True}
    assert ask(facts(Action.DROP, **unknown)) is None
    assert ask(facts(Action.TRUNCATE, **unknown)) == REASONS["opaque"]


def test_a_view_may_be_replaced_by_one_that_reads_nothing_masked() -> None:
    target = writes(ObjectRef("public", "report", "view"))
    assert ask(facts(Action.CREATE, Action.ALTER, copies_data=True, **target)) is None
    assert ask(facts(Action.CREATE, Action.ALTER, copies_data=True, **target, **reads(EMAIL))) is not None
    assert ask(facts(Action.ALTER, copies_data=True, **target)) == REASONS["relabel"]

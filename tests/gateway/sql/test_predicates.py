"""A WHERE that excludes nothing is no WHERE."""

from __future__ import annotations

import pytest

from gateway.domain.statement import Predicate
from tests.gateway.sql.shop import facts


@pytest.mark.parametrize(
    "condition",
    [
        "1 = 1",
        "true",
        "'a' = 'a'",
        "NOT false",
        "id = id",
        "orders.id = orders.id",
        "id >= id",
        "id <= id AND true",
        "id = 5 OR true",
        "id = 5 OR 1 = 1",
        "(id = 5) OR (note = note)",
        "id IS NULL OR id IS NOT NULL",
        "id = 5 OR id <> 5",
        "id = 5 OR NOT (id = 5)",
        "id < 5 OR id >= 5",
        "id IN (id)",
        "id IN (1, id)",
        "id BETWEEN id AND id",
        "id + 0 = id",
        "id * 1 = id",
        "note || '' = note",
        "(id, note) = (id, note)",
        "id IN (SELECT id FROM orders)",
        "exists (SELECT 1)",
        "exists (SELECT 1 FROM customers)",
        "exists (SELECT 1 FROM customers WHERE id = 5)",
        "5 IN (SELECT id FROM customers)",
        "note LIKE '%'",
        "note ILIKE '%%'",
        "'true'::boolean",
        "true::boolean",
        "coalesce(true, false)",
        "CASE WHEN id = 1 THEN true ELSE true END",
        "now() > '2020-01-01'",
        "$1",
        "id = $1 OR $2",
        "random() < 2",
        "id <> id",
        "NOT (id <> id)",
        "id IS NOT DISTINCT FROM id",
        "1 IS NOT NULL",
        "false",
    ],
)
def test_conditions_that_do_not_look_at_the_rows(condition: str) -> None:
    assert facts(f"DELETE FROM orders WHERE {condition}").predicate is Predicate.CONSTANT
    assert facts(f"UPDATE orders SET note = 'x' WHERE {condition}").predicate is Predicate.CONSTANT


@pytest.mark.parametrize(
    "condition",
    [
        "id = 5",
        "id = $1",
        "id = 5 AND true",
        "id = 5 OR false",
        "id = customer_id",
        "id > 5 OR note = 'x'",
        "note LIKE 'a%'",
        "customer_id IN (SELECT id FROM customers)",
        "exists (SELECT 1 FROM customers c WHERE c.id = customer_id)",
        "(SELECT max(id) FROM customers) = id",
        "id BETWEEN 1 AND 5",
        "note IS NULL",
        "NOT (id = 5)",
        "CURRENT OF some_cursor",
    ],
)
def test_conditions_that_can_exclude_rows(condition: str) -> None:
    assert facts(f"DELETE FROM orders WHERE {condition}").predicate is Predicate.PRESENT


def test_no_condition() -> None:
    assert facts("DELETE FROM orders").predicate is Predicate.ABSENT
    assert facts("SELECT * FROM orders").predicate is Predicate.ABSENT
    assert facts("SELECT 1").predicate is Predicate.NOT_APPLICABLE
    assert facts("INSERT INTO orders (id) VALUES (1)").predicate is Predicate.NOT_APPLICABLE


def test_a_condition_on_another_table_does_not_restrict_the_target() -> None:
    text = "DELETE FROM orders USING customers c WHERE c.id = 5"
    assert facts(text).predicate is Predicate.CONSTANT


def test_the_weakest_write_of_a_statement_counts() -> None:
    text = "WITH d AS (DELETE FROM orders RETURNING id) DELETE FROM customers WHERE id = 5"
    assert facts(text).predicate is Predicate.ABSENT
    assert facts("WITH d AS (DELETE FROM orders) SELECT * FROM customers WHERE id = 5").predicate is Predicate.ABSENT


def test_a_union_is_as_restricted_as_its_weakest_branch() -> None:
    text = "SELECT id FROM orders WHERE id = 1 UNION SELECT id FROM customers"
    assert facts(text).predicate is Predicate.ABSENT

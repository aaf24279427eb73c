"""Statements of a text, and the form of it that logs may hold."""

from __future__ import annotations

import pytest

from gateway.sql.analyse import analyse
from tests.gateway.sql.shop import CATALOG, STATE


def kinds(text: str) -> list[str]:
    return [facts.kind for facts in analyse(text, STATE, CATALOG).statements]


@pytest.mark.parametrize("text", ["", " ", ";", " ; ;; ", "-- nothing", "/* ; */"])
def test_nothing_is_no_statement(text: str) -> None:
    assert kinds(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "SELECT ';'; DELETE FROM orders",
        "SELECT $$;$$ ; DELETE FROM orders;",
        "SELECT $a$ ; $$ ; $a$ ; DELETE FROM orders",
        r"SELECT E'\';'; DELETE FROM orders",
        "SELECT 1 /* ; /* ; */ ; */ ; DELETE FROM orders",
        "SELECT 1 -- ;\n; DELETE FROM orders",
        'SELECT 1 AS ";"; DELETE FROM orders',
    ],
)
def test_semicolons_that_are_not_separators(text: str) -> None:
    assert kinds(text) == ["select", "delete"]


def test_a_function_body_in_sql_is_one_statement() -> None:
    body = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END"
    assert kinds(f"{body}; DROP TABLE orders") == ["create", "drop"]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS case; END; DROP TABLE orders; SELECT 1 AS end",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 case; END; DROP TABLE orders; END",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; DROP TABLE orders",
    ],
)
def test_a_body_whose_end_is_not_certain_hides_nothing(text: str) -> None:
    assert kinds(text) == ["unknown"]


def test_alike_statements_have_one_fingerprint() -> None:
    first = analyse("SELECT name FROM customers WHERE id IN (1, 2) -- a", STATE, CATALOG)
    second = analyse("select  NAME from customers\nwhere id in (5, 6, 7)", STATE, CATALOG)
    other = analyse("SELECT email FROM customers WHERE id IN (1, 2)", STATE, CATALOG)

    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != other.fingerprint
    assert len(first.fingerprint) == 16


def test_the_normalised_text_holds_no_literal() -> None:
    found = analyse("SELECT 'secret-1', $$secret-2$$, E'secret-3', 4711, U&'secret-4' /* secret-5 */", STATE, CATALOG)

    assert "secret" not in found.normalised
    assert "4711" not in found.normalised

"""The promise that other literals do not change the facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.statement import Analysis
from gateway.sql.analyse import analyse
from tests.gateway.sql.shop import CATALOG, STATE


def found(text: str) -> Analysis:
    return analyse(text, STATE, CATALOG)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT name FROM customers WHERE id = 5",
        "SELECT name FROM customers WHERE id = $1",
        "SELECT 'x', 1 FROM customers WHERE name IN ('a', 'b') AND id BETWEEN 1 AND 5 LIMIT 10 OFFSET 20",
        "INSERT INTO orders (id, note) VALUES (1, 'x'), (2, 'y')",
        "UPDATE orders SET note = 'x', amount = 5 WHERE id = 7",
        "DELETE FROM orders WHERE id = 7",
    ],
)
def test_literals_in_safe_places(text: str) -> None:
    assert not found(text).literals_matter


@pytest.mark.parametrize(
    "text",
    [
        "SELECT name FROM customers ORDER BY 1",
        "SELECT name FROM customers GROUP BY 1",
        "DELETE FROM orders WHERE 1 = 2",
        "DELETE FROM orders WHERE id = 1 OR id <> 2",
        "DELETE FROM orders WHERE note LIKE 'a%'",
        "SELECT current_setting('a')",
        "SELECT set_config('a', 'b', false)",
        "SET search_path = 'x'",
        "SELECT leak(1)",
        "EXECUTE p(1)",
        "COPY orders FROM 'x'",
        "SELECT 'unfinished",
    ],
)
def test_literals_that_matter(text: str) -> None:
    assert found(text).literals_matter


_SHAPES = [
    "SELECT name FROM customers WHERE id = {} ORDER BY {}",
    "SELECT name, {} FROM customers WHERE id = {} OR id <> {}",
    "DELETE FROM orders WHERE {} = {}",
    "DELETE FROM orders WHERE id = {} AND note = {}",
    "DELETE FROM orders WHERE note LIKE {} OR amount > {}",
    "UPDATE orders SET note = {} WHERE id IN ({}, {})",
    "SELECT CASE WHEN id = {} THEN {} ELSE name END FROM customers GROUP BY {}, name, id",
    "DELETE FROM orders WHERE id + {} = id",
    "DELETE FROM orders WHERE CASE WHEN id = {} THEN {} = {} ELSE true END",
    "DELETE FROM orders WHERE id = {} OR id < {} OR id >= {}",
    "SELECT substring(name FROM {}), lower({}) FROM customers WHERE name || {} = name LIMIT {}",
    "DELETE FROM orders WHERE coalesce({} = {}, id = {})",
]
_LITERALS = st.sampled_from(["0", "1", "2", "5", "''", "'a'", "'%'", "'1'", "'true'", "'t'"])


@given(
    st.sampled_from(_SHAPES), st.lists(_LITERALS, min_size=4, max_size=4), st.lists(_LITERALS, min_size=4, max_size=4)
)
def test_facts_are_the_same_where_that_was_promised(shape: str, first: list[str], second: list[str]) -> None:
    one, other = found(shape.format(*first)), found(shape.format(*second))

    if not one.literals_matter:
        assert one.statements == other.statements

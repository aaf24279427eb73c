"""What a statement uses of a column besides showing it: for filters, for the number of rows, for storing it."""

from __future__ import annotations

import pytest

from gateway.domain.statement import Action, SessionEffect
from tests.gateway.sql.shop import columns, facts


@pytest.mark.parametrize(
    "text",
    [
        "SELECT DISTINCT ssn FROM customers",
        "SELECT ssn FROM customers UNION SELECT 'x'",
        "SELECT ssn FROM customers INTERSECT SELECT 'x'",
        "SELECT 'x' EXCEPT ALL SELECT ssn FROM customers",
        "WITH RECURSIVE r(s) AS (SELECT ssn FROM customers UNION SELECT s FROM r) SELECT count(*) FROM r",
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ssn) FROM customers",
        "SELECT count(*) FROM customers, generate_series(1, ssn::int)",
        "SELECT 1 FROM customers, LATERAL unnest(string_to_array(ssn, '')) x",
        "SELECT 1, generate_series(1, ssn::int) FROM customers",
        "SELECT 1, regexp_split_to_table(ssn, '') FROM customers",
    ],
)
def test_comparisons_without_a_predicate_are_filters_too(text: str) -> None:
    assert columns("customers.ssn") <= facts(text).columns_filtered


@pytest.mark.parametrize("text", ["SELECT ssn FROM customers UNION ALL SELECT 'x'", "SELECT upper(ssn) FROM customers"])
def test_showing_a_column_is_no_filter(text: str) -> None:
    assert facts(text).columns_filtered == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT setval('s', amount) FROM orders",
        "SELECT count(setval('s', amount)) FROM orders",
        "SELECT 1 FROM orders WHERE setval('s', (SELECT max(amount) FROM orders)) > 0",
        "SELECT pg_advisory_lock(amount) FROM orders",
        "SELECT pg_try_advisory_xact_lock_shared(1, amount) FROM orders",
        "SELECT setseed(amount) FROM orders",
    ],
)
def test_functions_that_keep_an_argument_copy_it(text: str) -> None:
    found = facts(text)
    assert found.copies_data
    assert columns("orders.amount") <= found.columns_read


@pytest.mark.parametrize(
    "text", ["SELECT setval('s', 5)", "SELECT pg_advisory_lock(42), id FROM orders", "SELECT nextval('s') FROM orders"]
)
def test_constants_may_be_kept(text: str) -> None:
    assert not facts(text).copies_data


def test_set_config_is_set() -> None:
    found = facts("SELECT set_config('search_path', '', false)")
    assert found.actions == {Action.READ, Action.SET}
    assert (found.detail, found.opaque) == ("search_path", ())
    assert found.session_effects == {SessionEffect.NAME_RESOLUTION}


def test_of_several_settings_none_is_the_one() -> None:
    found = facts("SELECT set_config('a', 'x', true), set_config('role', 'y', true)")
    assert (found.detail, found.opaque) == ("", ())
    assert found.session_effects == {SessionEffect.NAME_RESOLUTION}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT set_config('my.own', ssn, false) FROM customers",
        "SELECT set_config(ssn, 'x', false) FROM customers",
        "SELECT set_config('a' || 'b', 'x', false)",
        "SELECT set_config($1, 'x', false)",
        "SELECT set_config('a', leak(1), false)",
    ],
)
def test_set_config_of_anything_else_is_opaque(text: str) -> None:
    found = facts(text)
    assert found.opaque
    assert found.session_effects >= {SessionEffect.NAME_RESOLUTION, SessionEffect.LANGUAGE}


def test_set_constraints_ends_what_was_deferred() -> None:
    assert facts("SET CONSTRAINTS ALL IMMEDIATE").actions == {Action.TRANSACTION}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM regexp_split_to_table('a,b', ',') AS part",
        "SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a', 'b']) WITH ORDINALITY AS t(n, s, o)",
        "SELECT (q.keys).x FROM (SELECT information_schema._pg_expandarray(ARRAY[1]) AS keys) q",
    ],
)
def test_functions_of_known_width(text: str) -> None:
    assert facts(text).opaque == ()


@pytest.mark.parametrize(
    "array", ["ARRAY(SELECT c FROM customers c)", "ARRAY[$1]", "$1", "ARRAY[ROW()]", "ARRAY[NULL]::x[]"]
)
def test_unnest_of_what_may_be_rows_has_no_known_width(array: str) -> None:
    assert facts(f"SELECT * FROM unnest({array}) x").opaque

"""Facts of queries and writes: what is read, written, copied and shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.statement import Action, ObjectRef, SessionEffect
from gateway.sql.analyse import AnalysisLimits, analyse
from gateway.sql.state import UNKNOWN_RESOLUTION, NameResolution
from tests.gateway.sql.shop import CATALOG, STATE, column, columns, facts


def sources(text: str) -> list[set[str]]:
    outputs = facts(text).outputs
    assert outputs is not None
    assert all(output.proven for output in outputs)
    return [{str(source).removeprefix("public.") for source in output.sources} for output in outputs]


def test_every_column_by_position() -> None:
    assert sources("SELECT id AS x, ssn AS x, upper(name) || email FROM customers") == [
        {"customers.id"},
        {"customers.ssn"},
        {"customers.name", "customers.email"},
    ]


def test_an_alias_list_on_a_table_renames_by_position() -> None:
    assert sources("SELECT t.name FROM customers AS t(id, ssn, email, name)") == [{"customers.ssn"}]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT c FROM customers c",
        "SELECT customers FROM customers",
        "SELECT row_to_json(c) FROM customers c",
        "SELECT c::text FROM customers c",
        "SELECT row(c.*) FROM customers c",
        "SELECT (SELECT c) FROM customers c",
        "SELECT x.r FROM (SELECT c AS r FROM customers c) x",
        "SELECT format('%s', c) FROM customers c",
    ],
)
def test_a_whole_row_is_every_column(text: str) -> None:
    everything = {"customers.id", "customers.name", "customers.email", "customers.ssn"}
    assert sources(text) == [everything]


def test_a_field_of_a_row_is_one_column() -> None:
    assert sources("SELECT (c).ssn FROM customers c") == [{"customers.ssn"}]
    assert sources("SELECT (c).* FROM customers c")[3] == {"customers.ssn"}


@pytest.mark.parametrize("expression", ["ssn(c)", "c.nick", "(c).nick"])
def test_functional_notation_is_not_understood(expression: str) -> None:
    found = facts(f"SELECT {expression} FROM customers c")
    assert found.opaque
    assert found.reads_everything
    assert found.outputs is not None
    assert not found.outputs[0].proven


def test_recursion_follows_columns_that_change_places() -> None:
    text = """WITH RECURSIVE c(a, b, n) AS (
        SELECT name, ssn, 1 FROM customers UNION ALL SELECT b, a, n + 1 FROM c WHERE n < 3) SELECT a, n FROM c"""
    assert sources(text) == [{"customers.name", "customers.ssn"}, set()]


def test_a_cte_hides_a_table_only_where_it_is_visible() -> None:
    hidden = "WITH orders AS (SELECT ssn AS note FROM customers) SELECT note FROM orders"
    assert sources(hidden) == [{"customers.ssn"}]
    assert sources(hidden.replace("FROM orders", "FROM public.orders")) == [{"orders.note"}]


def test_an_unqualified_name_may_belong_to_the_enclosing_query() -> None:
    assert sources("SELECT (SELECT ssn FROM orders LIMIT 1) FROM customers") == [{"customers.ssn"}]


def test_counting_shows_no_values_but_filters() -> None:
    found = facts("SELECT count(DISTINCT ssn) FROM customers")
    assert found.outputs is not None
    assert found.outputs[0].sources == frozenset()
    assert found.columns_filtered == columns("customers.ssn")


def test_predicates_joins_order_and_groups_are_filters() -> None:
    found = facts(
        """SELECT o.id FROM orders o JOIN customers c ON c.id = o.customer_id AND c.email <> ''
        WHERE c.ssn = 'x' GROUP BY o.id, o.note ORDER BY o.amount"""
    )
    assert found.columns_filtered == columns(
        "customers.id",
        "orders.customer_id",
        "customers.email",
        "customers.ssn",
        "orders.id",
        "orders.note",
        "orders.amount",
    )


def test_a_bare_column_is_told_from_an_expression() -> None:
    found = facts("SELECT ssn, q.name, upper(email), email::text FROM (SELECT * FROM customers) q")
    assert found.outputs is not None
    assert [output.bare for output in found.outputs] == [True, True, False, False]


# --- writes -----------------------------------------------------------------------------------------------------------


def test_returning_shows_what_was_assigned() -> None:
    text = "UPDATE customers SET name = ssn, email = lower(email) WHERE id = 1 RETURNING id, name, email"
    assert sources(text) == [{"customers.id"}, {"customers.name", "customers.ssn"}, {"customers.email"}]
    assert facts(text).copies_data


def test_returning_shows_it_in_a_generated_column_too() -> None:
    text = "UPDATE accounts SET iban = c.ssn FROM customers c RETURNING accounts.bank"
    assert sources(text) == [{"accounts.bank", "accounts.iban", "customers.ssn"}]


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO orders (id, note) SELECT id, ssn FROM customers",
        "INSERT INTO orders (note) VALUES ((SELECT ssn FROM customers LIMIT 1))",
        "UPDATE orders SET note = c.ssn FROM customers c WHERE c.id = customer_id",
        "UPDATE orders SET (id, note) = (SELECT id, ssn FROM customers LIMIT 1)",
        "MERGE INTO orders o USING customers c ON o.id = c.id WHEN MATCHED THEN UPDATE SET note = c.ssn",
        "WITH c AS (SELECT ssn FROM customers) INSERT INTO orders (note) SELECT ssn FROM c",
        "CREATE TABLE copy AS SELECT ssn FROM customers",
        "CREATE TEMP TABLE copy AS SELECT ssn FROM customers",
        "CREATE VIEW copy AS SELECT ssn FROM customers",
        "CREATE MATERIALIZED VIEW copy AS SELECT ssn FROM customers WITH NO DATA",
        "SELECT ssn INTO copy FROM customers",
        "SELECT ssn INTO TEMP copy FROM customers",
    ],
)
def test_copying_is_noticed(text: str) -> None:
    found = facts(text)
    assert found.copies_data
    assert found.opaque == ()
    assert column("customers.ssn") in found.columns_read


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO orders (id, note) VALUES (1, 'x'), (2, $1)",
        "INSERT INTO orders SELECT 1, 2",
        "UPDATE orders SET amount = amount + 1, note = 'x' WHERE id = 5",
        "DELETE FROM orders WHERE id = 5",
    ],
)
def test_ordinary_writes_copy_nothing(text: str) -> None:
    assert not facts(text).copies_data


def test_what_is_written() -> None:
    found = facts("INSERT INTO orders (id, note) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET amount = 1")
    assert found.actions == {Action.INSERT, Action.UPDATE}
    assert found.objects_written == {ObjectRef("public", "orders")}
    assert found.columns_written == columns("orders.id", "orders.note", "orders.amount")


def test_reading_inside_a_write_is_reading() -> None:
    found = facts("DELETE FROM orders USING customers c WHERE c.id = customer_id")
    assert found.actions == {Action.DELETE, Action.READ}
    assert found.objects_read == {ObjectRef("public", "customers")}


def test_a_write_inside_a_query_is_a_write() -> None:
    found = facts("WITH d AS (DELETE FROM orders WHERE id = 1 RETURNING *) SELECT note FROM d")
    assert found.actions == {Action.READ, Action.DELETE}
    assert found.objects_written == {ObjectRef("public", "orders")}


def test_a_table_with_rules_may_do_anything() -> None:
    assert facts("DELETE FROM ruled WHERE id = 1").opaque == ("rewrite rule",)


# --- names ------------------------------------------------------------------------------------------------------------


def test_the_search_path_decides() -> None:
    assert facts("SELECT * FROM customers").objects_read == {ObjectRef("public", "customers")}
    other = NameResolution(search_path=("other", "public"))
    assert facts("SELECT * FROM customers", other).objects_read == {ObjectRef("other", "customers")}
    role = NameResolution(search_path=("$user", "public"), role="other")
    assert facts("SELECT * FROM customers", role).objects_read == {ObjectRef("other", "customers")}


@pytest.mark.parametrize("state", [UNKNOWN_RESOLUTION, NameResolution(search_path=("public",), temporary_objects=True)])
def test_an_uncertain_name_is_not_resolved(state: NameResolution) -> None:
    found = facts("SELECT id FROM customers", state)
    assert found.opaque
    assert found.reads_everything
    assert found.objects_read == {ObjectRef("", "customers")}
    assert facts("SELECT id FROM public.customers", state).opaque == ()


def test_without_a_catalog_nothing_is_proven() -> None:
    found = facts("SELECT id FROM public.customers", catalog=None)
    assert found.opaque
    assert found.outputs is not None
    assert not found.outputs[0].proven


def test_what_follows_a_change_of_names_is_not_resolved() -> None:
    text = "SET search_path = other; SELECT id FROM customers"
    _, second = analyse(text, STATE, CATALOG).statements
    assert second.opaque


def test_views_are_looked_through() -> None:
    assert sources("SELECT secret FROM v_customers") == [{"customers.ssn", "v_customers.secret"}]
    assert sources("SELECT s FROM v_of_view") == [{"customers.ssn", "v_customers.secret", "v_of_view.s"}]
    found = facts("SELECT s FROM v_opaque")
    assert found.reads_everything
    assert found.outputs is not None
    assert not found.outputs[0].proven


# --- functions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        "leak(1)",
        "public.leak(1)",
        "no_such_function(1)",
        "query_to_xml('select 1', true, true, '')",
        "pg_read_file('/etc/passwd')",
        "lo_import('/etc/passwd')",
        "dblink('x', 'select 1')",
        "set_config('a.b', ssn, false)",
        "current_setting('a.b')",
        "current_setting(name)",
        "pg_notify('c', ssn)",
        "pg_terminate_backend(1)",
        "ts_stat('select 1')",
        "other.upper('x')",
    ],
)
def test_unknown_functions_are_opaque(call: str) -> None:
    found = facts(f"SELECT {call} FROM customers")
    assert found.opaque
    assert found.reads_everything
    assert found.outputs is None or not found.outputs[0].proven


def test_a_name_of_a_builtin_in_a_schema_on_the_path_is_not_the_builtin() -> None:
    assert facts("SELECT upper(name) FROM customers").opaque == ()
    shadowed = NameResolution(search_path=("public", "other"))
    assert facts("SELECT upper(name) FROM customers", shadowed).opaque == ("function upper",)
    assert facts("SELECT pg_catalog.upper(name) FROM customers", shadowed).opaque == ()
    assert facts("SELECT pg_catalog.upper('x')", UNKNOWN_RESOLUTION).opaque == ()


def test_a_keyword_in_quotes_is_a_name() -> None:
    assert facts("SELECT coalesce(1, 2)").opaque == ()
    assert facts('SELECT "coalesce"(1, 2)').opaque == ("function coalesce",)


def test_functions_of_trusted_extensions_are_pure() -> None:
    assert sources("SELECT similarity(name, 'x') FROM customers") == [{"customers.name"}]


def test_only_volatile_functions_count_as_calls() -> None:
    assert facts("SELECT leak(1)").actions == {Action.READ, Action.CALL}
    assert facts("SELECT steady(1)").actions == {Action.READ}
    assert SessionEffect.NAME_RESOLUTION in facts("SELECT steady(1)").session_effects


def test_statistics_show_stored_values() -> None:
    found = facts("SELECT histogram_bounds FROM pg_stats")
    assert found.reads_everything
    assert found.outputs is not None
    assert not found.outputs[0].proven
    assert facts("SELECT relname FROM pg_class").opaque == ()


# --- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "(" * 300 + "1" + ")" * 300,
        "SELECT " + "NOT " * 30_000 + "true",
        "SELECT " + "1+" * 20_000 + "1",
        "SELECT " + "case when true then " * 3_000 + "1" + " end" * 3_000,
        " UNION ".join(["SELECT 1"] * 3_000),
        "SELECT a" + "[1]" * 2_000,
        "SELECT " + "array[" * 100 + "1" + "]" * 100,
        "EXPLAIN " * 5_000 + "SELECT 1",
        "SELECT 1 WHERE " + "1 BETWEEN " * 2_000 + "1",
        "SELECT 'a",
        "\x00",
        "\ud800",
    ],
)
def test_hostile_texts_are_unknown_statements(text: str) -> None:
    (found,) = analyse(text, STATE, CATALOG).statements
    assert found.opaque
    assert found.reads_everything


def test_limits_are_enforced() -> None:
    limits = AnalysisLimits(tokens=10, depth=2, statements=2)
    for text in ("SELECT 1, 2, 3, 4, 5, 6, 7", "SELECT ((((1))))", "SELECT 1; SELECT 1; SELECT 1"):
        (found,) = analyse(text, STATE, CATALOG, limits=limits).statements
        assert found.actions == {Action.UNKNOWN}


_WORDS = """select from where ( ) , * . ; customers c id ssn 'x' 1 = as with union all insert into values update set
delete returning join on using order by group lateral [ ] :: text case when then end not and or $1 "q" ||
exists in null copy
explain declare cursor for fetch create table view function begin atomic alter drop merge matched prepare""".split()


@given(st.lists(st.sampled_from(_WORDS), max_size=25))
def test_no_text_makes_it_fail(words: list[str]) -> None:
    found = analyse(" ".join(words), STATE, CATALOG)

    assert all(not reason.startswith("analysis failed") for facts in found.statements for reason in facts.opaque)


def chain(join: str, count: int) -> str:
    """A query over so many tables: each "c0", "c1" and so on, and what joins them."""
    return "SELECT c0.id FROM customers c0 " + " ".join(join.format(f"customers c{n}", n) for n in range(1, count))


@pytest.mark.parametrize(
    "join", ["JOIN {0}", "LEFT JOIN {0}", "NATURAL JOIN {0}", "JOIN {0} JOIN customers x{1} ON true"]
)
@pytest.mark.parametrize("before", ["", "'on on on on on on on on on' || "])
def test_joins_that_wait_for_their_condition_do_not_make_the_analysis_slow(join: str, before: str) -> None:
    """Each of them would double it: forty, which fit into a short text, would take the parser years."""
    found = facts(chain(join, 40).replace("SELECT ", f"SELECT {before}"))
    assert found.opaque == ("too many joins without a condition",)


@pytest.mark.parametrize(
    "text",
    [
        chain("JOIN {0} ON c{1}.id = c0.id", 40),
        chain("JOIN {0} USING (id)", 40),
        chain("CROSS JOIN {0}", 40),
        chain("JOIN {0}", 8) + " ON true" * 7,
        " UNION ".join([chain("JOIN {0}", 4) + " ON true" * 3] * 10),
        "SELECT id FROM customers WHERE id IN (" + ") AND id IN (".join([chain("JOIN {0} ON true", 5)] * 8) + ")",
    ],
)
def test_many_joins_with_conditions_are_understood(text: str) -> None:
    assert not facts(text).opaque

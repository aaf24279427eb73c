"""Statements that are not queries, told from their words."""

from __future__ import annotations

import pytest

from gateway.domain.statement import Action, ObjectRef, SessionEffect
from tests.gateway.sql.shop import column, columns, facts

_NAMES = SessionEffect.NAME_RESOLUTION
_LANGUAGE = SessionEffect.LANGUAGE


@pytest.mark.parametrize(
    ("text", "detail", "effects"),
    [
        ("SET search_path = other", "search_path", {_NAMES}),
        ("SET LOCAL Search_Path TO other, public", "search_path", {_NAMES}),
        ("SET SCHEMA 'other'", "search_path", {_NAMES}),
        ("SET ROLE admin", "role", {_NAMES}),
        ("SET SESSION ROLE admin", "role", {_NAMES}),
        ("SET SESSION AUTHORIZATION admin", "session_authorization", {_NAMES}),
        ("SET standard_conforming_strings = off", "standard_conforming_strings", {_LANGUAGE}),
        ("SET NAMES 'latin1'", "client_encoding", {_LANGUAGE}),
        ("SET TIME ZONE 'UTC'", "timezone", set()),
        ("SET application_name = 'x'", "application_name", set()),
        ("SET my.own = 'x'", "my.own", set()),
        ("RESET ROLE", "role", {_NAMES}),
        ("RESET ALL", "all", {_NAMES, _LANGUAGE}),
        ("RESET statement_timeout", "statement_timeout", set()),
    ],
)
def test_settings(text: str, detail: str, effects: set[SessionEffect]) -> None:
    found = facts(text)
    assert found.actions == {Action.SET}
    assert found.detail == detail
    assert found.session_effects == effects
    assert found.opaque == ()


def test_showing_a_setting_of_ones_own_may_show_anything() -> None:
    assert facts("SHOW search_path").opaque == ()
    assert facts("SHOW my.own").opaque
    assert len(facts("SHOW ALL").outputs or ()) == 3


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("BEGIN", "begin"),
        ("START TRANSACTION READ ONLY", "begin"),
        ("COMMIT", "commit"),
        ("END", "commit"),
        ("ROLLBACK TO SAVEPOINT a", "rollback"),
        ("ABORT", "rollback"),
        ("SAVEPOINT a", "savepoint"),
        ("RELEASE a", "release"),
        ("PREPARE TRANSACTION 'x'", "prepare_transaction"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "set"),
    ],
)
def test_transactions(text: str, kind: str) -> None:
    found = facts(text)
    assert found.kind == kind
    assert found.actions == {Action.TRANSACTION}
    assert found.session_effects == frozenset()


@pytest.mark.parametrize(
    ("text", "actions"),
    [
        ("LISTEN c", {Action.NOTIFY}),
        ("NOTIFY c, 'x'", {Action.NOTIFY}),
        ("UNLISTEN *", {Action.NOTIFY}),
        ("CLOSE c", {Action.CURSOR}),
        ("MOVE 5 FROM c", {Action.CURSOR}),
        ("VACUUM FULL orders", {Action.MAINTAIN}),
        ("ANALYZE", {Action.MAINTAIN}),
        ("REINDEX TABLE orders", {Action.MAINTAIN}),
        ("CLUSTER orders", {Action.MAINTAIN}),
        ("CHECKPOINT", {Action.MAINTAIN}),
        ("COMMENT ON TABLE orders IS 'x'", {Action.MAINTAIN}),
        ("REFRESH MATERIALIZED VIEW m", {Action.MAINTAIN}),
        ("LOCK TABLE orders IN EXCLUSIVE MODE", {Action.LOCK}),
        ("TRUNCATE orders, customers CASCADE", {Action.TRUNCATE}),
        ("GRANT SELECT ON orders TO ana", {Action.GRANT}),
        ("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM ana", {Action.REVOKE}),
        ("REASSIGN OWNED BY ana TO bob", {Action.ALTER, Action.GRANT}),
        ("ALTER ROLE ana SUPERUSER", {Action.ALTER, Action.GRANT, Action.REVOKE}),
        ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ana", {Action.ALTER, Action.GRANT, Action.REVOKE}),
        ("CREATE USER ana", {Action.CREATE, Action.GRANT}),
        ("DROP OWNED BY ana", {Action.DROP, Action.REVOKE}),
        ("SECURITY LABEL ON TABLE orders IS 'x'", {Action.ALTER}),
        ("CREATE INDEX CONCURRENTLY ON orders (note)", {Action.CREATE}),
        ("CREATE SCHEMA x", {Action.CREATE}),
        ("ALTER TABLE orders ADD COLUMN x int", {Action.ALTER}),
        ("DROP TABLE IF EXISTS orders CASCADE", {Action.DROP}),
        ("DEALLOCATE ALL", {Action.PREPARE}),
        ("DISCARD ALL", {Action.SET}),
        ("SELECT id FROM orders FOR UPDATE", {Action.READ, Action.LOCK}),
    ],
)
def test_actions(text: str, actions: set[Action]) -> None:
    assert facts(text).actions == actions


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("DROP TABLE orders, other.customers", {("public", "orders"), ("other", "customers")}),
        ("TRUNCATE ONLY orders", {("public", "orders")}),
        ("ALTER TABLE ONLY public.orders RENAME TO x", {("public", "orders")}),
        ("CREATE TABLE fresh (id int)", {("public", "fresh")}),
        ("CREATE TABLE other.fresh (id int)", {("other", "fresh")}),
        ("CREATE TEMP TABLE fresh (id int)", {("pg_temp", "fresh")}),
        ("CREATE INDEX i ON orders (id)", {("public", "orders")}),
        ("LOCK orders", {("public", "orders")}),
        ("GRANT SELECT ON TABLE orders TO ana", {("public", "orders")}),
    ],
)
def test_objects(text: str, written: set[tuple[str, str]]) -> None:
    assert {(item.schema, item.name) for item in facts(text).objects_written} == written


def test_an_object_that_is_not_known_has_no_schema() -> None:
    found = facts("DROP TABLE nowhere")
    assert found.objects_written == {ObjectRef("", "nowhere")}
    assert found.opaque


def test_temporary_objects_are_noticed() -> None:
    for text in (
        "CREATE TEMP TABLE x (id int)",
        "SELECT id INTO TEMPORARY x FROM orders",
        "CREATE TABLE pg_temp.x (id int)",
    ):
        assert SessionEffect.TEMPORARY_OBJECTS in facts(text).session_effects


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE customers RENAME COLUMN ssn TO x",
        "ALTER TABLE customers RENAME TO x",
        "ALTER TABLE customers SET SCHEMA other",
        "ALTER TABLE orders ATTACH PARTITION customers DEFAULT",
        "ALTER VIEW v_customers RENAME TO x",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TRIGGER t BEFORE INSERT ON orders EXECUTE FUNCTION f()",
        "CREATE RULE r AS ON INSERT TO orders DO INSTEAD (SELECT 1; SELECT 2)",
        "CREATE EXTENSION dblink",
        "CREATE SERVER s FOREIGN DATA WRAPPER w",
    ],
)
def test_definitions_that_can_move_data_out_of_its_labels(text: str) -> None:
    assert facts(text).copies_data


# --- what holds other statements --------------------------------------------------------------------------------------


def test_explain_is_what_it_explains() -> None:
    plan = facts("EXPLAIN DELETE FROM orders WHERE id = 1")
    assert plan.actions == {Action.EXPLAIN}
    assert plan.objects_written == {ObjectRef("public", "orders")}
    for options in ("ANALYZE", "(COSTS off, ANALYZE)", "(ANALYZE true)"):
        assert facts(f"EXPLAIN {options} DELETE FROM orders").actions == {Action.EXPLAIN, Action.DELETE}
    assert facts("EXPLAIN (ANALYZE false) DELETE FROM orders").actions == {Action.EXPLAIN}
    assert Action.UNKNOWN in facts("EXPLAIN EXECUTE p").actions


def test_a_cursor_reads_what_its_query_reads() -> None:
    found = facts("DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT ssn FROM customers")
    assert found.actions == {Action.CURSOR, Action.READ}
    assert found.columns_read == columns("customers.ssn")
    assert found.detail == "c"
    assert facts("FETCH ALL FROM c").reads_everything


def test_a_prepared_statement_is_judged_when_it_is_prepared() -> None:
    found = facts("PREPARE p (int) AS DELETE FROM orders WHERE id = $1")
    assert found.actions == {Action.PREPARE, Action.DELETE}
    assert found.detail == "p"
    assert SessionEffect.PREPARED_STATEMENTS in found.session_effects
    assert facts('EXECUTE "P"(1)').detail == "P"
    assert facts("EXECUTE p").actions == {Action.UNKNOWN}
    assert facts("DEALLOCATE PREPARE p").detail == "p"
    assert facts("DEALLOCATE prepare").detail == "prepare"


@pytest.mark.parametrize("text", ["DO $$ BEGIN END $$", "CALL p(1)", "LOAD 'x'"])
def test_code_is_opaque(text: str) -> None:
    found = facts(text)
    assert Action.CALL in found.actions
    assert found.opaque
    assert SessionEffect.NAME_RESOLUTION in found.session_effects


@pytest.mark.parametrize(
    "text", ["FROBNICATE", "x", "IMPORT FOREIGN SCHEMA s FROM SERVER t INTO u", "SET", "EXPLAIN", "SELECT 1 FROM"]
)
def test_what_is_not_known_is_opaque(text: str) -> None:
    assert facts(text).opaque


# --- COPY -------------------------------------------------------------------------------------------------------------


def test_copying_a_table_out() -> None:
    found = facts("COPY customers TO STDOUT WITH (FORMAT csv)")
    assert found.actions == {Action.COPY_OUT, Action.READ}
    assert found.detail == "stdout"
    assert found.outputs is not None
    assert [output.name for output in found.outputs] == ["id", "name", "email", "ssn"]
    assert all(output.bare for output in found.outputs)
    assert not found.copies_data


def test_copying_columns_out() -> None:
    found = facts("COPY public.customers (ssn, id) TO STDOUT")
    assert found.outputs is not None
    assert [output.sources for output in found.outputs] == [columns("customers.ssn"), columns("customers.id")]


def test_generated_columns_are_copied_only_by_name() -> None:
    assert [output.name for output in facts("COPY accounts TO STDOUT").outputs or ()] == ["id", "iban"]
    named = facts("COPY accounts (bank) TO STDOUT").outputs or ()
    assert column("accounts.iban") in named[0].sources


def test_copying_a_query_out() -> None:
    found = facts("COPY (SELECT upper(ssn) FROM customers) TO STDOUT")
    assert found.actions == {Action.COPY_OUT, Action.READ}
    assert found.outputs is not None
    assert found.outputs[0].sources == columns("customers.ssn")
    assert Action.DELETE in facts("COPY (DELETE FROM orders RETURNING id) TO STDOUT").actions


def test_copying_in() -> None:
    found = facts("COPY orders (id, note) FROM STDIN")
    assert found.actions == {Action.COPY_IN}
    assert found.columns_written == columns("orders.id", "orders.note")
    assert found.opaque == ()


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("COPY customers TO '/tmp/x'", "file"),
        ("COPY customers FROM '/tmp/x'", "file"),
        ("COPY customers TO PROGRAM 'cat'", "program"),
        ("COPY (SELECT ssn FROM customers) TO PROGRAM 'cat'", "program"),
    ],
)
def test_files_and_programs_of_the_server(text: str, detail: str) -> None:
    found = facts(text)
    assert found.detail == detail
    assert found.opaque
    assert (Action.CALL in found.actions) == (detail == "program")

"""What MySQL's statements do, without a server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.domain.statement import Action, ColumnRef, Predicate, SessionEffect, StatementFacts
from gateway.sql.analyse import analyse
from gateway.sql.catalog import Catalog, CatalogContents, Column, Function, Relation
from gateway.sql.mysql.system import SYSTEM_SCHEMAS
from gateway.sql.mysql.views import MySqlDefinitions
from gateway.sql.outputs import lineage
from gateway.sql.state import MySqlResolution
from gateway.sql.views import build

STATE = MySqlResolution(database="shop", version=(10, 11, 6))


def _relation(
    oid: int, name: str, *columns: str, schema: str = "shop", kind: str = "r", definition: str = ""
) -> Relation:
    listed = tuple(Column(column, number) for number, column in enumerate(columns, 1))
    return Relation(schema, name, oid, kind, listed, definition or None)


CATALOG: Catalog = build(
    CatalogContents(
        relations=(
            _relation(1, "customers", "id", "name", "Email", "ssn"),
            _relation(2, "orders", "id", "customer_id", "note", "total"),
            _relation(
                3,
                "v",
                "i",
                "secret",
                kind="v",
                definition="select `c`.`id` AS `i`,`c`.`ssn` AS `secret` from `shop`.`customers` `c`",
            ),
            _relation(4, "Twin", "id"),
            _relation(5, "twin", "id"),
            _relation(6, "processlist", "ID", "INFO", schema="information_schema", kind="v"),
            _relation(7, "customers", "id", schema="other"),
            _relation(8, "berge", "höhe", "größe", "hohe"),
        ),
        functions=(Function("shop", "leak"), Function("shop", "substr")),
        schemas=frozenset({"shop", "other", "information_schema"}),
        system_schemas=SYSTEM_SCHEMAS,
    ),
    MySqlDefinitions(),
)


def facts(text: str, state: MySqlResolution = STATE) -> StatementFacts:
    """The facts of a text of one statement."""
    (only,) = analyse(text, state, CATALOG, dialect="mysql").statements
    return only


def column(text: str) -> ColumnRef:
    """``table.column`` of the shop."""
    table, _, name = text.partition(".")
    return ColumnRef("shop", table, name)


@pytest.mark.parametrize(
    ("text", "predicate"),
    [
        ("DELETE FROM orders", Predicate.ABSENT),
        ("DELETE FROM orders LIMIT 10", Predicate.ABSENT),
        ("DELETE FROM orders ORDER BY id LIMIT 10", Predicate.ABSENT),
        ("DELETE FROM orders WHERE 1", Predicate.CONSTANT),
        ("DELETE FROM orders WHERE '1'", Predicate.CONSTANT),
        ("DELETE FROM orders WHERE 1=1", Predicate.CONSTANT),
        ("DELETE FROM orders WHERE NOT 0", Predicate.CONSTANT),
        ("DELETE FROM orders WHERE !0", Predicate.CONSTANT),
        ("DELETE FROM orders WHERE true", Predicate.CONSTANT),
        ("DELETE FROM orders WHERE ID = `id`", Predicate.CONSTANT),
        ("DELETE FROM orders WHERE id <=> id", Predicate.CONSTANT),
        ("DELETE FROM orders WHERE id = 5 || 1", Predicate.CONSTANT),
        ("DELETE FROM orders WHERE id = 5 OR '1'", Predicate.CONSTANT),
        ("DELETE FROM orders WHERE @v", Predicate.CONSTANT),
        ("DELETE FROM orders WHERE rand() < 2", Predicate.CONSTANT),
        ("DELETE FROM orders WHERE note LIKE '%'", Predicate.CONSTANT),
        ("DELETE FROM orders WHERE id = 5", Predicate.PRESENT),
        ("DELETE FROM orders /*!999999 WHERE id = 5 */", Predicate.ABSENT),
        ("DELETE FROM orders /*! WHERE id = 5 */", Predicate.PRESENT),
        ("DELETE o FROM orders o JOIN customers c ON c.id = o.customer_id", Predicate.PRESENT),
        ("DELETE o FROM orders o LEFT JOIN customers c ON c.id = o.customer_id", Predicate.ABSENT),
        ("DELETE o FROM orders o JOIN customers c WHERE c.id = 1", Predicate.CONSTANT),
        ("DELETE o, c FROM orders o JOIN customers c WHERE o.id = 1", Predicate.CONSTANT),
        ("UPDATE orders SET note = 'x' WHERE id = 1", Predicate.PRESENT),
        ("UPDATE orders, customers SET note = 'x' WHERE name = 'y'", Predicate.CONSTANT),
        ("UPDATE orders SET note = 'x'", Predicate.ABSENT),
    ],
)
def test_what_restricts_a_write(text: str, predicate: Predicate) -> None:
    found = facts(text)

    assert found.opaque == ()
    assert found.predicate is predicate


@pytest.mark.parametrize(
    ("text", "actions"),
    [
        ("SELECT 1", {Action.READ}),
        ("SELECT id FROM orders FOR UPDATE", {Action.READ, Action.LOCK}),
        ("SELECT id FROM orders INTO OUTFILE '/tmp/x'", {Action.READ, Action.COPY_OUT}),
        ("INSERT INTO orders (id) VALUES (1)", {Action.INSERT}),
        ("INSERT INTO orders (id) VALUES (1) ON DUPLICATE KEY UPDATE id = 2", {Action.INSERT, Action.UPDATE}),
        ("INSERT INTO orders (id) SELECT id FROM customers", {Action.INSERT, Action.READ}),
        ("REPLACE INTO orders (id) VALUES (1)", {Action.INSERT, Action.DELETE}),
        ("UPDATE orders SET id = 1 WHERE id = 2", {Action.UPDATE}),
        ("UPDATE orders o JOIN customers c ON c.id = o.id SET o.note = c.name", {Action.UPDATE, Action.READ}),
        ("WITH q AS (SELECT 1 AS x) DELETE FROM orders WHERE id IN (SELECT x FROM q)", {Action.DELETE}),
        ("LOAD DATA LOCAL INFILE 'x' INTO TABLE orders", {Action.COPY_IN}),
        ("TRUNCATE orders", {Action.TRUNCATE}),
        ("CREATE TABLE t (id int)", {Action.CREATE}),
        ("CREATE OR REPLACE TABLE t (id int)", {Action.CREATE, Action.ALTER}),
        ("CREATE TABLE t AS SELECT id FROM orders", {Action.CREATE, Action.READ}),
        ("ALTER TABLE orders ADD COLUMN x int", {Action.ALTER}),
        ("ALTER TABLE orders DROP COLUMN note", {Action.ALTER, Action.DROP}),
        ("DROP TABLE IF EXISTS orders, nothing", {Action.DROP}),
        ("RENAME TABLE orders TO old", {Action.ALTER}),
        ("CREATE USER a IDENTIFIED BY 'x'", {Action.CREATE, Action.GRANT}),
        ("GRANT SELECT ON shop.* TO a", {Action.GRANT}),
        ("REVOKE SELECT ON shop.orders FROM a", {Action.REVOKE}),
        ("SET PASSWORD = 'x'", {Action.GRANT}),
        ("SET autocommit = 0", {Action.SET}),
        ("SET GLOBAL max_connections = 5", {Action.SET, Action.MAINTAIN}),
        ("SET SESSION TRANSACTION READ ONLY", {Action.TRANSACTION}),
        ("START TRANSACTION", {Action.TRANSACTION}),
        ("XA PREPARE 'x'", {Action.TRANSACTION}),
        ("START SLAVE", {Action.REPLICATE}),
        ("KILL QUERY 5", {Action.SHOW}),
        ("FLUSH TABLES WITH READ LOCK", {Action.MAINTAIN, Action.LOCK}),
        ("OPTIMIZE TABLE orders", {Action.MAINTAIN}),
        ("LOCK TABLES orders WRITE", {Action.LOCK}),
        ("SHOW TABLES", {Action.SHOW}),
        ("DESCRIBE orders", {Action.SHOW}),
        ("EXPLAIN DELETE FROM orders", {Action.EXPLAIN}),
        ("ANALYZE FORMAT=JSON SELECT id FROM orders", {Action.EXPLAIN, Action.READ}),
    ],
)
def test_actions(text: str, actions: set[Action]) -> None:
    assert facts(text).actions == actions


@pytest.mark.parametrize(
    "text",
    [
        "CALL p()",
        "BEGIN NOT ATOMIC SELECT 1; END",
        "CREATE PROCEDURE p() SELECT ssn FROM customers",
        "CREATE DEFINER=`a`@`b` TRIGGER t AFTER INSERT ON orders FOR EACH ROW SET @x = 1",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM orders",
        "label: LOOP SELECT 1; END LOOP",
        "EXECUTE s",
        "PREPARE s FROM @q",
        "EXECUTE IMMEDIATE concat('SELECT', ' 1')",
        "HANDLER customers OPEN",
        "SELECT leak(1)",
        "SELECT substr(name, 1) FROM customers",
        "SELECT shop.upper('x')",
        "SELECT load_file('/etc/passwd')",
        "SELECT * FROM customers PROCEDURE ANALYSE()",
        "SELECT _rowid FROM customers",
        "SELECT * FROM nowhere",
        "SELECT id FROM Twin",
        "SELECT höhe FROM berge",
        "SELECT (SELECT grosse FROM berge LIMIT 1) hohe FROM orders",
        "LOAD DATA INFILE '/x' INTO TABLE orders",
        "SHOW EXPLAIN FOR 5",
        "SHOW TABLES WHERE (SELECT 1)",
        "INSTALL SONAME 'x'",
        "CREATE TABLE t (id int) ENGINE=MERGE UNION=(customers)",
        "CREATE TABLE t (id int) ENGINE=CONNECT",
        "CREATE TABLE t (id int) DATA DIRECTORY='/x'",
        "SET STATEMENT sql_mode='ANSI_QUOTES' FOR SELECT 1",
        "SHUTDOWN",
        "NONSENSE",
    ],
)
def test_what_cannot_be_told_is_opaque(text: str) -> None:
    assert facts(text).opaque


@pytest.mark.parametrize(
    "text",
    [
        "SELECT ssn INTO @v FROM customers",
        "SELECT @v := ssn FROM customers",
        "SELECT name FROM customers WHERE (@v := ssn) IS NULL",
        "SET @v = (SELECT ssn FROM customers LIMIT 1)",
        "DO @v := (SELECT ssn FROM customers LIMIT 1)",
        "SELECT last_insert_id(ssn) FROM customers",
        "SELECT get_lock(ssn, 0) FROM customers",
        "INSERT INTO orders (note) SELECT ssn FROM customers",
        "INSERT INTO customers (id) VALUES (1) ON DUPLICATE KEY UPDATE name = ssn",
        "UPDATE customers SET name = ssn",
        "UPDATE orders o JOIN customers c ON c.id = o.id SET o.note = c.ssn",
        "CREATE TABLE t SELECT ssn FROM customers",
        "CREATE VIEW w AS SELECT ssn FROM customers",
        "RENAME TABLE customers TO t",
        "ALTER TABLE customers CHANGE ssn x text",
        "ALTER TABLE orders EXCHANGE PARTITION p WITH TABLE customers",
    ],
)
def test_values_that_are_put_somewhere_else(text: str) -> None:
    assert facts(text).copies_data


def test_names_without_case_lead_to_the_catalogs_spelling() -> None:
    found = facts("SELECT EMAIL, c.`eMail` FROM customers c")

    assert found.columns_read == {column("customers.Email")}
    assert facts("UPDATE customers SET email = 'x'").columns_written == {column("customers.Email")}


def test_names_with_accents_are_names() -> None:
    assert facts("SELECT Größe FROM berge").columns_read == {column("berge.größe")}
    assert facts("SELECT größe AS übrig FROM berge").opaque == ()


def test_views_are_seen_through() -> None:
    (_, secret) = facts("SELECT * FROM v").outputs or ()

    assert secret.sources == {column("v.secret"), column("customers.ssn")}


def test_what_the_server_names_is_looked_up_without_case() -> None:
    assert CATALOG.origin_by_name("SHOP", "Customers", "EMAIL") == {column("customers.Email")}
    assert CATALOG.origin_by_name("", "customers", "email") == frozenset()


@pytest.mark.parametrize(
    ("text", "effects"),
    [
        ("USE other", {SessionEffect.NAME_RESOLUTION}),
        ("SET NAMES latin1", {SessionEffect.LANGUAGE}),
        ("SET sql_mode = ''", {SessionEffect.LANGUAGE}),
        ("SET @@session.sql_mode = concat(@@sql_mode, ',ANSI')", {SessionEffect.LANGUAGE}),
        ("SET autocommit = 0, character_set_client = gbk", {SessionEffect.LANGUAGE}),
        ("SET @x = 1", set()),
        ("SET TRANSACTION READ ONLY", set()),
        ("CREATE TEMPORARY TABLE t (id int)", {SessionEffect.TEMPORARY_OBJECTS, SessionEffect.CATALOG}),
        ("PREPARE s FROM 'SELECT 1'", {SessionEffect.PREPARED_STATEMENTS}),
        ("SELECT 1", set()),
    ],
)
def test_effects_on_the_session(text: str, effects: set[SessionEffect]) -> None:
    assert facts(text).session_effects == effects


def test_a_text_is_read_on_as_its_statements_have_left_the_session() -> None:
    def kinds(text: str) -> list[tuple[str, bool]]:
        return [(f.kind, bool(f.opaque)) for f in analyse(text, STATE, CATALOG, dialect="mysql").statements]

    assert kinds('SET autocommit=1; SELECT "a"') == [("set", False), ("select", False)]
    assert kinds("SET sql_mode='ANSI_QUOTES'; SELECT 'a'") == [("set", False), ("select", False)]
    assert kinds("SET sql_mode='ANSI_QUOTES'; SELECT \"ssn\" FROM customers") == [("set", False), ("unknown", True)]
    assert kinds("USE other; SELECT id FROM customers") == [("use", False), ("select", False)]
    assert kinds("USE other; SELECT ssn FROM customers") == [("use", False), ("select", True)]
    assert kinds("CREATE TEMPORARY TABLE t (id int); SELECT id FROM orders")[1] == ("select", True)
    assert kinds("SELECT 1; BEGIN NOT ATOMIC SELECT 2; END; SELECT 3") == [("select", False), ("begin", True)]


def test_a_string_that_names_a_column_matters() -> None:
    assert analyse("SELECT name 'x' FROM customers", STATE, CATALOG, dialect="mysql").literals_matter
    assert not analyse("SELECT name FROM customers WHERE id = 5", STATE, CATALOG, dialect="mysql").literals_matter


def test_settings_decide_what_a_text_means() -> None:
    quoted = facts('SELECT "ssn" FROM customers', replace(STATE, ansi_quotes=True))
    assert quoted.columns_read == {column("customers.ssn")}
    assert facts('SELECT "ssn" FROM customers').columns_read == frozenset()
    assert facts("SELECT name || ssn FROM customers", replace(STATE, pipes_as_concat=True)).opaque == ()
    assert facts("SELECT id FROM customers", replace(STATE, known=False)).opaque
    assert facts("SELECT id FROM customers", replace(STATE, temporary_objects=True)).opaque
    assert facts("SELECT id FROM customers", replace(STATE, database=None)).opaque
    assert facts("SELECT id FROM other.customers", replace(STATE, database=None)).opaque == ()


def test_statements_of_others_are_hidden_and_the_rest_of_the_list_is_not() -> None:
    (number, info) = facts("SELECT * FROM information_schema.PROCESSLIST").outputs or ()
    assert number.proven
    assert not info.proven
    shown = facts("SHOW FULL PROCESSLIST").outputs or ()
    assert [output.name for output in shown if not output.proven] == ["State", "Info"]
    assert [output.proven for output in facts("SHOW WARNINGS").outputs or ()] == [True, True, False]


def test_what_reads_nothing_shows_nothing_however_wide_it_is() -> None:
    assert all(output is not None and output.proven for output in lineage(facts("SHOW TABLES"), ["a", "b", "c"]))
    assert lineage(facts("SELECT name FROM customers"), ["a", "b"]) == [None, None]
    assert lineage(facts("CALL p()"), ["a"]) == [None]


@pytest.mark.parametrize("text", ["SELECT 1 FROM {}", "DELETE c0 FROM {}", "UPDATE {} SET c0.name = 'x'"])
@pytest.mark.parametrize("join", ["JOIN", "STRAIGHT_JOIN", ", customers d{0} JOIN"])
def test_joins_without_a_condition_do_not_make_the_analysis_slow(text: str, join: str) -> None:
    tables = "customers c0" + "".join(f" {join.format(n)} customers c{n}" for n in range(1, 30))
    assert facts(text.format(tables)).opaque == ("too many joins without a condition",)

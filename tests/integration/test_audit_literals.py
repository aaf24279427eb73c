"""Values of labelled columns and paths are nowhere in the audit, as real clients send them to real servers."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import closing, suppress
from typing import Any, Final

import psycopg
import pymysql
import pytest
from mysql.connector import connect as mysql_connector
from pymongo.errors import PyMongoError

from gateway.audit.events import EventFilter
from gateway.audit.reader import iter_events
from gateway.testing.shop import Shop
from gateway.testing.shop_documents import DocumentShop
from gateway.testing.shop_mariadb import MariaDbShop
from tests.fixtures.gateway import RunningGateway, StartGateway
from tests.fixtures.mongodb import MongoGateway, StartMongoGateway
from tests.fixtures.mysql_gateway import MySqlGateway, StartMySqlGateway
from tests.fixtures.waiting import eventually
from tests.gateway.audit.ocsf_schema import problems

Config = dict[str, Any]

SECRET: Final = "quartz"
"""In every value that a labelled column is compared with or gets."""
PLAIN: Final = "basalt"
"""In values that have nothing to do with one."""


def by_label(config: Config) -> None:
    config["audit"]["literals"] = {"default": "keep", "labels": {"pii.*": "drop"}}
    config["resources"][0]["audit"] = {"literals": {"labels": {"pii.tax_number": "hash"}}}
    # The gateway's own log gets the events as sinks do, beside what it says itself.
    config["audit"]["sinks"] = [{"type": "stdout"}]


def recorded(gateway: RunningGateway | MySqlGateway | MongoGateway, marker: str) -> str:
    """All that the gateway says: the audit's files, its log and what sinks get, once the marker is there.

    The marker's statement ran last. What was recorded is looked at as OCSF by the way.
    """
    audit = gateway.folder / "data" / "audit"
    sink = "stdout" in (gateway.folder / "querygate.yaml").read_text()

    def look() -> list[str]:
        files = [path.read_bytes().decode(errors="replace") for path in audit.rglob("*") if path.is_file()]
        log = gateway.process.log()
        return [*files, log] if any(marker in file for file in files) and (marker in log or not sink) else []

    places = eventually(look)
    events = [json.loads(found.line) for found in iter_events(audit, EventFilter())]
    assert len(events) > 3
    for event in events:
        assert problems(event) == [], event
    return "\n".join(places)


def readable(text: str) -> set[str]:
    """Which of the secret values can be read."""
    return set(re.findall(rf"{SECRET}[-_]?\w+", text))


# --- PostgreSQL -------------------------------------------------------------------------------------------------------

SQL_BOTH = (
    "SELECT id FROM customers WHERE email = '{}'",
    "SELECT email = '{}' FROM customers WHERE id = 1",
    "SELECT count(*) FROM customers WHERE lower(email) LIKE '%{}%' OR id = 5",
    "SELECT CASE WHEN email = '{}' THEN 1 ELSE 0 END FROM customers",
    "SELECT s.id FROM customers s WHERE s.id IN (SELECT c.id FROM customers c WHERE c.email IN ('{}', 'x'))",
    "WITH e AS (SELECT id, email FROM customers) SELECT id FROM e WHERE email = '{}'",
    "SELECT id FROM customer_contacts WHERE contact = '{}'",
    "UPDATE customers SET email = '{}' WHERE id = -1",
    "DELETE FROM customers WHERE email = '{}'",
    "EXPLAIN SELECT id FROM customers WHERE email = '{}'",
    "SELECT id FROM customers JOIN (SELECT '{}' AS wanted) w ON w.wanted = customers.email",
    "SELECT 1 /* looks for {} */ FROM customers WHERE email IS NULL",
    "SELECT no_such_function(email, '{}') FROM customers",
    "SELECT id FROM customers WHERE no_such_column = '{}'",
    "SELECT id FROM customers WHERE email = '{}' AND",
    "SELECT id FROM customers WHERE email = '{}",
    "/* {} */",
)
"""For both SQL databases. What changes a schema stands last: until the catalog is read again, nothing is kept."""
POSTGRES = (
    *SQL_BOTH,
    # Errors that repeat values: none of what the database says about them may be kept.
    "SELECT id FROM customers WHERE birth_date = '{}'",
    "UPDATE customers SET birth_date = '{}' WHERE id = 1",
    "INSERT INTO customers (id, full_name, email, tax_number, city) VALUES (1, 'n', '{}', 't', 'c')",
    "SELECT id FROM customers WHERE email ~ '({}'",
    "SELECT jsonb '{\"a\": \"{}' FROM customers WHERE email = ''",
    "SELECT id FROM customers WHERE email = '{}' AND id = (SELECT id FROM customers)",
    "DO $$BEGIN RAISE NOTICE 'hello {}'; END$$",
    "DO $$BEGIN RAISE EXCEPTION 'hello {}'; END$$",
    "INSERT INTO customers (full_name, email, tax_number, city) SELECT 'n', '{}', 't', 'c' WHERE false",
    "INSERT INTO customer_contacts (name, contact) SELECT 'n', '{}' WHERE false",
    "UPDATE customer_contacts SET contact = '{}' WHERE id = -1",
    "SELECT id FROM customers WHERE email = $tag${}$tag$",
    r"SELECT id FROM customers WHERE email = E'\'{}\''",
    "SELECT id FROM customers c WHERE c::text LIKE '%{}%'",
    "SELECT id FROM customers c WHERE to_jsonb(c) ->> 'email' = '{}'",
    "COPY (SELECT id FROM customers WHERE email = '{}') TO STDOUT",
    "DECLARE looking CURSOR WITH HOLD FOR SELECT id FROM customers WHERE email = '{}'",
    "PREPARE looked (text) AS SELECT id FROM customers WHERE email = $1",
    "EXECUTE looked('{}')",
    "SET shop.wanted = '{}'",
    "SELECT set_config('shop.wanted', '{}', false)",
    "DO $$BEGIN PERFORM 1 FROM customers WHERE email = '{}'; END$$",
    "SELECT 1; SELECT id FROM customers WHERE email = '{}'",
    "SELECT customer_email(1) = '{}'",
    "MERGE INTO customers c USING (SELECT '{}' AS e) w ON c.email = w.e WHEN MATCHED THEN DO NOTHING",
    "ALTER TABLE customers ALTER COLUMN birth_date SET DEFAULT '{}'",
    "CREATE INDEX ON customers (no_such_column) WHERE email = '{}'",
    "CREATE TEMPORARY TABLE kept_for_now AS SELECT id FROM customers WHERE email = '{}'",
    "CREATE VIEW pg_temp.found AS SELECT id FROM customers WHERE email = '{}'",
)


@pytest.fixture(scope="module")
def postgres(start_gateway: StartGateway, shop_database: Shop) -> RunningGateway:
    return start_gateway(shop_database, change=by_label)


def filled(statements: tuple[str, ...]) -> list[str]:
    return [text.replace("{}", f"{SECRET}_{number}") for number, text in enumerate(statements)]


def test_postgres_texts(postgres: RunningGateway) -> None:
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        for text in filled(POSTGRES):
            with suppress(psycopg.Error):
                connection.pgconn.exec_(text.encode())
        connection.execute("SELECT 1 AS basalt_texts")
    assert readable(recorded(postgres, f"{PLAIN}_texts")) == set()


def test_postgres_parameters(postgres: RunningGateway) -> None:
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        for binary in (False, True):
            for prepare in (False, True):
                value = f"{SECRET}_{binary}_{prepare}"
                query = "SELECT id FROM customers WHERE email = %s AND city <> %s"
                connection.execute(query, (value, f"{value}_city"), binary=binary, prepare=prepare).fetchall()
                connection.execute("SELECT id FROM customers WHERE tax_number = %s", (value[:11],)).fetchall()
        connection.execute("SELECT 1 AS basalt_parameters")
    assert readable(recorded(postgres, f"{PLAIN}_parameters")) == set()


def test_postgres_keeps_and_hashes_what_it_may(start_gateway: StartGateway, shop_database: Shop) -> None:
    gateway = start_gateway(shop_database, change=by_label)
    with psycopg.connect(gateway.conninfo(), autocommit=True) as connection:
        connection.execute("SELECT id FROM customers WHERE city = 'basalt_text'")
        connection.execute("SELECT id FROM customers WHERE city = %s", ("basalt_parameter",))
        connection.execute("SELECT id FROM customers WHERE tax_number = 'quartz_tax'")
        connection.execute("SELECT id, city FROM customers WHERE tax_number = %s", ("quartz_tax",))
        connection.execute("SELECT 1 AS basalt_last")
    text = recorded(gateway, f"{PLAIN}_last")
    assert readable(text) == set()
    assert {f"{PLAIN}_text", f"{PLAIN}_parameter"} <= set(re.findall(r"basalt_\w+", text))
    in_text, bound = re.search(r"tax_number = (h:\w+)", text), re.search(r'"values":\["(h:\w+)"\]', text)
    assert in_text
    assert bound
    assert in_text[1] == bound[1], "one value is the same wherever it stands"


def test_what_a_resource_says_of_its_values_is_taken_over_while_sessions_run(
    start_gateway: StartGateway, shop_database: Shop
) -> None:
    gateway = start_gateway(shop_database)
    path = gateway.folder / "querygate.yaml"
    config = json.loads(path.read_text())
    config["resources"][0]["audit"] = {"literals": "drop"}
    with psycopg.connect(gateway.conninfo(), autocommit=True) as connection:
        connection.execute("SELECT id FROM customers WHERE city = 'basalt_before'")
        path.write_text(json.dumps(config))
        os.kill(gateway.process.pid, signal.SIGHUP)
        eventually(lambda: "the configuration was read again" in gateway.process.log())
        connection.execute("SELECT id FROM customers WHERE city = 'quartz_after'")
        connection.execute("SELECT 1 AS basalt_last")
    text = recorded(gateway, f"{PLAIN}_last")
    assert f"{PLAIN}_before" in text
    assert readable(text) == set()


# --- MySQL ------------------------------------------------------------------------------------------------------------

MYSQL = (
    *SQL_BOTH,
    # Errors and warnings that repeat values.
    "INSERT INTO customers (id, full_name, email, tax_number, city) VALUES (1, 'n', '{}', 't', 'c')",
    "UPDATE customers SET birth_date = '{}' WHERE email = '{}' OR id = 1",
    "SELECT id FROM customers WHERE birth_date = '{}'",
    "SELECT id FROM customers WHERE email REGEXP '({}'",
    "SELECT CAST('{}' AS DATE) FROM customers WHERE email = ''",
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{}'",
    "INSERT INTO customers (full_name, email, tax_number, city) SELECT 'n', '{}', 't', 'c' FROM products WHERE false",
    'SELECT id FROM customers WHERE email = "{}"',
    r'SELECT id FROM customers WHERE email = "a\\"{}\\" "',
    r"SELECT id FROM customers WHERE email = '\\'{}\\''",
    "SELECT id FROM customers WHERE email = _utf8mb4'{}'",
    "SELECT id FROM customers /*! WHERE email = '{}' */",
    "SELECT id FROM customers WHERE email = 1 # {}",
    "SET @wanted = '{}'",
    "SELECT @wanted := '{}'",
    "SELECT id INTO @wanted FROM customers WHERE email = '{}' LIMIT 1",
    "PREPARE looked FROM 'SELECT id FROM customers WHERE email = ''{}'''",
    "EXECUTE looked",
    "SELECT id FROM customers WHERE email = '{}' INTO OUTFILE '/nowhere/{}'",
    "SHOW TABLES WHERE 'a' = '{}'",
    "REPLACE INTO customers (id, email) SELECT -1, '{}' FROM products WHERE false",
    "INSERT INTO customers (full_name, email, tax_number, city) SELECT 'n', 'e', 't', 'c' FROM products WHERE false "
    "ON DUPLICATE KEY UPDATE email = '{}'",
    "CALL no_such_procedure('{}')",
    "DELETE c FROM customers c JOIN products p ON c.email = '{}' AND false",
    "ALTER TABLE customers ALTER COLUMN birth_date SET DEFAULT '{}'",
    "CREATE TEMPORARY TABLE kept_for_now AS SELECT id FROM customers WHERE email = '{}'",
)


@pytest.fixture(scope="module")
def mysql(start_mysql_gateway: StartMySqlGateway, mariadb_shop: MariaDbShop) -> MySqlGateway:
    return start_mysql_gateway(mariadb_shop, change=by_label)


def test_mysql_texts(mysql: MySqlGateway) -> None:
    with closing(pymysql.connect(**mysql.arguments(), autocommit=True)) as connection, connection.cursor() as cursor:
        for text in filled(MYSQL):
            with suppress(pymysql.Error):
                cursor.execute(text)
        cursor.execute("SELECT 1 AS basalt_texts")
    assert readable(recorded(mysql, f"{PLAIN}_texts")) == set()


def test_mysql_parameters(mysql: MySqlGateway) -> None:
    with closing(mysql_connector(**mysql.arguments())) as connection:
        cursor = connection.cursor(prepared=True)
        for number in range(2):
            value = f"{SECRET}_{number}"
            for where in ("email = %s AND city <> %s", "tax_number = %s AND city <> %s"):
                cursor.execute(f"SELECT id FROM customers WHERE {where}", (value, f"{value}_city"))
                cursor.fetchall()
        cursor.execute("SELECT 1 AS basalt_parameters")
        cursor.fetchall()
    assert readable(recorded(mysql, f"{PLAIN}_parameters")) == set()


def test_mysql_keeps_and_hashes_what_it_may(start_mysql_gateway: StartMySqlGateway, mariadb_shop: MariaDbShop) -> None:
    gateway = start_mysql_gateway(mariadb_shop, change=by_label)
    with closing(pymysql.connect(**gateway.arguments())) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM customers WHERE city = 'basalt_text'")
        cursor.execute("SELECT id FROM customers WHERE tax_number = 'quartz_tax'")
        cursor.execute("SELECT 1 AS basalt_last")
    text = recorded(gateway, f"{PLAIN}_last")
    assert readable(text) == set()
    assert f"{PLAIN}_text" in text
    assert re.search(r"tax_number = h:\w+", text)


# --- MongoDB ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mongodb(start_mongo_gateway: StartMongoGateway, mongo_shop: DocumentShop) -> MongoGateway:
    return start_mongo_gateway(mongo_shop, change=by_label)


MONGO: tuple[dict[str, Any], ...] = (
    {"find": "customers", "filter": {"contact.email": "{}"}},
    {"find": "customers", "filter": {"contact": {"email": "{}"}}},
    {"find": "customers", "filter": {"contact.email": {"$in": ["{}", "x"]}}},
    {"find": "customers", "filter": {"contact.email": {"$regex": "{}"}}},
    {"find": "customers", "filter": {"contact.email": "${}"}},
    {"find": "customers", "filter": {"contact.email": 'a"{}" b'}},
    {"find": "customers", "filter": {"contact.phones": {"$elemMatch": {"number": "{}"}}}},
    {"find": "customers", "filter": {"$or": [{"_id": 1}, {"contact.phones.0.number": "{}"}]}},
    {"find": "customers", "filter": {"$expr": {"$eq": ["$contact.email", "{}"]}}},
    {"find": "customers", "filter": {"$expr": {"$eq": ["$contact.email", {"$literal": "${}"}]}}},
    {"find": "customers", "filter": {"$expr": {"$eq": ["$contact.email", "$$wanted"]}}, "let": {"wanted": "{}"}},
    {"find": "customers", "filter": {"$where": "this.contact.email == '{}'"}},
    {"find": "customers", "filter": {"tax_number": "x"}, "comment": "looks for {}"},
    {"find": "customers", "filter": {"path": "{}", "contact.email": "x"}},
    {"find": "customers", "filter": {"contact.email": {"from": "{}", "key": "{}", "on": "{}", "as": "{}"}}},
    {"find": "customers", "projection": {"same": {"$eq": ["$contact.email", "{}"]}}},
    {"find": "customers", "projection": {"as": "{}", "hit": "$contact.email"}},
    {"find": "customers", "filter": {"contact.email": "x"}, "min": {"_id": "{}"}, "hint": {"_id": 1}},
    {"count": "customers", "query": {"contact.email": "{}"}},
    {"distinct": "customers", "key": "_id", "query": {"contact.email": "{}"}},
    {"aggregate": "customers", "pipeline": [{"$match": {"contact.email": "{}"}}], "cursor": {}},
    {"aggregate": "customers", "pipeline": [{"$match": {"contact.key": "{}"}}], "cursor": {}},
    {"aggregate": "customers", "pipeline": [{"$set": {"key": "{}", "e": "$contact.email"}}], "cursor": {}},
    {
        "aggregate": "customers",
        "pipeline": [{"$project": {"e": "$contact"}}, {"$match": {"e.email": "{}"}}],
        "cursor": {},
    },
    {
        "aggregate": "orders",
        "pipeline": [
            {"$lookup": {"from": "customers", "as": "c", "pipeline": [{"$match": {"contact.email": "{}"}}]}},
        ],
        "cursor": {},
    },
    {"explain": {"find": "customers", "filter": {"contact.email": "{}"}}},
    {"insert": "customers", "documents": [{"_id": 1, "contact": {"email": "{}"}}, {"_id": 1, "note": "{}"}]},
    {"insert": "customers", "documents": [{"_id": 1, "tax_number": "{}", "from": "{}", "path": "${}"}]},
    {"update": "customers", "updates": [{"q": {"contact.email": "{}"}, "u": {"$set": {"city": "{}"}}}]},
    {"update": "customers", "updates": [{"q": {"_id": -1}, "u": {"$set": {"contact": {"email": "{}", "key": "{}"}}}}]},
    {"update": "customers", "updates": [{"q": {"_id": -1}, "u": [{"$set": {"contact.email": "{}"}}]}]},
    {"update": "customers", "updates": [{"q": {"_id": -1}, "u": {"contact": {"email": "{}"}}}]},
    {
        "update": "customers",
        "updates": [
            {
                "q": {"_id": -1},
                "u": {"$set": {"contact.phones.$[p].number": "{}"}},
                "arrayFilters": [{"p.number": "{}"}],
            }
        ],
    },
    {"delete": "customers", "deletes": [{"q": {"contact.email": "{}"}, "limit": 1}]},
    {"findAndModify": "customers", "query": {"contact.email": "{}"}, "update": {"$set": {"tax_number": "{}"}}},
    {"mapReduce": "customers", "map": "function() {}", "reduce": "function() {}", "query": {"a": "{}"}, "out": "x"},
    {"noSuchCommand": 1, "value": "{}"},
    {"create": "kept_for_now", "validator": {"contact.email": "{}"}, "unknown": "{}"},
)


def put(value: Any, secret: str) -> Any:
    if isinstance(value, dict):
        return {key: put(item, secret) for key, item in value.items()}
    if isinstance(value, list):
        return [put(item, secret) for item in value]
    return value.replace("{}", secret) if isinstance(value, str) else value


def test_mongodb_commands(mongodb: MongoGateway) -> None:
    with mongodb.client(retryWrites=False) as client:
        for number, command in enumerate(MONGO):
            with suppress(PyMongoError):
                client.shop.command(put(command, f"{SECRET}_{number}"))
        client.shop.command({"count": f"{PLAIN}_commands"})
    assert readable(recorded(mongodb, f"{PLAIN}_commands")) == set()


def test_mongodb_keeps_and_hashes_what_it_may(start_mongo_gateway: StartMongoGateway, mongo_shop: DocumentShop) -> None:
    gateway = start_mongo_gateway(mongo_shop, change=by_label)
    with gateway.client() as client:
        client.shop.command({"find": "customers", "filter": {"city": "basalt_text"}, "projection": {"_id": 1}})
        client.shop.command({"find": "customers", "filter": {"tax_number": "quartz_tax"}, "projection": {"_id": 1}})
        client.shop.command({"count": "basalt_last"})
    text = recorded(gateway, f"{PLAIN}_last")
    assert readable(text) == set()
    assert f"{PLAIN}_text" in text
    assert re.search(r"tax_number\W+h:\w+", text)

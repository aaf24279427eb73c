"""Limits on changed rows on MariaDB: what is too much is undone, what is not looks as if nobody had counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import mysql.connector
import pymysql
import pytest
from pymysql.constants import CLIENT, SERVER_STATUS

from gateway.testing.shop_mariadb import MariaDbShop, copy_mariadb_shop
from gateway_mysql.wire.messages import Err, Ok
from tests.fixtures.gateway import ADMIN, RESOURCE, SUPPORT
from tests.fixtures.mysql_gateway import Config, MySqlGateway, StartMySqlGateway
from tests.fixtures.waiting import eventually
from tests.integration.mysql.raw import RawClient
from tests.integration.mysql.test_differential import Wire

DATABASE = "shop_changes"
CHANGES = 5
TOO_MANY = 1226
SETUP = """
CREATE TABLE bin (id int PRIMARY KEY, note varchar(40), UNIQUE (note)) ENGINE=InnoDB;
CREATE TABLE stone (id int PRIMARY KEY, note varchar(40)) ENGINE=MyISAM;
CREATE TABLE slate (id int PRIMARY KEY, note varchar(40)) ENGINE=Aria;
CREATE VIEW bin_view AS SELECT id, note FROM bin;
CREATE VIEW stone_view AS SELECT id, note FROM stone;
CREATE TABLE watched (id int PRIMARY KEY) ENGINE=InnoDB;
CREATE TRIGGER watching AFTER INSERT ON watched FOR EACH ROW INSERT INTO stone VALUES (NEW.id + 1000, 'trace');
"""


def _limits(config: Config) -> None:
    config["policies"] = [
        {"name": "all", "effect": "allow", "match": {"actions": ["*"], "groups": ["admins", "support"]}},
        {"name": "few", "effect": "limit", "match": {"groups": ["support"]}, "limit": {"changes": CHANGES}},
    ]


@pytest.fixture(scope="module")
def limited(start_mysql_gateway: StartMySqlGateway, mariadb_shop: MariaDbShop) -> Iterator[MySqlGateway]:
    shop = copy_mariadb_shop(mariadb_shop, DATABASE)
    shop.sql(SETUP)
    yield start_mysql_gateway(shop, change=_limits)
    shop.server.drop_database(DATABASE)


@pytest.fixture
def table(limited: MySqlGateway) -> str:
    """A table of twenty rows that nobody has changed."""
    limited.shop.sql("DELETE FROM bin; INSERT INTO bin SELECT seq, CONCAT('note ', seq) FROM seq_1_to_20")
    return "bin"


def connect(gateway: MySqlGateway, user: str = SUPPORT, **options: Any) -> Any:
    return pymysql.connect(**{**gateway.arguments(user), "autocommit": True, "ssl_disabled": True, **options})


def run(connection: Any, text: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else cursor.rowcount


def marked(gateway: MySqlGateway, mark: str) -> int:
    return int(gateway.shop.sql(f"SELECT COUNT(*) FROM bin WHERE note LIKE '{mark}%'"))


def refuses(connection: Any, text: str) -> None:
    with pytest.raises(pymysql.err.Error, match="more rows than policy allows") as caught:
        run(connection, text)
    assert caught.value.args[0] == TOO_MANY


def in_transaction(connection: Any) -> bool:
    return bool(connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)


def outcomes(gateway: MySqlGateway, text: str, number: int) -> list[str]:
    """How the statements that hold ``text`` ended, as soon as so many are in the audit."""

    def look() -> list[str]:
        lines = [line for line in gateway.audit_text().splitlines() if text in line]
        found = [json.loads(line).get("outcome", "success") for line in lines]
        return found if len(found) >= number else []

    return eventually(look)


MANY = "UPDATE bin SET note = CONCAT('many ', id) WHERE id <= 10"
FEW = "UPDATE bin SET note = CONCAT('few ', id) WHERE id <= 5"


def test_outside_a_transaction(limited: MySqlGateway, table: str) -> None:
    with closing(connect(limited)) as connection:
        assert run(connection, FEW) == CHANGES
        assert not in_transaction(connection)
        assert marked(limited, "few") == CHANGES, "it is committed when the answer is there"
        refuses(connection, MANY)
        assert not in_transaction(connection)
        assert marked(limited, "many") == 0
        assert run(connection, "DELETE FROM bin WHERE id = 20") == 1
        assert run(connection, "SELECT COUNT(*) FROM bin") == ((19,),)
        refuses(connection, "DELETE FROM bin WHERE id > 0")
        refuses(connection, "INSERT INTO bin SELECT id + 100, CONCAT('copy ', id) FROM bin")
    assert int(limited.shop.sql("SELECT COUNT(*) FROM bin")) == 19


@pytest.mark.parametrize("begin", ["BEGIN", "SET autocommit = 0"])
def test_inside_a_transaction_only_the_statement_is_undone(limited: MySqlGateway, table: str, begin: str) -> None:
    with closing(connect(limited)) as connection:
        run(connection, begin)
        refuses(connection, MANY)
        assert run(connection, FEW) == CHANGES
        run(connection, "SAVEPOINT mine")
        refuses(connection, MANY)
        assert run(connection, "UPDATE bin SET note = 'few more' WHERE id = 7") == 1
        assert in_transaction(connection)
        assert marked(limited, "few") == 0, "nothing is committed for the client"
        run(connection, "ROLLBACK TO SAVEPOINT mine")
        run(connection, "COMMIT")
        assert (marked(limited, "few"), marked(limited, "many")) == (CHANGES, 0)
        refuses(connection, MANY)
        run(connection, "ROLLBACK")
    assert (marked(limited, "few"), marked(limited, "many")) == (CHANGES, 0)


def test_a_transaction_that_an_error_ended(limited: MySqlGateway, table: str) -> None:
    """DDL commits even where it fails, and an error does not say so: the gateway must not believe in a savepoint."""
    with closing(connect(limited)) as connection:
        run(connection, "BEGIN")
        assert run(connection, FEW) == CHANGES
        with pytest.raises(pymysql.err.OperationalError):
            run(connection, f"CREATE TABLE {table} (id int)")
        refuses(connection, MANY)
        assert marked(limited, "many") == 0
        assert run(connection, "UPDATE bin SET note = 'one' WHERE id = 9") == 1
        assert not in_transaction(connection)
        assert marked(limited, "one") == 1


def test_native_errors_stay(limited: MySqlGateway, table: str) -> None:
    with closing(connect(limited)) as connection:
        with pytest.raises(pymysql.err.IntegrityError) as caught:
            run(connection, "INSERT INTO bin VALUES (1, 'again')")
        assert caught.value.args[0] == 1062
        assert not in_transaction(connection)
        run(connection, "START TRANSACTION READ ONLY")
        with pytest.raises(pymysql.err.Error) as refused:
            run(connection, FEW)
        assert refused.value.args[0] == 1792
        run(connection, "ROLLBACK")
        assert run(connection, FEW) == CHANGES


def test_how_rows_are_counted(limited: MySqlGateway, table: str) -> None:
    """As the server does it: two for a row that is replaced or updated on a duplicate key."""
    with closing(connect(limited)) as connection:
        assert run(connection, "REPLACE INTO bin VALUES (1, 'r1'), (2, 'r2')") == 4
        refuses(connection, "REPLACE INTO bin VALUES (1, 's1'), (2, 's2'), (3, 's3')")
        upsert = "INSERT INTO bin VALUES {} ON DUPLICATE KEY UPDATE note = CONCAT('u', id)"
        assert run(connection, upsert.format("(1, 'x1'), (2, 'x2'), (30, 'x3')")) == 5
        refuses(connection, upsert.format("(4, 'y1'), (5, 'y2'), (6, 'y3')"))
        assert run(connection, "UPDATE bin SET note = note WHERE id BETWEEN 10 AND 19") == 0
    with closing(connect(limited, client_flag=CLIENT.FOUND_ROWS)) as connection:
        # Then the server counts what was found, changed or not.
        refuses(connection, "UPDATE bin SET note = note WHERE id BETWEEN 10 AND 19")


def test_returned_rows_are_counted(limited: MySqlGateway, table: str) -> None:
    with closing(connect(limited)) as connection:
        assert len(run(connection, "DELETE FROM bin WHERE id <= 3 RETURNING id, note")) == 3
        assert not in_transaction(connection)
        refuses(connection, "DELETE FROM bin WHERE id > 3 RETURNING id, note")
        assert run(connection, "INSERT INTO bin VALUES (1, 'back') RETURNING id") == ((1,),)
        refuses(connection, "REPLACE INTO bin VALUES (1, 'note 4') RETURNING id")  # replaces two, and shows one
        assert run(connection, "SELECT COUNT(*) FROM bin") == ((18,),)
    assert int(limited.shop.sql("SELECT COUNT(*) FROM bin WHERE note = 'back'")) == 1


def test_several_statements_in_one_text(limited: MySqlGateway, table: str) -> None:
    with closing(connect(limited, client_flag=CLIENT.MULTI_STATEMENTS)) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SELECT 1; {FEW}; SELECT id FROM bin WHERE id < 3 ORDER BY id")
        results = [cursor.fetchall()]
        while cursor.nextset():
            assert not in_transaction(connection)
            results.append(cursor.fetchall() if cursor.description else cursor.rowcount)
        assert results == [((1,),), CHANGES, ((1,), (2,))]
        assert marked(limited, "few") == CHANGES
        refuses(connection, f"{MANY}; SELECT 1")
        assert run(connection, "SELECT 2") == ((2,),)
        cursor.execute(f"UPDATE bin SET note = 'seven' WHERE id = 7; {MANY}; SELECT 1")
        with pytest.raises(pymysql.err.Error, match="more rows than policy allows"):
            cursor.nextset()
        assert (marked(limited, "many"), marked(limited, "seven")) == (0, 0)
        cursor.execute("UPDATE bin SET note = 'seven' WHERE id = 7; INSERT INTO bin VALUES (1, 'x'); SELECT 1")
        with pytest.raises(pymysql.err.IntegrityError):
            cursor.nextset()
        assert marked(limited, "seven") == 1, "as without the gateway"


def test_what_cannot_be_undone_is_refused(limited: MySqlGateway, table: str) -> None:
    with closing(connect(limited, client_flag=CLIENT.MULTI_STATEMENTS)) as connection:
        for text in (
            "INSERT INTO stone VALUES (1, 'x')",
            "INSERT INTO slate VALUES (1, 'x')",
            "INSERT INTO stone_view VALUES (1, 'x')",
            "UPDATE bin JOIN stone ON bin.id = stone.id SET stone.note = 'x'",
            "INSERT INTO no_such_table VALUES (1)",
            "TRUNCATE bin",
            "ANALYZE UPDATE bin SET note = id",
            "SET STATEMENT max_statement_time = 1 FOR DELETE FROM bin WHERE id = 1",
            "PREPARE p FROM 'DELETE FROM bin'",
            f"{FEW}; CREATE TABLE made (id int)",
            f"{FEW}; SET autocommit = 1",
            f"{FEW}; COMMIT",
            "BEGIN NOT ATOMIC DELETE FROM bin; END",
        ):
            refuses(connection, text)
        assert run(connection, "UPDATE bin_view SET note = 'v' WHERE id = 3") == 1
        refuses(connection, "UPDATE bin_view SET note = CONCAT('many ', id)")
    assert limited.shop.sql("SELECT COUNT(*) FROM stone; SELECT COUNT(*) FROM slate").split() == ["0", "0"]
    assert int(limited.shop.sql("SELECT COUNT(*) FROM bin")) == 20


def test_a_trigger_that_cannot_be_undone_is_told(limited: MySqlGateway) -> None:
    """The session ends, and the audit does not say that all is well."""
    with closing(connect(limited)) as connection:
        with pytest.raises(pymysql.err.Error):
            run(connection, "INSERT INTO watched SELECT seq FROM seq_1_to_10")
        with pytest.raises(pymysql.err.Error):
            run(connection, "SELECT 1")
    assert int(limited.shop.sql("SELECT COUNT(*) FROM watched")) == 0
    assert outcomes(limited, "INSERT INTO watched", 1) == ["lost"]
    limited.shop.sql("DELETE FROM stone")


def test_locked_tables_stay_locked(limited: MySqlGateway, table: str) -> None:
    with closing(connect(limited)) as connection:
        run(connection, "LOCK TABLES bin WRITE")
        refuses(connection, FEW)
        run(connection, "SET autocommit = 0")
        assert run(connection, FEW) == CHANGES
        refuses(connection, MANY)
        with pytest.raises(pymysql.err.OperationalError, match="not locked"):
            run(connection, "SELECT * FROM customers")
        run(connection, "COMMIT")
        run(connection, "UNLOCK TABLES")
        run(connection, "SET autocommit = 1")
        assert run(connection, "UPDATE bin SET note = 'free' WHERE id = 8") == 1
    assert (marked(limited, "few"), marked(limited, "free")) == (CHANGES, 1)


def test_prepared_statements(limited: MySqlGateway, table: str) -> None:
    options: dict[str, Any] = {"user": SUPPORT, "password": limited.token, "database": RESOURCE, "use_pure": True}
    with mysql.connector.connect(host="127.0.0.1", port=limited.port, autocommit=True, **options) as connection:
        with connection.cursor(prepared=True) as cursor:
            text = "UPDATE bin SET note = CONCAT(?, id) WHERE id <= ?"
            for mark, last, much in (("few ", 3, False), ("many ", 9, True), ("less ", 2, False)):
                if much:
                    with pytest.raises(mysql.connector.Error, match="more rows than policy allows"):
                        cursor.execute(text, (mark, last))
                else:
                    cursor.execute(text, (mark, last))
                    assert cursor.rowcount == last
                assert not connection.in_transaction
        with connection.cursor(prepared=True) as cursor:
            cursor.execute("DELETE FROM bin WHERE id = ? RETURNING id", (20,))
            assert cursor.fetchall() == [(20,)]
    assert [marked(limited, mark) for mark in ("few", "many", "less")] == [1, 0, 2]


def test_bulk_executions(limited: MySqlGateway, table: str) -> None:
    with RawClient.connect(limited, SUPPORT, bulk=True) as client:
        few = client.bulk("INSERT INTO bin VALUES (?, NULL)", range(40, 44))
        assert isinstance(few, Ok)
        assert few.affected == 4
        many = client.bulk("INSERT INTO bin VALUES (?, NULL)", range(50, 60))
        assert isinstance(many, Err)
        assert many.code == TOO_MANY
    assert int(limited.shop.sql("SELECT COUNT(*) FROM bin")) == 24


def test_the_audit_tells_how_it_went(limited: MySqlGateway, table: str) -> None:
    with closing(connect(limited)) as connection:
        refuses(connection, MANY + " AND 'audited' = 'audited'")
        run(connection, FEW + " AND 'audited' = 'audited'")
    assert outcomes(limited, "'audited'", 2) == ["limited", "success"]


SAME = [
    FEW,
    "SHOW WARNINGS",
    "INSERT INTO bin VALUES (100, 'new')",
    "SELECT LAST_INSERT_ID()",
    "INSERT IGNORE INTO bin VALUES (100, 'newer')",
    "SHOW WARNINGS",
    "INSERT INTO bin VALUES (100, 'newer')",
    "DELETE FROM bin WHERE id = 100 RETURNING id, note",
    "DELETE FROM bin WHERE id = 100 RETURNING id, note",
    "SELECT 1; UPDATE bin SET note = 'w' WHERE id = 1; SELECT 2",
    "UPDATE bin SET note = 'w' WHERE id = 1; INSERT INTO bin VALUES (1, 'x'); SELECT 2",
    "UPDATE bin SET nonsense = 1",
    "BEGIN",
    FEW,
    "SELECT ROW_COUNT()",
    "INSERT INTO bin VALUES (1, 'x')",
    "DELETE FROM bin WHERE id = 7 RETURNING id",
    "ROLLBACK",
    "SET autocommit = 0",
    FEW,
    "SELECT ROW_COUNT()",
    "COMMIT",
    "SET autocommit = 1",
    "SET completion_type = 1",
    "UPDATE bin SET note = 'z' WHERE id = 1",
    "SET completion_type = 0",
    "COMMIT",
]


def test_few_changes_are_answered_with_the_same_bytes(limited: MySqlGateway) -> None:
    shop = limited.shop
    answers = []
    for login in (
        {"port": shop.server.port, "user": shop.user, "password": shop.password},
        {"port": limited.fixed_port, "user": SUPPORT, "password": limited.token},
    ):
        shop.sql("DELETE FROM bin; INSERT INTO bin SELECT seq, CONCAT('note ', seq) FROM seq_1_to_20")
        wire = Wire({"host": "127.0.0.1", "database": DATABASE, **login}, 65536)
        with closing(wire.connection):
            answers.append([wire.ask(b"\x03" + text.encode()) for text in SAME * 2])
    for text, direct, through in zip(SAME * 2, *answers, strict=True):
        assert through == direct, text


def test_admins_are_not_limited(limited: MySqlGateway, table: str) -> None:
    with closing(connect(limited, ADMIN)) as connection:
        assert run(connection, MANY) == 10
        assert run(connection, "INSERT INTO slate VALUES (1, 'x')") == 1
        assert run(connection, "DELETE FROM slate WHERE id = 1") == 1


# --- what the server says of the last statement -----------------------------------------------------------------------

ASKING = [
    "INSERT INTO bin VALUES (101, 'a'), (102, 'b'), (103, 'c')",
    "SELECT ROW_COUNT()",
    "SELECT ROW_COUNT()",
    "UPDATE bin SET note = CONCAT(note, '!') WHERE id > 100",
    "SELECT Row_Count( ) + 1, 'ROW_COUNT()' AS text, ROW_COUNT() AS n, `note` FROM bin WHERE id = 101",
    "UPDATE bin SET note = 'unique' WHERE id > 100",
    "SELECT ROW_COUNT(), @@error_count",
    "SHOW WARNINGS",
    "UPDATE bin SET note = note WHERE id > 100",
    "SELECT ROW_COUNT()",
    "UPDATE bin SET note = 'x' WHERE id = 999",
    "SELECT ROW_COUNT()",
    "INSERT INTO bin VALUES (110, 'z') ON DUPLICATE KEY UPDATE note = 'y'",
    "INSERT INTO bin VALUES (110, 'z') ON DUPLICATE KEY UPDATE note = 'y'",
    "SELECT ROW_COUNT(); SELECT ROW_COUNT()",
    "REPLACE INTO bin VALUES (110, 'w')",
    "SET @counted = ROW_COUNT()",
    "SELECT @counted",
    "DELETE FROM bin WHERE id IN (101, 102)",
    "INSERT INTO bin VALUES (200 + ROW_COUNT(), 'counted')",
    "SELECT MAX(id), ROW_COUNT() FROM bin",
    "INSERT INTO bin VALUES (300, 'r') RETURNING id, note",
    "SELECT ROW_COUNT()",
    "SELECT 1",
    "INSERT INTO bin VALUES (400 + ROW_COUNT(), CONCAT('n', ROW_COUNT()))",
    "SELECT id, note FROM bin WHERE id > 390",
    "UPDATE bin SET note = 'p' WHERE id = 103; UPDATE bin SET note = 'q' WHERE id IN (110, 103)",
    "SELECT /* of the second */ ROW_COUNT() -- and that is all",
    "INSERT IGNORE INTO bin VALUES (110, 'again'), (500, REPEAT('long ', 20))",
    "SHOW WARNINGS",
    "SELECT ROW_COUNT()",
    "INSERT IGNORE INTO bin VALUES (110, 'again'), (501, REPEAT('long ', 30))",
    "SELECT @@warning_count, ROW_COUNT()",
    "USE information_schema",
    "SELECT ROW_COUNT()",
    "USE shop_changes",
    "DO 1",
    "SELECT ROW_COUNT()",
    "SELECT bin.row_count FROM bin",
    "SELECT `row_count`()",
    "BEGIN",
    "UPDATE bin SET note = CONCAT(note, '?') WHERE id > 300",
    "SELECT ROW_COUNT()",
    "DELETE FROM bin WHERE id = 300",
    "INSERT INTO bin VALUES (600 + ROW_COUNT(), 'in a transaction')",
    "SELECT MAX(id) FROM bin",
    "ROLLBACK",
    "SELECT ROW_COUNT()",
    "SET NAMES latin1",
    "DELETE FROM bin WHERE id > 300",
    "SELECT ROW_COUNT(), 'gr\u00fc\u00dfe'",
    "SET NAMES utf8mb4",
    "DELETE FROM bin WHERE id > 100",
    "SELECT 'gr\u00fc\u00dfe', ROW_COUNT()",
]


DIAGNOSED = [
    "INSERT IGNORE INTO bin VALUES (1, 'again'), (700, 'g')",
    "SELECT @@warning_count, @@error_count",
    "INSERT IGNORE INTO bin VALUES (1, 'again')",
    "SHOW COUNT(*) WARNINGS",
    "SHOW WARNINGS",
    "INSERT IGNORE INTO bin VALUES (1, 'again')",
    "GET DIAGNOSTICS @conditions = NUMBER, @counted = ROW_COUNT",
    "SELECT @conditions, @counted",
    "INSERT IGNORE INTO bin VALUES (1, 'again')",
    "GET DIAGNOSTICS CONDITION 1 @number = MYSQL_ERRNO, @said = MESSAGE_TEXT",
    "SELECT @number, @said",
    "INSERT INTO bin VALUES (1, 'again')",
    "SHOW COUNT(*) ERRORS",
    "SHOW ERRORS",
    "SELECT LAST_INSERT_ID()",
    "SELECT SQL_CALC_FOUND_ROWS id FROM bin ORDER BY id LIMIT 2",
    "SELECT FOUND_ROWS()",
    "UPDATE bin SET note = 'found' WHERE id = 3",
    "SELECT FOUND_ROWS()",
    "SELECT LAST_INSERT_ID(41)",
    "UPDATE bin SET note = 'lost' WHERE id = 3",
    "SELECT LAST_INSERT_ID()",
]
"""What is asked about the last statement, other than ROW_COUNT()."""


@pytest.mark.parametrize("asking", [ASKING, DIAGNOSED], ids=["counts", "diagnostics"])
def test_what_is_counted_looks_as_without_the_limit(limited: MySqlGateway, table: str, asking: list[str]) -> None:
    """Packet by packet: affected rows, ROW_COUNT(), warnings, columns with names and types, the transaction."""
    shop = limited.shop
    logins = (
        {"port": shop.server.port, "user": shop.user, "password": shop.password},
        {"port": limited.fixed_port, "user": SUPPORT, "password": limited.token},
    )
    answers = []
    for login in logins:
        wire = Wire({"host": "127.0.0.1", "database": DATABASE, **login}, CLIENT.MULTI_STATEMENTS)
        with closing(wire.connection):
            wire.ask(b"\x03SET autocommit = 1")
            answers.append([wire.ask(b"\x03" + text.encode()) for text in asking])
            wire.ask(b"\x03DELETE FROM bin WHERE id > 100")
    for text, direct, through in zip(asking, *answers, strict=True):
        assert through == direct, text


def test_a_change_that_was_undone_counts_as_one_that_failed(limited: MySqlGateway, table: str) -> None:
    with closing(connect(limited)) as session:
        refuses(session, f"DELETE FROM {table}")
        assert run(session, "SELECT ROW_COUNT()") == ((-1,),)
        assert run(session, f"DELETE FROM {table} WHERE id <= {CHANGES}") == CHANGES
        assert run(session, "SELECT ROW_COUNT()") == ((CHANGES,),)

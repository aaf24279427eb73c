"""A statement that waits for a human on a live MySQL session, with real clients and a real MariaDB."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import mysql.connector
import pymysql
import pytest

from gateway.domain.approval import ApprovalRequest, ApprovalState
from gateway.testing.servers.ports import free_port
from gateway.testing.shop_mariadb import MariaDbShop, copy_mariadb_shop
from tests.fixtures.mysql_gateway import Config, mysql_gateway_config
from tests.fixtures.waiting import eventually
from tests.integration.approvals import TOKEN, DeskBed, serving_bed

SAM = "sam@example.com"
DATABASE = "shop_held"


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory, mariadb_shop: MariaDbShop) -> Iterator[DeskBed]:
    shop = copy_mariadb_shop(mariadb_shop, DATABASE)
    shop.sql("CREATE TABLE held (id int, note longtext)")
    shop.sql(
        "CREATE TABLE stock (id int PRIMARY KEY, shelf int, note varchar(40), KEY (shelf));"
        " INSERT INTO stock SELECT seq, seq % 10, 'note' FROM seq_1_to_1000; ANALYZE TABLE stock"
    )

    shop.server.sql(
        "CREATE TABLE picks (shelf int);\nDELIMITER //\n"
        "CREATE FUNCTION pick(shelf int) RETURNS int DETERMINISTIC"
        " BEGIN INSERT INTO picks VALUES (shelf); RETURN shelf; END//\nDELIMITER ;\n"
        "CREATE VIEW picked AS SELECT id, note FROM stock WHERE shelf = pick(3)",
        database=shop.database,
    )

    def make(port: int) -> Config:
        config = mysql_gateway_config(shop, port=port, fixed_port=free_port(), tls=False)
        del config["resources"][0]["listen"]
        config["policies"] = [
            {"name": "all", "effect": "allow", "match": {"actions": ["*"]}},
            {
                "name": "ask-held",
                "effect": "require_approval",
                "match": {"objects": [f"{DATABASE}.held"], "actions": ["write", "ddl"]},
                "approval": {"approvers": ["dba"], "timeout": "30s"},
            },
            {
                "name": "ask-later",
                "effect": "require_approval",
                "match": {
                    "objects": [f"{DATABASE}.{name}" for name in ("products", "stock", "picked")],
                    "actions": ["write"],
                },
                "approval": {"approvers": ["dba"], "timeout": "30s", "hold": False},
            },
        ]
        return config

    try:
        with serving_bed(tmp_path_factory.mktemp("approvals"), make, shop.password) as bed:
            yield bed
    finally:
        shop.server.drop_database(DATABASE)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@contextlib.contextmanager
def connected(bed: DeskBed) -> Iterator[Any]:
    options: dict[str, Any] = {"user": SAM, "password": TOKEN, "database": "shop-prod", "autocommit": True}
    connection = pymysql.connect(host="127.0.0.1", port=bed.port, **options)
    try:
        yield connection
    finally:
        if connection.open:
            connection.close()


@contextlib.contextmanager
def preparing(bed: DeskBed) -> Iterator[Any]:
    options: dict[str, Any] = {"user": SAM, "password": TOKEN, "database": "shop-prod", "autocommit": True}
    with mysql.connector.connect(host="127.0.0.1", port=bed.port, use_pure=True, **options) as connection:
        yield connection


def run(connection: Any, text: str) -> int:
    with connection.cursor() as cursor:
        return int(cursor.execute(text))


def count(bed: DeskBed) -> int:
    with connected(bed) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM held")
        return int(cursor.fetchone()[0])


def state(bed: DeskBed, request: ApprovalRequest) -> ApprovalState:
    return bed.call(bed.assembly.desk.get(request.id)).state


def test_it_waits_and_goes_on_when_approved(bed: DeskBed, threads: ThreadPoolExecutor) -> None:
    before = count(bed)
    with connected(bed) as connection:
        statement = threads.submit(run, connection, "INSERT INTO held VALUES (1, 'a'), (2, 'b')")
        request = bed.pending()
        assert not statement.done()
        assert count(bed) == before
        assert request.subject.principal == SAM
        assert request.statement is not None
        assert request.statement.writes == (f"{DATABASE}.held",)
        bed.decide(request)
        assert statement.result(10) == 2
        assert run(connection, "SELECT 1") == 1
    assert count(bed) == before + 2


def test_a_rejection_is_a_native_error_and_the_session_goes_on(bed: DeskBed, threads: ThreadPoolExecutor) -> None:
    with connected(bed) as connection:
        connection.begin()
        statement = threads.submit(run, connection, "DROP TABLE held")
        bed.decide(bed.pending(), approve=False, reason="we still need it")
        with pytest.raises(pymysql.err.OperationalError, match="we still need it") as refused:
            statement.result(10)
        assert refused.value.args[0] == 1142
        assert run(connection, "SELECT 1") == 1
    assert count(bed) >= 0


def test_a_client_that_leaves_withdraws_its_request(bed: DeskBed, threads: ThreadPoolExecutor) -> None:
    before = count(bed)
    with connected(bed) as connection:
        statement = threads.submit(run, connection, "INSERT INTO held VALUES (3, 'c')")
        request = bed.pending()
        connection._sock.shutdown(socket.SHUT_RDWR)
        eventually(lambda: state(bed, request) is ApprovalState.WITHDRAWN)
        with pytest.raises(pymysql.err.Error):
            statement.result(10)
    assert count(bed) == before


def test_kill_query_from_another_session_takes_the_statement_back(bed: DeskBed, threads: ThreadPoolExecutor) -> None:
    before = count(bed)
    with connected(bed) as connection, connected(bed) as other:
        statement = threads.submit(run, connection, "INSERT INTO held VALUES (4, 'd')")
        request = bed.pending()
        run(other, f"KILL QUERY {connection.thread_id()}")
        with pytest.raises(pymysql.err.OperationalError) as cancelled:
            statement.result(10)
        assert cancelled.value.args[0] == 1317
        assert state(bed, request) is ApprovalState.WITHDRAWN
        assert run(connection, "SELECT 1") == 1
    assert count(bed) == before


def test_bound_parameters_are_part_of_what_is_approved(bed: DeskBed, threads: ThreadPoolExecutor) -> None:
    text = "UPDATE products SET price = price WHERE id = %s AND name <> %s"
    with preparing(bed) as connection, connection.cursor(prepared=True) as cursor:
        with pytest.raises(mysql.connector.Error, match="approval"):
            cursor.execute(text, (7, "x"))
        request = bed.pending()
        assert request.statement is not None
        assert request.statement.parameters == ("7", '"x"'), "the approver reads them"
        bed.decide(request)
        for others in ((8, "x"), (7, "y")):
            with pytest.raises(mysql.connector.Error, match="approval"):
                cursor.execute(text, others)
        cursor.execute(text, (7, "x"))
        with pytest.raises(mysql.connector.Error, match="approval"):
            cursor.execute(text, (7, "x"))  # it was good once
    for request in bed.requests(ApprovalState.PENDING):
        bed.decide(request, approve=False)


ESTIMATES: dict[str, tuple[str, float | None]] = {
    "all of a table": ("DELETE FROM stock", 1000),
    "by an index": ("UPDATE stock SET note = '' WHERE shelf = 3", 100),
    "by the key": ("DELETE FROM stock WHERE id = 7", 1),
    "nothing": ("DELETE FROM stock WHERE 1 = 0", 0),
    "what a query gives": ("INSERT INTO stock SELECT id + 5000, shelf, note FROM stock WHERE shelf = 1", 100),
    "two queries together": (
        "INSERT INTO stock SELECT id + 9000, 1, note FROM stock WHERE shelf = 1"
        " UNION ALL SELECT id, 2, note FROM stock WHERE shelf = 2",
        200,
    ),
    "a comment in front": ("/* reason: cleaning up */ DELETE FROM stock WHERE shelf = 3", 100),
    "values": ("INSERT INTO stock VALUES (5000, 1, 'new')", None),
    "a function that waits": ("DELETE FROM stock WHERE id = 7 AND sleep(0) = 0", None),
    "a function that takes long": ("DELETE FROM stock WHERE note = md5(repeat('a', 16000000))", None),
    "a pattern": ("DELETE FROM stock WHERE note REGEXP '(a|b)+?(?=c)'", None),
    "a comment that runs": ("DELETE /*! */ FROM stock WHERE shelf = 3", None),
    "a view with somebody's function": ("DELETE FROM picked", None),
    "a view inside": ("DELETE FROM stock WHERE id IN (SELECT id FROM picked)", None),
    "somebody's function": ("DELETE FROM stock WHERE shelf = pick(3)", None),
    "a variable": ("DELETE FROM stock WHERE shelf = @shelf", None),
    "what is no single statement": ("TRUNCATE TABLE stock", None),
}


@pytest.mark.parametrize("name", ESTIMATES)
def test_an_approver_is_told_how_many_rows_the_server_expects(bed: DeskBed, name: str) -> None:
    text, expected = ESTIMATES[name]
    with connected(bed) as connection, pytest.raises(pymysql.err.OperationalError, match="approval"):
        run(connection, text)
    request = bed.pending()
    bed.decide(request, approve=False)
    assert request.statement is not None
    assert request.statement.estimated_rows == (expected if expected is None else pytest.approx(expected, rel=0.3))
    with connected(bed) as connection:
        assert run(connection, "SELECT shelf FROM picks") == 0, "nobody's function ran"


@pytest.mark.parametrize(("shelf", "note", "expected"), [(3, "é'\\", 100), (999, None, 1)])
def test_the_server_is_asked_about_the_parameters(bed: DeskBed, shelf: int, note: str | None, expected: int) -> None:
    text = "UPDATE stock SET note = %s WHERE shelf = %s"
    refused = pytest.raises(mysql.connector.Error, match="approval")
    with preparing(bed) as connection, connection.cursor(prepared=True) as cursor, refused:
        cursor.execute(text, (note, shelf))
    request = bed.pending()
    bed.decide(request, approve=False)
    assert request.statement is not None
    assert request.statement.estimated_rows == pytest.approx(expected, rel=0.3)


def test_names_are_those_of_the_session_when_the_server_is_asked(bed: DeskBed) -> None:
    """In the database that the session chose, with texts as its mode reads them."""
    with connected(bed) as connection:
        run(connection, "SET sql_mode = 'ANSI_QUOTES'")
        with pytest.raises(pymysql.err.OperationalError, match="approval"):
            run(connection, 'DELETE FROM "stock" WHERE "shelf" = 3')
    request = bed.pending()
    bed.decide(request, approve=False)
    assert request.statement is not None
    assert request.statement.estimated_rows == pytest.approx(100, rel=0.3)


def test_it_is_for_what_the_text_meant_under_the_sql_mode_where_it_was_asked_for(bed: DeskBed) -> None:
    text = 'UPDATE products SET price = price WHERE name = "name"'  # one product, or, as a column, all of them
    with connected(bed) as connection:
        with pytest.raises(pymysql.err.OperationalError, match="approval"):
            run(connection, text)
        bed.decide(bed.pending())
        run(connection, "SET sql_mode = 'ANSI_QUOTES'")
        with pytest.raises(pymysql.err.OperationalError, match="approval"):
            run(connection, text)
    with connected(bed) as connection, connection.cursor() as cursor:
        assert cursor.execute(text) == 0
    for request in bed.requests(ApprovalState.PENDING):
        bed.decide(request, approve=False)


def test_values_sent_ahead_are_part_of_it_and_forgotten_with_a_refusal(
    bed: DeskBed, threads: ThreadPoolExecutor
) -> None:
    import io

    def insert(cursor: Any, value: bytes) -> None:
        cursor.execute("INSERT INTO held VALUES (%s, %s)", (5, io.BytesIO(value)))

    with preparing(bed) as connection, connection.cursor(prepared=True) as cursor:
        seen: list[str] = []
        shown: list[str] = []
        for value, approve in ((b"first", False), (b"second", True)):
            statement: Future[None] = threads.submit(insert, cursor, value)
            request = bed.pending()
            seen.append(request.binding)
            assert request.statement is not None
            shown += request.statement.parameters
            bed.decide(request, approve=approve)
            if approve:
                statement.result(10)
            else:
                with pytest.raises(mysql.connector.Error, match="1142"):
                    statement.result(10)
        assert seen[0] != seen[1]
        assert shown == ["5", '"<sent ahead>"'] * 2, "digests are kept of them, which the approver is told"
    with connected(bed) as plain, plain.cursor() as reader:
        reader.execute("SELECT note FROM held WHERE id = 5")
        assert reader.fetchall() == (("second",),)


PRICES = "UPDATE products SET price = price"
SETTINGS = {
    "a user variable": ("SET @id = 2", f"{PRICES} WHERE id = @id"),
    "a user variable that a query assigns": ("SELECT @id := 2", f"{PRICES} WHERE id = @id"),
    "a user variable that a query fills": ("SELECT 2 INTO @id", f"{PRICES} WHERE id = @id"),
    "a time zone": ("SET time_zone = '+13:00'", f"{PRICES} WHERE id = 0 AND now() > '2026-01-01'"),
    "what is checked": ("SET foreign_key_checks = 0", f"{PRICES} WHERE id = 0"),
    "how numbers go on": ("SET auto_increment_increment = 7", f"{PRICES} WHERE id = 1"),
    "how much a SELECT gives": ("SET sql_select_limit = 1", f"{PRICES} WHERE id IN (SELECT 3)"),
    "strictness": ("SET sql_mode = ''", f"{PRICES} WHERE id = 4"),
    "a character set": ("SET NAMES latin1", f"{PRICES} WHERE name = 'ä'"),
    "a table of the session's own": ("CREATE TEMPORARY TABLE scratch (id int)", f"{PRICES} WHERE id = 5"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_was_approved_before_a_setting_is_not_approved_after_it(bed: DeskBed, name: str) -> None:
    setting, text = SETTINGS[name]
    with connected(bed) as connection:
        with pytest.raises(pymysql.err.OperationalError, match="approval"):
            run(connection, text)
        bed.decide(bed.pending())
        run(connection, setting)
        with pytest.raises(pymysql.err.OperationalError, match="approval"):
            run(connection, text)
    with connected(bed) as connection:
        assert run(connection, text) == 0, "as it was asked for"
    for request in bed.requests(ApprovalState.PENDING):
        bed.decide(request, approve=False)

"""Real clients through a real gateway to a real server: log in, ask, prepare, kill, and everything at its full size."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
import time
from typing import Any

import aiomysql
import mysql.connector
import pymysql
import pytest
from pymysql.constants import CLIENT

from tests.fixtures.gateway import ADMIN, RESOURCE
from tests.fixtures.mysql_gateway import MySqlGateway
from tests.fixtures.waiting import eventually

Row = tuple[Any, ...]


def connect(gateway: MySqlGateway, **options: Any) -> Any:
    """PyMySQL, verifying the gateway's certificate where there is TLS."""
    trust = {"ssl": ssl.create_default_context(cafile=str(gateway.certificate))} if gateway.tls else {}
    return pymysql.connect(**{**gateway.arguments(), **trust, **options})


def ask(connection: Any, text: str, *arguments: object) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(text, arguments or None)
        return list(cursor.fetchall())


def shell(gateway: MySqlGateway, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["mariadb", "--no-defaults", "--protocol=tcp", f"--host={gateway.host}", f"--port={gateway.port}"]
    return subprocess.run(
        [*command, f"--user={ADMIN}", "--batch", "--skip-column-names", *options, RESOURCE],
        input=script,
        capture_output=True,
        text=True,
        env={"MYSQL_PWD": gateway.token, "PATH": os.environ["PATH"]},
        timeout=60,
        check=False,
    )


# --- logging in -----------------------------------------------------------------------------------------------------


def test_a_token_logs_in_with_and_without_tls(
    plain_mysql_gateway: MySqlGateway, secure_mysql_gateway: MySqlGateway
) -> None:
    for gateway in (plain_mysql_gateway, secure_mysql_gateway):
        with connect(gateway) as connection:
            assert ask(connection, "SELECT DATABASE(), 40 + 2") == [("shop", 42)]


def test_the_server_is_reached_through_verified_tls(secure_mysql_gateway: MySqlGateway) -> None:
    with connect(secure_mysql_gateway) as connection:
        assert ask(connection, "SHOW STATUS LIKE 'Ssl_version'") == [("Ssl_version", "TLSv1.3")]


def test_a_listener_with_tls_refuses_clients_in_clear(secure_mysql_gateway: MySqlGateway) -> None:
    with pytest.raises(pymysql.err.OperationalError, match="encrypted connections only"):
        connect(secure_mysql_gateway, ssl=None, ssl_disabled=True)


@pytest.mark.parametrize("user", [ADMIN, "nobody@example.com"])
def test_a_wrong_password_and_an_unknown_user_look_alike(plain_mysql_gateway: MySqlGateway, user: str) -> None:
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connect(plain_mysql_gateway, user=user, password="wrong")
    assert caught.value.args[0] == 1045
    assert caught.value.args[1].startswith("authentication failed [reference ")


def test_an_empty_password_is_refused(plain_mysql_gateway: MySqlGateway) -> None:
    with pytest.raises(pymysql.err.OperationalError, match="authentication failed"):
        connect(plain_mysql_gateway, password="")


def test_a_client_that_begins_with_another_plugin_is_switched(plain_mysql_gateway: MySqlGateway) -> None:
    done = shell(plain_mysql_gateway, "SELECT 1", "--skip-ssl", "--default-auth=mysql_native_password")
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.parametrize(
    ("user", "database", "selected"),
    [
        (ADMIN, "shop-prod", "shop"),
        (ADMIN, "shop-prod/mysql", "mysql"),
        (f"{ADMIN}#shop-prod", None, "shop"),
        (f"{ADMIN}#shop-prod", "mysql", "mysql"),
    ],
)
def test_routing(plain_mysql_gateway: MySqlGateway, user: str, database: str | None, selected: str) -> None:
    with connect(plain_mysql_gateway, user=user, database=database) as connection:
        assert ask(connection, "SELECT DATABASE()") == [(selected,)]


def test_on_its_own_listener_the_database_is_the_servers(plain_mysql_gateway: MySqlGateway) -> None:
    with connect(plain_mysql_gateway, port=plain_mysql_gateway.fixed_port, database="mysql") as connection:
        assert ask(connection, "SELECT DATABASE()") == [("mysql",)]


def test_an_unknown_resource_and_an_unknown_database_are_told(plain_mysql_gateway: MySqlGateway) -> None:
    for database in ("no-such", "shop-prod/no_such"):
        with pytest.raises(pymysql.err.OperationalError) as caught:
            connect(plain_mysql_gateway, database=database)
        assert caught.value.args[0] == 1049


# --- statements -----------------------------------------------------------------------------------------------------


def test_a_text_of_several_statements_gives_all_their_results(plain_mysql_gateway: MySqlGateway) -> None:
    with connect(plain_mysql_gateway, client_flag=CLIENT.MULTI_STATEMENTS) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1; DO 0; SELECT 2, 3")
        results = [cursor.fetchall()]
        while cursor.nextset():
            results.append(cursor.fetchall())
    assert [list(rows) for rows in results] == [[(1,)], [], [(2, 3)]]


def test_an_error_ends_a_statement_and_not_the_session(plain_mysql_gateway: MySqlGateway) -> None:
    with connect(plain_mysql_gateway) as connection:
        with pytest.raises(pymysql.err.OperationalError, match="nonsense"):
            ask(connection, "SELECT nonsense")
        assert ask(connection, "SELECT 1") == [(1,)]


def test_the_database_in_use_may_change(plain_mysql_gateway: MySqlGateway) -> None:
    with connect(plain_mysql_gateway) as connection:
        ask(connection, "USE mysql")
        assert ask(connection, "SELECT DATABASE()") == [("mysql",)]
        connection.select_db("shop")
        assert ask(connection, "SELECT DATABASE()") == [("shop",)]


def test_texts_and_rows_above_16_mib(plain_mysql_gateway: MySqlGateway) -> None:
    long = "y" * (17 << 20)
    with connect(plain_mysql_gateway, max_allowed_packet=64 << 20) as connection:
        assert ask(connection, "SELECT LENGTH(%s), %s", long, long) == [(len(long), long)]


@pytest.mark.parametrize("short_of", [0, 1, 2])
def test_a_text_that_just_fills_a_packet(plain_mysql_gateway: MySqlGateway, short_of: int) -> None:
    frame = "SELECT LENGTH('')"
    filler = "y" * (0xFFFFFF - 1 - len(frame) - short_of)
    with connect(plain_mysql_gateway, max_allowed_packet=64 << 20) as connection:
        assert ask(connection, f"SELECT LENGTH('{filler}')") == [(len(filler),)]


def test_warnings_can_be_asked_for_though_the_state_is_unsure(plain_mysql_gateway: MySqlGateway) -> None:
    with connect(plain_mysql_gateway) as connection:
        ask(connection, "SET sql_mode = ''")
        ask(connection, "SELECT CAST('12x' AS SIGNED)")
        assert "12x" in str(ask(connection, "SHOW WARNINGS"))


def test_the_small_commands(plain_mysql_gateway: MySqlGateway) -> None:
    connection = mysql.connector.connect(**plain_mysql_gateway.arguments(), use_pure=True)
    try:
        assert "Uptime" in str(connection.cmd_statistics())
        connection.cmd_ping()
        cursor = connection.cursor()
        cursor.execute("SET @kept = 1")
        connection.cmd_reset_connection()
        cursor.execute("SELECT @kept, DATABASE()")
        assert cursor.fetchall() == [(None, "shop")]
    finally:
        connection.close()


# --- prepared statements and compression ----------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [False, True])
def test_prepared_statements(plain_mysql_gateway: MySqlGateway, compress: bool) -> None:
    arguments = plain_mysql_gateway.arguments()
    direct = mysql.connector.connect(
        host="127.0.0.1",
        port=plain_mysql_gateway.shop.server.port,
        user=plain_mysql_gateway.shop.user,
        password=plain_mysql_gateway.shop.password,
        database="shop",
        use_pure=True,
    )
    through = mysql.connector.connect(**arguments, use_pure=True, compress=compress)
    try:
        answers = []
        for connection in (direct, through):
            cursor = connection.cursor(prepared=True)
            found = []
            for limit in (3, 50, 0, 200):
                cursor.execute("SELECT * FROM customers WHERE id <= ? AND city <> ?", (limit, "Ghent"))
                found.append(cursor.fetchall())
            answers.append(found)
        assert answers[0] == answers[1]
        assert len(answers[1][3]) > 100
    finally:
        direct.close()
        through.close()


def test_the_shell_compressed(plain_mysql_gateway: MySqlGateway) -> None:
    done = shell(plain_mysql_gateway, "SELECT REPEAT('x', 100000); SELECT 2", "--skip-ssl", "--compress")
    assert (done.stdout, done.stderr) == ("x" * 100_000 + "\n2\n", "")


async def _ask_aiomysql(gateway: MySqlGateway) -> list[Row]:
    arguments = gateway.arguments()
    arguments["db"] = arguments.pop("database")
    connection = await aiomysql.connect(**arguments)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT COUNT(*), MAX(id) FROM customers")
            return list(await cursor.fetchall())
    finally:
        connection.close()


def test_aiomysql(plain_mysql_gateway: MySqlGateway) -> None:
    import asyncio

    assert asyncio.run(_ask_aiomysql(plain_mysql_gateway)) == [(200, 200)]


# --- killing --------------------------------------------------------------------------------------------------------


def test_kill_reaches_ones_own_sessions_by_either_number(plain_mysql_gateway: MySqlGateway) -> None:
    with connect(plain_mysql_gateway) as busy, connect(plain_mysql_gateway) as killer:
        for number in (busy.thread_id(), ask(busy, "SELECT CONNECTION_ID()")[0][0]):
            timer = threading.Timer(0.3, lambda number=number: ask(killer, f"KILL QUERY {number}"))
            timer.start()
            began = time.monotonic()
            with pytest.raises(pymysql.err.OperationalError) as caught:
                ask(busy, "SELECT SLEEP(20) FROM customers")
            timer.join()
            assert caught.value.args[0] == 1317
            assert time.monotonic() - began < 15
        killer.kill(busy.thread_id())
        with pytest.raises(pymysql.err.OperationalError):
            ask(busy, "SELECT 1")


def test_kill_does_not_reach_others(plain_mysql_gateway: MySqlGateway, mysql_server_session: int) -> None:
    with connect(plain_mysql_gateway) as connection:
        with pytest.raises(pymysql.err.OperationalError, match="Unknown thread id") as caught:
            ask(connection, f"KILL {mysql_server_session}")
        assert caught.value.args[0] == 1094
        with pytest.raises(pymysql.err.MySQLError):
            ask(connection, f"KILL /* quietly */ {mysql_server_session}")


@pytest.fixture
def mysql_server_session(plain_mysql_gateway: MySqlGateway) -> Any:
    """The number of a session of the gateway's own account that did not come through the gateway."""
    shop = plain_mysql_gateway.shop
    connection = pymysql.connect(
        host="127.0.0.1", port=shop.server.port, user=shop.user, password=shop.password, database=shop.database
    )
    yield connection.thread_id()
    assert ask(connection, "SELECT 1") == [(1,)], "it was killed"
    connection.close()


# --- refusals -------------------------------------------------------------------------------------------------------


def test_a_refusal_leaves_session_and_transaction_as_they_were(plain_mysql_gateway: MySqlGateway) -> None:
    with connect(plain_mysql_gateway) as connection:
        ask(connection, "BEGIN")
        connection._execute_command(0x12, b"\0" * 10)  # COM_BINLOG_DUMP
        with pytest.raises(pymysql.err.MySQLError) as caught:
            connection._read_packet()
        assert caught.value.args[0] == 1142  # "everything" does not include replication
        assert ask(connection, "SELECT @@in_transaction") == [(1,)]


def test_unknown_commands_are_refused_and_the_session_goes_on(plain_mysql_gateway: MySqlGateway) -> None:
    with connect(plain_mysql_gateway) as connection:
        for code in (0x00, 0x05, 0x08, 0x0F, 0x15, 0x1D, 0x30, 0xFE):
            connection._execute_command(code, b"")
            with pytest.raises(pymysql.err.MySQLError):
                connection._read_packet()
        assert ask(connection, "SELECT 1") == [(1,)]


def test_load_data_local_is_refused(plain_mysql_gateway: MySqlGateway) -> None:
    with connect(plain_mysql_gateway, local_infile=True) as connection:
        with pytest.raises(pymysql.err.MySQLError):
            ask(connection, "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE products")
        assert ask(connection, "SELECT 1") == [(1,)]


def test_statements_and_logins_are_in_the_audit(plain_mysql_gateway: MySqlGateway) -> None:
    with connect(plain_mysql_gateway) as connection:
        ask(connection, "SELECT 'for the audit' AS told")
    eventually(lambda: "for the audit" in plain_mysql_gateway.audit_text())
    assert ADMIN in plain_mysql_gateway.audit_text()

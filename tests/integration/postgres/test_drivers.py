"""Basic flows of real drivers through the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

import asyncpg
import pg8000.native
import psycopg
import psycopg2
import pytest
from psycopg import sql

from gateway.testing.shop import Shop
from tests.fixtures.gateway import ADMIN, ANALYST, RESOURCE, SUPPORT, RunningGateway
from tests.fixtures.waiting import eventually
from tests.integration.postgres.raw import FLUSH, RawClient, extended, query

BIG = 17 * 1024 * 1024


@pytest.fixture
def connection(plain_gateway: RunningGateway) -> Iterator[psycopg.Connection]:
    with psycopg.connect(plain_gateway.conninfo(), autocommit=True) as opened:
        yield opened


# --- each driver -----------------------------------------------------------------------------------------------------


def test_psycopg(connection: psycopg.Connection) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE p (a int, b text) ON COMMIT DROP")
        cursor.executemany("INSERT INTO p VALUES (%s, %s)", [(1, "x"), (2, None)])
        assert cursor.execute("SELECT * FROM p ORDER BY a").fetchall() == [(1, "x"), (2, None)]
        assert cursor.execute("SELECT %b::int8, %b::text", (7, "ü")).fetchone() == (7, "ü")
    for _ in range(8):  # the sixth time psycopg prepares
        assert connection.execute("SELECT %s::int + 1", (41,)).fetchone() == (42,)


def test_asyncpg(plain_gateway: RunningGateway) -> None:
    async def work() -> None:
        opened = await asyncpg.connect(
            host="127.0.0.1",
            port=plain_gateway.port,
            user=ADMIN,
            password=plain_gateway.token,
            database=RESOURCE,
            ssl=False,
        )
        try:
            async with opened.transaction():
                await opened.execute("CREATE TEMP TABLE a (x int, y text) ON COMMIT DROP")
                await opened.executemany("INSERT INTO a VALUES ($1, $2)", [(i, str(i)) for i in range(100)])
                await opened.copy_records_to_table("a", records=[(1000, "copied"), (1001, None)])
                assert await opened.fetchval("SELECT count(*) FROM a") == 102
                seen = [row["x"] async for row in opened.cursor("SELECT x FROM a ORDER BY x", prefetch=10)]
                assert seen[:3] == [0, 1, 2]
                assert len(seen) == 102
            with pytest.raises(asyncpg.DivisionByZeroError):
                await opened.fetchval("SELECT 1 / $1::int", 0)
            with pytest.raises(asyncio.TimeoutError):
                await opened.fetchval("SELECT pg_sleep(30)", timeout=0.2)
            assert await opened.fetchval("SELECT 1") == 1
        finally:
            await opened.close()

    asyncio.run(work())


def test_psycopg2(plain_gateway: RunningGateway) -> None:
    opened = psycopg2.connect(plain_gateway.conninfo())
    try:
        with opened, opened.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE q (a int)")
            cursor.execute("INSERT INTO q SELECT generate_series(1, 10)")
            cursor.execute("SELECT sum(a) FROM q WHERE a > %s", (5,))
            assert cursor.fetchone() == (40,)
        with opened, opened.cursor(name="named") as named:
            named.itersize = 3
            named.execute("SELECT a FROM q ORDER BY a")
            assert [row[0] for row in named] == list(range(1, 11))
    finally:
        opened.close()


def test_pg8000(plain_gateway: RunningGateway) -> None:
    opened = pg8000.native.Connection(
        ADMIN,
        host="127.0.0.1",
        port=plain_gateway.port,
        password=plain_gateway.token,
        database=RESOURCE,
        ssl_context=False,
    )
    try:
        opened.run("SET search_path = public")
        opened.run("CREATE TEMP TABLE r (a int, b numeric)")
        opened.run("INSERT INTO r VALUES (:a, :b)", a=1, b=2.5)
        prepared = opened.prepare("SELECT a + :x FROM r")
        assert prepared.run(x=1) == [[2]]
        assert prepared.run(x=2) == [[3]]
        prepared.close()
        with pytest.raises(pg8000.native.DatabaseError):
            opened.run("SELECT * FROM nowhere")
        assert opened.run("SELECT 1") == [[1]]
    finally:
        opened.close()


# --- COPY, big values, cursors, pipelines ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "csv", "binary"])
def test_copy_there_and_back(connection: psycopg.Connection, form: str) -> None:
    connection.execute("CREATE TEMP TABLE c (a int, b text)")
    rows = [(1, "plain"), (2, None), (3, 'tab\t "quote" \\ ü\n')]
    copy = sql.SQL("COPY c {} (FORMAT {})")
    with connection.cursor() as cursor, cursor.copy(copy.format(sql.SQL("FROM STDIN"), sql.SQL(form))) as stream:
        if form == "csv":
            stream.write('1,plain\n2,\n3,"tab\t ""quote"" \\ ü\n"\n')
        else:
            if form == "binary":
                stream.set_types(["int4", "text"])
            for row in rows:
                stream.write_row(row)
    assert connection.execute("SELECT * FROM c ORDER BY a").fetchall() == rows
    with connection.cursor() as cursor, cursor.copy(copy.format(sql.SQL("TO STDOUT"), sql.SQL(form))) as stream:
        got = b"".join(bytes(part) for part in stream)
    assert b"plain" in got


def test_a_copy_that_fails_leaves_the_session_usable(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TEMP TABLE c (a int)")
    with (
        pytest.raises(psycopg.errors.InvalidTextRepresentation),
        connection.cursor() as cursor,
        cursor.copy("COPY c FROM STDIN") as stream,
    ):
        stream.write("1\nx\n")
    with (
        pytest.raises(psycopg.errors.QueryCanceled, match="never mind"),
        connection.cursor() as cursor,
        cursor.copy("COPY c FROM STDIN") as stream,
    ):
        give_up(stream)
    assert connection.execute("SELECT count(*) FROM c").fetchone() == (0,)


def give_up(stream: psycopg.Copy) -> None:
    """Begin, and fail: psycopg then sends CopyFail."""
    stream.write("1\n")
    raise psycopg.errors.QueryCanceled("never mind")


def test_values_beyond_sixteen_mebibytes(connection: psycopg.Connection) -> None:
    value = "x" * BIG
    (got,) = connection.execute("SELECT %s::text || 'y'", (value,)).fetchone() or ("",)
    assert got == value + "y"
    (length,) = connection.execute(f"SELECT length('{value}')").fetchone() or (0,)
    assert length == BIG


def test_pipeline_mode(connection: psycopg.Connection) -> None:
    with connection.pipeline() as pipeline:
        cursors = [connection.execute("SELECT %s::int", (number,)) for number in range(200)]
        pipeline.sync()
        assert [cursor.fetchone() for cursor in cursors] == [(number,) for number in range(200)]
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0").fetchone()
        pipeline.sync()
        assert connection.execute("SELECT 'after'").fetchone() == ("after",)


def test_pipeline_with_a_refusal_in_the_middle(plain_gateway: RunningGateway) -> None:
    with psycopg.connect(plain_gateway.conninfo(SUPPORT), autocommit=True) as opened:
        with opened.pipeline() as pipeline:
            first = opened.execute("SELECT 1")

            def refused() -> None:
                opened.execute("DELETE FROM orders")
                opened.execute("SELECT 2")  # the driver reads what has already been answered, so this may raise
                pipeline.sync()

            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="say which rows") as caught:
                refused()
            with contextlib.suppress(psycopg.errors.PipelineAborted):
                pipeline.sync()
            assert "Reference " in (caught.value.diag.message_hint or "")
            assert first.fetchone() == (1,)
        assert opened.execute("SELECT 3").fetchone() == (3,)


def test_server_side_cursors_hold_their_place(connection: psycopg.Connection) -> None:
    with connection.transaction(), connection.cursor("walk", scrollable=True) as cursor:
        cursor.execute("SELECT generate_series(1, 100)")
        assert cursor.fetchmany(3) == [(1,), (2,), (3,)]
        cursor.scroll(50)
        assert cursor.fetchone() == (54,)


# --- sessions --------------------------------------------------------------------------------------------------------


def test_notifications_name_the_process_that_the_client_knows(connection: psycopg.Connection) -> None:
    connection.execute("LISTEN news")
    connection.execute("NOTIFY news, 'hello'")
    (notification,) = list(connection.notifies(timeout=5, stop_after=1))
    assert notification.payload == "hello"
    assert notification.pid == connection.info.backend_pid
    assert connection.execute("SELECT pg_backend_pid()").fetchone() == (connection.info.backend_pid,)


def test_settings_of_the_startup_packet_are_what_reset_returns_to(plain_gateway: RunningGateway) -> None:
    options = {"options": "-c DateStyle=German -c geqo=off", "client_encoding": "latin1", "application_name": "mine"}
    with psycopg.connect(plain_gateway.conninfo(**options), autocommit=True) as opened:
        assert opened.info.parameter_status("DateStyle") == "German, DMY"
        opened.execute("SET DateStyle = 'ISO'; SET client_encoding = 'UTF8'; SET application_name = 'other'")
        opened.execute("RESET ALL")
        shown = [
            opened.execute(f"SHOW {name}").fetchone()
            for name in ("DateStyle", "client_encoding", "application_name", "geqo")
        ]
        assert shown == [("German, DMY",), ("LATIN1",), ("mine",), ("off",)]


def test_an_unknown_setting_is_the_databases_to_refuse(plain_gateway: RunningGateway) -> None:
    with pytest.raises(psycopg.OperationalError, match="no_such_setting"):
        psycopg.connect(plain_gateway.conninfo(options="-c no_such_setting=1"))


@pytest.mark.parametrize("database", ["nowhere", f"{RESOURCE}/nowhere"])
def test_unknown_databases(plain_gateway: RunningGateway, database: str) -> None:
    def connect() -> None:
        async def work() -> None:
            await asyncpg.connect(
                host="127.0.0.1",
                port=plain_gateway.port,
                user=ADMIN,
                password=plain_gateway.token,
                database=database,
                ssl=False,
            )

        asyncio.run(work())

    with pytest.raises(asyncpg.InvalidCatalogNameError):
        connect()


def test_another_database_of_the_resource(plain_gateway: RunningGateway) -> None:
    with psycopg.connect(plain_gateway.conninfo(database=f"{RESOURCE}/postgres")) as opened:
        assert opened.execute("SELECT current_database()").fetchone() == ("postgres",)


def test_the_resource_in_the_user_name(plain_gateway: RunningGateway, shop_database: Shop) -> None:
    user = f"{ADMIN}#{RESOURCE}"
    with psycopg.connect(plain_gateway.conninfo(user, database=user)) as opened:
        assert opened.execute("SELECT current_database()").fetchone() == (shop_database.database,)


@pytest.mark.parametrize("version", ["3.0", "latest"])
def test_protocol_versions(plain_gateway: RunningGateway, version: str) -> None:
    with psycopg.connect(plain_gateway.conninfo(max_protocol_version=version), autocommit=True) as opened:
        assert opened.pgconn.full_protocol_version == (30002 if version == "latest" else 30000)
        cancel_after(opened, 0.2)
        with pytest.raises(psycopg.errors.QueryCanceled):
            opened.execute("SELECT pg_sleep(30)")


# --- cancel ----------------------------------------------------------------------------------------------------------


def cancel_after(opened: psycopg.Connection, seconds: float) -> None:
    threading.Timer(seconds, opened.cancel_safe).start()


def test_a_cancel_request_hits_the_right_session(plain_gateway: RunningGateway) -> None:
    with (
        psycopg.connect(plain_gateway.conninfo(), autocommit=True) as one,
        psycopg.connect(plain_gateway.conninfo(), autocommit=True) as other,
    ):
        outcome: list[object] = []
        thread = threading.Thread(target=lambda: outcome.append(other.execute("SELECT pg_sleep(1)").fetchone()))
        thread.start()
        cancel_after(one, 0.2)
        begun = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            one.execute("SELECT pg_sleep(30)")
        assert time.monotonic() - begun < 10
        thread.join()
        assert outcome == [("",)]


def test_forged_cancel_requests_do_nothing(plain_gateway: RunningGateway) -> None:
    with psycopg.connect(plain_gateway.conninfo(), autocommit=True) as opened:

        def forge() -> None:
            for secret in (bytes(4), b"\xff" * 4, bytes(32)):
                with socket.create_connection(("127.0.0.1", plain_gateway.port), timeout=5) as peer:
                    body = struct.pack("!II", 80877102, opened.info.backend_pid) + secret
                    peer.sendall(struct.pack("!I", 4 + len(body)) + body)
                    assert peer.recv(100) == b"", "a cancel request is never answered"

        timer = threading.Timer(0.1, forge)
        timer.start()
        assert opened.execute("SELECT pg_sleep(1)").fetchone() == ("",)
        timer.join()


def test_a_client_that_vanishes_takes_its_query_along(plain_gateway: RunningGateway, shop_database: Shop) -> None:
    with RawClient.connect(plain_gateway.port, user=ADMIN, password=plain_gateway.token, database=RESOURCE) as client:
        client.send(query("SELECT pg_sleep(60)"))
        assert client.login.key is not None
        running = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {client.login.key.pid} AND query LIKE '%sleep%'"
        eventually(lambda: shop_database.server.psql(running).strip() == "1")
    eventually(lambda: shop_database.server.psql(running).strip() == "0")


def test_a_vanished_client_commits_nothing(plain_gateway: RunningGateway, fresh_shop: Shop) -> None:
    with RawClient.connect(
        plain_gateway.port, user=ADMIN, password=plain_gateway.token, database=f"{RESOURCE}/{fresh_shop.database}"
    ) as client:
        client.send(extended("DELETE FROM order_items WHERE true") + FLUSH)
        client.until("C")
    idle = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{fresh_shop.database}'"
    eventually(lambda: fresh_shop.server.psql(idle).strip() == "0")
    assert fresh_shop.psql("SELECT count(*) > 0 FROM order_items").strip() == "t"


# --- policies as drivers see them ------------------------------------------------------------------------------------


def test_masks_in_text_and_binary_in_both_protocols(plain_gateway: RunningGateway) -> None:
    with psycopg.connect(plain_gateway.conninfo(ANALYST), autocommit=True) as opened:
        for binary in (False, True):
            with opened.cursor(binary=binary) as cursor:
                for prepare in (False, True):
                    cursor.execute(
                        "SELECT id, email, full_name, birth_date FROM customers WHERE id = %s", (1,), prepare=prepare
                    )
                    ((number, email, name, birth),) = cursor.fetchall()
                    assert number == 1
                    assert "@" not in str(email)
                    assert name
                    assert str(birth) in ("None", "0001-01-01", "1970-01-01", "1900-01-01", "2000-01-01")
        simple = opened.pgconn.exec_(b"SELECT email FROM customers; SELECT lower(email) FROM customers")
        assert simple.status != psycopg.pq.ExecStatus.FATAL_ERROR
        assert b"@" not in (simple.get_value(0, 0) or b"")


def test_a_refused_statement_in_a_transaction(plain_gateway: RunningGateway) -> None:
    with psycopg.connect(plain_gateway.conninfo(SUPPORT)) as opened:
        opened.execute("SELECT 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            opened.execute("DROP TABLE customers")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            opened.execute("SELECT 1")
        opened.rollback()
        assert opened.execute("SELECT 1").fetchone() == (1,)


def test_the_databases_end_of_a_session_is_passed_on(plain_gateway: RunningGateway, shop_database: Shop) -> None:
    with psycopg.connect(plain_gateway.conninfo(), autocommit=True) as opened:
        pid = opened.info.backend_pid
        shop_database.server.psql(f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(psycopg.errors.AdminShutdown):
            opened.execute("SELECT 1")

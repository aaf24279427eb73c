"""COM_CHANGE_USER: another login on the same connection, of which nothing of the one before survives."""

from __future__ import annotations

import json
import ssl
from contextlib import closing
from typing import Any

import mysql.connector
import pymysql
import pytest

from gateway_mysql.wire.capabilities import Capability
from gateway_mysql.wire.commands import Command
from gateway_mysql.wire.handshake import AuthSwitchRequest, ChangeUser
from gateway_mysql.wire.messages import Err, Ok
from gateway_mysql.wire.scramble import CACHING_SHA2, CLEAR, NATIVE, sha2_scramble
from tests.fixtures.gateway import ADMIN, ANALYST, RESOURCE, SUPPORT
from tests.fixtures.mysql_gateway import MySqlGateway
from tests.fixtures.waiting import eventually
from tests.integration.mysql.raw import RawClient

EMAIL = "SELECT email FROM customers WHERE id = 3"


def connected(gateway: MySqlGateway, user: str, **options: Any) -> Any:
    words: dict[str, Any] = {"host": gateway.host, "port": gateway.port, "database": RESOURCE, "use_pure": True}
    return mysql.connector.connect(user=user, password=gateway.token, **words, **options)


def ask(connection: Any, text: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall()


def change(client: RawClient, user: str, password: str, *, database: str = "", plugin: bytes = NATIVE) -> Ok | Err:
    """COM_CHANGE_USER with a proof that is nonsense, and the right one when the gateway asks for it."""
    word = ChangeUser(user.encode(), b"\1" * 20, database.encode(), 45, plugin)
    client.send(bytes((Command.CHANGE_USER,)) + word.encode(client.capabilities))
    answer = client.packet()
    assert client.sequence == 1
    if answer[0] == 0xFF:
        return Err.decode(answer)
    switch = AuthSwitchRequest.decode(answer)
    assert switch.plugin == CACHING_SHA2
    assert switch.data != client.greeting.nonce, "what was said once is no proof"
    client.send(sha2_scramble(password.encode(), switch.data[:20]), 2)
    while (answer := client.packet())[0] == 1:
        if answer == b"\1\4":
            client.send(b"\2", client.sequence + 1)  # the key, please
            client.packet()
            client.send(b"\0" * 256, client.sequence + 1)
    return Err.decode(answer) if answer[0] == 0xFF else Ok.decode(answer)


def test_rights_masks_and_state_are_those_of_the_new_login(plain_mysql_gateway: MySqlGateway) -> None:
    with closing(connected(plain_mysql_gateway, ADMIN)) as connection:
        ((before,),) = ask(connection, EMAIL)
        assert "@" in before
        ask(connection, "SELECT id INTO @kept FROM customers WHERE id = 3")
        ask(connection, "CREATE TEMPORARY TABLE held (id int)")
        ask(connection, "SET sql_mode = 'ANSI_QUOTES'")
        ((upstream,),) = ask(connection, "SELECT CONNECTION_ID()")

        connection.cmd_change_user(ANALYST, plain_mysql_gateway.token, RESOURCE)
        assert ask(connection, EMAIL) == [("****",)]
        assert ask(connection, "SELECT @kept, DATABASE()") == [(None, "shop")]
        assert "ANSI_QUOTES" not in ask(connection, "SELECT @@sql_mode")[0][0]
        assert ask(connection, "SELECT CONNECTION_ID()") != [(upstream,)]
        for forbidden in ("SELECT * FROM held", "CREATE TABLE made (id int)"):
            with pytest.raises(mysql.connector.Error):
                ask(connection, forbidden)

        connection.cmd_change_user(ADMIN, plain_mysql_gateway.token, RESOURCE)
        assert ask(connection, EMAIL) == [(before,)]


def test_a_transaction_is_rolled_back(plain_mysql_gateway: MySqlGateway) -> None:
    with closing(connected(plain_mysql_gateway, ADMIN)) as connection:
        ask(connection, "CREATE OR REPLACE TABLE changed (id int)")
        connection.start_transaction()
        ask(connection, "INSERT INTO changed VALUES (1)")
        connection.cmd_change_user(ADMIN, plain_mysql_gateway.token, RESOURCE)
        assert not connection.in_transaction
        assert ask(connection, "SELECT COUNT(*) FROM changed") == [(0,)]
        ask(connection, "DROP TABLE changed")


def test_prepared_statements_are_gone(plain_mysql_gateway: MySqlGateway) -> None:
    with RawClient.connect(plain_mysql_gateway) as client:
        client.send(bytes((Command.STMT_PREPARE,)) + b"DO 1")
        number = client.packet()[1:5]
        assert isinstance(change(client, ANALYST, plain_mysql_gateway.token), Ok)
        answer = client.ask(bytes((Command.STMT_EXECUTE,)) + number + b"\0\1\0\0\0")
        assert isinstance(answer, Err)
        assert answer.code == 1243


def test_without_a_database_the_resource_stays(plain_mysql_gateway: MySqlGateway) -> None:
    """Pools name none where they only want the session to be as new."""
    with RawClient.connect(plain_mysql_gateway) as client:
        for _ in range(3):
            assert isinstance(change(client, ANALYST, plain_mysql_gateway.token), Ok)
            assert client.value("SELECT DATABASE()") == b"shop"
            assert client.value(EMAIL) == b"****"


@pytest.mark.parametrize(
    ("user", "database", "number"),
    [(ADMIN, RESOURCE, 1045), ("nobody@example.com", RESOURCE, 1045), (ANALYST, "no-such-resource", 1049)],
)
def test_a_login_that_fails_ends_the_connection(
    plain_mysql_gateway: MySqlGateway, user: str, database: str, number: int
) -> None:
    """As servers do it: the former principal is not an answer to a wrong password."""
    with RawClient.connect(plain_mysql_gateway) as client:
        password = plain_mysql_gateway.token if number == 1049 else "wrong"
        answer = change(client, user, password, database=database)
        assert isinstance(answer, Err)
        assert answer.code == number
        with pytest.raises((EOFError, ConnectionError)):
            client.value("SELECT 1")


def test_a_proof_of_an_earlier_nonce_is_none(plain_mysql_gateway: MySqlGateway) -> None:
    with RawClient.connect(plain_mysql_gateway) as client:
        proof = sha2_scramble(plain_mysql_gateway.token.encode(), client.greeting.nonce[:20])
        word = ChangeUser(ADMIN.encode(), proof, RESOURCE.encode(), 45, CACHING_SHA2)
        client.send(bytes((Command.CHANGE_USER,)) + word.encode(client.capabilities))
        assert AuthSwitchRequest.decode(client.packet()).plugin == CACHING_SHA2
        client.send(proof, 2)
        assert client.packet() == b"\1\4", "it is not taken, and the password itself is asked for"


@pytest.mark.parametrize("payload", [b"", b"dora", b"dora\0\xff", b"x\0\0\0" + b"\xff" * 70_000])
def test_what_makes_no_sense_ends_the_session(plain_mysql_gateway: MySqlGateway, payload: bytes) -> None:
    with RawClient.connect(plain_mysql_gateway) as client:
        client.send(bytes((Command.CHANGE_USER,)) + payload)
        assert client.packet()[0] == 0xFF
        with pytest.raises((EOFError, ConnectionError)):
            client.packet()


def test_what_is_sent_ahead_is_not_run(plain_mysql_gateway: MySqlGateway) -> None:
    """A command behind COM_CHANGE_USER stands where the proof belongs."""
    with RawClient.connect(plain_mysql_gateway) as client:
        word = ChangeUser(ANALYST.encode(), b"", RESOURCE.encode(), 45, CACHING_SHA2)
        command = bytes((Command.CHANGE_USER,)) + word.encode(client.capabilities)
        query = b"\3CREATE TABLE ahead (id int)"
        client.socket.sendall(
            len(command).to_bytes(3, "little") + b"\0" + command + len(query).to_bytes(3, "little") + b"\0" + query
        )
        assert client.packet()[0] == 0xFE
        assert client.packet()[0] == 0xFF
    assert plain_mysql_gateway.shop.sql("SHOW TABLES LIKE 'ahead'") == ""


def test_inside_tls_with_a_clear_password(secure_mysql_gateway: MySqlGateway) -> None:
    gateway = secure_mysql_gateway
    options = {"ssl_ca": str(gateway.certificate), "ssl_verify_cert": True}
    with closing(connected(gateway, ADMIN, auth_plugin="mysql_clear_password", **options)) as connection:
        connection.cmd_change_user(ANALYST, gateway.token, RESOURCE)
        assert ask(connection, EMAIL) == [("****",)]
    with closing(connected(gateway, ADMIN, **options)) as connection:
        connection.cmd_change_user(ANALYST, gateway.token, RESOURCE)
        assert ask(connection, EMAIL) == [("****",)]
    context = ssl.create_default_context(cafile=str(gateway.certificate))
    with pymysql.connect(**gateway.arguments(SUPPORT), ssl=context) as connection:
        word = ChangeUser(ANALYST.encode(), gateway.token.encode() + b"\0", RESOURCE.encode(), 45, CLEAR)
        connection._execute_command(Command.CHANGE_USER, word.encode(Capability(connection.client_flag)))
        assert connection._read_packet().is_ok_packet()
        with connection.cursor() as cursor:
            cursor.execute(EMAIL)
            assert cursor.fetchone() == ("****",)


def test_on_a_compressed_connection(plain_mysql_gateway: MySqlGateway) -> None:
    """The connection stays compressed, from the first packet of the new login on."""
    with RawClient.connect(plain_mysql_gateway, compress=True) as client:
        assert client.value("SELECT 1") == b"1"
        assert isinstance(change(client, ANALYST, plain_mysql_gateway.token), Ok)
        assert client.value(EMAIL) == b"****"
        assert len(client.value("SELECT REPEAT('long', 200)")) > 800


def test_the_audit_has_two_sessions(plain_mysql_gateway: MySqlGateway) -> None:
    gateway = plain_mysql_gateway
    with closing(connected(gateway, SUPPORT)) as connection:
        ask(connection, "SELECT 'told by sam'")
        connection.cmd_change_user(ANALYST, gateway.token, RESOURCE)
        ask(connection, "SELECT 'told by ana'")

    def look() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in gateway.audit_text().splitlines() if "'told by " in line]
        return lines if len(lines) == 2 else []

    sam, ana = eventually(look)
    assert sam["session"] != ana["session"]
    assert sam["id"].split("-")[0] != ana["id"].split("-")[0]


def test_many_changes_leave_nothing_behind(plain_mysql_gateway: MySqlGateway) -> None:
    """Neither sessions on the gateway nor connections at the database."""
    shop = plain_mysql_gateway.shop
    count = f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '{shop.user}'"
    with RawClient.connect(plain_mysql_gateway) as client:
        before = int(shop.sql(count))
        for number in range(20):
            user = (ADMIN, ANALYST)[number % 2]
            assert isinstance(change(client, user, plain_mysql_gateway.token), Ok)
        eventually(lambda: int(shop.sql(count)) <= before + 1)
        assert client.value("SELECT 1") == b"1"

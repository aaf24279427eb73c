"""What clients are greeted with: databases are met before the first of them comes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gateway.testing.servers.ports import free_port
from gateway.testing.shop_mariadb import MariaDbShop
from gateway_mysql.wire.capabilities import MARIADB_RELAYED, Capability
from gateway_mysql.wire.handshake import Greeting
from tests.fixtures.mysql_gateway import MySqlGateway, StartMySqlGateway
from tests.integration.mysql.raw import RawClient

Config = dict[str, Any]


def greeting(gateway: MySqlGateway) -> Greeting:
    with socket.create_connection((gateway.host, gateway.port), timeout=30) as stream:
        data = b""
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:3], "little"):
            piece = stream.recv(4096)
            assert piece
            data += piece
        return Greeting.decode(data[4:])


def at(port: int) -> Callable[[Config], None]:
    def change(config: Config) -> None:
        config["resources"][0]["address"] = f"127.0.0.1:{port}"

    return change


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_first_client_is_promised_what_the_database_can_do(
    start_mysql_gateway: StartMySqlGateway, mariadb_shop: MariaDbShop
) -> None:
    """Drivers decide by the greeting whether they speak to MariaDB, and pools keep what they decided."""
    with RawClient.connect(start_mysql_gateway(mariadb_shop), bulk=True) as client:
        assert b"MariaDB" in client.greeting.version
        assert client.greeting.capabilities & MARIADB_RELAYED == MARIADB_RELAYED
        assert client.capabilities & Capability.MARIADB_BULK


def test_a_database_that_is_down_or_silent_holds_up_nobody(
    start_mysql_gateway: StartMySqlGateway, mariadb_shop: MariaDbShop
) -> None:
    down = start_mysql_gateway(mariadb_shop, change=at(free_port()))
    assert "MariaDB" not in greeting(down).version.decode()
    assert "a database could not be met" in down.process.log()
    with silent() as port:
        waiting = start_mysql_gateway(mariadb_shop, change=at(port))
        assert not greeting(waiting).capabilities & MARIADB_RELAYED
        log = waiting.process.log()
        given_up = log.find("a database could not be met")
        assert given_up == -1 or log.index("listening") < given_up, "clients had to wait for the silent database"

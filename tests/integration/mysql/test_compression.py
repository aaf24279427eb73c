"""Compression on either side, on both, and by different algorithms: the bytes inside are those of a session without."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mysql.connector
import pymysql
import pytest
from pymysql.constants import CLIENT

from gateway_mysql.wire.capabilities import NONE, Capability
from tests.fixtures.gateway import ADMIN
from tests.fixtures.mysql_gateway import Config, MySqlGateway, StartMySqlGateway
from tests.integration.mysql.packed import FramedSocket, ZstdFront
from tests.integration.mysql.raw import RawClient
from tests.integration.mysql.test_differential import COMMANDS, STATEMENTS, Wire, set_up
from tests.integration.mysql.test_drivers import shell
from tests.plugins.mysql.frames import ZLIB, ZSTD

FLAGS = {"": NONE, ZLIB: Capability.COMPRESS, ZSTD: Capability.ZSTD}
ALL = Capability.MULTI_STATEMENTS | Capability.MULTI_RESULTS | Capability.PS_MULTI_RESULTS
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Gateways:
    """One for each way to reach the database: ``""``, zlib and zstd."""

    by_algorithm: dict[str, MySqlGateway]
    front: ZstdFront


@pytest.fixture(scope="module")
def gateways(start_mysql_gateway: StartMySqlGateway, plain_mysql_gateway: MySqlGateway) -> Iterator[Gateways]:
    shop = plain_mysql_gateway.shop
    set_up(shop)
    with ZstdFront(shop.server.port) as front:

        def zlib(config: Config) -> None:
            config["resources"][0]["parameters"] = {"compression_algorithms": "zstd,zlib"}

        def zstd(config: Config) -> None:
            config["resources"][0]["address"] = f"127.0.0.1:{front.port}"
            config["resources"][0]["parameters"] = {
                "compression_algorithms": "zstd,zlib",
                "zstd_compression_level": "5",
            }

        yield Gateways(
            {
                "": plain_mysql_gateway,
                ZLIB: start_mysql_gateway(shop, change=zlib),
                ZSTD: start_mysql_gateway(shop, change=zstd),
            },
            front,
        )


class PackedWire(Wire):
    """A session in raw packets, perhaps in frames."""

    def __init__(self, port: int, algorithm: str, *, user: str, password: str) -> None:
        stream = socket.create_connection(("127.0.0.1", port), timeout=30)
        wanted = ALL | FLAGS[algorithm]
        client = RawClient(stream, user=user, password=password, database="differential", wanted=wanted)
        self.stream = stream
        self.socket: Any = FramedSocket(stream, algorithm) if algorithm else client.socket

    def close(self) -> None:
        self.stream.close()


def _answers(port: int, algorithm: str, *, user: str, password: str) -> list[list[bytes]]:
    found = []
    with closing(PackedWire(port, algorithm, user=user, password=password)) as wire:
        for text in STATEMENTS:
            found.append(wire.ask(b"\x03" + text.encode()))
        number = b"@\0\0\0"
        for payload in COMMANDS:
            packets = wire.ask(payload.replace(b"@\0\0\0", number))
            if payload[:1] == b"\x16" and packets[0][4:5] == b"\0":
                # Servers count prepared statements over all sessions.
                number = packets[0][5:9]
                packets[0] = packets[0][:5] + b"@\0\0\0" + packets[0][9:]
            found.append(packets)
    return found


@pytest.fixture(scope="module")
def expected(gateways: Gateways) -> list[list[bytes]]:
    shop = gateways.by_algorithm[""].shop
    return _answers(shop.server.port, "", user=shop.user, password=shop.password)


@pytest.mark.parametrize("up", ["", ZLIB, ZSTD])
@pytest.mark.parametrize("down", ["", ZLIB, ZSTD])
def test_answers_are_the_same_bytes(gateways: Gateways, expected: list[list[bytes]], down: str, up: str) -> None:
    gateway, before = gateways.by_algorithm[up], gateways.front.sessions
    found = _answers(gateway.fixed_port, down, user=ADMIN, password=gateway.token)
    for text, direct, through in zip([*STATEMENTS, *COMMANDS], expected, found, strict=True):
        assert through == direct, text
    assert (gateways.front.sessions > before) is (up == ZSTD)


def test_the_server_says_that_it_is_compressed(gateways: Gateways) -> None:
    for up, answer in (("", "OFF"), (ZLIB, "ON")):
        with pymysql.connect(**gateways.by_algorithm[up].arguments()) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW SESSION STATUS LIKE 'Compression'")
            assert cursor.fetchall() == (("Compression", answer),)


def test_inside_tls(start_mysql_gateway: StartMySqlGateway, gateways: Gateways) -> None:
    """The request for TLS has to name the algorithm already."""
    shop = gateways.by_algorithm[""].shop

    def change(config: Config) -> None:
        config["resources"][0]["tls"] = {"mode": "verify-full", "ca": os.fspath(shop.server.ca_path or "")}
        config["resources"][0]["parameters"] = {"compression_algorithms": "zlib"}

    gateway = start_mysql_gateway(shop, change=change)
    texts = [
        "SHOW SESSION STATUS LIKE 'Compression'",
        "SHOW SESSION STATUS LIKE 'Ssl_version'",
        "SELECT REPEAT('x', 99999)",
    ]
    multi = CLIENT.MULTI_STATEMENTS
    with pymysql.connect(**gateway.arguments(), client_flag=multi) as connection, connection.cursor() as cursor:
        cursor.execute(";".join(texts))
        found = [cursor.fetchall()]
        while cursor.nextset():
            found.append(cursor.fetchall())
    assert found == [(("Compression", "ON"),), (("Ssl_version", "TLSv1.3"),), (("x" * 99_999,),)]


@pytest.mark.parametrize("up", [ZLIB, ZSTD])
def test_drivers(gateways: Gateways, up: str) -> None:
    gateway = gateways.by_algorithm[up]
    large = os.urandom(300_000).hex()
    for compress in (False, True):
        connection = mysql.connector.connect(**gateway.arguments(), use_pure=True, compress=compress)
        with closing(connection), connection.cursor(prepared=True) as cursor:
            cursor.execute("SELECT ?, id FROM customers WHERE id <= ?", (large, 3))
            assert cursor.fetchall() == [(large, 1), (large, 2), (large, 3)]
    script = "SELECT REPEAT('x', 100000); SELECT COUNT(*) FROM customers; SELEC; "
    done = shell(gateway, script, "--skip-ssl", "--compress")
    assert done.stdout == "x" * 100_000 + "\n200\n"
    assert "ERROR 1064" in done.stderr


def _rss(gateway: MySqlGateway) -> int:
    """Bytes of memory that the gateway's process has."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.mark.parametrize("up", ["", ZLIB])
def test_commands_above_sixteen_mebibytes(gateways: Gateways, up: str) -> None:
    gateway = gateways.by_algorithm[up]
    arguments = {"user": ADMIN, "password": gateway.token}
    with closing(PackedWire(gateway.fixed_port, ZLIB, **arguments)) as wire:
        assert wire.ask(b"\x03SET SESSION max_statement_time = 60")[0][4:5] == b"\0"
        body = b"\x03SELECT LENGTH('" + b"ab" * (8 * MEBIBYTE + 5) + b"')"
        full = 0xFFFFFF
        wire.socket.sendall(
            full.to_bytes(3, "little")
            + b"\0"
            + body[:full]
            + (len(body) - full).to_bytes(3, "little")
            + b"\1"
            + body[full:]
        )
        packets = [wire._packet() for _ in range(5)]
    # Numbered behind the two of the command.
    assert [one[3] for one in packets] == [2, 3, 4, 5, 6]
    assert packets[3][5:] == str(16 * MEBIBYTE + 10).encode()


def test_a_client_that_does_not_read_costs_little_memory(gateways: Gateways) -> None:
    """What the database sends is a thousandth of what goes to the client: it is unpacked as the client takes it."""
    gateway = gateways.by_algorithm[ZLIB]
    arguments = {"user": ADMIN, "password": gateway.token}
    with closing(PackedWire(gateway.fixed_port, "", **arguments)) as wire:
        wire.ask(b"\x03SELECT 1")
        before = _rss(gateway)
        body = b"\x03SELECT REPEAT('a', 1000000) FROM shop.customers a, shop.customers b LIMIT 200"
        # While the gateway stands still the answer comes, all of it, so that it can be read at once.
        os.kill(gateway.process.pid, signal.SIGSTOP)
        try:
            wire.socket.sendall(len(body).to_bytes(3, "little") + b"\0" + body)
            os.kill(gateway.process.pid, signal.SIGCONT)
            time.sleep(0.01)
            os.kill(gateway.process.pid, signal.SIGSTOP)
            time.sleep(1.5)
        finally:
            os.kill(gateway.process.pid, signal.SIGCONT)
        peak = 0
        until = time.monotonic() + 1
        while time.monotonic() < until:
            peak = max(peak, _rss(gateway))
            time.sleep(0.01)
        assert peak - before < 64 * MEBIBYTE
        packets = [wire._packet() for _ in range(203)]
        assert all(len(one) == 1_000_008 and one[8:] == b"a" * 1_000_000 for one in packets[3:])

"""The same session directly and through a gateway that allows everything: the same bytes, but for what must differ.

Left out of the comparison: the greeting and the login (another server version, thread and nonce), and answers that name
the connection or the time. Everything else is compared packet by packet, sequence numbers included.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

import pymysql
import pytest

from gateway.testing.shop_mariadb import MariaDbShop
from tests.fixtures.gateway import ADMIN
from tests.fixtures.mysql_gateway import MySqlGateway

SETUP = """
DROP DATABASE IF EXISTS differential; CREATE DATABASE differential; USE differential;
CREATE TABLE kinds (
  id int PRIMARY KEY AUTO_INCREMENT, a tinyint, b smallint unsigned, c mediumint, d bigint unsigned, e float, f double,
  g decimal(20,5), h date, i datetime(6), j time(3), k timestamp NULL, l year, m char(5), n varchar(200), o text,
  p blob, q json, r enum('x','y'), s set('u','v'), t bit(5), u varbinary(20)
);
INSERT INTO kinds VALUES
 (1, -1, 65535, -8388608, 18446744073709551615, 1.5, -2.25e100, 12345.67890, '2025-02-28', '2025-02-28 01:02:03.000004',
  '-12:34:56.789', '2025-01-01 00:00:00', 2025, 'ab', 'grüße', REPEAT('o', 300), x'00ff10', '{"k": [1, null]}', 'y',
  'u,v', b'10101', x'0102'),
 (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL),
 (3, 0, 0, 0, 0, 0, 0, 0, '0001-01-01', '0001-01-01 00:00:00', '00:00:00', '1971-01-01 00:00:01', 1901, '', '', '', '',
  '[]', 'x', '', b'0', '');
CREATE PROCEDURE several() BEGIN SELECT 1 AS one; SELECT * FROM kinds; SELECT 2 AS two; END;
CREATE PROCEDURE fails() BEGIN SELECT 1 AS one; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'on purpose'; END
"""

STATEMENTS = [
    "ALTER TABLE kinds AUTO_INCREMENT = 100",
    "SELECT 1",
    "SELECT NULL, '', 'x', 1.5, 1e10, -7, TRUE",
    "SELECT * FROM kinds",
    "SELECT * FROM kinds WHERE id > 100",
    "SELECT id, n FROM kinds ORDER BY id DESC LIMIT 1",
    "SELECT COUNT(*), MAX(d), MIN(h), AVG(g) FROM kinds",
    "SELECT k1.id, k2.id FROM kinds k1, kinds k2",
    "SELECT REPEAT('z', 70000)",
    "SELECT REPEAT('z', 250), REPEAT('y', 251), REPEAT('x', 65536)",
    "SELECT nonsense",
    "SELEC 1",
    "",
    "-- nothing",
    "SELECT * FROM no_such_table",
    "SELECT 1 FROM dual WHERE 1 = 0",
    "SHOW TABLES",
    "SHOW COLUMNS FROM kinds",
    "SHOW WARNINGS",
    "SHOW CREATE TABLE kinds",
    "SHOW VARIABLES LIKE 'sql_mode'",
    "SHOW DATABASES LIKE 'differential'",
    "EXPLAIN SELECT * FROM kinds",
    "DESCRIBE kinds",
    "CALL several()",
    "CALL fails()",
    "CALL no_such()",
    "SET @a = 1, @b = 'two'",
    "SELECT @a, @b",
    "SET NAMES utf8mb4",
    "SET SESSION sort_buffer_size = 1000000",
    "SET no_such_variable = 1",
    "BEGIN",
    "INSERT INTO kinds (id, n) VALUES (10, 'ten'), (11, 'eleven')",
    "SELECT id, n FROM kinds WHERE id >= 10",
    "UPDATE kinds SET n = CONCAT(n, '!') WHERE id >= 10",
    "SAVEPOINT s",
    "DELETE FROM kinds WHERE id = 10",
    "ROLLBACK TO SAVEPOINT s",
    "INSERT INTO kinds (id, n) VALUES (10, 'again')",
    "SELECT ROW_COUNT(), LAST_INSERT_ID()",
    "ROLLBACK",
    "INSERT INTO kinds (n) VALUES ('auto')",
    "SELECT LAST_INSERT_ID() > 0",
    "DELETE FROM kinds WHERE n = 'auto'",
    "START TRANSACTION READ ONLY",
    "INSERT INTO kinds (n) VALUES ('no')",
    "COMMIT",
    "SELECT 'a' 'b', \"quoted\", `id` FROM kinds LIMIT 1",
    "SELECT /*!40000 'run' , */ 'always'",
    "SELECT 1; SELECT 2",
    "SELECT 1; SELECT nonsense; SELECT 3",
    "DO 1; SELECT 2; DO 3",
    "CREATE TEMPORARY TABLE temp_one (x int); INSERT INTO temp_one VALUES (1), (2); SELECT * FROM temp_one",
    "DROP TEMPORARY TABLE temp_one",
    "CREATE TABLE made (x int)",
    "ALTER TABLE made ADD y int",
    "INSERT INTO made VALUES (1, 2) RETURNING x, y",
    "TRUNCATE made",
    "DROP TABLE made",
    "USE information_schema",
    "SELECT DATABASE()",
    "USE differential",
    "SELECT CAST('12x' AS SIGNED)",
    "SHOW WARNINGS",
    "SET sql_mode = 'ANSI_QUOTES'",
    'SELECT "id" FROM kinds WHERE id = 1',
    "SET sql_mode = DEFAULT",
    "PREPARE p FROM 'SELECT ? + 1'",
    "SET @x = 41",
    "EXECUTE p USING @x",
    "DEALLOCATE PREPARE p",
    "EXECUTE IMMEDIATE 'SELECT 5'",
    "HANDLER kinds OPEN",
    "HANDLER kinds READ FIRST",
    "HANDLER kinds CLOSE",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT i FROM n",
    "SELECT SLEEP(0)",
]
COMMANDS = [
    b"\x0e",
    b"\x02differential",
    b"\x02no_such_database",
    b"\x1b\0\0",
    b"\x1b\1\0",
    b"\x04kinds\0",
    b"\x04no_such\0%",
    b"\x16SELECT * FROM kinds WHERE id = ?",
    b"\x17@\0\0\0\0\1\0\0\0\0\1\3\0\1\0\0\0",
    b"\x17@\0\0\0\1\1\0\0\0\0\1\3\0\3\0\0\0",
    b"\x1c@\0\0\0\1\0\0\0",
    b"\x1a@\0\0\0",
    b"\x16SELECT nonsense",
    b"\x16INSERT INTO kinds (n, g) VALUES (?, ?)",
    b"\x16DO 1",
    b"\x1f",
]


class Wire:
    """A logged-in session that speaks in raw packets."""

    def __init__(self, arguments: dict[str, Any], flags: int) -> None:
        self.connection = pymysql.connect(**arguments, client_flag=flags, autocommit=None, charset="utf8mb4")
        self.socket: socket.socket = self.connection._sock
        self.deprecate_eof = False

    def ask(self, payload: bytes) -> list[bytes]:
        """Send a command and collect the packets of its whole answer."""
        self.socket.sendall(struct.pack("<I", len(payload))[:3] + b"\0" + payload)
        packets = [self._packet()]
        kind = payload[0]
        while True:
            first = packets[-1][4:]
            if kind in (0x03, 0x17) and first[:1] not in (b"\0", b"\xff"):
                self._rows(packets)
            elif kind == 0x04 and first[:1] != b"\xff":
                while packets[-1][4:5] not in (b"\xfe", b"\xff"):
                    packets.append(self._packet())
                return packets
            elif kind == 0x1C and first[:1] != b"\xff":
                while not self._end(packets[-1]):
                    packets.append(self._packet())
                return packets
            elif kind == 0x16 and first[:1] == b"\0":
                columns, parameters = struct.unpack("<HH", first[5:9])
                packets += [self._packet() for _ in range(sum(n + 1 for n in (columns, parameters) if n))]
                return packets
            if not self._more(packets[-1]):
                return packets
            packets.append(self._packet())

    def _rows(self, packets: list[bytes]) -> None:
        while packets[-1][4:5] != b"\xfe" or len(packets[-1]) != 9:
            packets.append(self._packet())
        if struct.unpack("<H", packets[-1][7:9])[0] & 0x40:
            return
        packets.append(self._packet())
        while not self._end(packets[-1]):
            packets.append(self._packet())

    @staticmethod
    def _end(packet: bytes) -> bool:
        return packet[4:5] == b"\xff" or (packet[4:5] == b"\xfe" and len(packet) < 13)

    @staticmethod
    def _more(packet: bytes) -> bool:
        if packet[4:5] == b"\xfe" and len(packet) == 9:
            return bool(packet[7] & 8)
        return packet[4:5] == b"\0" and bool(packet[_after_lengths(packet)] & 8)

    def _packet(self) -> bytes:
        header = self._exactly(4)
        return header + self._exactly(int.from_bytes(header[:3], "little"))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            assert piece, "the connection was closed"
            data += piece
        return data


def _after_lengths(packet: bytes) -> int:
    place = 5
    for _ in range(2):
        place += {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(packet[place], 1)
    return place


def set_up(shop: MariaDbShop) -> None:
    """Make the database that the statements are about."""
    script, *procedures = SETUP.partition("CREATE PROCEDURE several")
    connection = pymysql.connect(
        host="127.0.0.1", port=shop.server.port, user=shop.user, password=shop.password, client_flag=65536
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(script.rstrip().rstrip(";"))
        while cursor.nextset():
            pass
        for text in "".join(procedures).strip().split(";\nCREATE"):
            cursor.execute(text if text.startswith("CREATE") else "CREATE" + text)


@pytest.fixture(scope="module")
def differential(plain_mysql_gateway: MySqlGateway) -> MySqlGateway:
    set_up(plain_mysql_gateway.shop)
    return plain_mysql_gateway


def _run(arguments: dict[str, Any], payloads: list[bytes]) -> list[list[bytes]]:
    wire = Wire({"host": "127.0.0.1", "database": "differential", **arguments}, 65536)
    try:
        return [wire.ask(payload) for payload in payloads]
    finally:
        wire.connection.close()


def test_texts_are_answered_with_the_same_bytes(differential: MySqlGateway) -> None:
    gateway, shop = differential, differential.shop
    payloads = [b"\x03" + text.encode() for text in STATEMENTS] * 3
    expected = _run({"port": shop.server.port, "user": shop.user, "password": shop.password}, payloads)
    found = _run({"port": gateway.fixed_port, "user": ADMIN, "password": gateway.token}, payloads)
    for payload, direct, through in zip(payloads, expected, found, strict=True):
        assert through == direct, payload


def test_commands_are_answered_with_the_same_bytes(differential: MySqlGateway) -> None:
    """But for the numbers of prepared statements, which servers give out over all sessions."""
    gateway, shop = differential, differential.shop
    logins = (
        {"port": shop.server.port, "user": shop.user, "password": shop.password},
        {"port": gateway.fixed_port, "user": ADMIN, "password": gateway.token},
    )
    answers: list[list[list[bytes]]] = []
    for login in logins:
        wire = Wire({"host": "127.0.0.1", "database": "differential", **login}, 65536)
        number, found = b"@\0\0\0", []
        try:
            for payload in COMMANDS:
                packets = wire.ask(payload.replace(b"@\0\0\0", number))
                if payload[:1] == b"\x16" and packets[0][4:5] == b"\0":
                    number = packets[0][5:9]
                    packets[0] = packets[0][:5] + b"@\0\0\0" + packets[0][9:]
                found.append(packets)
        finally:
            wire.connection.close()
        answers.append(found)
    for payload, direct, through in zip(COMMANDS, *answers, strict=True):
        assert through == direct, payload

"""A client that keeps every byte that it received: text and prepared statements over PyMySQL's packets."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pymysql
from pymysql.constants import CLIENT, FIELD_TYPE
from typing_extensions import override

_PREPARE, _EXECUTE, _CLOSE = 0x16, 0x17, 0x19
_FIXED = {
    FIELD_TYPE.TINY: 1,
    FIELD_TYPE.SHORT: 2,
    FIELD_TYPE.YEAR: 2,
    FIELD_TYPE.INT24: 4,
    FIELD_TYPE.LONG: 4,
    FIELD_TYPE.FLOAT: 4,
    FIELD_TYPE.LONGLONG: 8,
    FIELD_TYPE.DOUBLE: 8,
}
_TIMES = (FIELD_TYPE.DATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP, FIELD_TYPE.TIME)


class Mode(StrEnum):
    """How a statement is sent."""

    TEXT = "text"
    BINARY = "binary"
    """Prepared, and executed once."""


class Closed(ConnectionError):
    """The other side hung up."""


@dataclass(slots=True)
class Result:
    """One answer. Cells are as they came: text, or the binary protocol's form."""

    names: list[str] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    rows: list[list[bytes | None]] = field(default_factory=list)
    tag: str = ""
    error: str = ""
    message: str = ""


class _Connection(pymysql.connections.Connection):  # type: ignore[misc]
    """Remembers what it reads."""

    def __init__(self, **arguments: Any) -> None:
        self.received = bytearray()
        super().__init__(**arguments)

    @override
    def _read_bytes(self, num_bytes: int) -> bytes:
        data: bytes = super()._read_bytes(num_bytes)
        self.received += data
        return data


class Client:
    """A session. ``received`` is everything that came since it was cleared."""

    def __init__(self, port: int, user: str, password: str, database: str) -> None:
        self._connection = _Connection(
            host="127.0.0.1",
            port=port,
            user=user,
            password=password,
            database=database,
            charset="utf8mb4",
            autocommit=None,
            client_flag=CLIENT.MULTI_STATEMENTS,
            ssl_disabled=True,
            connect_timeout=20,
            read_timeout=60,
        )
        # The greeting's random bytes spell four letters of a canary by chance, once in some thousand sessions.
        self._connection.received.clear()
        self.cells: list[bytes] = []

    @property
    def received(self) -> bytearray:
        return self._connection.received

    def close(self) -> None:
        """Hang up."""
        try:
            self._connection.close()
        except (pymysql.MySQLError, OSError):
            self._connection._force_close()

    def run(self, text: str, mode: Mode) -> list[Result]:
        """Send a statement and take all of its answers. Raises ``Closed``."""
        try:
            results = self._text(text) if mode is Mode.TEXT else self._binary(text)
        except (pymysql.err.OperationalError, pymysql.err.InterfaceError) as error:
            if error.args and error.args[0] in (2006, 2013, 0):
                raise Closed(str(error)) from error
            results = [_failed(error)]
        except pymysql.MySQLError as error:
            results = [_failed(error)]
        except (OSError, AttributeError, struct.error) as error:
            raise Closed(str(error)) from error
        for result in results:
            self.cells += views(result)
        return results

    def _text(self, text: str) -> list[Result]:
        self._connection._execute_command(3, text.encode("utf-8", "surrogatepass"))
        return self._results(binary=False)

    def _results(self, *, binary: bool) -> list[Result]:
        results: list[Result] = []
        more = True
        while more:
            try:
                result, more = self._result(binary=binary)
            except pymysql.MySQLError as error:
                if error.args and error.args[0] in (2006, 2013):
                    raise
                results.append(_failed(error))
                break
            results.append(result)
        return results

    def _result(self, *, binary: bool) -> tuple[Result, bool]:
        first = self._connection._read_packet()
        data = first.get_all_data()
        if data[0] == 0:
            return Result(tag=f"ok {data[1]}"), _more(data)
        if data[0] == 0xFB:
            self._connection.write_packet(b"")
            self._connection._read_packet()
            return Result(tag="local infile"), False
        result = Result(tag="rows")
        for _ in range(first.read_length_encoded_integer()):
            column = self._connection._read_packet(pymysql.protocol.FieldDescriptorPacket)
            result.names.append(column.name)
            result.types.append(column.type_code)
        self._connection._read_packet()
        while True:
            row = self._connection._read_packet()
            if row.is_eof_packet():
                status = struct.unpack("<H", row.get_all_data()[3:5])[0]
                return result, bool(status & 8)
            result.rows.append(_binary_row(row, result.types) if binary else _text_row(row, len(result.types)))

    def _binary(self, text: str) -> list[Result]:
        connection = self._connection
        connection._execute_command(_PREPARE, text.encode("utf-8", "surrogatepass"))
        data = connection._read_packet().get_all_data()
        statement, columns, parameters = struct.unpack("<IHH", data[1:9])
        for count in (parameters, columns):
            for _ in range(count + bool(count)):
                connection._read_packet()
        body = struct.pack("<IBI", statement, 0, 1)
        if parameters:
            body += bytes((parameters + 7) // 8) + b"\x01" + b"\xfd\x00" * parameters + b"\x011" * parameters
        connection._execute_command(_EXECUTE, body)
        results = self._results(binary=True)
        connection._execute_command(_CLOSE, struct.pack("<I", statement))
        connection._result = None
        return results


def views(result: Result) -> list[bytes]:
    """A result's cells put together along its rows and down its columns."""
    rows = [[cell or b"" for cell in row] for row in result.rows]
    return [b"".join(b"".join(row) for row in rows), *(b"".join(column) for column in zip(*rows, strict=False))]


def _more(data: bytes) -> bool:
    packet = pymysql.protocol.OKPacketWrapper(pymysql.protocol.MysqlPacket(data, "utf8"))
    return bool(packet.has_next)


def _failed(error: pymysql.MySQLError) -> Result:
    number, message = (*error.args, "", "")[:2]
    return Result(error=str(number), message=str(message))


def _text_row(packet: Any, width: int) -> list[bytes | None]:
    return [packet.read_length_coded_string() for _ in range(width)]


def _binary_row(packet: Any, types: list[int]) -> list[bytes | None]:
    packet.advance(1)
    nulls = packet.read((len(types) + 9) // 8)
    row: list[bytes | None] = []
    for index, code in enumerate(types):
        if nulls[(index + 2) // 8] >> (index + 2) % 8 & 1:
            row.append(None)
        elif code in _FIXED:
            row.append(packet.read(_FIXED[code]))
        elif code in _TIMES:
            row.append(packet.read(packet.read_uint8()))
        else:
            row.append(packet.read_length_coded_string())
    return row

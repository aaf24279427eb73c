"""What a client asks for (page "Command Phase")."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gateway.errors import RemoteProtocolError
from gateway_mysql.wire.codec import Reader


class Command(IntEnum):
    """The first byte of a command."""

    QUIT = 0x01
    INIT_DB = 0x02
    QUERY = 0x03
    FIELD_LIST = 0x04
    STATISTICS = 0x09
    PROCESS_INFO = 0x0A
    PROCESS_KILL = 0x0C
    DEBUG = 0x0D
    PING = 0x0E
    CHANGE_USER = 0x11
    BINLOG_DUMP = 0x12
    TABLE_DUMP = 0x13
    CONNECT_OUT = 0x14
    REGISTER_REPLICA = 0x15
    STMT_PREPARE = 0x16
    STMT_EXECUTE = 0x17
    STMT_SEND_LONG_DATA = 0x18
    STMT_CLOSE = 0x19
    STMT_RESET = 0x1A
    SET_OPTION = 0x1B
    STMT_FETCH = 0x1C
    BINLOG_DUMP_GTID = 0x1E
    RESET_CONNECTION = 0x1F
    CLONE = 0x20
    SUBSCRIBE_GROUP_REPLICATION = 0x21
    STMT_BULK_EXECUTE = 0xFA


REPLICATION: Final = frozenset(
    {
        Command.BINLOG_DUMP,
        Command.TABLE_DUMP,
        Command.CONNECT_OUT,
        Command.REGISTER_REPLICA,
        Command.BINLOG_DUMP_GTID,
        Command.CLONE,
        Command.SUBSCRIBE_GROUP_REPLICATION,
    }
)
"""Commands that hand over whole servers."""

LAST_PREPARED: Final = 0xFFFFFFFF
"""MariaDB: the statement that was prepared last, for clients that do not wait for its number."""

PARAMETER_COUNT: Final = 8
"""Flag of COM_STMT_EXECUTE: a parameter count (and query attributes) follows."""

# Field types, as they are written in column definitions and parameters.
DECIMAL, TINY, SHORT, LONG, FLOAT, DOUBLE, NULL, TIMESTAMP = range(8)
LONGLONG, INT24, DATE, TIME, DATETIME, YEAR, NEWDATE, VARCHAR, BIT = range(8, 17)
JSON, NEWDECIMAL, ENUM, SET, TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, VAR_STRING, STRING, GEOMETRY = range(245, 256)
UNSIGNED: Final = 0x80

_INTEGER_SIZES: Final = {TINY: 1, SHORT: 2, YEAR: 2, LONG: 4, INT24: 4, LONGLONG: 8}
FIXED_SIZES: Final = {**_INTEGER_SIZES, FLOAT: 4, DOUBLE: 8, NULL: 0}
"""Types whose binary form has always the same size."""
TEMPORAL: Final = frozenset({DATE, TIME, DATETIME, TIMESTAMP, NEWDATE})
"""Types whose binary form begins with its length in one byte."""

Parameter = str | int | float | bytes | None
_MAX_PARAMETERS: Final = 65_535


# What every statement makes one of has its __init__ written out: what the decorator writes is not compiled.
@dataclass(slots=True, init=False)
class Query:
    """COM_QUERY's payload: where the text begins, and whether query attributes stand before it."""

    text: bytes
    attributes: bool

    def __init__(self, text: bytes, attributes: bool) -> None:
        self.text = text
        self.attributes = attributes


def decode_query(payload: bytes, *, attributes: bool) -> Query:
    """The text of a COM_QUERY; ``attributes`` says whether QUERY_ATTRIBUTES was agreed on."""
    if not attributes:
        return Query(payload[1:], False)
    reader = Reader(payload, "COM_QUERY", 1)
    count = reader.length()
    reader.length()
    if count:
        if count > _MAX_PARAMETERS:
            raise RemoteProtocolError("COM_QUERY: too many query attributes")
        nulls = reader.take((count + 7) // 8)
        if reader.integer(1) != 1:
            raise RemoteProtocolError("COM_QUERY: query attributes without types")
        kinds = []
        for _ in range(count):
            kinds.append(reader.integer(2))
            reader.string()
        for index, kind in enumerate(kinds):
            if not nulls[index // 8] >> index % 8 & 1:
                binary_value(reader, kind)
    return Query(reader.rest(), bool(count))


@dataclass(slots=True, eq=False, init=False)
class Execute:
    """COM_STMT_EXECUTE. ``values`` is None where they cannot be told (no types were sent, now or before).

    ``plain`` is the same command for a server without query attributes.
    """

    statement: int
    flags: int
    types: tuple[int, ...] | None
    values: tuple[Parameter, ...] | None
    plain: bytes

    def __init__(
        self,
        statement: int,
        flags: int,
        types: tuple[int, ...] | None,
        values: tuple[Parameter, ...] | None,
        plain: bytes,
    ) -> None:
        self.statement = statement
        self.flags = flags
        self.types = types
        self.values = values
        self.plain = plain


def decode_execute(
    payload: bytes,
    parameters: int,
    known: Sequence[int] | None,
    *,
    attributes: bool,
    long_data: frozenset[int] = frozenset(),
) -> Execute:
    """A COM_STMT_EXECUTE of a statement with that many parameters.

    ``attributes`` says whether QUERY_ATTRIBUTES was agreed on. ``known`` are the types of the execution before, which
    hold on where none are sent; parameters in ``long_data`` were sent ahead and have no value here.
    """
    reader = Reader(payload, "COM_STMT_EXECUTE", 1)
    statement, flags = reader.integer(4), reader.integer(1)
    reader.take(4)
    count = parameters
    # Without attributes the command is plain as it is.
    plain = payload[:5] + bytes((flags & ~PARAMETER_COUNT,)) + payload[6:10] if attributes else payload
    if attributes and (parameters or flags & PARAMETER_COUNT):
        count = reader.length()
        if not parameters <= count <= _MAX_PARAMETERS:
            raise RemoteProtocolError("COM_STMT_EXECUTE: impossible number of parameters")
    if not count:
        return Execute(statement, flags, (), (), plain)
    nulls = reader.take((count + 7) // 8)
    bound = reader.integer(1)
    types: tuple[int, ...] | None
    if bound == 1:
        found = []
        for _ in range(count):
            found.append(reader.integer(2))
            if attributes:
                reader.string()
        types = tuple(found)
    else:
        types = None if known is None or count != parameters else tuple(known)
    if attributes and parameters:
        plain += _first_bits(nulls, parameters) + bytes((bound,))
        if bound == 1 and types is not None:
            plain += b"".join(kind.to_bytes(2, "little") for kind in types[:parameters])
    if types is None or len(types) != count:
        return Execute(statement, flags, None, None, plain + reader.rest() if attributes else plain)
    begin = reader.position
    values: list[Parameter] = []
    for index, kind in enumerate(types[:parameters]):
        if index in long_data or nulls[index // 8] >> index % 8 & 1:
            values.append(None)
        else:
            values.append(binary_value(reader, kind))
    if attributes:
        plain += payload[begin : reader.position]
    return Execute(statement, flags, types[:parameters], tuple(values), plain)


def _first_bits(bitmap: bytes, count: int) -> bytes:
    """The first ``count`` bits of a bitmap, the others zero."""
    kept = bytearray(bitmap[: (count + 7) // 8])
    if count % 8:
        kept[-1] &= (1 << count % 8) - 1
    return bytes(kept)


def binary_value(reader: Reader, kind: int) -> Parameter:
    """One value in binary form; text as bytes, since its character set is the session's."""
    unsigned = bool(kind & UNSIGNED << 8)
    kind &= 0xFF
    size = _INTEGER_SIZES.get(kind)
    if size is not None:
        number = reader.integer(size)
        return number if unsigned or not number >> (size * 8 - 1) else number - (1 << size * 8)
    if kind == FLOAT:
        return float(struct.unpack("<f", reader.take(4))[0])
    if kind == DOUBLE:
        return float(struct.unpack("<d", reader.take(8))[0])
    if kind == NULL:
        return None
    if kind in TEMPORAL:
        return _temporal(reader.take(reader.integer(1)), kind)
    return reader.string()


def _temporal(data: bytes, kind: int) -> str:
    if kind == TIME:
        if not data:
            return "00:00:00"
        if len(data) < 8:
            raise RemoteProtocolError("a time has an impossible length")
        days = int.from_bytes(data[1:5], "little")
        text = f"{'-' if data[0] else ''}{days * 24 + data[5]:02d}:{data[6]:02d}:{data[7]:02d}"
        return text + (f".{int.from_bytes(data[8:12], 'little'):06d}" if len(data) >= 12 else "")
    if len(data) not in (0, 4, 7, 11):
        raise RemoteProtocolError("a date has an impossible length")
    year, month, day = (int.from_bytes(data[:2], "little"), data[2], data[3]) if data else (0, 0, 0)
    text = f"{year:04d}-{month:02d}-{day:02d}"
    if kind in (DATE, NEWDATE) or len(data) < 7:
        return text
    text += f" {data[4]:02d}:{data[5]:02d}:{data[6]:02d}"
    return text + (f".{int.from_bytes(data[7:11], 'little'):06d}" if len(data) == 11 else "")


@dataclass(frozen=True, slots=True)
class BulkExecute:
    """MariaDB's COM_STMT_BULK_EXECUTE: one statement with many rows of parameters."""

    statement: int
    types: tuple[int, ...] | None
    rows: tuple[tuple[Parameter, ...], ...] | None


def decode_bulk(payload: bytes, parameters: int, known: Sequence[int] | None) -> BulkExecute:
    """A COM_STMT_BULK_EXECUTE of a statement with that many parameters; ``known`` are the types from before."""
    reader = Reader(payload, "COM_STMT_BULK_EXECUTE", 1)
    statement, flags = reader.integer(4), reader.integer(2)
    types: tuple[int, ...] | None = None if known is None else tuple(known)
    if flags & 128:
        types = tuple(reader.integer(2) for _ in range(parameters))
    if types is None or not parameters:
        return BulkExecute(statement, types, None)
    rows: list[tuple[Parameter, ...]] = []
    while reader.left:
        row: list[Parameter] = []
        for kind in types:
            indicator = reader.integer(1)
            row.append(binary_value(reader, kind) if indicator == 0 else None)
        rows.append(tuple(row))
    return BulkExecute(statement, types, tuple(rows))

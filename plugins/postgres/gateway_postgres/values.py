"""PostgreSQL's wire values: type OIDs, the text and the binary form, and masks compiled to work on them.

Only types of the server's own catalog are known, by their fixed OIDs (``pg_type.dat``); a domain travels under the OID
of its base type. Everything else, such as enums, arrays, ranges, money, intervals, and the types of extensions and
users, has the kind OTHER and can only be replaced by NULL. So are single values that the codecs do not cover: infinity,
years outside 1 to 9999, text in a DateStyle other than ISO, bytes that are not text in the session's encoding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from types import MappingProxyType
from typing import Final, TypeVar
from uuid import UUID

from gateway.domain.masking import MaskingFunction, ValueKind
from gateway.errors import MaskingError
from gateway.masking.cells import CellMask, Constant
from gateway.masking.wirevalues import BINARY_FORMAT, TEXT_FORMAT, Codec, Scalar, Text, compile_cell
from gateway_postgres import numeric, times

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")

V = TypeVar("V")
K = TypeVar("K")


def _integer(size: int, *, signed: bool = True) -> Scalar[int]:
    def from_binary(wire: bytes) -> int:
        if len(wire) != size:
            raise ValueError("wrong size")
        return int.from_bytes(wire, "big", signed=signed)

    def to_binary(value: int) -> bytes:
        return value.to_bytes(size, "big", signed=signed)

    return Scalar(ValueKind.INTEGER, int, numeric.integer_from_text, str, from_binary, to_binary)


def _one_of(values: Mapping[K, V]) -> Callable[[K], V]:
    def find(key: K) -> V:
        if key not in values:
            raise ValueError("not a value of the type")
        return values[key]

    return find


def _bytes_from_text(text: str) -> bytes:
    if not text.startswith("\\x"):
        raise ValueError("not in hex style")
    return bytes.fromhex(text[2:])


def _uuid_from_text(text: str) -> UUID:
    if _UUID.fullmatch(text) is None:
        raise ValueError("not a UUID")
    return UUID(text)


CODECS: Final[Mapping[int, Codec]] = MappingProxyType(
    {
        16: Scalar(
            ValueKind.BOOLEAN,
            bool,
            _one_of({"t": True, "f": False}),
            _one_of({True: "t", False: "f"}),
            _one_of({b"\1": True, b"\0": False}),
            _one_of({True: b"\1", False: b"\0"}),
        ),
        17: Scalar(ValueKind.BYTES, bytes, _bytes_from_text, lambda value: "\\x" + value.hex(), bytes, bytes),
        19: Text(),  # name
        20: _integer(8),
        21: _integer(2),
        23: _integer(4),
        25: Text(),
        26: _integer(4, signed=False),  # oid
        114: Text(ValueKind.JSON),
        700: Scalar(
            ValueKind.FLOAT,
            float,
            numeric.float4_from_text,
            numeric.float4_to_text,
            numeric.float4_from_binary,
            numeric.float4_to_binary,
        ),
        701: Scalar(
            ValueKind.FLOAT,
            float,
            numeric.float8_from_text,
            numeric.float8_to_text,
            numeric.float8_from_binary,
            numeric.float8_to_binary,
        ),
        1042: Text(padded=True),  # char(n)
        1043: Text(),  # varchar
        1082: Scalar(
            ValueKind.DATE, date, times.date_from_text, times.date_to_text, times.date_from_binary, times.date_to_binary
        ),
        1083: Scalar(
            ValueKind.TIME, time, times.time_from_text, times.time_to_text, times.time_from_binary, times.time_to_binary
        ),
        1114: Scalar(
            ValueKind.TIMESTAMP,
            datetime,
            times.timestamp_from_text,
            times.timestamp_to_text,
            times.timestamp_from_binary,
            times.timestamp_to_binary,
        ),
        1184: Scalar(
            ValueKind.TIMESTAMP,
            datetime,
            times.timestamptz_from_text,
            times.timestamptz_to_text,
            times.timestamptz_from_binary,
            times.timestamptz_to_binary,
        ),
        1700: Scalar(
            ValueKind.DECIMAL,
            Decimal,
            numeric.numeric_from_text,
            numeric.numeric_to_text,
            numeric.numeric_from_binary,
            numeric.numeric_to_binary,
        ),
        2950: Scalar(
            ValueKind.UUID, UUID, _uuid_from_text, str, lambda wire: UUID(bytes=wire), lambda value: value.bytes
        ),
        3802: Text(ValueKind.JSON, prefix=b"\1"),  # jsonb, version 1
    }
)
"""By type OID."""


def kind_of(type_oid: int) -> ValueKind:
    """What masking functions are told about values of a type."""
    codec = CODECS.get(type_oid)
    return ValueKind.OTHER if codec is None else codec.kind


def compile_column(
    mask: MaskingFunction, type_oid: int, wire_format: int, domain: str, *, encoding: str = "utf-8"
) -> CellMask:
    """Make a masking function work on the wire values of one result column, without changing their type or format.

    ``wire_format`` is the column's format code, ``domain`` the key domain for keyed functions, ``encoding`` Python's
    name of the session's client_encoding. A value that the type's codec does not cover, or a result that the type
    cannot hold, becomes NULL.

    Raises ``MaskingError`` where nothing can be compiled, and its ``Computed`` masks do for a function that fails or
    returns what is not of the column's kind. No message holds a value.
    """
    if wire_format not in (TEXT_FORMAT, BINARY_FORMAT):
        raise MaskingError(f"unknown wire format {wire_format}")
    codec = CODECS.get(type_oid)
    if codec is None:
        return Constant(None)
    return compile_cell(mask, codec, wire_format, domain, encoding=encoding)

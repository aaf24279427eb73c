"""MySQL's wire values: types of column definitions, the text and the binary form, and masks compiled to work on them.

What has no codec here (BIT, GEOMETRY, types not known) has the kind OTHER and can only be replaced by NULL. So are
single values that the codecs do not cover: zero dates, times beyond a day, text that is not of its character set.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from gateway.domain.masking import MaskingFunction, ValueKind
from gateway.masking.cells import CellMask, Constant
from gateway.masking.wirevalues import BINARY_FORMAT, TEXT_FORMAT, Codec, Scalar, Text, compile_cell
from gateway_mysql.charsets import BINARY, codec_of
from gateway_mysql.rows import LENGTH_BYTE, LENGTH_ENCODED
from gateway_mysql.wire import commands as types
from gateway_mysql.wire.messages import ColumnDefinition

UNSIGNED: Final = 0x20
"""Flag of a column definition."""
_MAX_DIGITS: Final = 100
"""Decimals have 65 digits at most."""

_INTEGER = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
_DATE = r"(\d{4})-(\d\d)-(\d\d)"
_TIME = r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?"
_DATE_PATTERN = re.compile(_DATE, re.ASCII)
_TIME_PATTERN = re.compile(_TIME, re.ASCII)
_DATETIME_PATTERN = re.compile(f"{_DATE} {_TIME}", re.ASCII)


def width_of(kind: int) -> int:
    """How long a type's binary form is: its size, ``LENGTH_BYTE`` or ``LENGTH_ENCODED``."""
    if kind in types.TEMPORAL:
        return LENGTH_BYTE
    return types.FIXED_SIZES.get(kind, 0) or LENGTH_ENCODED


def kind_of(column: ColumnDefinition) -> ValueKind:
    """What masking functions are told about a column's values."""
    codec = codec_for(column)
    return ValueKind.OTHER if codec is None else codec.kind


def codec_for(column: ColumnDefinition) -> Codec | None:
    """How a column's values travel; None where nothing is known of them."""
    kind = column.type
    if kind in _TEXTS:
        if kind == types.JSON:
            return Text(ValueKind.JSON)
        return _BYTES if column.charset == BINARY else Text()
    return (_UNSIGNED if column.flags & UNSIGNED else _SIGNED).get(kind) or _OTHERS.get(kind)


def compile_column(mask: MaskingFunction, column: ColumnDefinition, domain: str, *, binary: bool) -> CellMask:
    """Make a masking function work on the wire values of a result column; ``domain`` is its key domain.

    Raises ``MaskingError`` where nothing can be compiled (see ``compile_cell``).
    """
    codec = codec_for(column)
    if codec is None:
        return Constant(None)
    encoding = "utf-8" if column.type == types.JSON else codec_of(column.charset)
    return compile_cell(mask, codec, BINARY_FORMAT if binary else TEXT_FORMAT, domain, encoding=encoding)


def _integer_from_text(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError("not an integer")
    return int(text)


def _integer(size: int, *, signed: bool, bits: int | None = None) -> Scalar[int]:
    def from_binary(wire: bytes) -> int:
        if len(wire) != size:
            raise ValueError("wrong size")
        return int.from_bytes(wire, "little", signed=signed)

    def to_binary(value: int) -> bytes:
        if bits is not None and not (-(1 << bits - 1) <= value < 1 << bits - 1 if signed else 0 <= value < 1 << bits):
            raise OverflowError("beyond the type's range")
        return value.to_bytes(size, "little", signed=signed)

    return Scalar(ValueKind.INTEGER, int, _integer_from_text, str, from_binary, to_binary)


def _float_from_text(text: str) -> float:
    if _NUMBER.fullmatch(text) is None:
        raise ValueError("not a number")
    return float(text)


def _float(form: str, to_text: Callable[[float], str]) -> Scalar[float]:
    layout = struct.Struct(form)

    def to_binary(value: float) -> bytes:
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError("the type holds finite numbers only")
        return layout.pack(value)

    def from_binary(wire: bytes) -> float:
        return float(layout.unpack(wire)[0])

    return Scalar(ValueKind.FLOAT, float, _float_from_text, to_text, from_binary, to_binary)


def _decimal_from_text(text: str) -> Decimal:
    if len(text) > _MAX_DIGITS or _NUMBER.fullmatch(text) is None:
        raise ValueError("not a number")
    return Decimal(text)


def _decimal_to_text(value: Decimal) -> str:
    if not value.is_finite() or abs(value.adjusted()) > _MAX_DIGITS:
        raise ValueError("beyond the type's range")
    return format(value, "f")


def _clock(value: time | datetime) -> str:
    fraction = f".{value.microsecond:06d}" if value.microsecond else ""
    return f"{value:%H:%M:%S}{fraction}"


def _match(pattern: re.Pattern[str], text: str) -> tuple[str | None, ...]:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError("not in the server's format")
    return found.groups()


def _time(groups: tuple[str | None, ...]) -> time:
    hour, minute, second = (int(part or 0) for part in groups[:3])
    return time(hour, minute, second, int((groups[3] or "").ljust(6, "0")))


def _date(groups: tuple[str | None, ...]) -> date:
    return date(*(int(part or 0) for part in groups[:3]))


def _datetime_from_text(text: str) -> datetime:
    groups = _match(_DATETIME_PATTERN, text)
    return datetime.combine(_date(groups), _time(groups[3:]))


def _date_from_binary(wire: bytes) -> date:
    if len(wire) != 4:
        raise ValueError("not a date")
    return date(int.from_bytes(wire[:2], "little"), wire[2], wire[3])


def _date_to_binary(value: date) -> bytes:
    return value.year.to_bytes(2, "little") + bytes((value.month, value.day))


def _datetime_from_binary(wire: bytes) -> datetime:
    if len(wire) not in (4, 7, 11):
        raise ValueError("not a timestamp")
    full = wire.ljust(11, b"\0")
    clock = time(full[4], full[5], full[6], int.from_bytes(full[7:11], "little"))
    return datetime.combine(_date_from_binary(full[:4]), clock)


def _datetime_to_binary(value: datetime) -> bytes:
    clock = bytes((value.hour, value.minute, value.second))
    return _date_to_binary(value) + clock + (value.microsecond.to_bytes(4, "little") if value.microsecond else b"")


def _time_from_binary(wire: bytes) -> time:
    if not wire:
        return time()
    if len(wire) not in (8, 12) or any(wire[:5]):
        raise ValueError("not a time of a day")
    return time(wire[5], wire[6], wire[7], int.from_bytes(wire[8:12], "little"))


def _time_to_binary(value: time) -> bytes:
    clock = bytes(5) + bytes((value.hour, value.minute, value.second))
    return clock + (value.microsecond.to_bytes(4, "little") if value.microsecond else b"")


class _Bytes:
    """Bytes that travel as they are, in both forms."""

    kind = ValueKind.BYTES

    def decode(self, wire: bytes, wire_format: int, encoding: str) -> bytes:
        return wire

    def encode(self, value: object, wire_format: int, encoding: str) -> bytes:
        if type(value) is not bytes:
            raise TypeError(f"{type(value).__name__} is not of the kind {self.kind}")
        return value


class _Decimal:
    """Decimals travel as text in both forms."""

    kind = ValueKind.DECIMAL

    def decode(self, wire: bytes, wire_format: int, encoding: str) -> Decimal:
        return _decimal_from_text(wire.decode("ascii"))

    def encode(self, value: object, wire_format: int, encoding: str) -> bytes:
        if type(value) is not Decimal:
            raise TypeError(f"{type(value).__name__} is not of the kind {self.kind}")
        return _decimal_to_text(value).encode("ascii")


_BYTES: Final = _Bytes()
_TEXTS: Final = frozenset(
    {
        types.VARCHAR,
        types.JSON,
        types.ENUM,
        types.SET,
        types.TINY_BLOB,
        types.MEDIUM_BLOB,
        types.LONG_BLOB,
        types.BLOB,
        types.VAR_STRING,
        types.STRING,
    }
)
_SIZES: Final = {
    types.TINY: (1, None),
    types.SHORT: (2, None),
    types.INT24: (4, 24),
    types.LONG: (4, None),
    types.LONGLONG: (8, None),
}
_SIGNED: Final[Mapping[int, Codec]] = MappingProxyType(
    {kind: _integer(size, signed=True, bits=bits) for kind, (size, bits) in _SIZES.items()}
)
_UNSIGNED: Final[Mapping[int, Codec]] = MappingProxyType(
    {kind: _integer(size, signed=False, bits=bits) for kind, (size, bits) in _SIZES.items()}
)
_DATE_CODEC: Final = Scalar(
    ValueKind.DATE,
    date,
    lambda text: _date(_match(_DATE_PATTERN, text)),
    date.isoformat,
    _date_from_binary,
    _date_to_binary,
)
_DATETIME_CODEC: Final = Scalar(
    ValueKind.TIMESTAMP,
    datetime,
    _datetime_from_text,
    lambda value: f"{value.date().isoformat()} {_clock(value)}",
    _datetime_from_binary,
    _datetime_to_binary,
)
_OTHERS: Final[Mapping[int, Codec]] = MappingProxyType(
    {
        types.YEAR: _integer(2, signed=False),
        types.FLOAT: _float("<f", lambda value: f"{value:.6g}"),
        types.DOUBLE: _float("<d", repr),
        types.DECIMAL: _Decimal(),
        types.NEWDECIMAL: _Decimal(),
        types.DATE: _DATE_CODEC,
        types.NEWDATE: _DATE_CODEC,
        types.DATETIME: _DATETIME_CODEC,
        types.TIMESTAMP: _DATETIME_CODEC,
        types.TIME: Scalar(
            ValueKind.TIME,
            time,
            lambda text: _time(_match(_TIME_PATTERN, text)),
            _clock,
            _time_from_binary,
            _time_to_binary,
        ),
    }
)

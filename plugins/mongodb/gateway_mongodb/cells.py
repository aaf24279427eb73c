"""What becomes of one BSON value under a mask (BSON specification 1.1, bsonspec.org).

A masking function is compiled once per result into a ``Cell``; the kernels then work on bytes. A value keeps its type,
or becomes null. What the function cannot be asked about (an infinite number, a date that Python has no word for, a type
without a kind) becomes null.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from struct import Struct
from typing import Final, TypeVar
from uuid import UUID

from bson.decimal128 import Decimal128, create_decimal128_context

from gateway.domain.masking import MaskingFunction, Value, ValueKind
from gateway.errors import MaskingError
from gateway.masking.shown import PartialText
from gateway_mongodb.wire import types

_LENGTH: Final = Struct("<i")
_INT64: Final = Struct("<q")
_DOUBLE: Final = Struct("<d")
_UUID_SUBTYPE: Final = 4
_OLD_BINARY: Final = 2
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_T = TypeVar("_T")
Payload = bytes
Masked = Payload | None
"""The new payload of a value of the same type, or None: null."""

_KINDS: Final = {
    types.DOUBLE: ValueKind.FLOAT,
    types.STRING: ValueKind.TEXT,
    types.SYMBOL: ValueKind.TEXT,
    types.BOOLEAN: ValueKind.BOOLEAN,
    types.DATE: ValueKind.TIMESTAMP,
    types.INT32: ValueKind.INTEGER,
    types.INT64: ValueKind.INTEGER,
    types.DECIMAL128: ValueKind.DECIMAL,
}
FIXED: Final = frozenset(
    {types.DOUBLE, types.STRING, types.SYMBOL, types.BOOLEAN, types.DATE, types.INT32, types.INT64, types.DECIMAL128}
)


class Cell:
    """A masking function for BSON values. ``constants`` has, by type, payloads that do not depend on the value."""

    __slots__ = ("_domain", "_function", "constants", "labels", "partial", "strictness")

    def __init__(self, function: MaskingFunction, labels: frozenset[str]) -> None:
        self._function = function
        self._domain = ",".join(sorted(labels))
        self.labels = labels
        self.strictness = (function.strictness, function.spec.function, repr(function.spec.arguments))
        self.constants: dict[int, Masked] = {}
        for bson_type in (
            *FIXED,
            types.OBJECT_ID,
            types.REGEX,
            types.DB_POINTER,
            types.CODE,
            types.CODE_WITH_SCOPE,
            types.TIMESTAMP,
            types.MIN_KEY,
            types.MAX_KEY,
        ):
            kind = _KINDS.get(bson_type, ValueKind.OTHER)
            try:
                value = function.constant(kind)
            except LookupError:
                if kind is ValueKind.OTHER:
                    self.constants[bson_type] = None
                continue
            self.constants[bson_type] = None if value is None else encode(bson_type, value)
        found = function.apply
        self.partial: tuple[int, int, bytes] | None = None
        """First, last and run of a mask that shows a part of a text, so that kernels can do it on bytes."""
        if isinstance(found, PartialText) and types.STRING not in self.constants:
            self.partial = (found.first, found.last, found.run.encode())

    def mask(self, bson_type: int, payload: bytes) -> Masked:
        """The new payload; None: null. Lets through what the function raises."""
        if bson_type in self.constants:
            return self.constants[bson_type]
        kind, value = _decode(bson_type, payload)
        if value is None:
            return None
        if bson_type == types.BINARY:
            try:
                masked = self._function.constant(kind)
            except LookupError:
                masked = self._function.apply(value, kind, self._domain)
            return None if masked is None else encode(bson_type, masked, payload[4])
        masked = self._function.apply(value, kind, self._domain)
        return None if masked is None else encode(bson_type, masked)


def _decode(bson_type: int, payload: bytes) -> tuple[ValueKind, Value | None]:
    """The value as a masking function takes it; None where there is none such."""
    kind = _KINDS.get(bson_type, ValueKind.OTHER)
    match bson_type:
        case 0x02 | 0x0E:
            try:
                return kind, payload[4:-1].decode()
            except UnicodeDecodeError:
                return kind, None
        case 0x01:
            number = float(_DOUBLE.unpack(payload)[0])
            return kind, number if math.isfinite(number) else None
        case 0x08:
            return kind, payload != b"\0"
        case 0x09:
            return kind, _date(_INT64.unpack(payload)[0])
        case 0x10:
            return kind, int(_LENGTH.unpack(payload)[0])
        case 0x12:
            return kind, int(_INT64.unpack(payload)[0])
        case 0x13:
            decimal = Decimal128.from_bid(payload).to_decimal()
            return kind, decimal if decimal.is_finite() else None
        case 0x05:
            return _decode_binary(payload)
        case _:
            return kind, None


def _decode_binary(payload: bytes) -> tuple[ValueKind, Value | None]:
    subtype, value = payload[4], payload[5:]
    if subtype == _UUID_SUBTYPE and len(value) == 16:
        return ValueKind.UUID, UUID(bytes=value)
    return (ValueKind.OTHER, None) if subtype == _OLD_BINARY else (ValueKind.BYTES, value)


def _date(milliseconds: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def encode(bson_type: int, value: Value, subtype: int = 0) -> Masked:
    """A masked value as the payload of its type; None where it does not fit."""
    encoder = _ENCODERS.get(bson_type)
    if bson_type == types.BINARY:
        raw = value.bytes if isinstance(value, UUID) else value
        if not isinstance(raw, bytes):
            raise MaskingError("a masking function returned a value of another kind")
        return _LENGTH.pack(len(raw)) + bytes([subtype]) + raw
    if encoder is None:
        return None
    return encoder(value)


def _text(value: Value) -> Masked:
    raw = _expect(value, str).encode("utf-8", "replace")
    return _LENGTH.pack(len(raw) + 1) + raw + b"\0"


def _double(value: Value) -> Masked:
    return _DOUBLE.pack(float(_expect(value, float, int)))


def _boolean(value: Value) -> Masked:
    return b"\1" if _expect(value, bool) else b"\0"


def _date_payload(value: Value) -> Masked:
    moment = _expect(value, datetime)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _INT64.pack((moment - _EPOCH) // timedelta(milliseconds=1))


def _int32(value: Value) -> Masked:
    number = _expect(value, int)
    return _LENGTH.pack(number) if -0x80000000 <= number <= 0x7FFFFFFF else None


def _int64(value: Value) -> Masked:
    number = _expect(value, int)
    return _INT64.pack(number) if -(1 << 63) <= number < 1 << 63 else None


def _decimal(value: Value) -> Masked:
    if not isinstance(value, Decimal | int):
        raise MaskingError("a masking function returned a value of another kind")
    return Decimal128(create_decimal128_context().create_decimal(value)).bid


def _expect(value: Value, *kinds: type[_T]) -> _T:
    if not isinstance(value, kinds):
        raise MaskingError("a masking function returned a value of another kind")
    return value


_ENCODERS: Final[dict[int, Callable[[Value], Masked]]] = {
    types.DOUBLE: _double,
    types.STRING: _text,
    types.SYMBOL: _text,
    types.BOOLEAN: _boolean,
    types.DATE: _date_payload,
    types.INT32: _int32,
    types.INT64: _int64,
    types.DECIMAL128: _decimal,
}

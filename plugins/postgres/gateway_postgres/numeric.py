"""Wire forms of PostgreSQL's numbers.

Every function raises ``ValueError``, ``OverflowError`` or ``struct.error`` for what it does not cover.
"""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal
from typing import Final

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?|NaN|-?Infinity")
_MAX_DIGITS: Final = 1000
"""Longer numerics are legal, but nothing that anybody masks by its value."""

# numeric_send in the server's numeric.c: digits of base 10000, the weight of the first, sign, digits after the point.
_NUMERIC_HEADER = struct.Struct("!HhHH")
_BASE_DIGITS: Final = 4
_POSITIVE, _NEGATIVE, _NAN, _PLUS_INFINITY, _MINUS_INFINITY = 0x0000, 0x4000, 0xC000, 0xD000, 0xF000
_SPECIAL: Final = {
    _NAN: Decimal("NaN"),
    _PLUS_INFINITY: Decimal("Infinity"),
    _MINUS_INFINITY: Decimal("-Infinity"),
}


def integer_from_text(text: str) -> int:
    """int2, int4, int8, oid."""
    if _INTEGER.fullmatch(text) is None:
        raise ValueError("not an integer")
    return int(text)


def float4_from_text(text: str) -> float:
    """float4: the single-precision value that is nearest."""
    return float4_from_binary(float4_to_binary(float8_from_text(text)))


def float8_from_text(text: str) -> float:
    """float8."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError("not a number")
    return float(text)


def float8_to_text(value: float) -> str:
    """The shortest text that reads back as the same value."""
    return _special_float(value) or repr(value)


def float4_to_text(value: float) -> str:
    """The shortest text that reads back as the same single-precision value."""
    single = float4_from_binary(float4_to_binary(value))
    if (special := _special_float(single)) is not None:
        return special
    wire = float4_to_binary(single)
    # Nine significant digits always suffice for single precision.
    texts = [f"{single:.{digits}g}" for digits in range(6, 10)]
    return next((text for text in texts if float4_to_binary(float(text)) == wire), texts[-1])


def float4_from_binary(wire: bytes) -> float:
    """float4."""
    (value,) = struct.unpack("!f", wire)
    return float(value)


def float4_to_binary(value: float) -> bytes:
    """float4. Raises ``OverflowError`` for what single precision cannot hold."""
    return struct.pack("!f", value)


def float8_from_binary(wire: bytes) -> float:
    """float8."""
    (value,) = struct.unpack("!d", wire)
    return float(value)


def float8_to_binary(value: float) -> bytes:
    """float8."""
    return struct.pack("!d", value)


def numeric_from_text(text: str) -> Decimal:
    """numeric of up to 1000 characters."""
    if len(text) > _MAX_DIGITS or _NUMBER.fullmatch(text) is None:
        raise ValueError("not a number")
    return Decimal(text)


def numeric_to_text(value: Decimal) -> str:
    """Plain digits, as the server writes them."""
    if not value.is_finite():
        return "NaN" if value.is_nan() else "-Infinity" if value < 0 else "Infinity"
    if abs(value.adjusted()) > _MAX_DIGITS:
        raise ValueError("number too long")
    return format(value, "f")


def numeric_from_binary(wire: bytes) -> Decimal:
    """numeric of up to 1000 digits."""
    count, weight, sign, scale = _NUMERIC_HEADER.unpack_from(wire)
    if len(wire) != _NUMERIC_HEADER.size + 2 * count:
        raise ValueError("not a numeric")
    if sign in _SPECIAL:
        return _SPECIAL[sign]
    groups = struct.unpack_from(f"!{count}H", wire, _NUMERIC_HEADER.size)
    exponent = _BASE_DIGITS * (weight - count + 1)
    if sign not in (_POSITIVE, _NEGATIVE) or any(group > 9999 for group in groups):
        raise ValueError("not a numeric")
    if _BASE_DIGITS * count + abs(exponent) + scale > 4 * _MAX_DIGITS:
        raise ValueError("number too long")
    number = int("".join(f"{group:04d}" for group in groups) or "0")
    # The last group holds four digits, however many of them the scale asks for.
    shift = exponent + scale
    number = number * 10**shift if shift >= 0 else number // 10**-shift
    digits = tuple(map(int, str(number)))
    return Decimal((int(sign == _NEGATIVE), digits, -scale))


def numeric_to_binary(value: Decimal) -> bytes:
    """numeric."""
    if not value.is_finite():
        sign = _NAN if value.is_nan() else _MINUS_INFINITY if value < 0 else _PLUS_INFINITY
        return _NUMERIC_HEADER.pack(0, 0, sign, 0)
    negative, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or abs(exponent) + len(digits) > 4 * _MAX_DIGITS:
        raise ValueError("number too long")
    scale = max(-exponent, 0)
    padding = -scale % _BASE_DIGITS
    number = int("".join(map(str, digits))) * 10 ** (max(exponent, 0) + padding)
    groups: list[int] = []
    while number:
        number, group = divmod(number, 10_000)
        groups.append(group)
    groups.reverse()
    weight = len(groups) - 1 - (scale + padding) // _BASE_DIGITS if groups else 0
    while groups and groups[-1] == 0:
        groups.pop()
    sign = _NEGATIVE if negative and groups else _POSITIVE
    return _NUMERIC_HEADER.pack(len(groups), weight, sign, scale) + struct.pack(f"!{len(groups)}H", *groups)


def _special_float(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "-Infinity" if value < 0 else "Infinity"
    return None

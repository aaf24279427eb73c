"""What a Bind message carries behind its names: formats, parameters, result formats (PostgreSQL documentation 55.7)."""

from __future__ import annotations

import math
from struct import error as StructError
from typing import Final

from gateway.domain.audit import BoundValue
from gateway.domain.masking import Sentinels
from gateway.errors import ProtocolError, RemoteProtocolError
from gateway_postgres.values import CODECS
from gateway_postgres.wire.frontend import Bind
from gateway_postgres.wire.upstream import Arguments

_INTEGER_SIZES = (2, 4, 8)
_NEGATIVE: Final = 0x80000000
"""From here on, a length read as unsigned is a negative one."""
_NULL: Final = 0xFFFFFFFF
_TOO_SHORT: Final = "Bind: too short"
MAX_KEPT = 64 * 1024
"""Bytes of a Bind's formats and values that are kept for the audit."""


def short_at(data: bytes, at: int) -> int:
    """The unsigned 16-bit number at ``at``; whoever calls knows that it is there.

    By shifts, which compiled code does in place, where Struct would make a tuple of objects.
    """
    return data[at] << 8 | data[at + 1]


def _length_at(data: bytes, at: int) -> int:
    """A value's length: 32 bits, read as unsigned."""
    return data[at] << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]


def bind_tail(data: bytes, at: int, stop: int) -> tuple[int, tuple[int, ...]]:
    """How many parameters a Bind has and its result format codes; ``at`` is behind its names. Lengths must add up."""
    if at + 2 > stop:
        raise RemoteProtocolError(_TOO_SHORT)
    at += 2 + 2 * short_at(data, at)
    if at + 2 > stop:
        raise RemoteProtocolError(_TOO_SHORT)
    count = short_at(data, at)
    at += 2
    for _ in range(count):
        if at + 4 > stop:
            raise RemoteProtocolError(_TOO_SHORT)
        length = _length_at(data, at)
        at += 4
        if length < _NEGATIVE:
            at += length
        elif length != _NULL:
            raise RemoteProtocolError("Bind: a parameter has an impossible length")
    if at + 2 > stop:
        raise RemoteProtocolError(_TOO_SHORT)
    codes = short_at(data, at)
    at += 2
    if at + 2 * codes != stop:
        raise RemoteProtocolError("Bind: the lengths do not add up")
    return count, tuple([short_at(data, at + 2 * index) for index in range(codes)]) if codes else ()


def holds_sentinel(data: bytes, at: int, codec: str | None, sentinels: Sentinels) -> bool:
    """Whether a parameter is what a mask shows; ``at`` is behind the names of a Bind whose lengths add up.

    Parameters have no types here: each is looked at as text, and a short one in binary as an integer, too.
    """
    formats = short_at(data, at)
    codes = [short_at(data, at + 2 + 2 * index) for index in range(formats)]
    at += 2 + 2 * formats
    count = short_at(data, at)
    at += 2
    for index in range(count):
        length = _length_at(data, at)
        at += 4
        if length >= _NEGATIVE:
            continue
        value = data[at : at + length]
        at += length
        binary = bool(codes[0] if len(codes) == 1 else codes[index] if index < len(codes) else 0)
        if sentinels.holds(value.decode(codec or "latin-1", "replace")):
            return True
        if binary and length in _INTEGER_SIZES and sentinels.holds(str(int.from_bytes(value, "big", signed=True))):
            return True
    return False


class BoundParameters:
    """Implements ``gateway.domain.audit.BoundValues``. Nothing is read before it is wanted."""

    __slots__ = ("_codec", "_raw", "_types")

    def __init__(self, raw: bytes, types: bytes, codec: str | None) -> None:
        """``raw`` begins behind the names of a Bind and may end anywhere; ``types`` are a number and that many OIDs.

        ``codec`` is Python's name of the session's client_encoding, None where it has none.
        """
        self._raw = raw
        self._types = types
        self._codec = codec or "latin-1"

    def values(self) -> list[BoundValue]:
        """The values in order. One that was too long to be kept ends the list."""
        found: list[BoundValue] = []
        raw = self._raw
        end = len(raw)
        if end < 4:
            return found  # the server will refuse such a Bind, as any that ends before its time below
        formats = short_at(raw, 0)
        at = 2 + 2 * formats
        if at + 2 > end:
            return found
        count = short_at(raw, at)
        at += 2
        for index in range(count):
            if at + 4 > end:
                break
            length = _length_at(raw, at)
            at += 4
            if length >= _NEGATIVE:
                found.append(None)
                continue
            if at + length > end:
                found.append(f"… ({length} bytes)")
                break
            value = raw[at : at + length]
            code = 0 if formats == 0 else 2 if formats == 1 else 2 + 2 * index
            if code and short_at(raw, code):
                found.append(self._binary(value, index))
            else:
                found.append(value.decode(self._codec, "replace"))
            at += length
        return found

    def arguments(self) -> Arguments | None:
        """All of them as a client would send them, with UTF-8 for texts; None where they are not all there as such."""
        if self._codec != "utf-8" and not self._raw.isascii():
            return None
        try:
            bind = Bind.decode(b"\0\0" + self._raw)
        except ProtocolError:
            return None  # too long to be kept, or not as it should be
        count = short_at(self._types, 0) if len(self._types) >= 2 else 0
        types = tuple([int.from_bytes(self._types[2 + 4 * at : 6 + 4 * at], "big") for at in range(count)])
        return Arguments(types, bind.parameter_formats, bind.parameters)

    def _binary(self, value: bytes, index: int) -> BoundValue:
        types = self._types
        if len(types) < 6 + 4 * index:
            return "\\x" + value.hex()
        codec = CODECS.get(int.from_bytes(types[2 + 4 * index : 6 + 4 * index], "big"))
        try:
            decoded = None if codec is None else codec.decode(value, 1, self._codec)
        except (ValueError, ArithmeticError, LookupError, StructError):
            decoded = None
        match decoded:
            case None | bytes():
                return "\\x" + value.hex()
            case bool() | str() | int():
                return decoded
            case float() if math.isfinite(decoded):
                return decoded
            case _:
                return str(decoded)

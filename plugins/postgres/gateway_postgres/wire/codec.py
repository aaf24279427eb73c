"""Reading and writing the protocol's few primitive types (manual, 54.6 "Message Data Types")."""

from __future__ import annotations

import struct
from typing import Final

from gateway.errors import LocalProtocolError, RemoteProtocolError

Buffer = bytes | memoryview
"""A message body without type and length. Views must be one-dimensional and of single bytes."""

NULL_LENGTH: Final = -1
"""The length that stands for SQL NULL."""

MAX_UINT16: Final = 0xFFFF

_INT16: Final = struct.Struct("!h")
_UINT16: Final = struct.Struct("!H")
_INT32: Final = struct.Struct("!i")
_UINT32: Final = struct.Struct("!I")
_HEADER: Final = struct.Struct("!BI")
_SEARCH_STEP: Final = 1024


def frame(kind: int, *parts: bytes | bytearray | memoryview) -> bytes:
    """A typed message: type byte, length (which counts itself), body."""
    return b"".join((_HEADER.pack(kind, 4 + sum(map(len, parts))), *parts))


def int16(value: int) -> bytes:
    """Signed, two bytes."""
    return _INT16.pack(value)


def uint16(value: int) -> bytes:
    """Unsigned, two bytes; the server reads all counts this way. ``LocalProtocolError`` if it does not fit."""
    if not 0 <= value <= MAX_UINT16:
        raise LocalProtocolError("a count does not fit into two bytes")
    return _UINT16.pack(value)


def int32(value: int) -> bytes:
    """Signed, four bytes."""
    return _INT32.pack(value)


def uint32(value: int) -> bytes:
    """Unsigned, four bytes, such as an OID."""
    return _UINT32.pack(value)


def cstring(message: str, value: bytes) -> bytes:
    """A string with its terminator. A NUL inside would start a second field: ``LocalProtocolError``."""
    if 0 in value:
        raise LocalProtocolError(f"{message}: a string contains NUL")
    return value + b"\0"


def counted(values: tuple[bytes | memoryview | None, ...]) -> list[bytes | memoryview]:
    """Count, then each value with its length; None is NULL."""
    parts: list[bytes | memoryview] = [uint16(len(values))]
    for value in values:
        if value is None:
            parts.append(int32(NULL_LENGTH))
        else:
            parts.append(int32(len(value)))
            parts.append(value)
    return parts


def format_codes(codes: tuple[int, ...]) -> bytes:
    """Count, then format codes (0 text, 1 binary)."""
    return uint16(len(codes)) + struct.pack(f"!{len(codes)}h", *codes)


def find_nul(body: Buffer, start: int) -> int:
    """Index of the first NUL at or after ``start``, or -1."""
    if isinstance(body, bytes):
        return body.find(0, start)
    for offset in range(start, len(body), _SEARCH_STEP):
        found = bytes(body[offset : offset + _SEARCH_STEP]).find(0)
        if found >= 0:
            return offset + found
    return -1


class Reader:
    """Takes a message body apart from front to back. Every shortfall is a ``RemoteProtocolError``."""

    __slots__ = ("_body", "_end", "_message", "_pos")

    def __init__(self, message: str, body: Buffer) -> None:
        self._message = message
        self._body = body
        self._pos = 0
        self._end = len(body)

    def error(self, rule: str) -> RemoteProtocolError:
        """The error for a broken rule; the caller raises it."""
        return RemoteProtocolError(f"{self._message}: {rule}")

    def _advance(self, size: int, what: str) -> int:
        start = self._pos
        if self._end - start < size:
            raise self.error(f"ends inside {what}")
        self._pos = start + size
        return start

    def byte(self, what: str) -> int:
        """One byte."""
        return self._body[self._advance(1, what)]

    def int16(self, what: str) -> int:
        """Signed, two bytes."""
        value: int = _INT16.unpack_from(self._body, self._advance(2, what))[0]
        return value

    def uint16(self, what: str) -> int:
        """Unsigned, two bytes."""
        value: int = _UINT16.unpack_from(self._body, self._advance(2, what))[0]
        return value

    def int32(self, what: str) -> int:
        """Signed, four bytes."""
        value: int = _INT32.unpack_from(self._body, self._advance(4, what))[0]
        return value

    def uint32(self, what: str) -> int:
        """Unsigned, four bytes."""
        value: int = _UINT32.unpack_from(self._body, self._advance(4, what))[0]
        return value

    def record(self, layout: struct.Struct, what: str) -> tuple[int, ...]:
        """Several numbers at once."""
        return layout.unpack_from(self._body, self._advance(layout.size, what))

    def codes(self, what: str) -> tuple[int, ...]:
        """A counted list of signed two-byte numbers."""
        count = self.uint16(what)
        return struct.unpack_from(f"!{count}h", self._body, self._advance(2 * count, what))

    def oids(self, count: int, what: str) -> tuple[int, ...]:
        """``count`` unsigned four-byte numbers."""
        return struct.unpack_from(f"!{count}I", self._body, self._advance(4 * count, what))

    def cstring(self, what: str) -> bytes:
        """A string up to its terminator, which is taken too."""
        start = self._pos
        end = find_nul(self._body, start)
        if end < 0:
            raise self.error(f"{what} has no terminator")
        self._pos = end + 1
        return bytes(self._body[start:end])

    def take(self, size: int, what: str) -> bytes:
        """Exactly ``size`` bytes."""
        start = self._advance(size, what)
        return bytes(self._body[start : start + size])

    def value(self, what: str) -> Buffer | None:
        """A value with its length before it; a slice of what the body is. None is NULL."""
        size = self.int32(what)
        if size < 0:
            if size != NULL_LENGTH:
                raise self.error(f"{what} has a negative length")
            return None
        start = self._advance(size, what)
        return self._body[start : start + size]

    def skip_value(self, what: str) -> None:
        """Step over a value without looking at it."""
        size = self.int32(what)
        if size > 0:
            self._advance(size, what)
        elif size < NULL_LENGTH:
            raise self.error(f"{what} has a negative length")

    def rest(self) -> bytes:
        """Everything that is left."""
        start = self._pos
        self._pos = self._end
        return bytes(self._body[start:])

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return self._end - self._pos

    def finish(self) -> None:
        """Nothing may be left."""
        if self._pos != self._end:
            raise self.error("has bytes after its last field")

"""Integers and strings (pages "Integer Types" and "String Types"). All integers are little-endian."""

from __future__ import annotations

from typing import Final

from gateway.errors import RemoteProtocolError

NULL_CELL: Final = 0xFB
"""In the place of a length: SQL NULL, in text rows."""


class Reader:
    """Takes a payload apart from left to right. ``what`` names the message in errors."""

    __slots__ = ("data", "position", "what")

    def __init__(self, data: bytes, what: str, position: int = 0) -> None:
        self.data = data
        self.what = what
        self.position = position

    @property
    def left(self) -> int:
        """Bytes that have not been taken."""
        return len(self.data) - self.position

    def integer(self, size: int) -> int:
        """An unsigned integer of ``size`` bytes."""
        data, position = self.data, self.position
        end = position + size
        if size < 0 or end > len(data):
            raise RemoteProtocolError(f"{self.what}: shorter than its fields")
        self.position = end
        value, shift = 0, 0
        while position < end:
            # Compiled, this is far less than a call of int.from_bytes.
            value |= data[position] << shift
            shift += 8
            position += 1
        return value

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes."""
        end = self.position + size
        if size < 0 or end > len(self.data):
            raise RemoteProtocolError(f"{self.what}: shorter than its fields")
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(self.left)

    def until_nul(self) -> bytes:
        """Up to a NUL byte, which is taken too."""
        end = self.data.find(b"\0", self.position)
        if end < 0:
            raise RemoteProtocolError(f"{self.what}: a string has no end")
        piece = self.data[self.position : end]
        self.position = end + 1
        return piece

    def until_nul_or_end(self) -> bytes:
        """Up to a NUL byte, or everything: some clients leave the last one out."""
        return self.until_nul() if self.data.find(b"\0", self.position) >= 0 else self.rest()

    def length(self) -> int:
        """A length-encoded integer; NULL and the undefined first bytes are refused."""
        first = self.integer(1)
        if first < NULL_CELL:
            return first
        if first == 0xFC:
            return self.integer(2)
        if first == 0xFD:
            return self.integer(3)
        if first == 0xFE:
            return self.integer(8)
        raise RemoteProtocolError(f"{self.what}: not a length")

    def string(self) -> bytes:
        """A length-encoded string."""
        return self.take(self.length())

    def cell(self) -> bytes | None:
        """A length-encoded string or NULL."""
        if self.left and self.data[self.position] == NULL_CELL:
            self.position += 1
            return None
        return self.string()

    def end(self) -> None:
        """Nothing may be left."""
        if self.left:
            raise RemoteProtocolError(f"{self.what}: longer than its fields")


def encode_length(value: int) -> bytes:
    """A length-encoded integer."""
    if value < NULL_CELL:
        return bytes((value,))
    if value < 1 << 16:
        return b"\xfc" + value.to_bytes(2, "little")
    if value < 1 << 24:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def encode_string(value: bytes) -> bytes:
    """A length-encoded string."""
    return encode_length(len(value)) + value

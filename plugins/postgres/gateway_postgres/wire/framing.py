"""Where one message ends and the next begins (manual, 54.1 "Overview" and 54.7 "Message Formats").

A ``FrameBuffer`` takes what arrives and hands out complete messages. It has no default limits: whoever makes one says
how long a message may be, and a longer one is refused when its length field is read, before memory is taken for it.

Messages that lie whole in one received chunk are never copied: ``data``, ``start`` and ``end`` point at the message in
place, so that a run of messages can be forwarded as one slice. A message that arrives in pieces is collected until its
announced length is there, so each byte is copied a fixed number of times however small the pieces are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from gateway.errors import MessageTooLarge, RemoteProtocolError

HEADER_SIZE: Final = 5
"""Type byte and length."""

_HEADER: Final = struct.Struct("!BI")
_LENGTH: Final = struct.Struct("!I")
_NO_LIMITS: Final[Mapping[int, int]] = MappingProxyType({})


def startup_length(header: bytes, *, max_length: int) -> int:
    """Size of the body that follows the four length bytes of an untyped startup packet.

    ``max_length`` counts the whole packet. Raises ``RemoteProtocolError`` for an impossible length and
    ``MessageTooLarge`` above the limit.
    """
    if len(header) != 4:
        raise RemoteProtocolError("startup packet: ends inside its length")
    length: int = _LENGTH.unpack(header)[0]
    if length < 8:
        raise RemoteProtocolError("startup packet: length is too small")
    if length > max_length:
        raise MessageTooLarge("startup packet: longer than the limit")
    return length - 4


class FrameBuffer:
    """A receive buffer for one direction of one connection.

    Use it as a cursor: ``feed(chunk)``, then ``next()`` until it returns None. After ``next()`` returned a type byte,
    ``data[start:end]`` is the whole message and ``body()`` its body; they stay valid until the next call of ``next``
    or ``take_startup``; ``feed`` does not touch them. ``messages()`` wraps this for users who want pairs.

    ``max_message`` and ``limits`` (by type byte) bound the body in bytes. Both may be changed at any time, as a login
    phase allows less than a session.
    """

    __slots__ = ("_need", "_next", "_pending", "data", "end", "limits", "max_message", "start")

    def __init__(self, *, max_message: int, limits: Mapping[int, int] = _NO_LIMITS) -> None:
        self.max_message = max_message
        self.limits = limits
        self.data: bytes = b""
        self.start = 0
        self.end = 0
        self._next = 0
        self._pending = bytearray()
        self._need = 0

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        if self.data or self._pending:
            self._pending += data
        else:
            self.data = data

    def __len__(self) -> int:
        """Bytes that were fed and not yet handed out."""
        return len(self.data) - self._next + len(self._pending)

    def next(self) -> int | None:
        """Step to the next complete message; its type byte, or None if more bytes are needed."""
        data = self.data
        start = self._next
        if len(data) - start < HEADER_SIZE:
            if not self._refill(max(HEADER_SIZE, self._need)):
                return None
            data = self.data
            start = self._next
        kind, length = _HEADER.unpack_from(data, start)
        end = start + 1 + length
        if length < 4:
            raise RemoteProtocolError(f"message {chr(kind)!r}: length is too small")
        if length - 4 > self.max_message or length - 4 > self.limits.get(kind, length):
            raise MessageTooLarge(f"message {chr(kind)!r}: longer than the limit")
        if end > len(data):
            if not self._refill(1 + length):
                return None
            start = self._next
            end = start + 1 + length
        self.start = start
        self.end = self._next = end
        return int(kind)

    def _refill(self, need: int) -> bool:
        """Make sure that ``need`` bytes lie at the cursor in one piece; False if they have not arrived."""
        pending = self._pending
        if self._next < len(self.data):
            pending[0:0] = self.data[self._next :]
        self.start = self.end = self._next = 0
        if len(pending) < need:
            # The chunk is let go of, so that a few waiting bytes do not keep all of it in memory. Nothing is put
            # together again before ``need`` bytes are there, so that many small pieces do not cost a copy each.
            self.data = b""
            self._need = need
            return False
        self.data = bytes(pending)
        self._need = 0
        if pending:
            self._pending = bytearray()
        return True

    def body(self) -> bytes:
        """The current message's body."""
        return self.data[self.start + HEADER_SIZE : self.end]

    def view(self) -> memoryview:
        """The current message's body without a copy, for messages that may be long."""
        return memoryview(self.data)[self.start + HEADER_SIZE : self.end]

    def frame(self) -> bytes:
        """The current message whole, header included."""
        return self.data[self.start : self.end]

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """All complete messages as (type byte, body)."""
        while (kind := self.next()) is not None:
            yield kind, self.body()

    def take_startup(self, *, max_length: int) -> bytes | None:
        """The body (without length) of an untyped startup packet, or None if more bytes are needed.

        ``max_length`` bounds the whole packet. Typed messages may follow in the same buffer.
        """
        if len(self.data) - self._next < 4 and not self._refill(max(4, self._need)):
            return None
        size = 4 + startup_length(self.data[self._next : self._next + 4], max_length=max_length)
        if len(self.data) - self._next < size and not self._refill(size):
            return None
        self.start = self._next
        self.end = self._next = self.start + size
        return self.data[self.start + 4 : self.end]

    def take_rest(self) -> bytes:
        """Everything that has not been handed out, complete or not; the buffer is empty afterwards."""
        rest = self.data[self._next :] + bytes(self._pending)
        self.data = b""
        self.start = self.end = self._next = self._need = 0
        self._pending = bytearray()
        return rest

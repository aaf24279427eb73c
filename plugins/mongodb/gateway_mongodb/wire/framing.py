"""Where one message ends and the next begins.

A message's length is checked when its header is there, before memory is taken for it. Messages that lie whole in one
received chunk are not copied: ``data``, ``start`` and ``end`` point at them in place.
"""

from __future__ import annotations

from gateway.errors import MessageTooLarge, RemoteProtocolError
from gateway_mongodb.wire.messages import HEADER, HEADER_SIZE


class FrameBuffer:
    """A receive buffer for one direction. ``feed``, then ``next`` until it returns False."""

    __slots__ = (
        "_chunks",
        "_need",
        "_next",
        "_size",
        "data",
        "end",
        "max_message",
        "opcode",
        "request_id",
        "response_to",
        "start",
    )

    def __init__(self, *, max_message: int) -> None:
        self.max_message = max_message
        self.data = b""
        self.start = 0
        self.end = 0
        self.request_id = 0
        self.response_to = 0
        self.opcode = 0
        self._next = 0
        self._chunks: list[bytes] = []
        """What came after ``data``; put together when the next message is whole."""
        self._size = 0
        self._need = 0

    def __len__(self) -> int:
        """Bytes that were fed and not yet handed out."""
        return len(self.data) - self._next + self._size

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        if self._next >= len(self.data) and not self._chunks:
            self.data, self._next = data, 0
        else:
            self._chunks.append(data)
            self._size += len(data)

    @property
    def empty(self) -> bool:
        """Whether everything that was fed has been handed out."""
        return self._next >= len(self.data) and not self._chunks

    def next(self) -> bool:
        """Step to the next complete message; ``data[start:end]`` is it until the next call."""
        available = len(self.data) - self._next
        if available < HEADER_SIZE or available < self._need:
            if not self._chunks or not self._gather(max(HEADER_SIZE, self._need)):
                return False
            available = len(self.data) - self._next
        start = self._next
        length, self.request_id, self.response_to, self.opcode = HEADER.unpack_from(self.data, start)
        if length < HEADER_SIZE:
            raise RemoteProtocolError("a message's length is too small")
        if length > self.max_message:
            raise MessageTooLarge("a message is longer than the limit")
        if available < length:
            self._need = length
            if not self._chunks or not self._gather(length):
                return False
            start = self._next
        self._need = 0
        self.start, self.end = start, start + length
        self._next = self.end
        return True

    def _gather(self, need: int) -> bool:
        """Put what is there in one piece if it holds ``need`` bytes."""
        if len(self) < need:
            return False
        self.data = b"".join((self.data[self._next :], *self._chunks))
        self._next = self._size = 0
        self._chunks = []
        return True

    def message(self) -> bytes:
        """The current message whole."""
        if self.start == 0 and self.end == len(self.data):
            return self.data
        return self.data[self.start : self.end]

    @property
    def awaited(self) -> int:
        """The length of the message whose header is there and whose end is not; 0 where there is none."""
        return self._need

    def peek(self, size: int) -> bytes:
        """Up to so many of the first bytes of the message that is awaited."""
        if self._chunks and len(self.data) - self._next < size:
            self._gather(len(self))
        return self.data[self._next : self._next + size]

    def take_rest(self) -> bytes:
        """Everything that has not been handed out; the buffer is empty afterwards."""
        rest = b"".join((self.data[self._next :], *self._chunks))
        self.data, self._chunks = b"", []
        self.start = self.end = self._next = self._size = self._need = 0
        return rest

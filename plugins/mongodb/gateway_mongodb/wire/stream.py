"""A long reply read while it comes in: its results are taken piece by piece, what stands around them is kept.

A reply is ``{cursor: {firstBatch: [...], id, ns}, ok, ...}`` or ``{values: [...], ok, ...}``. The array of results goes
to whoever takes them in the pieces in which it comes. What stands around it is small, and once the last byte has come
it is the whole reply without results. Every length is checked against those around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.errors import RemoteProtocolError
from gateway_mongodb.wire import types
from gateway_mongodb.wire.codec import INT32, MIN_DOCUMENT, element_size
from gateway_mongodb.wire.messages import BODY_AT

Take = Callable[[bytes, int, int], tuple[int, int]]
"""Takes results from ``data[position:]``, whose array's closing NUL is at ``end``, perhaps beyond ``data``. Returns
where it came to and how many results that were; short of both it stopped at one that is not whole yet."""

_BATCHES: Final = (b"firstBatch", b"nextBatch")
_IN_BODY, _IN_CURSOR = 1, 2
"""Documents that an element is in."""
_BEGIN: Final = BODY_AT + 4
"""Bytes of a message up to its body's first element."""


class ReplyStream:
    """An OP_MSG of nothing but a body with a reply. ``feed`` it the message's bytes in whatever pieces."""

    __slots__ = (
        "_around",
        "_at",
        "_ends",
        "_held",
        "_held_size",
        "_jump",
        "_lengths",
        "_need",
        "_nested",
        "_results",
        "_taking",
        "left",
        "length",
        "rows",
        "take",
    )

    def __init__(self, length: int, take: Take) -> None:
        self.left = length
        """Bytes of the message that are still to come."""
        self.rows = 0
        """Results so far."""
        self.take = take
        self.length = length
        self._around = bytearray()
        """The message without its results."""
        self._results = (-1, 0)
        """Where in it they belong, and how many bytes they were."""
        self._lengths: list[int] = []
        """Where in it the lengths are that count them."""
        self._nested: list[int] = [0]
        """Where in it the lengths are of what the present place is in: the message, its body, the cursor."""
        self._ends: list[int] = []
        """Where in the message the closing NULs of these are, but for the message itself."""
        self._taking = False
        """Whether the present place is in the results."""
        self._at = 0
        """Where in the message that is which has not been looked at."""
        self._held: list[bytes] = []
        """What has come of it: too little to tell anything."""
        self._held_size = 0
        self._need = 0
        """Bytes of it that are worth another look."""
        self._jump = 0
        """Bytes of it that need no look."""

    def feed(self, data: bytes) -> None:
        """More of the message; ``RemoteProtocolError`` where it is malformed, and what ``take`` raises."""
        size = len(data)
        self.left -= size
        if self.left < 0:
            raise RemoteProtocolError("a reply is longer than it says")
        position = 0
        if self._held_size:
            self._held.append(data)
            self._held_size += size
            if self._held_size < self._need:
                return
            data = b"".join(self._held)
            self._held, self._held_size = [], 0
        elif self._jump:
            position = min(self._jump, size)
            self._jump -= position
        position = self._look(data, position)
        size = len(data)
        if position < size:
            self._held, self._held_size = [data[position:] if position else data], size - position
        else:
            self._jump += position - size
        self._at += min(position, size)
        if not self.left and (self._ends or self._held_size or self._jump or not self._around):
            raise RemoteProtocolError("a reply ends too early")

    def without_results(self) -> bytes:
        """The reply's body with no results, once all of it has come."""
        _, size = self._results
        return bytes(self._resized(-size))[BODY_AT:]

    def around(self, size: int) -> tuple[bytes, bytes]:
        """What goes before and behind other results of so many bytes: a whole message."""
        at, before = self._results
        if at < 0:
            return bytes(self._around), b""
        resized = self._resized(size - before)
        return bytes(resized[:at]), bytes(resized[at:])

    def _resized(self, more: int) -> bytearray:
        around = bytearray(self._around)
        for at in self._lengths:
            length: int = INT32.unpack_from(around, at)[0] + more
            if length > 0x7FFFFFFF:
                raise RemoteProtocolError("a reply grows too long")
            INT32.pack_into(around, at, length)
        return around

    def _look(self, data: bytes, position: int) -> int:
        """As far as ``data`` tells anything. Short of its end, ``_need`` says how many bytes would tell more."""
        size = len(data)
        while position < size:
            end = self._ends[-1] - self._at if self._ends else 0
            before = position
            if not self._ends:
                position = self._begin(data, position)
            elif position == end:
                position = self._leave(data, position)
            elif self._taking:
                position, rows = self.take(data, position, end)
                self.rows += rows
                if position < min(size, end):
                    self._need = element_size(data, position, end) or size - position + 1
                    break
            else:
                position = self._element(data, position, end)
            if position == before:
                break
        return position

    def _begin(self, data: bytes, position: int) -> int:
        """Everything before the body's first element."""
        following = position + _BEGIN
        if following > len(data):
            self._need = _BEGIN
            return position
        if INT32.unpack_from(data, position + BODY_AT)[0] != self.length - BODY_AT:
            raise RemoteProtocolError("a reply is longer than its body")
        self._around += data[position:following]
        self._nested.append(BODY_AT)
        self._ends.append(self.length - 1)
        return following

    def _leave(self, data: bytes, position: int) -> int:
        """The closing NUL of what the present place is in."""
        if data[position]:
            raise RemoteProtocolError("a document's length is impossible")
        self._around.append(0)
        self._ends.pop()
        self._nested.pop()
        self._taking = False
        return position + 1

    def _element(self, data: bytes, position: int, end: int) -> int:
        """An element that is not a result: kept, or entered where the results are inside."""
        size, depth, kind = len(data), len(self._ends), data[position]
        value = data.find(b"\0", position + 1, min(end, size)) + 1
        if value and kind in (types.DOCUMENT, types.ARRAY):
            name = data[position + 1 : value - 1]
            if kind == types.ARRAY:
                inside = name in _BATCHES if depth == _IN_CURSOR else depth == _IN_BODY and name == b"values"
            else:
                inside = depth == _IN_BODY and name == b"cursor"
            if inside and size - value < 4:
                self._need = value + 4 - position
                return position
            if inside:
                return self._enter(data, position, value, end, results=kind == types.ARRAY)
        extent = element_size(data, position, end)
        if not extent or extent > size - position:
            self._need = extent or size - position + 1
            return position
        self._around += data[position : position + extent]
        return position + extent

    def _enter(self, data: bytes, position: int, value: int, end: int, *, results: bool) -> int:
        length: int = INT32.unpack_from(data, value)[0]
        if length < MIN_DOCUMENT or value + length > end:
            raise RemoteProtocolError("a document's length is impossible")
        self._nested.append(len(self._around) + value - position)
        self._ends.append(self._at + value + length - 1)
        self._around += data[position : value + 4]
        if results:
            if self._results[0] >= 0:
                raise RemoteProtocolError("a reply has its results twice")
            self._results, self._lengths = (len(self._around), length - MIN_DOCUMENT), self._nested.copy()
            self._taking = True
        return value + 4

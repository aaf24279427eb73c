"""The elements of a BSON document in plain Python: the specification of ``_elements.pyx`` and its fallback."""

from __future__ import annotations

from struct import Struct
from typing import Final

from gateway.errors import RemoteProtocolError
from gateway_mongodb.wire import types

COMPILED = False

_INT32: Final = Struct("<i")
_MIN_DOCUMENT: Final = 5
_EXTRA: Final = {
    types.STRING: 4,
    types.CODE: 4,
    types.SYMBOL: 4,
    types.DOCUMENT: 0,
    types.ARRAY: 0,
    types.CODE_WITH_SCOPE: 0,
    types.BINARY: 5,
    types.DB_POINTER: 16,
}
"""Bytes that a value has beyond what its length says, by type."""

Element = tuple[int, bytes, int, int]
"""Type, name, and where the value begins and ends."""


def elements(data: bytes, start: int, limit: int) -> list[Element]:
    """(type, name, begin, end) of each element of the document at ``start``; ``RemoteProtocolError``."""
    end = _document_end(data, start, limit)
    found = []
    position = start + 4
    while position < end:
        kind = data[position]
        value = data.find(b"\0", position + 1, end) + 1
        if not value:
            raise RemoteProtocolError("an element's name has no end")
        after = _value_end(data, kind, value, end)
        found.append((kind, data[position + 1 : value - 1], value, after))
        position = after
    return found


def count_elements(data: bytes, start: int, limit: int) -> int:
    """How many elements a document or array has; ``RemoteProtocolError``."""
    end = _document_end(data, start, limit)
    position, count = start + 4, 0
    while position < end:
        kind = data[position]
        value = data.find(b"\0", position + 1, end) + 1
        if not value:
            raise RemoteProtocolError("an element's name has no end")
        position = _value_end(data, kind, value, end)
        count += 1
    return count


def _document_end(data: bytes, start: int, limit: int) -> int:
    """Where the terminating NUL is."""
    limit = min(limit, len(data))
    if limit - start < _MIN_DOCUMENT:
        raise RemoteProtocolError("a document's length is impossible")
    size: int = _INT32.unpack_from(data, start)[0]
    if size < _MIN_DOCUMENT or size > limit - start or data[start + size - 1]:
        raise RemoteProtocolError("a document's length is impossible")
    return start + size - 1


def _value_end(data: bytes, kind: int, start: int, limit: int) -> int:
    fixed = types.FIXED_SIZES.get(kind)
    if fixed is not None:
        after = start + fixed
    elif kind == types.REGEX:
        after = data.find(b"\0", start, limit) + 1
        after = data.find(b"\0", after, limit) + 1 if after else 0
        if not after:
            after = limit + 1
    elif kind in _EXTRA:
        size = _INT32.unpack_from(data, start)[0] if limit - start >= 4 else -1
        least = _MIN_DOCUMENT if _EXTRA[kind] == 0 else 0
        after = start + _EXTRA[kind] + size if size >= least else limit + 1
    else:
        after = limit + 1
    if after > limit:
        raise RemoteProtocolError("an element is malformed, or of an unknown type")
    return after


def element_size(data: bytes, position: int, end: int) -> int:
    """Bytes of the element at ``position``, 0 where they do not say yet; ``RemoteProtocolError``.

    ``data`` may be a part of what there will be: the document's closing NUL is at ``end``.
    """
    limit = min(end, len(data))
    value = data.find(b"\0", position + 1, limit) + 1
    if not value:
        return _undecided(data, end)
    kind = data[position]
    fixed = types.FIXED_SIZES.get(kind)
    if fixed is not None:
        after = value + fixed
    elif kind == types.REGEX:
        after = data.find(b"\0", value, limit) + 1
        after = data.find(b"\0", after, limit) + 1 if after else 0
        if not after:
            return _undecided(data, end)
    elif kind in _EXTRA:
        if limit - value < 4:
            return _undecided(data, end)
        size = _INT32.unpack_from(data, value)[0]
        least = _MIN_DOCUMENT if _EXTRA[kind] == 0 else 0
        after = value + _EXTRA[kind] + size if size >= least else end + 1
    else:
        after = end + 1
    if after > end:
        raise RemoteProtocolError("an element is malformed, or of an unknown type")
    return after - position


def _undecided(data: bytes, end: int) -> int:
    if end <= len(data):
        raise RemoteProtocolError("an element is malformed")
    return 0


def skip_elements(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Jump over elements from ``position`` on: where that led to, and how many they were.

    Ends at ``end``, where the document's closing NUL is, or behind what is there of the document, or at an element
    that does not say yet how long it is; ``RemoteProtocolError``.
    """
    count, limit = 0, min(end, len(data))
    while position < limit:
        size = element_size(data, position, end)
        if not size:
            break
        position += size
        count += 1
    return position, count

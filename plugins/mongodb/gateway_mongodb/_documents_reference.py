"""The document kernel in plain Python: the specification of ``_documents.pyx`` and its fallback.

BSON (bsonspec.org, version 1.1): a document is an int32 length that counts itself, elements, and a zero byte; an
element is a type byte, a name that ends with a zero byte, and a value whose size its type or first four bytes tell.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from gateway.errors import MaskingError, RemoteProtocolError
from gateway_mongodb.cells import Cell
from gateway_mongodb.masks import Do, Node
from gateway_mongodb.wire import types
from gateway_mongodb.wire._elements_reference import element_size

COMPILED = False
MAX_DEPTH: Final = 200
"""Levels of documents and arrays; the server's own limit is 180."""

RESULT_DEPTH: Final = 2
"""Documents around a result: the reply, the cursor, the array."""
_LENGTH: Final = Struct("<i")
_EMPTY: Final = b"\x05\0\0\0\0"
_NULLS: Final = (types.NULL, types.UNDEFINED)


def mask_document(data: bytes, node: Node) -> tuple[bytes, tuple[int, ...], int]:
    """A whole document masked: its new bytes, masked values by slot, counted results. Raises ``MaskingError``."""
    walk = _Walk(data)
    walk.document(0, len(data), node, 0)
    return bytes(walk.output), tuple(walk.masked), walk.rows


class BatchMask:
    """Masks the results of a reply as they come in. ``size`` is how many bytes they have, once they were asked for."""

    def __init__(self, node: Node) -> None:
        self.size = 0
        self._node = node
        self._walk = _Walk(b"")

    @property
    def masked(self) -> tuple[int, ...]:
        """Masked values so far, by slot."""
        return tuple(self._walk.masked)

    def take(self, data: bytes, position: int, end: int) -> tuple[int, int]:
        """Mask what results are whole in ``data[position:]``; their array's closing NUL is at ``end``.

        Returns where the next one begins, and how many they were. Raises ``MaskingError`` where one is malformed, and
        what a masking function raises; nothing may be sent then.
        """
        walk, count = self._walk, 0
        walk.data = data
        while position < min(end, len(data)):
            try:
                size = element_size(data, position, end)
            except RemoteProtocolError as error:
                raise MaskingError("a document is malformed") from error
            if not size or position + size > len(data):
                break
            value = data.index(b"\0", position + 1) + 1
            following = value + walk.size(data[position], value, min(end, len(data)))
            walk.element(position, value, following, self._node, RESULT_DEPTH)
            position = following
            count += 1
        walk.data = b""
        return position, count

    def results(self) -> list[bytes]:
        """The masked results, in pieces."""
        self.size = len(self._walk.output)
        return [bytes(self._walk.output)]


class _Walk:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.output = bytearray()
        self.masked: list[int] = []
        self.rows = 0

    def document(self, start: int, stop: int, node: Node, depth: int, *, array: bool = False) -> None:
        """A document, or with ``array`` an array, whose elements are all treated by ``node`` itself."""
        data, output = self.data, self.output
        if depth > MAX_DEPTH:
            raise MaskingError("a document is nested too deeply")
        if stop - start < 5 or _LENGTH.unpack_from(data, start)[0] != stop - start or data[stop - 1] != 0:
            raise MaskingError("a document states a wrong length")
        begin = len(output)
        output += b"\0\0\0\0"
        position, end = start + 4, stop - 1
        while position < end:
            bson_type = data[position]
            name_end = data.find(b"\0", position + 1, end)
            if bson_type == 0 or name_end < 0:
                raise MaskingError("a document is malformed")
            value = name_end + 1
            following = value + self.size(bson_type, value, end)
            below = node if array else node.child(data[position + 1 : name_end])
            self.element(position, value, following, below, depth)
            position = following
        output.append(0)
        _LENGTH.pack_into(output, begin, len(output) - begin)

    def element(self, position: int, value: int, following: int, node: Node, depth: int) -> None:
        """An element with its value at ``value``."""
        if node.do is Do.DROP:
            self.hide(node.slot)
        else:
            mark = len(self.output)
            self.output += self.data[position:value]
            self.value(self.data[position], value, following, node, depth, mark)

    def value(self, bson_type: int, start: int, stop: int, node: Node, depth: int, mark: int) -> None:
        """A value; ``mark`` is where its type byte is in the output."""
        if node.do is Do.ONE and node.inner is not None:
            self.rows += bson_type not in _NULLS
            node = node.inner
        do = node.do
        if do is Do.PASS or bson_type in _NULLS:
            self.output += self.data[start:stop]
            return
        if do is Do.BATCH:
            self.batch(bson_type, start, stop, node, depth)
        elif do is Do.NULL or do is Do.DROP:
            self.hide(node.slot)
            self.output[mark] = types.NULL
        elif bson_type in (types.DOCUMENT, types.ARRAY):
            if do is Do.BLANK:
                self.hide(node.slot)
                self.output += _EMPTY
            else:
                self.document(start, stop, node, depth + 1, array=bson_type == types.ARRAY)
        elif do is Do.WALK:
            if node.inner is None:
                self.output += self.data[start:stop]
            else:
                self.value(bson_type, start, stop, node.inner, depth, mark)
        elif node.cell is None:
            raise MaskingError("a mask has no function")
        else:
            self.hide(node.slot)
            self.scalar(bson_type, start, stop, node.cell, mark)

    def batch(self, bson_type: int, start: int, stop: int, node: Node, depth: int) -> None:
        if bson_type != types.ARRAY or node.inner is None:
            raise MaskingError("a reply has no array where its results should be")
        before = self.count(start, stop)
        self.document(start, stop, node.inner, depth + 1, array=True)
        self.rows += before

    def count(self, start: int, stop: int) -> int:
        """How many elements an array has."""
        position, end, found = start + 4, stop - 1, 0
        while position < end:
            name_end = self.data.find(b"\0", position + 1, end)
            if name_end < 0:
                raise MaskingError("a document is malformed")
            position = name_end + 1 + self.size(self.data[position], name_end + 1, end)
            found += 1
        return found

    def hide(self, slot: int) -> None:
        """Count a value that is masked."""
        self.masked.extend([0] * (slot + 1 - len(self.masked)))
        self.masked[slot] += 1

    def scalar(self, bson_type: int, start: int, stop: int, cell: Cell, mark: int) -> None:
        masked = mask_scalar(bson_type, self.data[start:stop], cell)
        if masked is None:
            self.output[mark] = types.NULL
        else:
            self.output += masked

    def size(self, bson_type: int, start: int, end: int) -> int:
        """Bytes of a value that begins at ``start``; it must end before ``end``."""
        data = self.data
        fixed = types.FIXED_SIZES.get(bson_type)
        if fixed is not None:
            size = fixed
        elif bson_type == types.REGEX:
            first = data.find(b"\0", start, end)
            second = -1 if first < 0 else data.find(b"\0", first + 1, end)
            if second < 0:
                raise MaskingError("a document is malformed")
            size = second + 1 - start
        elif end - start < 4:
            raise MaskingError("a document is malformed")
        else:
            stated = _LENGTH.unpack_from(data, start)[0]
            if bson_type in (types.STRING, types.CODE, types.SYMBOL, types.DB_POINTER):
                if stated < 1 or stated > end - start - 4 or data[start + 3 + stated] != 0:
                    raise MaskingError("a document is malformed")
                size = 4 + stated + (12 if bson_type == types.DB_POINTER else 0)
            elif bson_type in (types.DOCUMENT, types.ARRAY):
                if stated < 5:
                    raise MaskingError("a document is malformed")
                size = stated
            elif bson_type == types.CODE_WITH_SCOPE:
                if stated < 14:
                    raise MaskingError("a document is malformed")
                size = stated
            elif bson_type == types.BINARY:
                if stated < 0:
                    raise MaskingError("a document is malformed")
                size = 5 + stated
            else:
                raise MaskingError("a document has a value of a type that is not known")
        if size > end - start:
            raise MaskingError("a document is malformed")
        return size


def mask_scalar(bson_type: int, payload: bytes, cell: Cell) -> bytes | None:
    """The new payload of a scalar; None: null."""
    if cell.partial is not None and bson_type == types.STRING:
        first, last, run = cell.partial
        text = payload[4:-1]
        if text.isascii():
            shown = text[:first] + run + text[len(text) - last :]
            text = run if 2 * (first + last) > len(text) else shown
            return _LENGTH.pack(len(text) + 1) + text + b"\0"
    return cell.mask(bson_type, payload)

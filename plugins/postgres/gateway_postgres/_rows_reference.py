"""The row kernels in plain Python: the specification of ``_rows.pyx`` and its fallback.

Positions are byte offsets into ``buf``; a range outside the buffer raises ``ValueError``, which is the caller's bug.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from gateway.domain.budget import COMPUTED_BYTES, Weight
from gateway.errors import MaskingError, MessageTooLarge, RemoteProtocolError
from gateway.masking.cells import CellMask, Computed, Constant, Partial, mask_cell

COMPILED = False

Buffer = bytes | bytearray | memoryview
Entry = tuple[int, int, int, int]

_LENGTH = Struct("!i")
_COUNT = Struct("!H")
_DATA_ROW = ord("D")
_BACKEND_RUNS = b"Dd"
_FRONTEND_RUNS = b"d"
_HEADER = 5
_MAX_LENGTH = 0x7FFFFFFF
_MAX_COLUMNS = 0xFFFF
_NULL = b"\xff\xff\xff\xff"


class RowMask:
    """How the rows of one result are masked: for each of ``column_count`` columns a cell mask, or None to pass it.

    ``labels`` are those that called for each column's mask, for whoever counts.
    """

    __slots__ = ("column_count", "labels", "maskers")

    def __init__(
        self,
        column_count: int,
        maskers: Sequence[CellMask | None],
        labels: Sequence[tuple[str, ...]] | None = None,
    ) -> None:
        if not 0 <= column_count <= _MAX_COLUMNS or len(maskers) != column_count:
            raise ValueError("a row mask needs one entry for each column, at most 65535")
        for masker in maskers:
            if masker is not None and not isinstance(masker, (Constant, Partial, Computed)):
                raise TypeError("not a cell mask")
        self.column_count = column_count
        self.maskers = tuple(maskers)
        self.labels = ((),) * column_count if labels is None else tuple(labels)
        if len(self.labels) != column_count:
            raise ValueError("a row mask needs one entry for each column, at most 65535")


def scan_rows(buf: Buffer, start: int, end: int, max_rows: int = -1) -> tuple[int, int]:
    """Skip complete DataRow messages from ``start`` on, at most ``max_rows`` if that is not negative.

    Returns the position after the last one and their number. Stops at another message type, at an incomplete message
    and at a length that no message can have. Does not look into the rows.
    """
    _check(buf, start, end)
    position, rows = start, 0
    while rows != max_rows and end - position >= _HEADER and buf[position] == _DATA_ROW:
        length = _LENGTH.unpack_from(buf, position + 1)[0]
        if length < 4 or length > end - position - 1:
            break
        position += 1 + length
        rows += 1
    return position, rows


def mask_rows(
    buf: Buffer, start: int, end: int, row_mask: RowMask, max_rows: int = -1
) -> tuple[int, int, tuple[int, ...], bytes]:
    """Mask complete DataRow messages from ``start`` on, at most ``max_rows`` if that is not negative.

    Returns the position after the last one, the number of rows, for each column the number of its masked cells (NULL
    cells are left as they are and not counted; empty where there are none at all) and the new messages. Stops at
    another message type and at an incomplete message.

    Raises ``MaskingError`` at a row that is malformed or has another number of columns than the mask, and lets through
    what a ``Computed`` mask raises; nothing of the call's rows may be sent then.
    """
    _check(buf, start, end)
    output = bytearray()
    position, rows, masked = start, 0, [0] * row_mask.column_count
    while rows != max_rows and end - position >= _HEADER and buf[position] == _DATA_ROW:
        length = _LENGTH.unpack_from(buf, position + 1)[0]
        if length < 6:
            raise MaskingError("a row is too short for its column count")
        if length > end - position - 1:
            break
        stop = position + 1 + length
        _mask_row(buf, position + _HEADER, stop, row_mask, output, masked)
        position = stop
        rows += 1
    return position, rows, tuple(masked) if any(masked) else (), bytes(output)


def count_cells(buf: Buffer, start: int, end: int, weights: bytes, limit: int = -1) -> tuple[int, int, int]:
    """Count the cells of complete DataRow messages from ``start`` on that are not NULL.

    ``weights`` has a ``gateway.domain.budget.Weight`` for each column. Returns the position after the last row, the
    number of rows, and of cells; stops before the row with which there would be more than ``limit`` cells (if that is
    not negative), at another message type and at an incomplete message. Raises ``MaskingError`` at a malformed row.
    """
    _check(buf, start, end)
    position, rows, cells = start, 0, 0
    while end - position >= _HEADER and buf[position] == _DATA_ROW:
        length = _LENGTH.unpack_from(buf, position + 1)[0]
        if length < 6:
            raise MaskingError("a row is too short for its column count")
        if length > end - position - 1:
            break
        stop = position + 1 + length
        found = _count_row(buf, position + _HEADER, stop, weights)
        if 0 <= limit < cells + found:
            break
        cells += found
        position = stop
        rows += 1
    return position, rows, cells


def _count_row(buf: Buffer, start: int, stop: int, weights: bytes) -> int:
    if _COUNT.unpack_from(buf, start)[0] != len(weights):
        raise MaskingError("a row has another number of columns than its description")
    position, cells = start + 2, 0
    for weight in weights:
        if stop - position < 4:
            raise MaskingError("a row is shorter than its columns")
        size = _LENGTH.unpack_from(buf, position)[0]
        position += 4 + max(size, 0)
        if size < -1 or position > stop:
            raise MaskingError("a row is shorter than its columns")
        if weight and size >= 0:
            cells += 1 + (size // COMPUTED_BYTES if weight == Weight.COMPUTED else 0)
    if position != stop:
        raise MaskingError("a row is longer than its columns")
    return cells


def split_backend(buf: Buffer, start: int, end: int, limit: int = _MAX_LENGTH) -> list[Entry]:
    """Cut what a server sent into complete messages: (type, start, stop, count) each.

    Consecutive DataRow and consecutive CopyData messages are one entry with their number as ``count``; every other
    message is an entry of its own with count 1. An incomplete message at the end is left out: what is not in the list
    begins at the last entry's stop.

    Raises ``RemoteProtocolError`` at a length that no message can have and ``MessageTooLarge`` where a message states a
    length (type byte not counted) above ``limit``, complete or not.
    """
    return _split(buf, start, end, limit, _BACKEND_RUNS)


def split_frontend(buf: Buffer, start: int, end: int, limit: int = _MAX_LENGTH) -> list[Entry]:
    """Cut what a client sent after its startup packet, as ``split_backend`` does; only CopyData is put together."""
    return _split(buf, start, end, limit, _FRONTEND_RUNS)


def _check(buf: Buffer, start: int, end: int) -> None:
    if not 0 <= start <= end <= len(buf):
        raise ValueError("range outside the buffer")


def _split(buf: Buffer, start: int, end: int, limit: int, runs: bytes) -> list[Entry]:
    _check(buf, start, end)
    entries: list[Entry] = []
    position, kind, first, count = start, -1, start, 0
    while end - position >= _HEADER:
        length = _LENGTH.unpack_from(buf, position + 1)[0]
        if length < 4:
            raise RemoteProtocolError("a message states a length that is too short")
        if length > limit:
            raise MessageTooLarge("a message states a length above the limit")
        if length > end - position - 1:
            break
        if buf[position] == kind and kind in runs:
            count += 1
        else:
            if count:
                entries.append((kind, first, position, count))
            kind, first, count = buf[position], position, 1
        position += 1 + length
    if count:
        entries.append((kind, first, position, count))
    return entries


def _mask_row(buf: Buffer, start: int, stop: int, row_mask: RowMask, output: bytearray, masked: list[int]) -> None:
    """Append one masked row; ``start`` is where its body begins. Counts each column's masked cells."""
    if _COUNT.unpack_from(buf, start)[0] != row_mask.column_count:
        raise MaskingError("a row has another number of columns than its description")
    begin = len(output)
    output += buf[start - _HEADER : start + 2]
    position = start + 2
    for index, masker in enumerate(row_mask.maskers):
        if stop - position < 4:
            raise MaskingError("a row is shorter than its columns")
        size = _LENGTH.unpack_from(buf, position)[0]
        following = position + 4 + max(size, 0)
        if size < -1 or following > stop:
            raise MaskingError("a row is shorter than its columns")
        if masker is None or size == -1:
            output += buf[position:following]
        else:
            value = mask_cell(bytes(buf[position + 4 : following]), masker)
            output += _NULL if value is None else _LENGTH.pack(len(value)) + value
            masked[index] += 1
        position = following
    if position != stop:
        raise MaskingError("a row is longer than its columns")
    length = len(output) - begin - 1
    if length > _MAX_LENGTH:
        raise MaskingError("a masked row is too long for a message")
    _LENGTH.pack_into(output, begin + 1, length)

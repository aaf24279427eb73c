"""The row kernels in plain Python: the specification of ``_rows.pyx`` and its fallback.

Positions are byte offsets into ``buf``; a range outside the buffer raises ``ValueError``, which is the caller's bug.
``eof_limit`` is the payload length below which a payload that begins with 0xFE is the end of the rows: 9, or with
DEPRECATE_EOF 0xFFFFFF. A payload that begins with 0xFF is an error, and neither is a row.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import MaskingError
from gateway.masking.cells import CellMask, Computed, Constant, Partial, mask_cell

COMPILED = False

Buffer = bytes | bytearray | memoryview

_HEADER = 4
_FULL = 0xFFFFFF
_EOF, _ERR, _NULL = 0xFE, 0xFF, 0xFB
_MAX_COLUMNS = 0xFFFF
LENGTH_ENCODED, LENGTH_BYTE = 0, -1
"""Widths of binary columns that are not fixed: a length-encoded string, and a length in one byte (dates and times)."""


class RowMask:
    """How the rows of one result are masked: for each column a cell mask, or None to pass it.

    ``widths`` None: rows in text. Otherwise binary rows: for each column its size, ``LENGTH_ENCODED`` or
    ``LENGTH_BYTE``. The bytes that cell masks give are without a length before them. ``labels`` are those that called
    for each column's mask, for whoever counts.
    """

    __slots__ = ("column_count", "labels", "maskers", "widths")

    def __init__(
        self,
        maskers: Sequence[CellMask | None],
        widths: Sequence[int] | None = None,
        labels: Sequence[tuple[str, ...]] | None = None,
    ) -> None:
        if len(maskers) > _MAX_COLUMNS or (widths is not None and len(widths) != len(maskers)):
            raise ValueError("a row mask needs one entry for each column, at most 65535")
        for index, masker in enumerate(maskers):
            if masker is not None and not isinstance(masker, (Constant, Partial, Computed)):
                raise TypeError("not a cell mask")
            width = LENGTH_ENCODED if widths is None else widths[index]
            if isinstance(masker, Partial) and width != LENGTH_ENCODED:
                raise ValueError("a partial mask needs a column of text")
            if isinstance(masker, Constant) and masker.value is not None:
                _fits(masker.value, width)
        self.column_count = len(maskers)
        self.maskers = tuple(maskers)
        self.labels = ((),) * len(maskers) if labels is None else tuple(labels)
        if len(self.labels) != len(maskers):
            raise ValueError("a row mask needs one entry for each column, at most 65535")
        self.widths = None if widths is None else tuple(widths)


def scan_rows(buf: Buffer, start: int, end: int, eof_limit: int, max_rows: int = -1) -> tuple[int, int]:
    """Skip complete rows from ``start`` on, at most ``max_rows`` if that is not negative.

    Returns the position after the last one and their number. Stops before the end of the rows, an error, an empty
    payload and an incomplete row. Does not look into the rows.
    """
    _check(buf, start, end)
    position, rows = start, 0
    while rows != max_rows and end - position > _HEADER:
        size = _size(buf, position)
        if not size or not _is_row(buf[position + _HEADER], size, eof_limit):
            break
        stop = position
        while size == _FULL and end - stop >= _HEADER + size + _HEADER:
            stop += _HEADER + size
            size = _size(buf, stop)
        if size == _FULL or end - stop < _HEADER + size:
            break
        position = stop + _HEADER + size
        rows += 1
    return position, rows


def mask_rows(
    buf: Buffer, start: int, end: int, row_mask: RowMask, eof_limit: int, sequence: int, max_rows: int = -1
) -> tuple[int, int, tuple[int, ...], bytes]:
    """Mask complete rows of one packet each from ``start`` on, at most ``max_rows`` if that is not negative.

    Returns the position after the last one, the number of rows, for each column the number of its masked cells (NULL
    cells are left as they are and not counted; empty where there are none at all) and the new packets, numbered from
    ``sequence`` on. Stops where ``scan_rows`` does, and before a row that takes more than one packet, or would when
    masked.

    Raises ``MaskingError`` at a row that does not fit the mask, and lets through what a ``Computed`` mask raises;
    nothing of the call's rows may be sent then.
    """
    _check(buf, start, end)
    output = bytearray()
    position, rows, masked = start, 0, [0] * row_mask.column_count
    while rows != max_rows and end - position > _HEADER:
        size = _size(buf, position)
        if not size or not _is_row(buf[position + _HEADER], size, eof_limit) or size == _FULL:
            break
        stop = position + _HEADER + size
        if stop > end:
            break
        payload, cells = mask_payload(bytes(buf[position + _HEADER : stop]), row_mask)
        if len(payload) >= _FULL:
            break
        output += len(payload).to_bytes(3, "little")
        output.append((sequence + rows) & 0xFF)
        output += payload
        masked = [before + more for before, more in zip(masked, cells, strict=True)] if cells else masked
        position = stop
        rows += 1
    return position, rows, _counted(masked), bytes(output)


def mask_payload(row: bytes, row_mask: RowMask) -> tuple[bytes, tuple[int, ...]]:
    """Mask one row without its packet headers; returns it with the number of masked cells of each column."""
    return _mask_text(row, row_mask) if row_mask.widths is None else _mask_binary(row, row_mask, row_mask.widths)


def _mask_text(row: bytes, row_mask: RowMask) -> tuple[bytes, tuple[int, ...]]:
    output = bytearray()
    position, masked = 0, [0] * row_mask.column_count
    for index, masker in enumerate(row_mask.maskers):
        if position < len(row) and row[position] == _NULL:
            output.append(_NULL)
            position += 1
            continue
        begin, stop = _string(row, position)
        if masker is None:
            output += row[position:stop]
        else:
            value = mask_cell(row[begin:stop], masker)
            output += b"\xfb" if value is None else _length(len(value)) + value
            masked[index] = 1
        position = stop
    if position != len(row):
        raise MaskingError("a row is longer than its columns")
    return bytes(output), _counted(masked)


def _mask_binary(row: bytes, row_mask: RowMask, widths: Sequence[int]) -> tuple[bytes, tuple[int, ...]]:
    count = row_mask.column_count
    position = 1 + (count + 9) // 8
    if len(row) < position or row[0]:
        raise MaskingError("a row is shorter than its columns")
    output = bytearray(row[:position])
    masked = [0] * count
    for index, masker in enumerate(row_mask.maskers):
        bit = index + 2
        if row[1 + bit // 8] >> bit % 8 & 1:
            continue
        width = widths[index]
        if width > 0:
            begin, stop = position, position + width
        elif width == LENGTH_BYTE:
            begin = position + 1
            stop = begin + row[position] if position < len(row) else len(row) + 1
        else:
            begin, stop = _string(row, position)
        if stop > len(row):
            raise MaskingError("a row is shorter than its columns")
        if masker is None:
            output += row[position:stop]
        else:
            value = mask_cell(row[begin:stop], masker)
            masked[index] = 1
            if value is None:
                output[1 + bit // 8] |= 1 << bit % 8
            else:
                _fits(value, width)
                if width == LENGTH_BYTE:
                    output.append(len(value))
                elif width == LENGTH_ENCODED:
                    output += _length(len(value))
                output += value
        position = stop
    if position != len(row):
        raise MaskingError("a row is longer than its columns")
    return bytes(output), _counted(masked)


def _counted(masked: list[int]) -> tuple[int, ...]:
    return tuple(masked) if any(masked) else ()


def _check(buf: Buffer, start: int, end: int) -> None:
    if not 0 <= start <= end <= len(buf):
        raise ValueError("range outside the buffer")


def _size(buf: Buffer, position: int) -> int:
    return buf[position] | buf[position + 1] << 8 | buf[position + 2] << 16


def _is_row(first: int, size: int, eof_limit: int) -> bool:
    return not (first == _ERR or (first == _EOF and size < eof_limit))


def _string(row: bytes, position: int) -> tuple[int, int]:
    """Where a length-encoded string begins and ends."""
    left = len(row) - position
    if left < 1:
        raise MaskingError("a row is shorter than its columns")
    first = row[position]
    if first < _NULL:
        begin, size = position + 1, first
    elif 0xFC <= first <= 0xFE:
        width = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
        if left < 1 + width:
            raise MaskingError("a row is shorter than its columns")
        begin = position + 1 + width
        size = int.from_bytes(row[position + 1 : begin], "little")
    else:
        raise MaskingError("a row holds what is no length")
    if size > len(row) - begin:
        raise MaskingError("a row is shorter than its columns")
    return begin, begin + size


def _length(size: int) -> bytes:
    if size < _NULL:
        return bytes((size,))
    if size < 1 << 16:
        return b"\xfc" + size.to_bytes(2, "little")
    if size < 1 << 24:
        return b"\xfd" + size.to_bytes(3, "little")
    return b"\xfe" + size.to_bytes(8, "little")


def _fits(value: bytes, width: int) -> None:
    if (width > 0 and len(value) != width) or (width == LENGTH_BYTE and len(value) > 0xFA):
        raise MaskingError("a masked value does not fit its column")

"""How many rows of a burst may pass: a policy's row limit, budgets of rows, budgets of labelled cells."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.budget import COMPUTED_BYTES, Weight
from gateway.errors import GatewayError, LimitExceeded, MaskingError
from gateway_mysql.pending import Pending
from gateway_mysql.rows import LENGTH_BYTE, scan_rows
from gateway_mysql.wire.codec import Reader
from gateway_mysql.wire.packets import FULL, HEADER


def admit_rows(
    pending: Pending, data: bytes, start: int, stop: int, count: int, *, eof_limit: int
) -> tuple[int, int, GatewayError | None]:
    """Where the rows that may pass end, their number, and why the rest may not. Counts those that may."""
    error: GatewayError | None = None
    limit = pending.row_limit
    if limit is not None and count > (left := max(limit - pending.passed, 0)):
        stop, count = scan_rows(data, start, stop, eof_limit, left)
        error = LimitExceeded("the policy's row limit was reached")
    allowance = pending.allowance
    if allowance is not None and (rows := allowance.rows_left()) is not None and count > rows:
        stop, count = scan_rows(data, start, stop, eof_limit, max(rows, 0))
        error = allowance.exhausted()
    if pending.meters:
        columns = _columns(pending)
        weights = [count_cells(payload, columns, pending.widths) for payload in _payloads(data, start, stop)]
        for index, meter in enumerate(pending.meters):
            left, used = meter.left(), 0
            for number, cells in enumerate(weights[:count]):
                used += cells[index]
                if used > left:
                    stop, count = scan_rows(data, start, stop, eof_limit, number)
                    error = meter.exhausted()
                    break
        for index, meter in enumerate(pending.meters):
            if spent := sum(row[index] for row in weights[:count]):
                meter.spend(spent)
    pending.passed += count
    if allowance is not None and count:
        allowance.spend_rows(count)
    return stop, count, error


def _columns(pending: Pending) -> Sequence[bytes]:
    """The weights of the columns, for each meter."""
    return [meter.columns for meter in pending.meters]


def count_cells(row: bytes, columns: Sequence[bytes], widths: Sequence[int] | None) -> list[int]:
    """How many cells a row counts for each of several meters; ``widths`` None is a row in text."""
    sizes = _text_sizes(row, len(columns[0])) if widths is None else _binary_sizes(row, widths)
    return [sum(_weight(weight, size) for weight, size in zip(weights, sizes, strict=True)) for weights in columns]


def _weight(weight: int, size: int | None) -> int:
    if size is None or weight == Weight.NONE:
        return 0
    return 1 if weight == Weight.CELL else 1 + size // COMPUTED_BYTES


def _text_sizes(row: bytes, count: int) -> list[int | None]:
    reader = Reader(row, "row")
    return [None if (cell := reader.cell()) is None else len(cell) for _ in range(count)]


def _binary_sizes(row: bytes, widths: Sequence[int]) -> list[int | None]:
    reader = Reader(row, "row", 1)
    nulls = reader.take((len(widths) + 9) // 8)
    sizes: list[int | None] = []
    for index, width in enumerate(widths):
        bit = index + 2
        if nulls[bit // 8] >> bit % 8 & 1:
            sizes.append(None)
            continue
        size = width if width > 0 else reader.integer(1) if width == LENGTH_BYTE else reader.length()
        reader.take(size)
        sizes.append(size)
    return sizes


def _payloads(data: bytes, start: int, stop: int) -> list[bytes]:
    """The payloads of whole rows."""
    rows, pieces = [], []
    while start < stop:
        size = data[start] | data[start + 1] << 8 | data[start + 2] << 16
        pieces.append(data[start + HEADER : start + HEADER + size])
        start += HEADER + size
        if size < FULL:
            rows.append(b"".join(pieces))
            pieces = []
    if pieces:
        raise MaskingError("a row is not whole")
    return rows

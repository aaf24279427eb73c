"""How many rows of a burst may pass: a policy's row limit, budgets of rows, budgets of labelled cells."""

from __future__ import annotations

from struct import Struct

from gateway.errors import GatewayError, LimitExceeded
from gateway_postgres.pipeline import Pending, Portal
from gateway_postgres.rows import count_cells, scan_rows

_LENGTH = Struct("!I")


def admit_rows(
    pending: Pending, data: bytes, start: int, stop: int, count: int
) -> tuple[int, int, GatewayError | None]:
    """Where the DataRows that may pass end, their number, and why the rest may not. Counts those that may."""
    error: GatewayError | None = None
    limit = pending.row_limit
    # A portal's rows are counted over all its Executes, which may have been sent at once.
    counter: Pending | Portal = pending if pending.portal is None else pending.portal
    if limit is not None and count > (left := limit - counter.passed):
        stop, count = scan_rows(data, start, stop, left)
        error = LimitExceeded("the policy's row limit was reached")
    allowance = pending.allowance
    if allowance is not None and (rows := allowance.rows_left()) is not None and count > rows:
        stop, count = scan_rows(data, start, stop, rows)
        error = allowance.exhausted()
    meters = pending.meters
    spent: list[int] = []
    for meter in meters:
        end, rows, cells = count_cells(data, start, stop, meter.columns, meter.left())
        if rows < count:
            stop, count, error = end, rows, meter.exhausted()
            spent.clear()
        spent.append(cells)
    if len(spent) != len(meters):
        # A later meter cut off what an earlier one had counted.
        spent = [count_cells(data, start, stop, meter.columns, -1)[2] for meter in meters]
    for meter, cells in zip(meters, spent, strict=True):
        if cells:
            meter.spend(cells)
    counter.passed += count
    if allowance is not None and count:
        allowance.spend_rows(count)
    return stop, count, error


def admit_copy(pending: Pending, data: bytes, start: int, stop: int, count: int) -> tuple[int, GatewayError | None]:
    """As ``admit_rows`` for the rows of a COPY, of which the server sends one in each message."""
    error: GatewayError | None = None
    left = count
    if pending.row_limit is not None and (rest := pending.row_limit - pending.passed) < left:
        left, error = rest, LimitExceeded("the policy's row limit was reached")
    allowance = pending.allowance
    if allowance is not None and (rows := allowance.rows_left()) is not None and rows < left:
        left, error = rows, allowance.exhausted()
    if error is not None:
        stop = start
        for _ in range(left):
            stop += 1 + _LENGTH.unpack_from(data, stop + 1)[0]
    pending.passed += left
    if allowance is not None and left:
        allowance.spend_rows(left)
    return stop, error

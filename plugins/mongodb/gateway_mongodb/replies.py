"""What a reply of the database changes, and what of it the client gets to see."""

from __future__ import annotations

from typing import Final

from bson.errors import InvalidBSON

from gateway.domain.audit import Outcome, StatementRecord
from gateway.domain.ruling import Ruling
from gateway.errors import LimitExceeded, RemoteProtocolError
from gateway_mongodb import documents
from gateway_mongodb.core import Core
from gateway_mongodb.cursors import Cursor
from gateway_mongodb.errors import CURSOR_NOT_FOUND
from gateway_mongodb.failover import as_unreachable, primary_is_lost
from gateway_mongodb.limits import cut_batch
from gateway_mongodb.local import TELLS_TOPOLOGY, without_topology
from gateway_mongodb.requests import Request
from gateway_mongodb.wire.codec import decode, encode, without
from gateway_mongodb.wire.scan import ReplyScan, scan_reply

_TIME_LIMIT_CODE: Final = 50


def note(core: Core, request: Request, ruling: Ruling, scan: ReplyScan, body: bytes) -> None:
    """What the reply changes in what the gateway remembers."""
    cursors = core.shared.cursors
    if primary_is_lost(scan, body):
        core.deployment.moved(core.generation)
    if request.cursor is not None:
        number = request.scan.value
        if isinstance(number, int) and (scan.cursor_id == 0 or scan.code == CURSOR_NOT_FOUND.number):
            cursors.drop(core.resource, number)
    elif scan.cursor_id:
        limit = ruling.decision.obligations.row_limit
        cursor = Cursor(
            owner=core.owner,
            ruling=ruling,
            body=request.msg.body,
            database=request.scan.database,
            text=request.described(),
            mask=request.mask,
            rows_left=limit,
        )
        cursors.add(core.resource, scan.cursor_id, cursor)
    if request.name == "startSession" and scan.ok:
        found = decode(body).get("id")
        if isinstance(found, dict) and isinstance(found.get("id"), bytes):
            core.shared.logical_sessions.claim(core.resource, bytes(found["id"]), core.owner)


def shown(core: Core, request: Request, ruling: Ruling, record: StatementRecord, scan: ReplyScan, body: bytes) -> bytes:
    """What the client gets to see of a reply; the very same object where nothing has to change."""
    body = told(ruling, scan, body)
    mask, limit = request.mask, ruling.decision.obligations.row_limit
    tally = None if mask is None else mask.tally
    if scan.ok and (limit is not None or ruling.allowance is not None or tally is not None):
        body = _limited(core, request, record, ruling, body)
    if mask is not None:
        # Whatever else went wrong (a write concern, say), there may be documents in the reply.
        body, cells, rows = mask.mask_batch(body)
        record.count_masked(mask.labels(), cells)
        record.rows = rows or record.rows
    if request.name in TELLS_TOPOLOGY and scan.ok:
        body = encode(without_topology(request.name, decode(body)))
    return body


def told(ruling: Ruling, scan: ReplyScan, body: bytes) -> bytes:
    """A reply without what is for the gateway alone; the very same object where nothing has to change."""
    if scan.topology_version:
        body = without(body, frozenset({b"topologyVersion"}))
    if primary_is_lost(scan, body):
        body = as_unreachable(body)
    if ruling.redact_messages and (not scan.ok or scan.has_write_errors):
        body = _redacted(body)
    return body


def outcome(ruling: Ruling, scan: ReplyScan, body: bytes) -> tuple[Outcome, str]:
    """How the command ended, and the code of its error."""
    if not scan.ok:
        limited = scan.code == _TIME_LIMIT_CODE and ruling.decision.obligations.timeout is not None
        return (Outcome.LIMITED if limited else Outcome.FAILURE), str(scan.code)
    if scan.has_write_errors:
        reply = decode(body)
        errors = reply.get("writeErrors") or [reply.get("writeConcernError")]
        first = errors[0] if isinstance(errors, list) and errors else None
        return Outcome.FAILURE, str(first.get("code", "")) if isinstance(first, dict) else ""
    return Outcome.SUCCESS, ""


def _limited(core: Core, request: Request, record: StatementRecord, ruling: Ruling, body: bytes) -> bytes:
    """A batch cut to what limits and budgets allow; the next one is then the error.

    Raises ``LimitExceeded`` where that cannot be: nothing may leave, or the client would ask for no further batch.
    """
    allowance, tally = ruling.allowance, None if request.mask is None else request.mask.tally
    limit = ruling.decision.obligations.row_limit
    scan = scan_reply(body)
    cursor = request.cursor
    number = scan.cursor_id or 0
    if cursor is None and number:
        cursor = core.shared.cursors.find(core.resource, number, core.owner)
    left = limit if cursor is None or cursor.rows_left is None else cursor.rows_left
    budget = None if allowance is None else allowance.rows_left()
    fits = min(bound for bound in (left, budget, scan.rows) if bound is not None)
    admitted = None if tally is None else tally.admit(body, scan, fits)
    over: LimitExceeded | None = None
    if admitted is not None and admitted.results < fits:
        fits, over = admitted.results, admitted.over
    elif fits < scan.rows and allowance is not None and budget == fits:
        over = allowance.exhausted()
    elif fits < scan.rows:
        over = LimitExceeded("the row limit of a policy was reached")
    # Further replies of an exhaust cursor come by themselves: there is no next batch to be the error.
    streamed = request.msg.exhaust_allowed and not fits
    if over is not None and (scan.batch is None or streamed or (not number and (not fits or _is_last(request)))):
        raise over
    if allowance is not None:
        allowance.spend_rows(fits)
    if admitted is not None:
        admitted.spend()
    if cursor is not None and left is not None:
        cursor.rows_left = left - fits
    if over is None:
        return body
    if cursor is None:
        # The database has sent all; the client must learn that it has not got all.
        cursor = Cursor(
            owner=core.owner,
            ruling=ruling,
            body=request.msg.body,
            database=request.scan.database,
            text=record.text,
            mask=request.mask,
        )
    if not number:
        number = request.scan.value if request.cursor is not None and isinstance(request.scan.value, int) else 0
        number = number or int.from_bytes(core.settings.random(7), "big") + 1
        core.shared.cursors.add(core.resource, number, cursor)
    cursor.over = over
    record.rows = fits
    return cut_batch(body, scan, fits, number)


def _is_last(request: Request) -> bool:
    """Whether the client wants one batch and no more."""
    return request.name == "find" and bool(request.command().get("singleBatch"))


def _redacted(body: bytes) -> bytes:
    try:
        return documents.redact_reply(body)
    except InvalidBSON as error:
        raise RemoteProtocolError("an error's document cannot be decoded") from error

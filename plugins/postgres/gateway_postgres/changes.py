"""Keeping statements to a policy's number of changed rows: counted before the commit, undone where there are too many.

The server reports the number in CommandComplete. In the extended protocol an implicit transaction ends only at Sync
(PostgreSQL documentation 55.2.3), so that Sync waits until the number is known. A simple Query outside a transaction
commits by itself, so it is put between BEGIN and COMMIT or ROLLBACK of the gateway's own, which the client never sees.
In the client's own transaction a message that fails makes the transaction fail, as any error would.
"""

from __future__ import annotations

from typing import Final

from gateway.domain.audit import Outcome
from gateway.errors import GatewayError, TooManyChanges
from gateway.protocol.effects import SendUpstream
from gateway_postgres.core import Core
from gateway_postgres.errors import error_response, sqlstate
from gateway_postgres.pipeline import Kind, Pending, Role
from gateway_postgres.wire.codec import frame

_QUERY, _EXECUTE = b"QE"
_IN_TRANSACTION: Final = ord("T")
_IDLE: Final = ord("I")
_BEGIN: Final = frame(_QUERY, b"BEGIN\0")
_COMMIT: Final = frame(_QUERY, b"COMMIT\0")
_ROLLBACK: Final = frame(_QUERY, b"ROLLBACK\0")
_FAIL: Final = frame(_QUERY, b"querygate undoes this statement\0")
_CHANGING: Final = (b"INSERT", b"UPDATE", b"DELETE", b"MERGE", b"COPY")


def over(pending: Pending, tag: bytes) -> GatewayError | None:
    """The error for a CommandComplete that reports too many changes; ``tag`` is its text."""
    limit = pending.changes
    word, _, count = tag.partition(b" ")
    if limit is None or word not in _CHANGING:
        return None
    changed = count.rpartition(b" ")[2]
    if not changed.isdigit():
        return TooManyChanges("the database did not report how many rows were changed")
    if len(changed) <= 20 and int(changed) <= limit:
        return None
    return TooManyChanges(f"more than {limit} rows were changed")


def needs_transaction(core: Core) -> bool:
    """Whether a simple Query would commit by itself."""
    return core.tracker.transaction == _IDLE and not core.wrapped


def begin(core: Core) -> None:
    """Open a transaction around the statement that waits for it."""
    pending = Pending(Kind.QUERY, drop=True)
    pending.role = Role.BEGIN
    core.effects.append(SendUpstream(_BEGIN))
    core.pipeline.expect(pending)
    core.pipeline.awaiting = pending


def begun(core: Core, status: int) -> None:
    """BEGIN was answered. Where it failed, the statement that waits finds no transaction and begins another one."""
    core.wrapped = status == _IN_TRANSACTION


def conclude(core: Core, pending: Pending, status: int) -> bool:
    """A simple Query is done, and ReadyForQuery came: end the transaction, or make the client's own fail.

    True if the client is to wait for that instead of getting this ReadyForQuery.
    """
    wrapped, core.wrapped = core.wrapped, False
    if wrapped and status != _IDLE:
        end = Pending(Kind.QUERY, drop=True, ruling=pending.ruling, record=pending.record)
        end.role = Role.END
        end.changes = None
        end.held, end.limited, end.code = pending.held, pending.limited, pending.code
        good = status == _IN_TRANSACTION and pending.limited is None and not pending.code
        core.effects.append(SendUpstream(_COMMIT if good else _ROLLBACK))
        core.pipeline.expect(end)
        return True
    if isinstance(pending.limited, TooManyChanges) and status == _IN_TRANSACTION:
        core.effects.append(SendUpstream(_FAIL))
        core.pipeline.expect(Pending(Kind.QUERY, refusal=_finish(core, pending, pending.limited)))
        return True
    return False


def undo_execute(core: Core, pending: Pending, error: GatewayError) -> None:
    """An Execute changed too much: make its transaction fail before the client's Sync gets to the server."""
    core.effects.append(SendUpstream(frame(_EXECUTE, core.private_name, b"\0\0\0\0\0")))
    core.pipeline.expect(Pending(Kind.EXECUTE, refusal=_finish(core, pending, error)))
    core.pipeline.skipping = True


def _finish(core: Core, pending: Pending, error: GatewayError) -> bytes:
    record, reference = pending.record, core.session_id
    if record is not None:
        reference = record.id
        core.finish(record, Outcome.LIMITED, sqlstate(error, fatal=False))
    return error_response(error, reference=reference, fatal=False)

"""Keeping statements to a policy's number of changed rows: counted before the commit, undone where there are too many.

The server reports the number in the OK packet that ends a change (rows that RETURNING shows are counted). A statement
outside a transaction commits by itself, so it is put between START TRANSACTION and COMMIT or ROLLBACK of the gateway's
own, which the client never sees. Inside one, a savepoint before it takes it back alone, as an error of the server's
does. A text that commits by itself, tables that cannot be rolled back and what is not known never run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, ObjectRef, StatementFacts
from gateway.errors import GatewayError, TooManyChanges
from gateway.guardrails.changes import REPORTED, limit_of
from gateway.protocol.adapter import CatalogView
from gateway.protocol.effects import SendUpstream, SetDeadline
from gateway.sql.catalog import VIEW_KINDS, Catalog, Relation
from gateway_mysql.core import Core
from gateway_mysql.errors import err_payload
from gateway_mysql.pending import Kind, Pending, Undo
from gateway_mysql.wire.messages import Ok, Status
from gateway_mysql.wire.packets import HEADER, packet

_BESIDE: Final = REPORTED | {Action.READ, Action.SHOW}
"""What a text may do that changes rows: nothing that commits (MySQL's manual: "Statements That Cause an Implicit
Commit"), locks tables, changes settings, or changes rows in a way that is not reported."""
_COMMIT: Final = b"COMMIT AND NO CHAIN NO RELEASE"
_ROLLBACK: Final = b"ROLLBACK AND NO CHAIN NO RELEASE"
"""Said in full, since completion_type may give the short forms another meaning."""


def unfit(ruling: Ruling, catalog: Callable[[], CatalogView | None]) -> GatewayError | None:
    """Why the changes of a text could not be taken back; None where they can, or where nobody needs that."""
    if limit_of(ruling) is None:
        return None
    if not ruling.analysis.actions <= _BESIDE:
        return TooManyChanges("changes are limited, and beside one stands something that may commit it")
    known = catalog()
    if not isinstance(known, Catalog):
        return TooManyChanges("changes are limited, and which tables can be rolled back is not known")
    for facts in ruling.analysis.statements:
        if facts.actions.isdisjoint(REPORTED):
            continue
        if not facts.objects_written:
            return TooManyChanges("changes are limited, and what is changed is not known")
        for target in facts.objects_written:
            if not _can_roll_back(known, target):
                return TooManyChanges(f"changes are limited, and those of {target} cannot be rolled back")
    return None


def _can_roll_back(catalog: Catalog, target: ObjectRef) -> bool:
    relation = catalog.relation(catalog.fold(target.schema), catalog.fold(target.name))
    if relation is None:
        return False
    if relation.kind not in VIEW_KINDS:
        return relation.transactional
    values = [column.value for column in catalog.row(relation)]
    if not relation.transactional or not all(value.proven for value in values):
        return False
    tables = {(source.schema, source.table) for value in values for source in value.sources}
    found: list[Relation | None] = [catalog.relation(*table) for table in tables]
    return bool(found) and all(table is not None and table.transactional for table in found)


# --- before the change ------------------------------------------------------------------------------------------------


def prepare(core: Core) -> GatewayError | None:
    """Have the server get ready to take back the statement that comes next; an error where that cannot be."""
    tracker = core.tracker
    pending = Pending(Kind.BEFORE)
    if tracker.in_transaction or not tracker.autocommit or not tracker.certain:
        pending.undo = Undo.SAVEPOINT
        text = b"SAVEPOINT " + core.savepoint
    elif tracker.locked:
        return TooManyChanges("changes are limited, and to count them first would unlock the session's tables")
    else:
        pending.undo = Undo.TRANSACTION
        text = b"START TRANSACTION"
    core.pending = None
    core.send(core.command(text), pending)
    core.count_hidden = True
    return None


def prepared(core: Core, pending: Pending, status: int) -> bool:
    """The server is ready. False where it turned out that there is no transaction for the savepoint to be in."""
    core.tracker.status(status)
    inside = core.tracker.in_transaction
    if pending.undo is Undo.SAVEPOINT and not inside and core.tracker.autocommit:
        core.undo_refused = prepare(core)
        return core.undo_refused is not None
    if pending.undo is Undo.TRANSACTION and not inside:
        core.undo_refused = TooManyChanges("changes are limited, and the database began no transaction")
    core.undo = pending.undo
    return True


# --- the answer -------------------------------------------------------------------------------------------------------


def facts_of(pending: Pending) -> StatementFacts | None:
    """The facts of the statement whose result is being answered; each has exactly one."""
    ruling = pending.ruling
    statements = () if ruling is None else ruling.analysis.statements
    return statements[pending.index] if pending.index < len(statements) else None


def over(core: Core, pending: Pending, changed: int | None, sequence: int) -> None:
    """Where a result reports too many changes (None: it does not say), the client hears no more of the answer.

    ``sequence`` is the number of the packet in whose place the error comes, when all is undone.
    """
    limit = pending.changes
    if limit is None or pending.muted or (changed is not None and changed <= limit):
        return
    text = "the number of changed rows is not reported" if changed is None else f"more than {limit} rows were changed"
    pending.outcome = error = TooManyChanges(text)
    pending.muted = True
    core.count = -1
    reference = core.session_id if pending.record is None else pending.record.id
    pending.held = packet(err_payload(error, reference=reference), sequence + pending.shift)


def uncounted(pending: Pending) -> bool:
    """Whether the rows that come next do not tell how many were changed: REPLACE deletes some that it does not show."""
    facts = facts_of(pending)
    if facts is None:
        return True
    return not facts.actions.isdisjoint(REPORTED) and facts.kind == "replace"


def returned(pending: Pending) -> int:
    """How many rows a result's end says were changed: those of RETURNING."""
    facts, record = facts_of(pending), pending.record
    if facts is None or record is None or facts.actions.isdisjoint(REPORTED):
        return 0
    return record.rows - pending.rows_before


def as_shown(data: bytes, status: int) -> bytes:
    """A packet whose status flags stand at ``status``, without the gateway's own transaction."""
    changed = bytearray(data)
    changed[status] &= 0xFF ^ int(Status.IN_TRANSACTION)
    return bytes(changed)


def ok_as_shown(data: bytes) -> bytes:
    """An OK packet without the gateway's own transaction."""
    ok = Ok.decode(data[HEADER:])
    return as_shown(data, len(data) - len(ok.rest) - 4)


# --- behind the change ------------------------------------------------------------------------------------------------


def conclude(core: Core, pending: Pending, answer: bytes) -> bool:
    """All of an answer is there: undo it, or make it last. True if the client is to wait for that.

    ``answer`` is the packet that ends it for the client (empty: it was told already, or is told ``pending.held``).
    """
    excess = isinstance(pending.outcome, TooManyChanges)
    if pending.undo is Undo.SAVEPOINT:
        # What failed was taken back by the server itself, and the savepoint is replaced by the next one.
        if pending.outcome is None or (pending.code and not excess):
            return False
        text = b"ROLLBACK TO SAVEPOINT " + core.savepoint
    elif pending.undo is Undo.TRANSACTION:
        # After an error earlier statements of the text last, as they would have without the gateway.
        text = _COMMIT if pending.outcome is None else _ROLLBACK
    else:
        return False
    end = Pending(Kind.AFTER, ruling=pending.ruling, record=pending.record)
    end.outcome, end.code, end.undo = pending.outcome, pending.code, pending.undo
    end.held = answer or pending.held
    end.commits = text is _COMMIT
    if core.deadline_set:
        core.deadline_set = False
        core.effects.append(SetDeadline(None))
    core.pending = end
    core.count_hidden = True
    if core.ask_cancel is None:
        core.effects.append(SendUpstream(core.command(text)))
    else:
        # The cancel request is for the statement, and must not hit this.
        core.behind_cancel = core.command(text)
    return True


def again(core: Core, failed: Pending, answer: bytes, code: str) -> None:
    """COMMIT failed, which the client gets told when it is sure that no transaction is left open."""
    end = Pending(Kind.AFTER, ruling=failed.ruling, record=failed.record)
    end.code, end.held, end.undo = code, answer, failed.undo
    core.pending = end
    core.count = -1
    core.effects.append(SendUpstream(core.command(_ROLLBACK)))

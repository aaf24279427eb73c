"""What the client has sent and the database has not answered yet.

A PostgreSQL session may be pipelined: many messages are under way at once. Each message that will be answered has one
``Pending`` in the queue, in the order of sending; the answer is forwarded, dropped (the gateway's own question) or
replaced (a refusal). Names of prepared statements and portals are known from the moment they are sent and are rolled
back if the database never accepted them (PostgreSQL documentation, 55.2.3 and 55.2.4).

What a name means, and whether a Sync counts, must never be guessed: an answer attributed to the wrong question would be
masked by the wrong plan. Where a guess would be needed (``unsettled``, ``awaiting``) the client's next message waits.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from gateway.domain.approval import ApprovalNote
from gateway.domain.audit import StatementRecord
from gateway.domain.budget import CellMeter
from gateway.domain.ruling import Ruling
from gateway.domain.statement import StatementFacts
from gateway.errors import GatewayError
from gateway_postgres.copied import CopiedRows
from gateway_postgres.rows import RowMask
from gateway_postgres.session import SessionState


class Kind:
    """What a pending answer answers. Plain numbers, which compiled code compares for nothing, unlike an enum."""

    PARSE: Final = 1
    BIND: Final = 2
    DESCRIBE_STATEMENT: Final = 3
    DESCRIBE_PORTAL: Final = 4
    EXECUTE: Final = 5
    CLOSE: Final = 6
    SYNC: Final = 7
    QUERY: Final = 8
    FUNCTION_CALL: Final = 9
    PROBE: Final = 10
    """The gateway's own question after the session's state: up to ReadyForQuery, nothing of it is for the client."""


_KIND_NAMES: Final = (
    "", "PARSE", "BIND", "DESCRIBE_STATEMENT", "DESCRIBE_PORTAL", "EXECUTE", "CLOSE", "SYNC", "QUERY", "FUNCTION_CALL",
    "PROBE",
)  # fmt: skip


class Role:
    """What a Query of the gateway's own does around one of the client's."""

    NONE: Final = 0
    BEGIN: Final = 1
    END: Final = 2


class Described:
    """A RowDescription (or NoData) as the server sent it, and the ruling for whose masking plan it was looked at."""

    __slots__ = ("body", "codec", "formats", "mask", "meters", "ready", "ruling")

    def __init__(self, body: bytes | None, ruling: Ruling) -> None:
        self.body = body
        """The message without type and length; None for NoData."""
        self.ruling = ruling
        self.ready = False
        """Whether the rest is known: the mask on rows in these formats and this encoding, and what counts cells."""
        self.formats: tuple[int, ...] | None = None
        self.codec: str | None = None
        self.mask: RowMask | None = None
        self.meters: tuple[CellMeter, ...] = ()


class Prepared:
    """A prepared statement."""

    __slots__ = ("_shown", "describe_sent", "described", "name", "ruling", "seen", "state", "text", "types", "wanted")

    def __init__(self, name: bytes, text: bytes, ruling: Ruling, state: SessionState, types: bytes = b"") -> None:
        self.name = name
        self.text = text
        self.ruling = ruling
        self.state = state
        self.described: Described | None = None
        """None: nobody has asked the server for its result yet."""
        self.seen: Described | None = None
        """What a portal of it was last described as: drivers ask again for each one."""
        self.describe_sent = False
        self.types = types
        """Number and OIDs of the parameters' types: as Parse said, or, once it was asked, the server."""
        self.wanted = types
        """The same as Parse said, whatever the server answers: the client's own word, for an approval of it."""
        self._shown: str | None = None

    @property
    def shown(self) -> str:
        """The text for the audit."""
        shown = self._shown
        if shown is None:
            shown = self._shown = self.text.decode("utf-8", "backslashreplace")
        return shown


class Portal:
    """A bound statement."""

    __slots__ = (
        "approval",
        "begun",
        "bound",
        "confirmed",
        "describe_sent",
        "described",
        "formats",
        "name",
        "parameters",
        "passed",
        "prepared",
        "refusal",
    )

    def __init__(self, name: bytes, prepared: Prepared, formats: tuple[int, ...] | None, parameters: int) -> None:
        self.name = name
        self.prepared = prepared
        self.formats = formats
        """The result format codes of Bind (empty: all text; one: for all); None where nobody read them."""
        self.parameters = parameters
        self.described: Described | None = None
        self.describe_sent = False
        self.confirmed = False
        self.begun = False
        """Whether an execution has been counted against budgets: fetching more of it is the same statement."""
        self.refusal: GatewayError | None = None
        """Why it must not be executed: what it is bound to."""
        self.passed = 0
        """Rows let through so far."""
        self.bound = b""
        """Formats and values of Bind as they came: the beginning, or all where an approval has to be bound to them."""
        self.approval: ApprovalNote | None = None
        """What lets it run; good for all the rows of it."""


class Undo:
    """How to take back a change to a table of names, if the database never made it."""

    __slots__ = ("name", "new", "old", "table")

    def __init__(self, table: Names, name: bytes, old: Prepared | Portal | None, new: Prepared | Portal | None) -> None:
        self.table = table
        self.name = name
        self.old = old
        self.new = new


class Names:
    """Prepared statements or portals by name. ``unsettled`` holds the last change of each name still to be answered."""

    __slots__ = ("entries", "unsettled")

    def __init__(self) -> None:
        self.entries: dict[bytes, Any] = {}
        self.unsettled: dict[bytes, Pending] = {}

    def assign(self, name: bytes, value: Prepared | Portal | None) -> None:
        """Set or, with None, forget."""
        if value is None:
            self.entries.pop(name, None)
        else:
            self.entries[name] = value


class Pending:
    """One expected answer. ``drop`` swallows it; ``refusal`` replaces the error that it must turn into."""

    __slots__ = (
        "allowance",
        "changes",
        "code",
        "copied",
        "copy_out",
        "counted",
        "drop",
        "generation",
        "held",
        "kind",
        "limited",
        "mask",
        "mask_known",
        "meters",
        "notice",
        "passed",
        "portal",
        "prepared",
        "record",
        "refusal",
        "role",
        "row_limit",
        "ruling",
        "statement",
        "timed_out",
        "undo",
    )

    def __init__(
        self,
        kind: int,
        *,
        ruling: Ruling | None = None,
        record: StatementRecord | None = None,
        drop: bool = False,
        refusal: bytes | None = None,
        prepared: Prepared | None = None,
        portal: Portal | None = None,
        undo: Undo | None = None,
    ) -> None:
        self.kind = kind
        self.ruling = ruling
        self.record = record
        self.drop = drop
        self.refusal = refusal
        self.prepared = prepared
        self.portal = portal
        self.undo = undo
        self.generation = 0
        """How many Syncs were sent before it, where it changes a name: such messages succeed or fail together."""
        self.mask: RowMask | None = None
        """How the rows of the result under way are masked."""
        self.mask_known = ruling is None or not ruling.masked
        """Whether ``mask`` has been worked out; until then no row may pass."""
        limiting = None if ruling is None or ruling.plain else ruling
        self.row_limit = None if limiting is None else limiting.decision.obligations.row_limit
        self.allowance = None if limiting is None else limiting.allowance
        self.meters: tuple[CellMeter, ...] = ()
        """What counts the cells of the result under way."""
        self.counted = self.row_limit is not None or self.allowance is not None
        """Whether rows are counted, so that each burst has to be looked at."""
        self.changes: int | None = None
        """How many rows it may change."""
        self.role = Role.NONE
        self.held = b""
        """CommandComplete, kept back until what it says is committed."""
        self.passed = 0 if portal is None else portal.passed
        """Rows let through so far, for the row limit; a portal's count goes on over several Executes."""
        self.limited: GatewayError | None = None
        """Why the rest of the answer is held back; replaces its end."""
        self.timed_out = False
        self.copy_out = False
        """Whether COPY data may come."""
        self.copied: CopiedRows | None = None
        """Makes of a query's rows those of the COPY that the client asked for."""
        self.notice = b""
        """Sent to the client before the answer."""
        self.code = ""
        """SQLSTATE of the error that ended it."""
        self.statement = 0
        """Which statement of a simple Query's text is being answered."""

    @property
    def kind_name(self) -> str:
        """What it answers, in words."""
        return _KIND_NAMES[self.kind]

    def copy_as(self, copied: CopiedRows) -> None:
        """The rows are to be spelt anew, so that each burst has to be looked at."""
        self.copied = copied
        self.counted = True

    def count_and_mask(self, mask: RowMask | None, meters: tuple[CellMeter, ...]) -> None:
        """How the rows of the result are masked, and what counts their cells, is known now."""
        self.mask = mask
        self.meters = meters
        self.counted = self.counted or bool(meters)
        self.mask_known = True

    @property
    def facts(self) -> StatementFacts | None:
        """The facts of the statement that is being answered."""
        statements = () if self.ruling is None else self.ruling.analysis.statements
        return statements[self.statement] if self.statement < len(statements) else None

    @property
    def last(self) -> bool:
        """Whether the last statement of the text is being answered."""
        return self.ruling is None or self.statement >= len(self.ruling.analysis.statements) - 1

    @property
    def plain(self) -> bool:
        """Whether rows may pass unseen."""
        return self.mask_known and self.mask is None and not self.counted and self.limited is None

    @property
    def simply_masked(self) -> bool:
        """Whether all that is done to rows is their mask."""
        return self.mask is not None and not self.counted and self.limited is None


class Pipeline:
    """The queue of pending answers and the names that live in the session."""

    __slots__ = (
        "awaiting",
        "copying",
        "ending",
        "generation",
        "mute",
        "portals",
        "queue",
        "skipping",
        "statements",
        "unsynced",
    )

    def __init__(self) -> None:
        self.queue: deque[Pending] = deque()
        self.statements = Names()
        self.portals = Names()
        self.generation = 0
        self.skipping = False
        """The server discards, or will discard, everything up to the next Sync that the client has not sent yet."""
        self.ending = False
        """The session ends when the queue is empty: what is not under way yet is not to run, Sync or not."""
        self.unsynced = False
        """Extended-protocol messages were sent since the last Sync: nothing may be injected."""
        self.mute = False
        """The client was told that the pipeline failed: answers up to the next ReadyForQuery are not for it."""
        self.awaiting: Pending | None = None
        """The client's next message waits for this answer, since what it means depends on it."""
        self.copying = False
        """The server is in COPY IN and the client has not ended it: the server ignores Sync and Flush."""

    def expect(self, pending: Pending) -> None:
        """Append an answer to wait for."""
        undo = pending.undo
        if undo is not None:
            pending.generation = self.generation
            undo.table.unsettled[undo.name] = pending
        self.queue.append(pending)

    def sync(self) -> None:
        """A Sync goes to the server."""
        self.queue.append(Pending(Kind.SYNC))
        self.generation += 1
        self.unsynced = False
        self.skipping = self.ending

    def end(self) -> None:
        """Take nothing more of the client, but what belongs to what is under way."""
        self.ending = self.skipping = True

    def unsettled(self, names: Names, name: bytes) -> bool:
        """Whether the meaning of a name depends on an answer that the present pipeline does not depend on.

        Within a pipeline nothing can go wrong: if the change fails, the server discards what refers to it. Where a Sync
        lies between them, the server would take what the name meant before. The client then waits for the answer.
        """
        change = names.unsettled.get(name)
        if change is None or change.generation == self.generation:
            return False
        self.awaiting = change
        return True

    def set_statement(self, name: bytes, new: Prepared | None) -> Undo:
        """Define or forget a prepared statement; the returned ``Undo`` belongs into the message's ``Pending``."""
        undo = Undo(self.statements, name, self.statements.entries.get(name), new)
        self.statements.assign(name, new)
        return undo

    def set_portal(self, name: bytes, new: Portal | None) -> Undo:
        """Define or forget a portal."""
        undo = Undo(self.portals, name, self.portals.entries.get(name), new)
        self.portals.assign(name, new)
        return undo

    def fail(self) -> list[Pending]:
        """The server reported an error in the extended protocol: everything before the next Sync is void.

        Returns the pending answers that will never come, the failed one first.
        """
        void: list[Pending] = []
        while self.queue and self.queue[0].kind != Kind.SYNC:
            void.append(self.pop())
        self.skipping = self.ending or not self.queue
        self.copying = False
        for pending in reversed(void):
            if pending.undo is not None:
                self._take_back(pending.undo)
        return void

    def _take_back(self, undo: Undo) -> None:
        if undo.table.entries.get(undo.name) is undo.new:
            undo.table.assign(undo.name, undo.old)
            return
        # A later message of another pipeline built on this change: it now builds on what was there before.
        for pending in self.queue:
            later = pending.undo
            if later is not None and later.table is undo.table and later.name == undo.name and later.old is undo.new:
                later.old = undo.old
                return

    def end_transaction(self) -> None:
        """Forget the portals that the end of the transaction destroyed (those not yet bound belong to the next)."""
        portals = self.portals.entries
        if portals:
            for name in [name for name, portal in portals.items() if portal.confirmed]:
                del portals[name]

    def forget_statements(self, name: bytes | None) -> None:
        """SQL's DEALLOCATE, PREPARE or DISCARD touched the names (None: all): those are no longer ours to know."""
        self._forget(self.statements, name)

    def forget_portals(self) -> None:
        """SQL's DECLARE or CLOSE may have given a portal's name to another query."""
        self._forget(self.portals, None)

    def _forget(self, names: Names, name: bytes | None) -> None:
        if name is None:
            names.entries.clear()
        else:
            names.entries.pop(name, None)
        if names.unsettled:
            # What fails from now on must not bring back what was forgotten.
            for pending in self.queue:
                undo = pending.undo
                if undo is not None and undo.table is names and name in (None, undo.name):
                    undo.new = undo.old = None

    def pop(self) -> Pending:
        """The answer at the front is complete, or will never come."""
        pending = self.queue.popleft()
        undo = pending.undo
        if undo is not None and undo.table.unsettled.get(undo.name) is pending:
            del undo.table.unsettled[undo.name]
        if pending is self.awaiting:
            self.awaiting = None
        return pending

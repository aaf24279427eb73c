"""The client's direction of an open session: what is a statement, what goes on, what is refused and how.

A refused statement is not simply dropped: the gateway sends the server a message of the same kind that is certain to
fail (a text that does not parse, a portal that does not exist) and replaces the server's error by its own. So all
that PostgreSQL does after an error (aborting the transaction, discarding the rest of the pipeline, the status in
ReadyForQuery) is done by PostgreSQL.
"""

from __future__ import annotations

from enum import Enum
from struct import Struct
from typing import Final

from gateway.domain.audit import StatementRecord
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, SessionEffect, opaque_analysis
from gateway.errors import GatewayError, MaskedValueWrittenBack, MaskingError, MessageTooLarge, RemoteProtocolError
from gateway.guardrails.changes import limit_of
from gateway.protocol.effects import AskApproval, AskCommit, Close, SendUpstream, WithdrawApproval
from gateway.protocol.held import Held
from gateway_postgres import changes
from gateway_postgres.copied import CopiedRows, spelling_of
from gateway_postgres.core import Core
from gateway_postgres.parameters import MAX_KEPT, bind_tail, holds_sentinel, short_at
from gateway_postgres.permits import Permits
from gateway_postgres.pipeline import Kind, Pending, Portal, Prepared
from gateway_postgres.rows import split_frontend
from gateway_postgres.wire.codec import frame

_LENGTH = Struct("!I")

# Message types. As literals they are constants where this is compiled; anything else would be looked up each time.
QUERY: Final = 0x51  # Q
PARSE: Final = 0x50  # P
BIND: Final = 0x42  # B
DESCRIBE: Final = 0x44  # D
EXECUTE: Final = 0x45  # E
CLOSE: Final = 0x43  # C
SYNC: Final = 0x53  # S
FLUSH: Final = 0x48  # H
TERMINATE: Final = 0x58  # X
FUNCTION_CALL: Final = 0x46  # F
COPY_DATA: Final = 0x64  # d
COPY_DONE: Final = 0x63  # c
COPY_FAIL: Final = 0x66  # f
STATEMENT: Final = 0x53  # S
PORTAL: Final = 0x50  # P

_FLUSH_MESSAGE: Final = frame(FLUSH)
_ABANDON: Final = frame(COPY_FAIL, b"client went away\0") + _FLUSH_MESSAGE
"""Ends a COPY IN, means nothing outside of it, and has the server say what it has done."""
_COPY_DONE_AND_TELL: Final = frame(COPY_DONE) + _FLUSH_MESSAGE
_MAY_COPY_IN: Final = frozenset({Action.COPY_IN, Action.REPLICATE, Action.UNKNOWN})
"""What the server may answer by asking for COPY data; it then reads the client's messages in another way."""
_SPECIAL: Final = _MAY_COPY_IN | {Action.CURSOR}
TERMINATE_MESSAGE: Final = frame(TERMINATE)


class _Verdict(Enum):
    BLOCK = 0
    """The message waits: process it again when the question is answered."""
    STOP = 1
    """The session is over."""


_DROP: Final = b""
_BLOCK: Final = _Verdict.BLOCK
_STOP: Final = _Verdict.STOP
Outcome = bytes | _Verdict | None
"""None forwards the message as it is; bytes replace it (empty: drop it)."""


class ClientStream:
    """Handles the client's messages. All limits are checked before memory is taken."""

    __slots__ = (
        "_core",
        "_discarding",
        "_max_message",
        "_max_statement",
        "_permits",
        "_stream",
        "held",
    )

    def __init__(self, core: Core) -> None:
        self._core = core
        self._max_message = core.settings.limits.max_message
        self._max_statement = core.settings.limits.max_statement
        self.held = Held()
        """Bytes that wait, for the rest of their message or for an answer."""
        self._stream = 0
        """Bytes still to come of a CopyData message whose beginning was forwarded (or dropped, if ``_discarding``)."""
        self._discarding = False
        self._permits = Permits(core)

    # --- bytes --------------------------------------------------------------------------------------------------

    @property
    def blocked(self) -> bool:
        """Whether the client's messages have to wait."""
        core = self._core
        return (
            core.ask_down is not None
            or core.waiting_for_drain
            or core.pipeline.awaiting is not None
            or core.ask_cancel is not None
        )

    @property
    def half_sent(self) -> bool:
        """Whether the client is in the middle of a message or of a COPY."""
        return bool(self.held.size or self._stream or self._core.pipeline.copying)

    def receive(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self.blocked:
            self.held.add(data)
            return
        whole = self.held.join(data)
        if whole is not None:
            self._process(whole)

    def resume(self) -> None:
        """What the stream waited for has come."""
        if not self.blocked and self.held.size:
            self._process(self.held.take())

    def ruled(self, ruling: Ruling) -> None:
        """The answer to ``AskRuling``."""
        self._permits.ruling = ruling
        self.resume()

    def committed(self, ask: AskCommit, error: GatewayError | None) -> None:
        """The answer to ``AskCommit``."""
        self._permits.intent = ask.records[0] if error is None else error
        self.resume()

    def approved(self, record: StatementRecord, error: GatewayError | None) -> None:
        """The answer to ``AskApproval``."""
        self._permits.approved = (record, error)
        self.resume()

    def _process(self, data: bytes) -> None:
        core = self._core
        effects, pipeline, permits = core.effects, core.pipeline, self._permits
        position, size = 0, len(data)
        forwarded = 0
        if self._stream:
            position = min(self._stream, size)
            self._stream -= position
            if self._discarding:
                forwarded = position
        entries = split_frontend(data, position, size, self._max_message)
        for kind, start, stop, _ in entries:
            before = len(effects)
            outcome = self._message(kind, data, start, stop)
            if outcome is not _BLOCK and permits.ruling is not None:
                # An answer is good for the message that asked, no other.
                permits.ruling = permits.intent = permits.approved = None
            if outcome is None:
                position = stop
                if pipeline.awaiting is None:
                    continue
                outcome = data[start:stop]
            if start > forwarded:
                # What the message itself has the server be sent comes after what was sent before it.
                effects.insert(before, SendUpstream(data[forwarded:start]))
            if isinstance(outcome, _Verdict):
                if outcome is _BLOCK:
                    self.held.keep(data[start:])
                return
            if outcome:
                effects.append(SendUpstream(outcome))
            forwarded = position = stop
            if pipeline.awaiting is not None:
                if stop < size:
                    self.held.keep(data[stop:])
                return
        rest = size - position
        if rest >= 5 and data[position] == COPY_DATA:
            # A CopyData message may be long and nobody looks into it: it goes on as it comes.
            self._stream = 1 + _LENGTH.unpack_from(data, position + 1)[0] - rest
            self._discarding = pipeline.skipping and not pipeline.copying
            if not self._discarding:
                position = size
            rest = 0
        if position > forwarded:
            effects.append(SendUpstream(data if position - forwarded == size else data[forwarded:position]))
        if rest:
            need = 1 + _LENGTH.unpack_from(data, position + 1)[0] if rest >= 5 else 5
            self.held.keep(data[position:], need)

    def _message(self, kind: int, data: bytes, start: int, stop: int) -> Outcome:
        pipeline = self._core.pipeline
        if pipeline.skipping or pipeline.copying:
            if pipeline.copying:
                return self._copy_in(kind)
            if kind not in (SYNC, TERMINATE):
                return _DROP  # the server would discard it; what nobody looked at never gets there
        if kind == QUERY:
            return self._query(data, start, stop)
        if kind == BIND:
            return self._bind(data, start, stop)
        if kind == EXECUTE:
            return self._execute(data, start, stop)
        if kind == SYNC:
            return self._sync()
        if kind == DESCRIBE:
            return self._describe(data, start, stop)
        if kind == PARSE:
            return self._parse(data, start, stop)
        if kind in (FLUSH, COPY_DATA, COPY_DONE, COPY_FAIL):
            return None  # outside COPY the server ignores the last three
        if kind == CLOSE:
            return self._close(data, start, stop)
        if kind == TERMINATE:
            return self._terminate()
        if kind == FUNCTION_CALL:
            return self._function_call(data, start, stop)
        raise RemoteProtocolError(f"frontend message type {kind} is unknown or not allowed here")

    def _copy_in(self, kind: int) -> Outcome:
        """A message while the server is in COPY IN (PostgreSQL documentation 55.2.6).

        There the server ignores Sync and Flush, but not if the COPY has failed meanwhile. So that nobody has to guess
        which, these stay here. Anything else would end the session there too.
        """
        pipeline = self._core.pipeline
        if kind == COPY_DATA:
            return None
        if kind in (SYNC, FLUSH):
            return _DROP
        if kind in (COPY_DONE, COPY_FAIL):
            pipeline.copying = False
            if pipeline.queue and pipeline.queue[0].kind == Kind.QUERY:
                pipeline.awaiting = pipeline.queue[0]  # the text may hold another COPY
            elif kind == COPY_DONE and pipeline.queue and pipeline.queue[0].changes is not None:
                pipeline.awaiting = pipeline.queue[0]
                return _COPY_DONE_AND_TELL
            return None
        if kind == TERMINATE:
            return self._terminate()
        raise RemoteProtocolError(f"frontend message type {kind} inside COPY")

    def _sent(self, pending: Pending, ruling: Ruling) -> None:
        """A statement goes to the server: what follows from its facts for the session."""
        core = self._core
        if ruling.plain:
            core.pipeline.expect(pending)
            return
        analysis = ruling.analysis
        core.tracker.statement_sent(analysis)
        if SessionEffect.CATALOG in analysis.session_effects:
            core.catalog_uncertain = True
        special = not analysis.actions.isdisjoint(_SPECIAL)
        if special and Action.CURSOR in analysis.actions:
            core.pipeline.forget_portals()
        if special or analysis.session_effects:
            core.cursors.sent(analysis, masked=core.masked)
        if SessionEffect.PREPARED_STATEMENTS in analysis.session_effects:
            for facts in analysis.statements:
                if SessionEffect.PREPARED_STATEMENTS in facts.session_effects:
                    named = facts.detail if facts.detail and facts.detail != "all" and not core.masked else None
                    core.pipeline.forget_statements(named.encode() if named else None)
        if ruling.warnings:
            pending.notice = core.warn(ruling.warnings, pending.record)
        core.pipeline.expect(pending)
        if core.pipeline.queue[0] is pending:
            core.arm(ruling, id(pending))
        if special and not analysis.actions.isdisjoint(_MAY_COPY_IN):
            core.pipeline.awaiting = pending

    # --- simple protocol ----------------------------------------------------------------------------------------

    def _query(self, data: bytes, start: int, stop: int) -> Outcome:
        core = self._core
        text = data[start + 5 : stop - 1]
        # Not ``in``: for bytes that tries to read the needle as a number first.
        if stop - start < 6 or data.find(b"\0", start + 5, stop) != stop - 1:
            raise RemoteProtocolError("Query: the text does not end where the message does")
        if len(text) > self._max_statement:
            raise MessageTooLarge("Query: the text is longer than limits.max_statement")
        ruling = self._permits.rule(text, core.replication_facts)
        if ruling is None:
            return _BLOCK
        permit = self._permits.permitted or self._permits.permit(ruling, text.decode("utf-8", "backslashreplace"))
        if permit is None:
            return _BLOCK
        if isinstance(permit, bytes):
            core.pipeline.expect(Pending(Kind.QUERY, refusal=permit))
            return frame(QUERY, b"querygate refused this statement\0")
        pending = Pending(Kind.QUERY, ruling=ruling, record=permit)
        pending.changes = limit_of(ruling)
        if pending.changes is not None and not self._in_transaction(ruling, permit):
            return _BLOCK
        self._permits.permitted = None
        self._sent(pending, ruling)
        if pending.changes is not None:
            # What comes after it depends on whether it is undone.
            core.pipeline.awaiting = pending
        return self._as_query(pending, ruling, text) if ruling.as_rows else None

    def _as_query(self, pending: Pending, ruling: Ruling, text: bytes) -> bytes:
        """The Query that takes the place of a COPY."""
        codec = self._core.tracker.codec
        spelling = spelling_of(ruling, codec)
        if spelling is None or codec is None:
            raise MaskingError("a COPY of masked columns got past its refusal")
        pending.copy_as(CopiedRows(spelling, codec))
        return frame(QUERY, spelling.query_of(text.decode(codec)).encode(codec), b"\0")

    def _in_transaction(self, ruling: Ruling, permit: StatementRecord) -> bool:
        """Whether a simple Query can go on because it will not commit by itself; else it waits."""
        core = self._core
        queue = core.pipeline.queue
        if queue:
            # Whether there is a transaction is known when all is answered; the client may not have sent a Sync yet.
            core.pipeline.awaiting = queue[-1]
            if core.pipeline.unsynced:
                core.effects.append(SendUpstream(_FLUSH_MESSAGE))
        elif changes.needs_transaction(core):
            changes.begin(core)
        else:
            core.intent = None
            return True
        # The ruling and the record are kept for the next time round; should the client go away, it never ran.
        self._permits.ruling, self._permits.permitted, core.intent = ruling, permit, permit
        return False

    def _function_call(self, data: bytes, start: int, stop: int) -> Outcome:
        core = self._core
        if stop - start < 9:
            raise RemoteProtocolError("FunctionCall: too short")
        oid = _LENGTH.unpack_from(data, start + 5)[0]
        facts = opaque_analysis("FUNCTION CALL", Action.FUNCTION_CALL, "a function called by its OID")
        ruling = self._permits.rule(b"%d" % oid, facts)
        if ruling is None:
            return _BLOCK
        permit = self._permits.permit(ruling, f"function call, OID {oid}")
        if permit is None:
            return _BLOCK
        if isinstance(permit, bytes):
            core.pipeline.expect(Pending(Kind.FUNCTION_CALL, refusal=permit))
            return frame(QUERY, b"querygate refused this statement\0")
        self._sent(Pending(Kind.FUNCTION_CALL, ruling=ruling, record=permit), ruling)
        return None

    # --- extended protocol --------------------------------------------------------------------------------------

    def _parse(self, data: bytes, start: int, stop: int) -> Outcome:
        core = self._core
        name_end = data.find(b"\0", start + 5, stop)
        text_end = data.find(b"\0", name_end + 1, stop)
        if name_end < 0 or text_end < 0 or stop - text_end < 3:
            raise RemoteProtocolError("Parse: name or text is not terminated")
        if text_end - name_end > self._max_statement:
            raise MessageTooLarge("Parse: the text is longer than limits.max_statement")
        name, text = data[start + 5 : name_end], data[name_end + 1 : text_end]
        ruling = self._permits.rule(text, core.replication_facts)
        if ruling is None:
            return _BLOCK
        core.pipeline.unsynced = True
        if ruling.refusal is not None:
            record = core.begin(ruling, text.decode("utf-8", "backslashreplace"))
            refusal = core.refuse(record, ruling.refusal)
            undo = core.pipeline.set_statement(name, None)
            core.pipeline.expect(Pending(Kind.PARSE, refusal=refusal, undo=undo))
            core.pipeline.skipping = True
            return frame(PARSE, name, b"\0querygate refused this statement\0\0\0")
        prepared = Prepared(name, text, ruling, self._permits.state, types=data[text_end + 1 : stop])
        undo = core.pipeline.set_statement(name, prepared)
        pending = Pending(Kind.PARSE, undo=undo)
        if core.masked:
            pending.ruling = ruling
        core.pipeline.expect(pending)
        return None

    def _bind(self, data: bytes, start: int, stop: int) -> Outcome:
        core, pipeline = self._core, self._core.pipeline
        portal_end = data.find(b"\0", start + 5, stop)
        name_end = data.find(b"\0", portal_end + 1, stop)
        if portal_end < 0 or name_end < 0 or stop - name_end < 7:
            raise RemoteProtocolError("Bind: a name is not terminated or the message is too short")
        name = data[portal_end + 1 : name_end]
        if pipeline.statements.unsettled and pipeline.unsettled(pipeline.statements, name):
            return _BLOCK
        prepared: Prepared | None = pipeline.statements.entries.get(name)
        portal_name = data[start + 5 : portal_end]
        if prepared is None:
            pipeline.unsynced = True
            pipeline.expect(Pending(Kind.BIND, undo=pipeline.set_portal(portal_name, None)))
            return None
        if not self._current(prepared):
            ruling = self._permits.rule(prepared.text)
            if ruling is None:
                return _BLOCK
            prepared.ruling, prepared.state = ruling, self._permits.state
            prepared.described, prepared.describe_sent = None, False
        pipeline.unsynced = True
        formats: tuple[int, ...] | None
        if core.masked:
            parameters, formats = bind_tail(data, name_end + 1, stop)
        else:
            formats = None
            at = name_end + 3 + 2 * short_at(data, name_end + 1)
            parameters = short_at(data, at) if at + 2 <= stop else 0
        if portal_name:
            core.cursors.bound(portal_name, core.tracker.codec)
        portal = Portal(portal_name, prepared, formats, parameters)
        if parameters:
            end = stop if prepared.ruling.approvals else min(stop, name_end + 1 + MAX_KEPT)
            portal.bound = data[name_end + 1 : end]
        sentinels = prepared.ruling.sentinels
        if sentinels is not None and holds_sentinel(data, name_end + 1, core.tracker.codec, sentinels):
            portal.refusal = MaskedValueWrittenBack("a parameter is what a mask shows")
        undo = pipeline.set_portal(portal_name, portal)
        pending = Pending(Kind.BIND, portal=portal, undo=undo)
        if core.masked:
            pending.ruling = prepared.ruling
        pipeline.expect(pending)
        return None

    def _current(self, prepared: Prepared) -> bool:
        """Whether what was decided about a prepared statement still holds.

        The server itself plans a prepared statement anew when search_path or the schema changes.
        """
        core, tracker = self._core, self._core.tracker
        if prepared.ruling.epoch is not core.rulings.epoch:
            return False
        if tracker.dirty:
            return core.pipeline.unsynced and prepared.state.search_path is None
        return prepared.state is tracker.state or prepared.state == tracker.state

    def _execute(self, data: bytes, start: int, stop: int) -> Outcome:
        core, pipeline = self._core, self._core.pipeline
        name_end = data.find(b"\0", start + 5, stop)
        if name_end < 0 or stop - name_end != 5:
            raise RemoteProtocolError("Execute: malformed")
        name = data[start + 5 : name_end]
        if pipeline.portals.unsettled and pipeline.unsettled(pipeline.portals, name):
            return _BLOCK
        portal: Portal | None = pipeline.portals.entries.get(name)
        if portal is None:
            facts = opaque_analysis("EXECUTE", Action.CURSOR, "a portal that this session did not bind")
            ruling = self._permits.rule(b"portal", facts)
            text = "<execute portal>"
        else:
            ruling = portal.prepared.ruling
            text = portal.prepared.shown
            if self._permits.ruling is not None or ruling.epoch is not core.rulings.epoch:
                ruling = self._permits.rule(portal.prepared.text)
                if ruling is not None:
                    portal.prepared.ruling = ruling
        if ruling is None:
            return _BLOCK
        permit = self._permits.permit(ruling, text, portal)
        if permit is None:
            return _BLOCK
        pipeline.unsynced = True
        if isinstance(permit, bytes):
            pipeline.expect(Pending(Kind.EXECUTE, refusal=permit))
            pipeline.skipping = True
            return frame(EXECUTE, core.private_name, b"\0\0\0\0\0")
        pending = Pending(Kind.EXECUTE, ruling=ruling, record=permit, portal=portal)
        message: bytes | None = None
        if portal is not None and core.masked and not (portal.describe_sent or portal.prepared.describe_sent):
            # Nobody asked for the result's description, and without it nothing can be masked.
            portal.describe_sent = True
            pipeline.expect(Pending(Kind.DESCRIBE_PORTAL, portal=portal, ruling=ruling, drop=True))
            message = frame(DESCRIBE, b"P", name, b"\0") + data[start:stop]
        pending.changes = limit_of(ruling)
        self._sent(pending, ruling)
        if pending.changes is not None:
            pipeline.awaiting = pending
        if pipeline.awaiting is pending:
            # Have the server say at once how it goes, even if it does not ask for COPY data.
            message = (message or data[start:stop]) + _FLUSH_MESSAGE
        return message

    def _describe(self, data: bytes, start: int, stop: int) -> Outcome:
        pipeline = self._core.pipeline
        what, name = _named(data, start, stop, "Describe")
        if pipeline.unsettled(pipeline.statements if what == STATEMENT else pipeline.portals, name):
            return _BLOCK
        pipeline.unsynced = True
        if what == STATEMENT:
            prepared: Prepared | None = pipeline.statements.entries.get(name)
            if prepared is not None:
                prepared.describe_sent = True
            ruling = None if prepared is None else prepared.ruling
            pipeline.expect(Pending(Kind.DESCRIBE_STATEMENT, prepared=prepared, ruling=ruling))
        else:
            portal: Portal | None = pipeline.portals.entries.get(name)
            if portal is not None:
                portal.describe_sent = True
            ruling = None if portal is None else portal.prepared.ruling
            pipeline.expect(Pending(Kind.DESCRIBE_PORTAL, portal=portal, ruling=ruling))
        return None

    def _close(self, data: bytes, start: int, stop: int) -> Outcome:
        pipeline = self._core.pipeline
        what, name = _named(data, start, stop, "Close")
        pipeline.unsynced = True
        undo = pipeline.set_statement(name, None) if what == STATEMENT else pipeline.set_portal(name, None)
        pipeline.expect(Pending(Kind.CLOSE, undo=undo))
        return None

    def _sync(self) -> Outcome:
        self._core.pipeline.sync()
        return None

    # --- ends ---------------------------------------------------------------------------------------------------

    def _terminate(self) -> Outcome:
        core = self._core
        core.effects.append(SendUpstream(TERMINATE_MESSAGE))
        if core.pipeline.queue:
            core.abandoned = True  # the server finishes what came before, and its hanging up ends the session
        else:
            core.closed = True
            core.effects.append(Close())
        return _STOP

    def abandon(self) -> None:
        """The client is gone in the middle of something: have the server finish and tell how it went."""
        core = self._core
        core.abandoned = True
        core.waiting_for_drain = False
        if isinstance(core.ask_down, AskApproval):
            core.effects.append(WithdrawApproval())
        core.forget_intent()
        core.pipeline.awaiting = None
        core.pipeline.copying = False
        core.pipeline.skipping = True
        if self.held.size:
            self.held.take()
        if self._stream:
            # Inside a CopyData message nothing else can be said.
            core.fail(RemoteProtocolError("the client went away inside a message"))
            return
        # No Sync: it would commit what the client did not.
        core.effects.append(SendUpstream(_ABANDON))


def _named(data: bytes, start: int, stop: int, message: str) -> tuple[int, bytes]:
    """What a Describe or Close is about: S or P, and the name."""
    if stop - start < 7 or data.find(b"\0", start + 6, stop) != stop - 1 or data[start + 5] not in (STATEMENT, PORTAL):
        raise RemoteProtocolError(f"{message}: malformed")
    return data[start + 5], data[start + 6 : stop - 1]

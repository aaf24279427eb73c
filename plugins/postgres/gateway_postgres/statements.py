"""The client's direction of an open session: what is a statement, what goes on, what is refused and how.

A refused statement is not simply dropped: the gateway sends the server a message of the same kind that is certain to
fail (a text that does not parse, a portal that does not exist) and replaces the server's error by its own. So all
that PostgreSQL does after an error (aborting the transaction, discarding the rest of the pipeline, the status in
ReadyForQuery) is done by PostgreSQL.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from struct import Struct
from struct import error as StructError
from typing import Final

from gateway.domain.audit import StatementRecord
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, Analysis, SessionEffect
from gateway.errors import GatewayError, MessageTooLarge, RemoteProtocolError
from gateway.protocol.effects import AskCommit, AskRuling, Close, SendUpstream
from gateway_postgres.core import Core, Held, opaque_analysis
from gateway_postgres.pipeline import Kind, Pending, Portal, Prepared
from gateway_postgres.rows import split_frontend
from gateway_postgres.session import probe
from gateway_postgres.wire.codec import frame

_LENGTH = Struct("!I")
_SIGNED = Struct("!i")
_SHORT = Struct("!H")

QUERY, PARSE, BIND, DESCRIBE, EXECUTE, CLOSE = b"QPBDEC"
SYNC, FLUSH, TERMINATE, FUNCTION_CALL = b"SHXF"
COPY_DATA, COPY_DONE, COPY_FAIL = b"dcf"
STATEMENT, PORTAL = b"SP"
FAILED: Final = ord("E")
"""ReadyForQuery's status in a transaction that only ROLLBACK can end."""

_FLUSH_MESSAGE: Final = frame(FLUSH)
_ABANDON: Final = frame(COPY_FAIL, b"client went away\0") + _FLUSH_MESSAGE
"""Ends a COPY IN, means nothing outside of it, and has the server say what it has done."""
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
_BLOCK = _Verdict.BLOCK
_STOP = _Verdict.STOP
Outcome = bytes | _Verdict | None
"""None forwards the message as it is; bytes replace it (empty: drop it)."""


class ClientStream:
    """Handles the client's messages. All limits are checked before memory is taken."""

    __slots__ = ("_core", "_discarding", "_intent", "_ruling", "_state", "_stream", "held")

    def __init__(self, core: Core) -> None:
        self._core = core
        self.held = Held()
        """Bytes that wait, for the rest of their message or for an answer."""
        self._stream = 0
        """Bytes still to come of a CopyData message whose beginning was forwarded (or dropped, if ``_discarding``)."""
        self._discarding = False
        self._ruling: Ruling | None = None
        """The answer for the message that waited."""
        self._intent: StatementRecord | GatewayError | None = None
        """The record that was committed for the message that waited, or why it could not be."""
        self._state = core.tracker.state
        """The session state that the last ruling was made for."""

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
        self._ruling = ruling
        self.resume()

    def committed(self, ask: AskCommit, error: GatewayError | None) -> None:
        """The answer to ``AskCommit``."""
        self._intent = ask.records[0] if error is None else error
        self.resume()

    def _process(self, data: bytes) -> None:
        core = self._core
        effects, pipeline = core.effects, core.pipeline
        position, size = 0, len(data)
        forwarded = 0
        if self._stream:
            position = min(self._stream, size)
            self._stream -= position
            if self._discarding:
                forwarded = position
        entries = split_frontend(data, position, size, core.settings.limits.max_message)
        for kind, start, stop, _ in entries:
            before = len(effects)
            outcome = self._message(kind, data, start, stop)
            if outcome is not _BLOCK and self._ruling is not None:
                self._ruling = self._intent = None  # an answer is good for the message that asked, no other
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
            self._discarding = pipeline.skipping
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
            if pipeline.queue and pipeline.queue[0].kind is Kind.QUERY:
                pipeline.awaiting = pipeline.queue[0]  # the text may hold another COPY
            return None
        if kind == TERMINATE:
            return self._terminate()
        raise RemoteProtocolError(f"frontend message type {kind} inside COPY")

    # --- rulings ------------------------------------------------------------------------------------------------

    def _rule(self, text: bytes, facts: Analysis | None = None) -> Ruling | None:
        """The ruling for a text, or None after asking for it (or for the session's state)."""
        ruling = self._ruling
        if ruling is not None:
            self._ruling = None
            return ruling
        core, tracker = self._core, self._core.tracker
        state = tracker.state
        if tracker.dirty and facts is None:
            if core.pipeline.unsynced or tracker.transaction == FAILED:
                state = replace(state, search_path=None)
            else:
                core.waiting_for_drain = True
                self.probe_if_idle()
                return None
        if core.catalog_uncertain and core.masked:
            # The catalog shows a schema change only when its transaction has ended.
            state = replace(state, search_path=None)
        self._state = state
        if facts is not None:
            key = b"\0%s\0%s" % (facts.statements[0].kind.encode(), text)
            found = core.opened.rulings.find(state, key)
            ask = AskRuling(text.decode("latin-1"), state, key, facts)
        elif tracker.codec == "utf-8" and not tracker.text_unsure:
            found = core.opened.rulings.find(state, text)
            ask = None
        else:
            found = ask = None
        if found is not None:
            return found
        if ask is None:
            decoded = tracker.decode(text)
            if decoded is not None:
                ask = AskRuling(decoded, state, text if tracker.codec == "utf-8" else None)
            else:
                facts = opaque_analysis("unreadable", Action.UNKNOWN, "the text may mean something else to the server")
                ask = AskRuling(text.decode("latin-1"), state, None, facts)
        core.ask_down = ask
        core.effects.append(ask)
        return None

    def probe_if_idle(self) -> None:
        """Ask the server for the session's state as soon as nothing is under way."""
        core = self._core
        if core.waiting_for_drain and not core.pipeline.queue:
            core.effects.append(SendUpstream(probe(core.private_name)))
            core.pipeline.expect(Pending(Kind.PROBE))

    def _permit(self, ruling: Ruling, text: str) -> StatementRecord | bytes | None:
        """The record to run under, an error to refuse with, or None after asking for the audit's word."""
        intent = self._intent
        if intent is not None:
            self._intent = self._core.intent = None
            if isinstance(intent, StatementRecord):
                intent.intent = False
                return intent
            return self._core.refuse(self._core.begin(ruling, text), intent)
        record = self._core.begin(ruling, text)
        if ruling.refusal is not None:
            return self._core.refuse(record, ruling.refusal)
        if ruling.intent:
            record.intent = True
            # The ruling is kept for the second time round, so that nothing can change between intent and deed.
            self._ruling = ruling
            self._core.intent = record
            self._core.ask_down = ask = AskCommit((record,))
            self._core.effects.append(ask)
            return None
        return record

    def _sent(self, pending: Pending, ruling: Ruling) -> None:
        """A statement goes to the server: what follows from its facts for the session."""
        core = self._core
        analysis = ruling.analysis
        core.tracker.statement_sent(analysis)
        if SessionEffect.CATALOG in analysis.session_effects:
            core.catalog_uncertain = True
        special = not analysis.actions.isdisjoint(_SPECIAL)
        if special and Action.CURSOR in analysis.actions:
            core.pipeline.forget_portals()
        if SessionEffect.PREPARED_STATEMENTS in analysis.session_effects:
            for facts in analysis.statements:
                if SessionEffect.PREPARED_STATEMENTS in facts.session_effects:
                    named = facts.detail if facts.detail and facts.detail != "all" and not core.masked else None
                    core.pipeline.forget_statements(named.encode() if named else None)
        if ruling.warnings:
            pending.notice = core.warn(ruling.warnings, pending.record)
        core.pipeline.expect(pending)
        if core.pipeline.queue[0] is pending:
            core.arm(pending)
        if special and not analysis.actions.isdisjoint(_MAY_COPY_IN):
            core.pipeline.awaiting = pending

    # --- simple protocol ----------------------------------------------------------------------------------------

    def _query(self, data: bytes, start: int, stop: int) -> Outcome:
        core = self._core
        text = data[start + 5 : stop - 1]
        if data[stop - 1] or stop - start < 6 or b"\0" in text:
            raise RemoteProtocolError("Query: the text does not end where the message does")
        if len(text) > core.settings.limits.max_statement:
            raise MessageTooLarge("Query: the text is longer than limits.max_statement")
        ruling = self._rule(text, core.replication_facts)
        if ruling is None:
            return _BLOCK
        permit = self._permit(ruling, text.decode("utf-8", "backslashreplace"))
        if permit is None:
            return _BLOCK
        if isinstance(permit, bytes):
            core.pipeline.expect(Pending(Kind.QUERY, refusal=permit))
            return frame(QUERY, b"querygate refused this statement\0")
        self._sent(Pending(Kind.QUERY, ruling=ruling, record=permit), ruling)
        return None

    def _function_call(self, data: bytes, start: int, stop: int) -> Outcome:
        core = self._core
        if stop - start < 9:
            raise RemoteProtocolError("FunctionCall: too short")
        oid = _LENGTH.unpack_from(data, start + 5)[0]
        facts = opaque_analysis("FUNCTION CALL", Action.FUNCTION_CALL, "a function called by its OID")
        ruling = self._rule(b"%d" % oid, facts)
        if ruling is None:
            return _BLOCK
        permit = self._permit(ruling, f"function call, OID {oid}")
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
        if text_end - name_end > core.settings.limits.max_statement:
            raise MessageTooLarge("Parse: the text is longer than limits.max_statement")
        name, text = data[start + 5 : name_end], data[name_end + 1 : text_end]
        ruling = self._rule(text, core.replication_facts)
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
        prepared = Prepared(name, text, ruling, self._state)
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
            ruling = self._rule(prepared.text)
            if ruling is None:
                return _BLOCK
            prepared.ruling, prepared.state = ruling, self._state
            prepared.described, prepared.describe_sent = None, False
        pipeline.unsynced = True
        formats: tuple[int, ...] | None
        if core.masked:
            parameters, formats = _bind_tail(data, name_end + 1, stop)
        else:
            formats = None
            codes = data[name_end + 1] << 8 | data[name_end + 2]
            at = name_end + 3 + 2 * codes
            parameters = data[at] << 8 | data[at + 1] if at + 2 <= stop else 0
        portal = Portal(portal_name, prepared, formats, parameters)
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
        if prepared.ruling.epoch is not core.opened.rulings.epoch:
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
            ruling = self._rule(b"portal", facts)
            text = "<execute portal>"
        else:
            ruling = portal.prepared.ruling
            text = portal.prepared.shown
            if self._ruling is not None or ruling.epoch is not core.opened.rulings.epoch:
                ruling = self._rule(portal.prepared.text)
                if ruling is not None:
                    portal.prepared.ruling = ruling
        if ruling is None:
            return _BLOCK
        permit = self._permit(ruling, text)
        if permit is None:
            return _BLOCK
        pipeline.unsynced = True
        if isinstance(permit, bytes):
            pipeline.expect(Pending(Kind.EXECUTE, refusal=permit))
            pipeline.skipping = True
            return frame(EXECUTE, core.private_name, b"\0\0\0\0\0")
        pending = Pending(Kind.EXECUTE, ruling=ruling, record=permit, portal=portal)
        message: bytes | None = None
        if portal is not None:
            permit.parameters = portal.parameters
            if core.masked and not (portal.describe_sent or portal.prepared.describe_sent):
                # Nobody asked for the result's description, and without it nothing can be masked.
                portal.describe_sent = True
                pipeline.expect(Pending(Kind.DESCRIBE_PORTAL, portal=portal, ruling=ruling, drop=True))
                message = frame(DESCRIBE, b"P", name, b"\0") + data[start:stop]
        self._sent(pending, ruling)
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


def _bind_tail(data: bytes, at: int, stop: int) -> tuple[int, tuple[int, ...]]:
    """How many parameters a Bind has and its result format codes; ``at`` is behind its names. Lengths must add up."""
    try:
        at += 2 + 2 * _SHORT.unpack_from(data, at)[0]
        count: int = _SHORT.unpack_from(data, at)[0]
        at += 2
        for _ in range(count):
            length: int = _SIGNED.unpack_from(data, at)[0]
            if length < -1:
                raise RemoteProtocolError("Bind: a parameter has an impossible length")
            at += 4 if length == -1 else 4 + length
        codes: int = _SHORT.unpack_from(data, at)[0]
    except StructError:
        raise RemoteProtocolError("Bind: too short") from None
    if at + 2 + 2 * codes != stop:
        raise RemoteProtocolError("Bind: the lengths do not add up")
    if not codes:
        return count, ()
    return count, tuple(_SHORT.unpack_from(data, at + 2 + 2 * index)[0] for index in range(codes))


def _named(data: bytes, start: int, stop: int, message: str) -> tuple[int, bytes]:
    """What a Describe or Close is about: S or P, and the name."""
    if stop - start < 7 or data.find(b"\0", start + 6, stop) != stop - 1 or data[start + 5] not in (STATEMENT, PORTAL):
        raise RemoteProtocolError(f"{message}: malformed")
    return data[start + 5], data[start + 6 : stop - 1]

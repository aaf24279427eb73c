"""The client's direction of an open session: what is a statement, what goes on, what is refused and how.

A refused statement never reaches the server: MySQL has no transaction that is failed as a whole, so an error leaves
everything as it was, and the gateway can answer in the server's place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final

from gateway.domain.audit import Outcome, StatementRecord
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, Analysis, opaque_analysis
from gateway.errors import (
    GatewayError,
    MessageTooLarge,
    RemoteProtocolError,
    UnsupportedFeature,
)
from gateway.guardrails.changes import limit_of
from gateway.protocol.effects import (
    AskApproval,
    AskCommit,
    AskKill,
    Close,
    SendDownstream,
    SendUpstream,
    WithdrawApproval,
)
from gateway.protocol.held import Held
from gateway_mysql import changes, rowcount
from gateway_mysql.core import QUIT_COMMAND, Core
from gateway_mysql.errors import err_payload
from gateway_mysql.parameters import Arguments, Bound
from gateway_mysql.pending import Kind, Pending, Prepared, Undo
from gateway_mysql.permits import Permits
from gateway_mysql.wire.capabilities import Capability
from gateway_mysql.wire.commands import (
    LAST_PREPARED,
    REPLICATION,
    Command,
    Parameter,
    decode_bulk,
    decode_execute,
    decode_query,
)
from gateway_mysql.wire.handshake import MAX_LOGIN_PAYLOAD, ChangeUser
from gateway_mysql.wire.messages import Err, Ok, Status
from gateway_mysql.wire.packets import FULL, HEADER, packet

_KILL: Final = re.compile(
    rb"\s*kill\s+(?:(hard|soft)\s+)?(?:(connection|query)\s+)?([0-9]{1,20})\s*;?\s*", re.IGNORECASE
)
_BEGINS_WITH_KILL: Final = re.compile(rb"\s*kill\b", re.IGNORECASE)


_OF_QUERY: Final = Kind.QUERY
_OF_EXECUTE: Final = Kind.EXECUTE
_NO_UNDO: Final = Undo.NONE
_QUERY: Final = int(Command.QUERY)
_EXECUTE: Final = int(Command.STMT_EXECUTE)
_QUERY_PARAMETERS: Final = 1
_EXECUTE_PARAMETERS: Final = 10
_BULK_PARAMETERS: Final = 7
"""Where in a command its parameters begin, bytes."""
_NO_PIECES: Final = bytes(32)
_NO_NAMES: Final[frozenset[int]] = frozenset()
_NOTHING_AHEAD: Final[Mapping[int, bytes]] = {}
_WRONG_ARGUMENTS: Final = Err(1210, b"HY000", b"Incorrect arguments to mysqld_stmt_execute")


DONE: Final = False
BLOCK: Final = True
"""What became of a command: it waits, and is to be processed again when the question is answered."""


class ClientStream:
    """Handles the client's commands. All limits are checked before memory is taken."""

    __slots__ = ("_core", "_permits", "_sequence", "held")

    def __init__(self, core: Core) -> None:
        self._core = core
        self.held = Held()
        """Bytes that wait, for the rest of their command or for an answer."""
        self._sequence = 1
        """The number of the first packet that answers the present command."""
        self._permits = Permits(core)

    # --- bytes --------------------------------------------------------------------------------------------------

    @property
    def blocked(self) -> bool:
        """Whether the client's commands have to wait."""
        core = self._core
        return core.pending is not None or core.ask_down is not None or core.ask_cancel is not None

    @property
    def sequence(self) -> int:
        """The packet number for an answer of the gateway's own, outside of the server's."""
        return self._sequence

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
        if self.held.size and not self.blocked and not self._core.closed:
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

    def killed(self, *, found: bool) -> None:
        """The answer to ``AskKill``."""
        self._permits.killed = found
        self.resume()

    def _process(self, data: bytes) -> None:
        core, permits = self._core, self._permits
        position, size = 0, len(data)
        limit = core.max_message
        while position < size:
            if size - position < HEADER:
                self.held.keep(data[position:], HEADER)
                return
            length = data[position] | data[position + 1] << 8 | data[position + 2] << 16
            if data[position + 3]:
                raise RemoteProtocolError("a command's packet is out of order")
            stop = position + HEADER + length
            packets = 1
            while length == FULL:
                # The text may continue: it is a statement only when all of it is there.
                if stop - position > limit:
                    raise MessageTooLarge("a command is longer than limits.max_message")
                if size - stop < HEADER:
                    self.held.keep(data[position:], stop - position + HEADER)
                    return
                length = data[stop] | data[stop + 1] << 8 | data[stop + 2] << 16
                if data[stop + 3] != packets & 0xFF:
                    raise RemoteProtocolError("a command's packet is out of order")
                stop += HEADER + length
                packets += 1
            if stop - position > limit:
                raise MessageTooLarge("a command is longer than limits.max_message")
            if stop > size:
                self.held.keep(data[position:], stop - position)
                return
            raw = data if not position and stop == size else data[position:stop]
            self._sequence = packets & 0xFF
            payload = raw[HEADER:] if packets == 1 else _joined(raw)
            if not payload:
                raise RemoteProtocolError("a command without a command byte")
            if self._command(payload, raw):  # it waits
                self.held.keep(data[position:])
                return
            # An answer is good for the command that asked, no other.
            permits.ruling = permits.intent = permits.approved = permits.killed = permits.permitted = None
            position = stop
            if core.closed:
                if core.again is not None:
                    self.held.keep(data[position:])
                return
            if position < size and self.blocked:
                self.held.keep(data[position:])
                return

    def _command(self, payload: bytes, raw: bytes) -> bool:
        code = payload[0]
        if code == _QUERY:
            return self._query(payload, raw)
        if code == _EXECUTE:
            return self._execute(payload, raw)
        if code == Command.STMT_PREPARE:
            return self._prepare(payload, raw)
        if code == Command.STMT_CLOSE:
            return self._close(payload, raw)
        if code == Command.STMT_FETCH:
            return self._fetch(payload, raw)
        if code == Command.STMT_SEND_LONG_DATA:
            return self._long_data(payload, raw)
        if code == Command.STMT_RESET:
            return self._reset_statement(payload, raw)
        if code == Command.STMT_BULK_EXECUTE and self._core.client_flags & Capability.MARIADB_BULK:
            return self._bulk(payload, raw)
        if code == Command.PING:
            self._core.send(raw, Pending(Kind.SIMPLE))
            return DONE
        if code == Command.QUIT:
            return self._quit()
        return self._rare(code, payload, raw)

    def _rare(self, code: int, payload: bytes, raw: bytes) -> bool:
        core = self._core
        if code == Command.INIT_DB:
            name = payload[1:].replace(b"`", b"``")
            return self._as_text(b"USE `%s`" % name, raw, Kind.SIMPLE)
        if code == Command.FIELD_LIST:
            name = payload[1:].partition(b"\0")[0].replace(b"`", b"``")
            return self._as_text(b"SHOW COLUMNS FROM `%s`" % name, raw, Kind.FIELD_LIST)
        if code == Command.STATISTICS:
            return self._as_text(b"SHOW STATUS", raw, Kind.STATISTICS)
        if code == Command.PROCESS_INFO:
            text = b"SHOW PROCESSLIST"
            return self._as_text(text, core.command(text), Kind.QUERY)
        if code == Command.PROCESS_KILL:
            if len(payload) != 5:
                raise RemoteProtocolError("COM_PROCESS_KILL: malformed")
            return self._kill(b"KILL %d" % int.from_bytes(payload[1:], "little"))
        if code == Command.SET_OPTION:
            core.send(raw, Pending(Kind.SIMPLE))
            return DONE
        if code == Command.RESET_CONNECTION:
            core.prepared.clear()
            core.send(raw, Pending(Kind.SIMPLE, resets=True))
            return DONE
        if code in REPLICATION:
            return self._replication(Command(code))
        if code == Command.CHANGE_USER:
            return self._change_user(payload)
        self._answer(Err(1047, b"08S01", b"Unknown command").encode())
        return DONE

    def _answer(self, payload: bytes) -> None:
        """Answer the present command in the server's place."""
        self._core.effects.append(SendDownstream(packet(payload, self._sequence)))

    # --- rulings ------------------------------------------------------------------------------------------------

    def _decide(self, text: bytes, facts: Analysis | None = None) -> tuple[Ruling, StatementRecord] | None:
        """The ruling and the record to run a text under; None where it has to wait, or was refused and answered.

        ``self._core.ask_down`` or a pending answer tells the two apart (``blocked``).
        """
        ruling = self._permits.rule(text, facts)
        if ruling is None:
            return None
        permit = self._permits.permit(ruling, text.decode("utf-8", "backslashreplace"))
        if permit is None:
            return None
        if isinstance(permit, bytes):
            self._answer(permit)
            return None
        return ruling, permit

    def _as_text(self, text: bytes, command: bytes, kind: Kind) -> bool:
        """A command that does what a statement does is decided like it."""
        decided = self._decide(text)
        if decided is None:
            return BLOCK if self.blocked else DONE
        ruling, record = decided
        self._core.tracker.statement_sent(ruling.analysis)
        if kind is Kind.SIMPLE:
            self._core.tracker.dirty = True
        self._core.send(command, Pending(kind, ruling=ruling, record=record))
        return DONE

    # --- texts --------------------------------------------------------------------------------------------------

    def _query(self, payload: bytes, raw: bytes) -> bool:
        core = self._core
        attributes = b""
        if core.attributes:
            query = decode_query(payload, attributes=True)
            text = query.text
            attributes = payload[_QUERY_PARAMETERS : len(payload) - len(text)]
            if not core.server_attributes:
                raw = packet(payload[:1] + text, 0)  # nobody behind the gateway reads them
        else:
            text = payload[1:]
        if len(text) > core.max_statement:
            raise MessageTooLarge("COM_QUERY: the text is longer than limits.max_statement")
        if text[:12].lstrip()[:4].lower() == b"kill" and _BEGINS_WITH_KILL.match(text):
            return self._kill(text)
        ruling = self._permits.rule(text)
        if ruling is None:
            return BLOCK
        permit: StatementRecord | bytes | None = self._permits.permitted
        if permit is None:
            permit = self._permits.permit(ruling, text.decode("utf-8", "backslashreplace"), attributes=attributes)
        if permit is None:
            return BLOCK
        if isinstance(permit, bytes):
            self._answer(permit)
            return DONE
        pending = Pending(_OF_QUERY, ruling=ruling, record=permit)
        if not ruling.plain and (verdict := self._undoable(pending, ruling, permit)) is not None:
            return verdict
        if core.count_hidden and rowcount.asks(text):
            raw = self._with_count(text, raw, pending)
        if not ruling.plain:
            core.tracker.statement_sent(ruling.analysis)
        core.send(raw, pending)
        return DONE

    def _with_count(self, text: bytes, raw: bytes, pending: Pending) -> bytes:
        """The command with what ROW_COUNT() would be without the gateway's own commands, where that can be."""
        core = self._core
        decoded, certain = core.tracker.decode(text)
        if core.count is None or not certain or len(raw) >= FULL // 2:
            return raw
        found = rowcount.with_count(decoded, core.tracker.state, core.count)
        codec = "ascii" if text.isascii() else core.tracker.codec
        if found is None or codec is None or decoded.encode(codec) != text:
            return raw
        pending.labels = found[1]
        return packet(raw[HEADER : len(raw) - len(text)] + found[0].encode(codec), 0)

    def _undoable(self, pending: Pending, ruling: Ruling, permit: StatementRecord) -> bool | None:
        """See to it that a limited change can be taken back. Not None: it waits for that, or was answered."""
        pending.changes = limit_of(ruling)
        if pending.changes is None:
            return None
        core = self._core
        refused = changes.prepare(core) if core.undo is _NO_UNDO and core.undo_refused is None else core.undo_refused
        if core.undo is _NO_UNDO and refused is None:
            # The ruling and the record are kept for the next time round; should the client go away, it never ran.
            permits = self._permits
            permits.ruling, permits.permitted, core.intent = ruling, permit, permit
            return BLOCK
        pending.undo, core.undo = core.undo, _NO_UNDO
        core.intent = core.undo_refused = None
        if refused is None:
            return None
        if isinstance(refused, GatewayError):
            self._answer(core.refuse(permit, refused))
        else:
            core.finish(permit, Outcome.FAILURE, str(refused.code))
            self._answer(refused.encode())
        return DONE

    def _kill(self, text: bytes) -> bool:
        """KILL never reaches the server, where all clients are one account: one's own sessions only."""
        core = self._core
        decided = self._decide(text)
        if decided is None:
            return BLOCK if self.blocked else DONE
        ruling, record = decided
        matched = _KILL.fullmatch(text)
        if matched is None:
            error = UnsupportedFeature("KILL in another form than KILL [QUERY] number")
            self._answer(core.refuse(record, error))
            return DONE
        thread = int(matched[3])
        if self._permits.killed is None:
            # As with an intent: record and ruling are kept for the second time round.
            self._permits.ruling, self._permits.intent = ruling, record
            hard = (matched[2] or b"connection").lower() == b"connection"
            core.ask_down = ask = AskKill(thread, hard)
            core.effects.append(ask)
            return BLOCK
        if self._permits.killed:
            core.finish(record, Outcome.SUCCESS)
            status = Status.AUTOCOMMIT | (Status.IN_TRANSACTION if core.tracker.in_transaction else Status(0))
            self._answer(Ok(status=int(status)).encode())
        else:
            core.finish(record, Outcome.FAILURE, "1094")
            self._answer(Err(1094, b"HY000", b"Unknown thread id: %d" % thread).encode())
        return DONE

    def _replication(self, command: Command) -> bool:
        facts = opaque_analysis("REPLICATION", Action.REPLICATE, "a replication command")
        text = command.name.encode()
        ruling = self._permits.rule(text, facts)
        if ruling is None:
            return BLOCK
        record = self._core.begin(ruling, f"<{command.name}>")
        error = ruling.refusal or UnsupportedFeature("replication is not relayed")
        self._answer(self._core.refuse(record, error))
        return DONE

    # --- prepared statements ------------------------------------------------------------------------------------

    def _prepare(self, payload: bytes, raw: bytes) -> bool:
        core = self._core
        text = payload[1:]
        if len(text) > core.max_statement:
            raise MessageTooLarge("COM_STMT_PREPARE: the text is longer than limits.max_statement")
        if _BEGINS_WITH_KILL.match(text):
            self._answer(err_payload(UnsupportedFeature("KILL cannot be prepared"), reference=core.session_id))
            return DONE
        ruling = self._permits.rule(text)
        if ruling is None:
            return BLOCK
        if ruling.refusal is not None:
            record = core.begin(ruling, text.decode("utf-8", "backslashreplace"))
            self._answer(core.refuse(record, ruling.refusal))
            return DONE
        hidden = core.count_hidden
        core.send(raw, Pending(Kind.PREPARE, prepared=Prepared(text, ruling, self._permits.state)))
        core.count_hidden = hidden  # preparing counts nothing
        return DONE

    def _find(self, payload: bytes, what: str) -> Prepared | None:
        """The statement that a command names. None after an error was answered."""
        if len(payload) < 5:
            raise RemoteProtocolError(f"{what}: too short")
        core = self._core
        number = payload[1] | payload[2] << 8 | payload[3] << 16 | payload[4] << 24
        prepared = core.prepared.get(core.last_prepared if number == LAST_PREPARED else number)
        if prepared is None:
            text = f"Unknown prepared statement handler ({number}) given to {what}"
            self._answer(Err(1243, b"HY000", text.encode()).encode())
        return prepared

    def _ruling_of(self, prepared: Prepared) -> Ruling | None:
        """The ruling of a prepared statement, made anew where what it was made of has changed."""
        core = self._core
        current = (
            self._permits.ruling is None
            and prepared.ruling.epoch is core.rulings.epoch
            and prepared.state.temporary_objects is core.tracker.state.temporary_objects
        )
        if current:
            return prepared.ruling
        ruling = self._permits.rule(prepared.text, prepared=prepared)
        if ruling is not None:
            prepared.ruling = ruling
            temporary = core.tracker.state.temporary_objects
            prepared.state = replace(prepared.state, temporary_objects=temporary)
        return ruling

    def _execute(self, payload: bytes, raw: bytes) -> bool:
        core = self._core
        prepared = self._find(payload, "COM_STMT_EXECUTE")
        if prepared is None:
            return DONE
        ruling = self._ruling_of(prepared)
        if ruling is None:
            return BLOCK
        attributes = core.attributes
        ahead: Mapping[int, bytes] = prepared.long_data or _NOTHING_AHEAD
        known: Sequence[Parameter] | None = ()
        types = prepared.types
        if prepared.parameters or attributes:
            names = frozenset(ahead) if ahead else _NO_NAMES
            try:
                execute = decode_execute(payload, prepared.parameters, types, attributes=attributes, long_data=names)
            except RemoteProtocolError:
                return self._misfit(ruling, prepared)
            types, known = execute.types, execute.values
            if attributes and not core.server_attributes:
                raw = packet(execute.plain, 0)  # nobody behind the gateway reads them
        bound = Bound(known, core.tracker.codec, ahead) if known else None
        values = None if ahead else known
        arguments = Arguments(prepared.parameters, values, bound, types, payload, _EXECUTE_PARAMETERS, ahead)
        permit = self._permits.permitted or self._permits.permit(ruling, prepared.shown, prepared, arguments)
        if permit is None:
            return BLOCK
        if isinstance(permit, bytes):
            self._answer(permit)
            self._forget_parameters(prepared)
            return DONE
        pending = Pending(_OF_EXECUTE, ruling=ruling, record=permit, prepared=prepared, binary=True)
        if not ruling.plain and (verdict := self._undoable(pending, ruling, permit)) is not None:
            if not verdict:
                self._forget_parameters(prepared)
            return verdict
        prepared.types = types
        prepared.long_data = None
        prepared.cursor = None
        if not ruling.plain:
            core.tracker.statement_sent(ruling.analysis)
        pending.approved = permit.approval
        core.send(raw, pending)
        return DONE

    def _misfit(self, ruling: Ruling, prepared: Prepared) -> bool:
        """Parameters that are not the statement's, such as too few: what servers answer, and the session goes on."""
        core = self._core
        core.finish(core.begin(ruling, prepared.shown), Outcome.REFUSED, str(_WRONG_ARGUMENTS.code))
        self._answer(_WRONG_ARGUMENTS.encode())
        self._forget_parameters(prepared)
        return DONE

    def _bulk(self, payload: bytes, raw: bytes) -> bool:
        core = self._core
        prepared = self._find(payload, "COM_STMT_BULK_EXECUTE")
        if prepared is None:
            return DONE
        ruling = self._ruling_of(prepared)
        if ruling is None:
            return BLOCK
        try:
            bulk = decode_bulk(payload, prepared.parameters, prepared.types)
        except RemoteProtocolError:
            return self._misfit(ruling, prepared)
        values = None if bulk.rows is None else [value for row in bulk.rows for value in row]
        count = prepared.parameters if values is None else len(values)
        bound = Bound(values, core.tracker.codec, ()) if values else None
        arguments = Arguments(count, values, bound, bulk.types, payload, _BULK_PARAMETERS, {})
        permit = self._permits.permitted or self._permits.permit(ruling, prepared.shown, prepared, arguments)
        if permit is None:
            return BLOCK
        if isinstance(permit, bytes):
            self._answer(permit)
            return DONE
        pending = Pending(_OF_EXECUTE, ruling=ruling, record=permit, prepared=prepared, binary=True)
        if not ruling.plain and (verdict := self._undoable(pending, ruling, permit)) is not None:
            return verdict
        prepared.types = bulk.types
        if not ruling.plain:
            core.tracker.statement_sent(ruling.analysis)
        core.send(raw, pending)
        return DONE

    def _fetch(self, payload: bytes, raw: bytes) -> bool:
        core = self._core
        prepared = self._find(payload, "COM_STMT_FETCH")
        if prepared is None:
            return DONE
        cursor = prepared.cursor
        if cursor is None:
            self._answer(Err(1421, b"HY000", b"The statement has no open cursor").encode())
            return DONE
        record = core.begin(cursor.ruling, prepared.shown)
        record.approval = cursor.approval
        pending = Pending(Kind.FETCH, ruling=cursor.ruling, record=record, prepared=prepared, binary=True)
        pending.cursor = cursor
        pending.mask, pending.mask_known = cursor.mask, True
        pending.meters, pending.widths, pending.passed = cursor.meters, cursor.widths, cursor.passed
        core.send(raw, pending)
        return DONE

    def _long_data(self, payload: bytes, raw: bytes) -> bool:
        """Has no answer, so an unknown statement gets none either."""
        core = self._core
        if len(payload) < 7:
            raise RemoteProtocolError("COM_STMT_SEND_LONG_DATA: too short")
        number = int.from_bytes(payload[1:5], "little")
        prepared = core.prepared.get(core.last_prepared if number == LAST_PREPARED else number)
        if prepared is not None:
            if prepared.long_data is None:
                prepared.long_data = {}
            index = int.from_bytes(payload[5:7], "little")
            # A chain over the pieces; it begins with no digest that a piece could hold, so that none passes for two.
            before = prepared.long_data.get(index, _NO_PIECES)
            prepared.long_data[index] = sha256(before + payload[7:]).digest()
            core.effects.append(SendUpstream(raw))
        return DONE

    def _forget_parameters(self, prepared: Prepared) -> None:
        """Have the server forget what was sent ahead for an execution that does not come."""
        if not prepared.long_data:
            return
        # It would put what is sent the next time behind it.
        prepared.long_data = prepared.cursor = None
        pending = Pending(Kind.SIMPLE)
        pending.muted = True
        command = bytes((Command.STMT_RESET,)) + prepared.statement.to_bytes(4, "little")
        self._core.send(packet(command, 0), pending)
        self._core.count_hidden = True

    def _reset_statement(self, payload: bytes, raw: bytes) -> bool:
        prepared = self._find(payload, "COM_STMT_RESET")
        if prepared is not None:
            prepared.long_data = None
            prepared.cursor = None
            self._core.send(raw, Pending(Kind.SIMPLE))
        return DONE

    def _close(self, payload: bytes, raw: bytes) -> bool:
        """Has no answer."""
        if len(payload) < 5:
            raise RemoteProtocolError("COM_STMT_CLOSE: too short")
        core = self._core
        number = int.from_bytes(payload[1:5], "little")
        if core.prepared.pop(core.last_prepared if number == LAST_PREPARED else number, None) is not None:
            core.effects.append(SendUpstream(raw))
        return DONE

    # --- ends ---------------------------------------------------------------------------------------------------

    def _change_user(self, payload: bytes) -> bool:
        """Nothing of this session is to survive in the one that follows: it ends here, and its transaction with it."""
        core = self._core
        if len(payload) > MAX_LOGIN_PAYLOAD:
            raise MessageTooLarge("COM_CHANGE_USER: too long")
        core.again = ChangeUser.decode(payload[1:], core.client_flags)
        core.closed = True
        core.effects.append(SendUpstream(QUIT_COMMAND))
        return DONE

    def _quit(self) -> bool:
        core = self._core
        core.closed = True
        core.effects += [SendUpstream(QUIT_COMMAND), Close()]
        return DONE

    def abandon(self) -> None:
        """The client is gone in the middle of something: have the server stop and tell how it went."""
        core = self._core
        core.abandoned = True
        if isinstance(core.ask_down, AskApproval):
            core.effects.append(WithdrawApproval())
        core.forget_intent()
        if self.held.size:
            self.held.take()
        if core.pending is None:
            core.closed = True
            core.effects += [SendUpstream(QUIT_COMMAND), Close()]


def _joined(raw: bytes) -> bytes:
    """The payload of several packets."""
    pieces, position = [], 0
    while position < len(raw):
        length = raw[position] | raw[position + 1] << 8 | raw[position + 2] << 16
        pieces.append(raw[position + HEADER : position + HEADER + length])
        position += HEADER + length
    return b"".join(pieces)

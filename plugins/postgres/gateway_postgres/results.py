"""The server's direction of an open session: whose answer it is, what of it may pass, and what it ends.

Bytes that nobody needs to change go on as slices of what was received. Rows are looked into only where a mask or a row
limit is in force.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from gateway.domain.audit import Outcome
from gateway.domain.masking import MaskingPlan
from gateway.domain.statement import Action, SessionEffect
from gateway.errors import (
    GatewayError,
    MaskingError,
    RemoteProtocolError,
    TimeLimitExceeded,
    TooManyChanges,
    UpstreamUnavailable,
)
from gateway.protocol.effects import (
    AskCancelUpstream,
    AskPlan,
    CatalogChanged,
    Close,
    SendDownstream,
    SendUpstream,
    SetDeadline,
)
from gateway.protocol.held import Held
from gateway_postgres import changes
from gateway_postgres.core import Core
from gateway_postgres.errors import error_response, sqlstate
from gateway_postgres.messages import may_speak_of_masked, redacted_error, redacted_notification
from gateway_postgres.metering import admit_copy, admit_rows
from gateway_postgres.permits import probe_if_idle
from gateway_postgres.pipeline import Kind, Pending, Role
from gateway_postgres.resultmasks import Blocked, ResultMasks, mask_whole
from gateway_postgres.rows import mask_rows, split_backend
from gateway_postgres.statements import TERMINATE_MESSAGE, ClientStream
from gateway_postgres.wire.backend import (
    DataRow,
    ErrorResponse,
    ParameterStatus,
)
from gateway_postgres.wire.codec import frame

_LENGTH = Struct("!I")

# Message types, as in ``gateway_postgres.statements``.
DATA_ROW: Final = 0x44  # D
COMMAND_COMPLETE: Final = 0x43  # C
READY: Final = 0x5A  # Z
ROW_DESCRIPTION: Final = 0x54  # T
PARSE_COMPLETE: Final = 0x31  # 1
BIND_COMPLETE: Final = 0x32  # 2
CLOSE_COMPLETE: Final = 0x33  # 3
PARAMETER_DESCRIPTION: Final = 0x74  # t
NO_DATA: Final = 0x6E  # n
EMPTY_QUERY: Final = 0x49  # I
SUSPENDED: Final = 0x73  # s
ERROR: Final = 0x45  # E
NOTICE: Final = 0x4E  # N
NOTIFICATION: Final = 0x41  # A
PARAMETER_STATUS: Final = 0x53  # S
COPY_IN: Final = 0x47  # G
COPY_OUT: Final = 0x48  # H
COPY_BOTH: Final = 0x57  # W
COPY_DATA: Final = 0x64  # d
COPY_DONE: Final = 0x63  # c
FUNCTION_RESULT: Final = 0x56  # V

_ASYNCHRONOUS: Final = frozenset((NOTICE, NOTIFICATION, PARAMETER_STATUS, READY))
"""What passes while the rest of a pipeline's answers is held back."""
_IDLE: Final = 0x49  # I
_DROP: Final = b""
_MAX_PROBE_TRIES: Final = 3
_QUERY_CANCELED: Final = "57014"
_OF_THE_SERVER: Final = ("57", "25P03", "25P04")
"""How SQLSTATEs begin of errors that come without a question, as timeouts do; they speak of the server, not of data."""
_CATALOG: Final = SessionEffect.CATALOG
_COPIES: Final = frozenset((Action.COPY_OUT,))
_SUCCESS: Final = Outcome.SUCCESS
_READIED: Final = frozenset((Kind.SYNC, Kind.QUERY, Kind.FUNCTION_CALL, Kind.PROBE))
_NO_COPY: Final = frame(ord("f"), b"the pipeline failed before\0")


class ServerStream:
    """Handles the server's messages."""

    __slots__ = (
        "_client",
        "_core",
        "_held",
        "_masks",
        "_max_message",
        "_probe",
        "_probe_tries",
        "_stream",
        "fatal_seen",
    )

    def __init__(self, core: Core, client: ClientStream) -> None:
        self._core = core
        self._client = client
        self._max_message = core.settings.limits.max_message
        self._held = Held()
        self._stream = 0
        """Bytes still to come of a row whose beginning was forwarded."""
        self._masks = ResultMasks(core)
        self._probe: list[str] = []
        self._probe_tries = 0
        self.fatal_seen = False
        """The server has told the client itself why it ends the session."""

    def receive(self, data: bytes) -> None:
        """Take bytes from the server."""
        if self._core.ask_up is not None:
            self._held.add(data)
            return
        whole = self._held.join(data)
        if whole is not None:
            self._process(whole)

    def planned(self, ask: AskPlan, plan: MaskingPlan | GatewayError) -> None:
        """The answer to ``AskPlan``; an error refuses the result."""
        self._masks.answered(ask, plan)
        if self._held.size:
            self._process(self._held.take())

    # --- bytes --------------------------------------------------------------------------------------------------

    def _process(self, data: bytes) -> None:
        core = self._core
        effects, pipeline = core.effects, core.pipeline
        queue = pipeline.queue
        position, size = 0, len(data)
        if self._stream:
            position = min(self._stream, size)
            self._stream -= position
        forwarded = 0
        for kind, start, stop, count in split_backend(data, position, size, self._max_message):
            if kind == DATA_ROW:
                pending = queue[0] if queue else None
                record = None if pending is None or pending.notice or pipeline.mute else pending.record
                if pending is not None and record is not None:
                    if pending.plain:
                        record.rows += count
                        record.bytes_out += stop - start
                        position = stop
                        continue
                    # Servers send some forty rows at a time, so what is done for each piece counts.
                    if pending.simply_masked and (masked := mask_whole(data, start, stop, pending)) is not None:
                        if start > forwarded:
                            effects.append(SendDownstream(data[forwarded:start]))
                        effects.append(SendDownstream(masked))
                        record.rows += count
                        record.bytes_out += len(masked)
                        forwarded = position = stop
                        continue
            pending = queue[0] if queue else None
            muted = pipeline.mute
            try:
                outcome = self._message(kind, data, start, stop, count)
                if muted and kind not in _ASYNCHRONOUS:
                    outcome = _DROP
                elif pending is not None and pending.notice and kind not in _ASYNCHRONOUS:
                    outcome = pending.notice + (data[start:stop] if outcome is None else outcome)
                    pending.notice = b""
            except Blocked:
                if start > forwarded:
                    effects.append(SendDownstream(data[forwarded:start]))
                self._held.keep(data[start:])
                return
            except GatewayError:
                if start > forwarded:
                    effects.append(SendDownstream(data[forwarded:start]))
                raise
            position = stop
            if outcome is not None:
                if start > forwarded:
                    effects.append(SendDownstream(data[forwarded:start]))
                if outcome:
                    effects.append(SendDownstream(outcome))
                forwarded = stop
        rest = size - position
        if rest >= 5 and data[position] in (DATA_ROW, COPY_DATA):
            length = 1 + _LENGTH.unpack_from(data, position + 1)[0]
            if self._passes(data[position], length):
                self._stream = length - rest
                position, rest = size, 0
        if position > forwarded:
            effects.append(SendDownstream(data if position - forwarded == size else data[forwarded:position]))
        if rest:
            need = 1 + _LENGTH.unpack_from(data, position + 1)[0] if rest >= 5 else 5
            self._held.keep(data[position:], need)

    def _passes(self, kind: int, length: int) -> bool:
        """Whether an incomplete row may go on as it comes, since nobody looks into it."""
        queue = self._core.pipeline.queue
        pending = queue[0] if queue else None
        if pending is None or pending.record is None or not pending.plain or pending.notice:
            return False
        if self._core.pipeline.mute:
            return False
        if kind == DATA_ROW:
            pending.record.rows += 1
        elif not pending.copy_out:
            return False
        pending.record.bytes_out += length
        return True

    def _message(self, kind: int, data: bytes, start: int, stop: int, count: int) -> bytes | bytearray | None:
        """None passes the message; bytes replace it."""
        core = self._core
        pipeline = core.pipeline
        if kind == NOTICE:
            return self._notice()
        if kind == PARAMETER_STATUS:
            status = ParameterStatus.decode(data[start + 5 : stop])
            core.tracker.parameter(status.name, status.value)
            return None
        if kind == NOTIFICATION:
            return redacted_notification(data[start + 5 : stop]) if core.masked else None
        if not pipeline.queue:
            if kind == ERROR:
                return self._unasked_error(data, start, stop)
            raise RemoteProtocolError(f"backend message type {kind} without a question")
        pending = pipeline.queue[0]
        if pending.kind == Kind.PROBE:
            return self._probe_answer(kind, pending, data, start, stop)
        if kind == COMMAND_COMPLETE:
            return self._complete(pending, data, start, stop)
        if kind == READY:
            return self._ready(pending, data, start, stop)
        if kind == ROW_DESCRIPTION:
            return self._row_description(pending, data, start, stop)
        if kind == DATA_ROW:
            return self._rows(pending, data, start, stop, count)
        if kind == ERROR:
            return self._error(pending, data, start, stop)
        return self._other(kind, pending, data, start, stop, count)

    # --- answers ------------------------------------------------------------------------------------------------

    def _other(self, kind: int, pending: Pending, data: bytes, start: int, stop: int, count: int) -> bytes | None:
        what = pending.kind
        if kind == BIND_COMPLETE and what == Kind.BIND:
            if pending.portal is not None:
                pending.portal.confirmed = True
            self._answered()
        elif (kind == PARSE_COMPLETE and what == Kind.PARSE and pending.refusal is None) or (
            kind == CLOSE_COMPLETE and what == Kind.CLOSE
        ):
            self._answered()
        elif kind == PARAMETER_DESCRIPTION and what == Kind.DESCRIBE_STATEMENT:
            if pending.prepared is not None:
                pending.prepared.types = data[start + 5 : stop]
        elif kind == NO_DATA and what in (Kind.DESCRIBE_STATEMENT, Kind.DESCRIBE_PORTAL):
            self._masks.describe(pending, None)
            self._answered()
        elif kind in (EMPTY_QUERY, SUSPENDED) and what in (Kind.QUERY, Kind.EXECUTE) and pending.refusal is None:
            if kind == SUSPENDED and pending.changes is not None:
                # A Sync would commit what is changed, and only the last Execute says how much that is.
                return self._undo(pending, TooManyChanges("the rows of a change are fetched one part after the other"))
            return self._end_statement(pending)
        elif kind in (COPY_IN, COPY_OUT, COPY_BOTH) and what in (Kind.QUERY, Kind.EXECUTE) and pending.refusal is None:
            if kind == COPY_OUT:
                self._copy_out(pending)
            else:
                self._copy_in(pending, both=kind == COPY_BOTH)
        elif kind in (COPY_DATA, COPY_DONE) and what in (Kind.QUERY, Kind.EXECUTE) and pending.refusal is None:
            return self._copied(kind, pending, data, start, stop, count)
        elif kind == FUNCTION_RESULT and what == Kind.FUNCTION_CALL and pending.refusal is None:
            if not pending.mask_known:
                raise MaskingError("a function's result came for a principal under a mask")
            if pending.record is not None:
                pending.record.bytes_out += stop - start
        else:
            raise RemoteProtocolError(f"backend message type {kind} does not answer {pending.kind_name}")
        return _DROP if pending.drop else None

    def _copy_out(self, pending: Pending) -> None:
        """COPY data follow. Nothing can mask them: under a mask only what was let through as COPY may send any."""
        ruling = pending.ruling
        if not pending.mask_known and (ruling is None or ruling.as_rows or not ruling.analysis.actions & _COPIES):
            raise MaskingError("COPY data came for a statement that is not known as COPY")
        pending.copy_out = True

    def _copy_in(self, pending: Pending, *, both: bool) -> None:
        """The server reads COPY data from now on: the client may go on."""
        core = self._core
        if core.abandoned:
            return
        if both and not pending.mask_known:
            raise MaskingError("a replication stream came for a principal under a mask")
        if core.pipeline.awaiting is not pending:
            raise RemoteProtocolError("the database asks for COPY data where none were expected")
        if core.pipeline.mute:
            # The client was told that the pipeline failed and will send none.
            core.effects.append(SendUpstream(_NO_COPY))
            return
        pending.copy_out = both
        core.pipeline.copying = True
        core.pipeline.awaiting = None
        self._client.resume()

    def _copied(self, kind: int, pending: Pending, data: bytes, start: int, stop: int, count: int) -> bytes | None:
        """Data of a COPY OUT (or BOTH); the server sends one message for each row."""
        if not pending.copy_out:
            raise RemoteProtocolError("COPY data came before they were announced")
        record = pending.record
        if pending.limited is not None or record is None:
            return _DROP
        if kind == COPY_DATA and pending.counted:
            stop, error = admit_copy(pending, data, start, stop, count)
            if error is not None:
                record.bytes_out += stop - start
                pending.limited = error
                self._cancel()
                return data[start:stop]
        record.bytes_out += stop - start
        return None

    def _complete(self, pending: Pending, data: bytes, start: int, stop: int) -> bytes | None:
        if pending.kind not in (Kind.QUERY, Kind.EXECUTE) or pending.refusal is not None:
            raise RemoteProtocolError(f"CommandComplete does not answer {pending.kind_name}")
        record = pending.record
        if record is not None and not record.rows and pending.limited is None:
            space = data.rfind(b" ", start, stop)
            count = data[space + 1 : stop - 1]
            if space > 0 and count.isdigit() and len(count) <= 20:
                record.rows = int(count)
        if data.startswith(b"CLOSE CURSOR", start + 5):
            self._core.cursors.closed(pending.facts, everything=data.startswith(b"CLOSE CURSOR ALL", start + 5))
        if pending.changes is not None and pending.limited is None:
            error = changes.over(pending, data[start + 5 : stop - 1])
            if error is not None and pending.kind == Kind.EXECUTE:
                return self._undo(pending, error)
            pending.limited = error
            if error is None and self._core.wrapped and pending.last:
                pending.held = data[start:stop]
                self._end_statement(pending)
                return _DROP
        ended = self._end_statement(pending)
        if pending.copied is not None and ended is None:
            return pending.copied.end(data[start + 5 : stop - 1])
        return ended

    def _undo(self, pending: Pending, error: GatewayError) -> bytes:
        """An Execute changed too much, or nobody knows how much."""
        changes.undo_execute(self._core, pending, error)
        self._answered()
        return _DROP

    def _end_statement(self, pending: Pending) -> bytes | None:
        """CommandComplete, EmptyQueryResponse or PortalSuspended: one statement is done."""
        core = self._core
        ruling = pending.ruling
        if ruling is not None and not ruling.plain and _CATALOG in ruling.analysis.session_effects:
            core.catalog_touched = True
        replacement: bytes | None = _DROP if pending.drop else None
        limited = pending.limited
        if pending.kind == Kind.EXECUTE:
            if limited is not None:
                return self._limited(pending, limited)
            record = pending.record
            if record is not None:
                core.finish(record, _SUCCESS)
            self._answered()
        else:
            pending.statement += 1
            pending.mask = None
            pending.meters = ()
            pending.copy_out = False
            pending.mask_known = ruling is None or not ruling.masked
            if limited is not None:
                replacement = _DROP
        return replacement

    def _limited(self, pending: Pending, error: GatewayError) -> bytes:
        """Put the error in the place of a result's end; the client then sees nothing more before ReadyForQuery."""
        core = self._core
        record = pending.record
        reference = core.session_id
        if record is not None:
            reference = record.id
            core.finish(record, Outcome.LIMITED, sqlstate(error, fatal=False))
        pipeline = core.pipeline
        # The client has been told that the pipeline failed: what of it is not under way yet is not to run.
        pipeline.mute = True
        pipeline.skipping = pipeline.ending or all(later.kind != Kind.SYNC for later in pipeline.queue)
        self._answered()
        return error_response(error, reference=reference, fatal=False)

    def _ready(self, pending: Pending, data: bytes, start: int, stop: int) -> bytes | None:
        core = self._core
        pipeline = core.pipeline
        if stop - start != 6 or pending.kind not in _READIED:
            raise RemoteProtocolError(f"ReadyForQuery does not answer {pending.kind_name}")
        status = data[stop - 1]
        if status not in b"ITE":
            raise RemoteProtocolError("ReadyForQuery: unknown transaction status")
        if pending.refusal is not None:
            raise RemoteProtocolError("the database accepted a message that was meant to fail")
        waited = pipeline.awaiting is not None
        pipeline.pop()
        replacement: bytes | None = None
        record = pending.record
        if pending.role == Role.BEGIN:
            replacement = _DROP
            changes.begun(core, status)
        elif pending.changes is not None and changes.conclude(core, pending, status):
            record, replacement = None, _DROP
        if record is not None:
            limited = pending.limited
            if limited is not None:
                core.finish(record, Outcome.LIMITED, sqlstate(limited, fatal=False))
                replacement = error_response(limited, reference=record.id, fatal=False) + data[start:stop]
            elif pending.code:
                core.finish(record, Outcome.FAILURE, pending.code)
            else:
                core.finish(record, _SUCCESS)
                if pending.held:
                    replacement = pending.held + data[start:stop]
        pipeline.mute = False
        core.tracker.ready(status, last=not pipeline.queue)
        if status == _IDLE:
            pipeline.end_transaction()
            if not pipeline.queue:
                core.catalog_uncertain = False
                core.cursors.transaction_ended()
            if core.catalog_touched:
                core.catalog_touched = False
                core.effects.append(CatalogChanged())
        probe = pending.kind == Kind.PROBE
        if probe:
            replacement = _DROP
            self._probed()
        self._next()
        if probe or waited:
            self._client.resume()
        return replacement

    def _answered(self) -> None:
        """The answer at the front of the queue is complete."""
        core = self._core
        pipeline = core.pipeline
        if pipeline.awaiting is None:
            pipeline.pop()
            queue = pipeline.queue
            if not queue or core.deadline_set or queue[0].record is not None:
                self._next()
        else:
            pipeline.pop()
            self._next()
            self._client.resume()

    def _next(self) -> None:
        """Something was answered: time the next statement, and look whether somebody waits for silence."""
        core = self._core
        queue = core.pipeline.queue
        if core.deadline_set:
            core.deadline_set = False
            core.effects.append(SetDeadline(None))
        if queue:
            pending = queue[0]
            if pending.record is not None and pending.ruling is not None:
                core.arm(pending.ruling, id(pending))
        elif core.waiting_for_drain:
            probe_if_idle(core)
        elif core.abandoned and not core.closed:
            core.closed = True
            core.effects.append(SendUpstream(TERMINATE_MESSAGE))
            core.effects.append(Close())

    # --- rows ---------------------------------------------------------------------------------------------------

    def _row_description(self, pending: Pending, data: bytes, start: int, stop: int) -> bytes | None:
        if pending.refusal is not None:
            raise RemoteProtocolError("the database accepted a message that was meant to fail")
        body = data[start + 5 : stop]
        if pending.kind == Kind.QUERY:
            ruling = pending.ruling
            if ruling is not None and ruling.masked:
                self._masks.use(pending, ruling, body, None, pending.statement)
            if pending.limited is not None:
                return _DROP
            if pending.copied is not None:
                return pending.copied.begin(body)
        elif pending.kind in (Kind.DESCRIBE_STATEMENT, Kind.DESCRIBE_PORTAL):
            self._masks.describe(pending, body)
            self._answered()
        else:
            raise RemoteProtocolError(f"RowDescription does not answer {pending.kind_name}")
        return _DROP if pending.drop else None

    def _rows(self, pending: Pending, data: bytes, start: int, stop: int, count: int) -> bytes | bytearray | None:
        if pending.kind not in (Kind.QUERY, Kind.EXECUTE) or pending.refusal is not None:
            raise RemoteProtocolError(f"DataRow does not answer {pending.kind_name}")
        if not pending.mask_known:
            if pending.kind != Kind.EXECUTE:
                raise RemoteProtocolError("DataRow without RowDescription")
            self._masks.use_for_execute(pending)
        record = pending.record
        if pending.limited is not None or record is None:
            return _DROP
        over: GatewayError | None = None
        if pending.counted:
            try:
                stop, count, over = admit_rows(pending, data, start, stop, count)
            except MaskingError as error:
                pending.limited = error
                self._cancel()
                return _DROP
        output: bytes | bytearray | None = None
        if pending.mask is not None:
            try:
                _, _, cells, output = mask_rows(data, start, stop, pending.mask)
            except Exception as error:  # noqa: BLE001 - masking functions are plugins: what they raise is a refusal
                pending.limited = MaskingError(f"a row could not be masked: {type(error).__name__}")
                self._cancel()
                return _DROP
            if cells:
                record.count_masked(pending.mask.labels, cells)
        if pending.copied is not None:
            output = pending.copied.rows(data[start:stop] if output is None else bytes(output))
        record.bytes_out += stop - start if output is None else len(output)
        record.rows += count
        if over is not None:
            pending.limited = over
            self._cancel()
            return data[start:stop] if output is None else output
        return output

    def _cancel(self) -> None:
        """Have the database stop; nothing of the client goes on before it has taken notice."""
        core = self._core
        if core.ask_cancel is None:
            core.ask_cancel = ask = AskCancelUpstream()
            core.effects.append(ask)

    def expire(self, token: int) -> None:
        """A statement's time is over."""
        queue = self._core.pipeline.queue
        if queue and id(queue[0]) == token and queue[0].limited is None:
            queue[0].timed_out = True
            self._cancel()

    # --- errors and notices -------------------------------------------------------------------------------------

    def _error(self, pending: Pending, data: bytes, start: int, stop: int) -> bytes | None:
        core = self._core
        core.tracker.error_seen()
        response = ErrorResponse.decode(data[start + 5 : stop])
        replacement: bytes | None = None
        outcome, code = Outcome.FAILURE, response.code
        if response.severity in ("FATAL", "PANIC"):
            self.fatal_seen = True
        if pending.refusal is not None:
            replacement, pending.refusal = pending.refusal, None
        elif pending.limited is not None or (pending.timed_out and code == _QUERY_CANCELED):
            error = pending.limited or TimeLimitExceeded("the policy's time limit was reached")
            outcome, code = Outcome.LIMITED, sqlstate(error, fatal=False)
            reference = pending.record.id if pending.record else core.session_id
            replacement = error_response(error, reference=reference, fatal=False)
            pending.limited = None
        elif may_speak_of_masked(self._core, pending):
            replacement = redacted_error(response)
        if core.pipeline.copying:
            core.pipeline.copying = False
            core.pipeline.awaiting = pending
        if pending.kind in (Kind.QUERY, Kind.FUNCTION_CALL):
            if pending.record is not None and outcome is Outcome.LIMITED:
                core.finish(pending.record, outcome, code)
                pending.record = None
            pending.code = code
            pending.held = b""
            if pending.role == Role.BEGIN and response.severity == "ERROR":
                return _DROP  # nobody asked for it; what waits for the transaction begins another one
            return replacement
        waited = core.pipeline.awaiting is not None
        first = True
        for void in core.pipeline.fail():
            if void.record is not None:
                core.finish(void.record, outcome if first else Outcome.SKIPPED, code if first else "")
            if void.kind == Kind.DESCRIBE_PORTAL and void.portal is not None:
                void.portal.describe_sent = False
            elif void.kind == Kind.DESCRIBE_STATEMENT and void.prepared is not None:
                void.prepared.describe_sent = False
            first = False
        self._next()
        if waited:
            self._client.resume()
        return replacement

    def _unasked_error(self, data: bytes, start: int, stop: int) -> bytes | None:
        response = ErrorResponse.decode(data[start + 5 : stop])
        self.fatal_seen = self.fatal_seen or response.severity in ("FATAL", "PANIC")
        if self._core.masked and not response.code.startswith(_OF_THE_SERVER):
            return redacted_error(response)
        return None

    def _notice(self) -> bytes | None:
        queue = self._core.pipeline.queue
        if not queue:
            return _DROP if self._core.masked else None
        pending = queue[0]
        return _DROP if pending.kind == Kind.PROBE or may_speak_of_masked(self._core, pending) else None

    # --- the gateway's own questions ----------------------------------------------------------------------------

    def _probe_answer(self, kind: int, pending: Pending, data: bytes, start: int, stop: int) -> bytes | None:
        if kind == READY:
            return self._ready(pending, data, start, stop)
        if kind == DATA_ROW:
            self._probe_rows(data, start, stop)
        elif kind == ERROR:
            response = ErrorResponse.decode(data[start + 5 : stop])
            if response.severity in ("FATAL", "PANIC"):
                return self._unasked_error(data, start, stop)
            self._core.tracker.error_seen()
            if response.code == _QUERY_CANCELED:
                self._probe_tries += 1
        elif kind not in (PARSE_COMPLETE, BIND_COMPLETE, COMMAND_COMPLETE, CLOSE_COMPLETE):
            raise RemoteProtocolError(f"backend message type {kind} does not answer a probe")
        return _DROP

    def _probe_rows(self, data: bytes, start: int, stop: int) -> None:
        while start < stop:
            end = start + 1 + _LENGTH.unpack_from(data, start + 1)[0]
            values = DataRow.decode(data[start + 5 : end]).values
            self._probe.append(bytes(values[0] or b"").decode("utf-8", "replace") if values else "")
            start = end

    def _probed(self) -> None:
        core = self._core
        answer, self._probe = self._probe, []
        tries, self._probe_tries = self._probe_tries, 0
        if len(answer) == 3:
            core.tracker.probed(*answer)
            core.tracker.state = core.rulings.intern(core.tracker.state)
        elif 0 < tries < _MAX_PROBE_TRIES:
            self._probe_tries = tries
            return  # somebody's cancel request hit it: it is sent again
        else:
            core.tracker.probe_failed()
        core.waiting_for_drain = False


def lost(core: Core, stream: ServerStream) -> None:
    """The server hung up: tell the client, unless the server did, and end."""
    if core.closed:
        return
    error = UpstreamUnavailable("the database closed the connection")
    if stream.fatal_seen or core.abandoned:
        core.closed = True
        core.lose_everything()
        core.effects.append(Close(None if core.abandoned else error))
    else:
        core.fail(error)

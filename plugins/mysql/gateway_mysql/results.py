"""The server's direction of an open session: what of an answer may pass, and what it ends.

Bytes that nobody needs to change go on as slices of what was received. Rows are looked into only where a mask or a row
limit is in force.
"""

from __future__ import annotations

from typing import Final

from gateway.domain.audit import Outcome
from gateway.domain.masking import MaskingPlan
from gateway.domain.ruling import Ruling
from gateway.domain.statement import SessionEffect
from gateway.errors import (
    GatewayError,
    MaskingError,
    MessageTooLarge,
    RemoteProtocolError,
    TimeLimitExceeded,
    UpstreamError,
    UpstreamUnavailable,
)
from gateway.protocol.effects import AskPlan, CatalogChanged, Close, SendDownstream, SendUpstream, SetDeadline
from gateway.protocol.held import Held
from gateway_mysql import changes
from gateway_mysql.core import QUIT_COMMAND, Core
from gateway_mysql.errors import code_of, err_payload
from gateway_mysql.messages import redacted_error
from gateway_mysql.metering import admit_rows
from gateway_mysql.pending import Cursor, Kind, Pending, Stage, Undo
from gateway_mysql.resultmasks import Blocked, ResultMasks
from gateway_mysql.rowcount import relabelled
from gateway_mysql.rows import mask_payload, mask_rows, scan_rows
from gateway_mysql.statements import ClientStream
from gateway_mysql.wire.capabilities import Capability
from gateway_mysql.wire.codec import NULL_CELL, Reader
from gateway_mysql.wire.messages import EOF, ERR, LOCAL_INFILE, OK, Eof, Err, Ok, PrepareOk, Status
from gateway_mysql.wire.packets import FULL, HEADER, packet, packet_count

_DROP: Final = b""
# Looking a member up at its class costs a tenth of a microsecond, and there are dozens of such for each statement.
_FIRST: Final = Stage.FIRST
_DEFINITIONS: Final = Stage.DEFINITIONS
_ROWS: Final = Stage.ROWS
_PROBE: Final = Kind.PROBE
_STATISTICS: Final = Kind.STATISTICS
_PREPARE: Final = Kind.PREPARE
_FETCH: Final = Kind.FETCH
_SIMPLE: Final = Kind.SIMPLE
_FIELD_LIST: Final = Kind.FIELD_LIST
_EXECUTE: Final = Kind.EXECUTE
_BEFORE: Final = Kind.BEFORE
_AFTER: Final = Kind.AFTER
_TRANSACTION: Final = Undo.TRANSACTION
_SUCCESS: Final = Outcome.SUCCESS
_CATALOG: Final = SessionEffect.CATALOG
_MORE: Final = int(Status.MORE_RESULTS)
_CURSOR: Final = int(Status.CURSOR_EXISTS)
_MAX_COLUMNS: Final = 65_535
_INTERRUPTED: Final = frozenset({1317, 1969, 3024})
"""What a statement that was cancelled, or ran out of time, fails with."""
_ROW_KINDS: Final = frozenset({Kind.QUERY, Kind.EXECUTE})


class ServerStream:
    """Handles the server's packets."""

    __slots__ = ("_client", "_continues", "_core", "_deprecate_eof", "_held", "_masks", "_probe", "_stream")

    def __init__(self, core: Core, client: ClientStream) -> None:
        self._core = core
        self._client = client
        self._held = Held()
        self._stream = 0
        """Bytes still to come of a packet of rows whose beginning was forwarded."""
        self._continues = False
        """Whether the packet behind that one belongs to the same row."""
        self._masks = ResultMasks(core)
        self._probe: list[bytes | None] = []
        self._deprecate_eof = bool(core.server_flags & Capability.DEPRECATE_EOF)

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

    @property
    def number(self) -> int | None:
        """The number of a packet that would come now, in the place of what is to come; None in the middle of one."""
        pending, first = self._core.pending, self._client.sequence
        if self._stream or self._continues:
            return None
        if pending is None:
            return first
        if pending.kind is _AFTER:
            return pending.held[3] if pending.held else first
        return first if pending.next < 0 else pending.next & 0xFF

    def lost(self) -> None:
        """The server hung up: tell the client, and end."""
        core = self._core
        if core.closed:
            return
        error = UpstreamUnavailable("the database closed the connection")
        if core.abandoned or core.pending is None:
            # A server that says nothing ends an idle session without a word, and so does the gateway.
            core.closed = True
            gone = core.abandoned
            core.lose_everything()
            core.effects.append(Close(None if gone else error))
        else:
            core.fail(error, self.number)

    # --- bytes --------------------------------------------------------------------------------------------------

    def _process(self, data: bytes) -> None:
        core = self._core
        effects = core.effects
        position, size = 0, len(data)
        forwarded = 0
        if self._stream or self._continues:
            position = self._pass_on(data, 0)
        while size - position >= HEADER:
            pending = core.pending
            if pending is not None and pending.stage is _ROWS:
                if pending.plain:
                    stop, count = scan_rows(data, position, size, core.eof_limit)
                    if count:
                        record = pending.record
                        if record is not None:
                            record.rows += count
                            record.bytes_out += stop - position
                        pending.next = data[position + 3] + count
                        position = stop
                        continue
                else:
                    stop, output = self._rows(pending, data, position)
                    if stop > position:
                        if position > forwarded:
                            effects.append(SendDownstream(data[forwarded:position]))
                        if output:
                            effects.append(SendDownstream(output))
                        forwarded = position = stop
                        continue
            elif pending is not None and pending.definitions and pending.definitions_pass:
                number = data[position + 3]
                position, count = scan_rows(data, position, size, core.eof_limit, pending.definitions)
                if count:
                    pending.next = number + count
                    pending.definitions -= count
                    if not pending.definitions and not pending.definitions_eof:
                        pending.stage = _ROWS
                    continue
            length = data[position] | data[position + 1] << 8 | data[position + 2] << 16
            stop = position + HEADER + length
            if pending is not None and pending.stage is _ROWS and pending.plain and size - position > HEADER:
                first = data[position + HEADER]
                if first != ERR and not (first == EOF and length < core.eof_limit):
                    # A row that is not all there, which nobody looks into: it goes on as it comes.
                    if pending.record is not None:
                        pending.record.rows += 1
                    pending.next = data[position + 3] + 1
                    position = self._pass_on(data, position)
                    continue
            if length > core.max_message:
                raise MessageTooLarge("the server sent a packet above limits.max_message")
            if stop > size:
                self._hold(data, position, forwarded, stop - position)
                return
            before = len(effects)
            try:
                outcome, stop = self._packet(pending, data, position, stop)
            except Blocked:
                self._hold(data, position, forwarded, 0)
                return
            except _Incomplete as more:
                self._hold(data, position, forwarded, more.need)
                return
            if pending is not None and (outcome is None or outcome):
                pending.next = data[position + 3] + pending.shift + 1
                if stop - position != HEADER + length:
                    # The definitions of a result that is masked came with it.
                    pending.next += pending.definitions
                    pending.definitions = 0
                if outcome is None and pending.shift:
                    outcome = _renumbered(data[position:stop], pending.shift)
            if outcome is not None:
                if position > forwarded:
                    effects.insert(before, SendDownstream(data[forwarded:position]))
                    before += 1
                if outcome:
                    effects.insert(before, SendDownstream(outcome))
                forwarded = stop
            position = stop
            if core.closed:
                break
            if position < size and core.pending is not None and core.pending is not pending:
                # What was sent to the server just now cannot have been answered before.
                raise RemoteProtocolError("the server answers what was not asked")
        if position > forwarded:
            effects.append(SendDownstream(data if position - forwarded == size else data[forwarded:position]))
        if position < size and not core.closed:
            self._held.keep(data[position:], HEADER)

    def _hold(self, data: bytes, position: int, forwarded: int, need: int) -> None:
        if position > forwarded:
            self._core.effects.append(SendDownstream(data[forwarded:position]))
        self._held.keep(data[position:], need)

    def _pass_on(self, data: bytes, position: int) -> int:
        """Walk over packets of one row that is not all there; returns where what may pass ends."""
        size = len(data)
        while True:
            if self._stream:
                step = min(self._stream, size - position)
                self._stream -= step
                position += step
                if self._stream or not self._continues:
                    return position
            elif not self._continues:
                length = data[position] | data[position + 1] << 8 | data[position + 2] << 16
                self._stream, self._continues = HEADER + length, length == FULL
                continue
            if size - position < HEADER:
                return position
            length = data[position] | data[position + 1] << 8 | data[position + 2] << 16
            self._stream, self._continues = HEADER + length, length == FULL

    def _packet(self, pending: Pending | None, data: bytes, start: int, stop: int) -> tuple[bytes | None, int]:
        """One packet: what takes its place (None: it passes), and where what was looked at ends."""
        begin = start + HEADER
        if pending is None:
            return self._unasked(data[begin:stop]), stop
        if begin == stop:
            raise RemoteProtocolError("the server sent an empty packet")
        kind = pending.kind
        first = data[begin]
        if kind is _PROBE:
            self._probe_packet(pending, data[begin:stop])
            return _DROP, stop
        if kind is _BEFORE:
            self._before(pending, data[begin:stop])
            return _DROP, stop
        if kind is _AFTER:
            return self._after(pending, data[begin:stop]), stop
        if first == ERR and pending.stage is not _DEFINITIONS:
            return self._error(pending, data[start:stop]), stop
        if pending.stage is _FIRST:
            return self._first(pending, data, start, stop)
        if pending.stage is _DEFINITIONS:
            return self._definition(pending, data, begin, stop), stop
        if first == EOF and stop - begin < self._core.eof_limit:
            return self._end_of_rows(pending, data, start, stop), stop
        raise RemoteProtocolError("the server sent a row where none can be")

    # --- answers ------------------------------------------------------------------------------------------------

    def _first(self, pending: Pending, data: bytes, start: int, stop: int) -> tuple[bytes | None, int]:
        begin = start + HEADER
        first = data[begin]
        kind = pending.kind
        if kind is _STATISTICS:
            self._finish(pending)
            return None, stop
        if kind is _PREPARE:
            return self._prepared(pending, PrepareOk.decode(data[begin:stop])), stop
        if kind is _FETCH:
            pending.stage = _ROWS
            return self._again(pending, data, start, stop)
        if first == OK:
            return self._ok(pending, data[start:stop]), stop
        if first == EOF and kind is _SIMPLE:
            self._core.tracker.status(self._status(data[begin:stop]))
            self._finish(pending)
            return None, stop
        if kind is _FIELD_LIST:
            if first == EOF and stop - begin < 9:
                self._finish(pending)
            return None, stop
        if kind not in _ROW_KINDS or first in (LOCAL_INFILE, EOF):
            raise RemoteProtocolError("the server's answer does not fit the command")
        columns = first if first < NULL_CELL else Reader(data[begin:stop], "column count").length()
        if not 0 < columns <= _MAX_COLUMNS:
            raise RemoteProtocolError("a result has an impossible number of columns")
        if pending.changes is not None:
            pending.rows_before = 0 if pending.record is None else pending.record.rows
            if changes.uncounted(pending):
                changes.over(self._core, pending, None, data[start + 3])
        if pending.mask_known or pending.muted:
            pending.stage = _DEFINITIONS
            pending.definitions = columns
            pending.definitions_eof = 0 if self._deprecate_eof else 1
            return (_DROP if pending.muted else None), stop
        return self._described(pending, data, start, stop, columns)

    def _again(self, pending: Pending, data: bytes, start: int, stop: int) -> tuple[bytes | None, int]:
        """The first packet of a FETCH is a row already, or the end."""
        if data[start + HEADER] == EOF and stop - start - HEADER < self._core.eof_limit:
            return self._end_of_rows(pending, data, start, stop), stop
        return _DROP, start

    def _described(
        self, pending: Pending, data: bytes, start: int, stop: int, columns: int
    ) -> tuple[bytes | None, int]:
        """Column count and definitions of a result that is masked: nothing of it passes before the mask is known."""
        ruling = pending.ruling
        if ruling is None:
            raise MaskingError("rows came for a command without a ruling")
        payloads, end = [], stop
        for _ in range(columns if self._deprecate_eof else columns + 1):
            if len(data) - end < HEADER:
                raise _Incomplete(end - start + HEADER)
            length = data[end] | data[end + 1] << 8 | data[end + 2] << 16
            following = end + HEADER + length
            if following - start > self._core.max_message or length == FULL:
                raise MessageTooLarge("column definitions are longer than limits.max_message")
            if following > len(data):
                raise _Incomplete(following - start)
            payloads.append(data[end + HEADER : following])
            end = following
        last = b"" if self._deprecate_eof else payloads.pop()
        if last and last[0] == ERR:
            raise RemoteProtocolError("an error came among column definitions")
        try:
            self._masks.use(pending, ruling, data[start:end], payloads)
        except GatewayError as error:
            pending.mask_known = True
            pending.stage = _ROWS
            self._check_cursor(pending, last)
            return self._cut(pending, error, data[start + 3]), end
        pending.mask_known = True
        pending.stage = _ROWS
        pending.definitions = len(payloads) + (1 if last else 0)
        self._check_cursor(pending, last)
        described = data[start:end]
        if pending.labels:
            count = HEADER + data[start] + (data[start + 1] << 8) + (data[start + 2] << 16)
            eof = end - start - (HEADER + len(last) if last else 0)
            named = relabelled(described[count:eof], pending.labels, self._core.server_flags)
            described = described[:count] + named + described[eof:]
        if last and pending.undo is _TRANSACTION:
            return _renumbered(changes.as_shown(described, len(described) - 2), pending.shift), end
        return (_renumbered(described, pending.shift) if pending.labels else None), end

    def _check_cursor(self, pending: Pending, eof: bytes) -> None:
        """Without DEPRECATE_EOF the end of the definitions tells that rows wait in a cursor."""
        if eof and (status := self._status(eof)) & _CURSOR:
            self._opened_cursor(pending)
            self._core.tracker.status(status)
            self._finish(pending)

    def _definition(self, pending: Pending, data: bytes, begin: int, stop: int) -> bytes | None:
        shown: bytes | None = None
        if pending.definitions:
            pending.definitions -= 1
            if pending.labels and not pending.muted:
                shown = relabelled(data[begin - HEADER : stop], pending.labels, self._core.server_flags)
                shown = _renumbered(shown, pending.shift)
        else:
            pending.definitions_eof -= 1
            if data[begin] != EOF or stop - begin >= 9:
                raise RemoteProtocolError("definitions do not end where they should")
            if pending.kind is _PREPARE:
                if pending.definitions_eof:
                    # The parameters are described; the columns follow.
                    pending.definitions = pending.index
                    return None
            elif (status := self._status(data[begin:stop])) & _CURSOR:
                self._opened_cursor(pending)
                self._core.tracker.status(status)
                self._finish(pending)
                return None
            elif pending.undo is _TRANSACTION and not pending.muted:
                pending.stage = _ROWS
                end = changes.as_shown(data[begin - HEADER : stop], HEADER + 3)
                return _renumbered(end, pending.shift)
        if not pending.definitions and not pending.definitions_eof:
            if pending.kind is _PREPARE:
                self._finish(pending)
            else:
                pending.stage = _ROWS
        return _DROP if pending.muted else shown

    def _prepared(self, pending: Pending, ok: PrepareOk) -> bytes | None:
        core, prepared = self._core, pending.prepared
        if prepared is None:
            raise RemoteProtocolError("the server prepared what was not asked")
        prepared.statement, prepared.parameters = ok.statement, ok.parameters
        core.prepared[ok.statement] = prepared
        core.last_prepared = ok.statement
        groups = (1 if ok.parameters else 0) + (1 if ok.columns else 0)
        if not groups:
            self._finish(pending)
            return None
        pending.stage = _DEFINITIONS
        if self._deprecate_eof:
            pending.definitions = ok.parameters + ok.columns
        else:
            pending.definitions = ok.parameters or ok.columns
            pending.index = ok.columns
            pending.definitions_eof = groups
        return None

    def _ok(self, pending: Pending, data: bytes) -> bytes | None:
        """A statement without rows is done; ``data`` is the packet."""
        core = self._core
        ok = Ok.decode(data[HEADER:])
        core.tracker.status(ok.status)
        record = pending.record
        if not pending.muted:
            core.count = ok.affected
        if record is not None:
            record.rows += ok.affected
        if pending.changes is not None:
            changes.over(core, pending, ok.affected, data[3])
        return self._end_of_result(pending, ok.status, data)

    def _status(self, payload: bytes) -> int:
        """The status flags in an EOF packet, or in an OK packet that takes its place."""
        if len(payload) == 5 or (len(payload) >= 7 and payload[1] < NULL_CELL and payload[2] < NULL_CELL):
            # Behind the warnings of an EOF packet, or behind two numbers of one byte each.
            return payload[3] | payload[4] << 8
        return Eof.decode(payload).status if len(payload) < 7 else Ok.decode(payload).status

    def _end_of_rows(self, pending: Pending, data: bytes, start: int, stop: int) -> bytes | None:
        core = self._core
        status = self._status(data[start + HEADER : stop])
        core.tracker.status(status)
        if not pending.muted:
            core.count = -1
        if status & _CURSOR and pending.kind is _EXECUTE:
            self._opened_cursor(pending)
        cursor = pending.cursor
        if cursor is not None and pending.kind is _FETCH:
            cursor.passed = pending.passed
        if pending.changes is not None:
            changes.over(core, pending, None if status & _CURSOR else changes.returned(pending), data[start + 3])
        return self._end_of_result(pending, status, data[start:stop])

    def _opened_cursor(self, pending: Pending) -> None:
        ruling, prepared = pending.ruling, pending.prepared
        if pending.changes is not None:
            raise UpstreamError("how many rows a statement changed is told by a cursor")
        if prepared is not None and ruling is not None:
            prepared.cursor = Cursor(
                ruling, pending.mask, pending.meters, pending.widths, pending.passed, pending.approved
            )

    def _end_of_result(self, pending: Pending, status: int, data: bytes) -> bytes | None:
        """A result is whole; ``data`` is the packet that ends it."""
        muted = pending.muted
        shown: bytes | None = None
        if pending.undo is _TRANSACTION and not muted:
            # With an OK packet's header an EOF packet of five bytes would be read as rows.
            short = len(data) == HEADER + 5
            shown = changes.as_shown(data, HEADER + 3) if short else changes.ok_as_shown(data)
            shown = _renumbered(shown, pending.shift)
        if status & _MORE and pending.kind in _ROW_KINDS:
            pending.stage = _FIRST
            pending.labels = ()
            pending.index += 1
            pending.mask = None
            pending.meters, pending.widths = (), None
            ruling = pending.ruling
            pending.mask_known = ruling is None or not ruling.masked
        elif pending.changes is not None and changes.conclude(self._core, pending, shown or b""):
            return _DROP
        else:
            self._finish(pending)
        return _DROP if muted else shown

    def _finish(self, pending: Pending) -> None:
        """The answer is whole."""
        core = self._core
        core.pending = None
        if core.deadline_set:
            core.deadline_set = False
            core.effects.append(SetDeadline(None))
        record = pending.record
        if record is not None:
            error = pending.outcome
            if error is not None:
                core.finish(record, Outcome.LIMITED, str(code_of(error).number))
            elif pending.code:
                core.finish(record, Outcome.FAILURE, pending.code)
            else:
                core.finish(record, _SUCCESS)
        ruling = pending.ruling
        if ruling is not None and not ruling.plain and _CATALOG in ruling.analysis.session_effects:
            core.effects.append(CatalogChanged())
        if pending.resets and not pending.code:
            core.tracker.reset()
        if core.abandoned:
            core.closed = True
            core.effects += [SendUpstream(QUIT_COMMAND), Close()]
            return
        self._client.resume()

    # --- rows ---------------------------------------------------------------------------------------------------

    def _rows(self, pending: Pending, data: bytes, position: int) -> tuple[int, bytes | None]:
        """Rows under a mask, a limit or another numbering; returns where they end and what takes their place."""
        core = self._core
        if not pending.mask_known:
            raise MaskingError("rows came before their mask")
        limit = core.eof_limit
        if pending.muted:
            return scan_rows(data, position, len(data), limit)[0], None
        record = pending.record
        stop, count = scan_rows(data, position, len(data), limit)
        if not count:
            return position, None
        number = data[position + 3]
        over: GatewayError | None = None
        output: bytes = _DROP
        cells: tuple[int, ...] = ()
        try:
            if pending.mask is not None:
                end, count, cells, output = self._masked(pending, data, position, stop)
                stop = min(stop, end)
            if pending.counted:
                admitted, allowed, over = admit_rows(pending, data, position, stop, count, eof_limit=limit)
                if allowed < count and pending.mask is not None and allowed:
                    _, _, cells, output = self._masked(pending, data, position, admitted)
                stop, count = admitted, allowed
        except Exception as error:  # noqa: BLE001 - masking functions are plugins: what they raise is a refusal
            failure = MaskingError(f"a row could not be masked: {type(error).__name__}")
            return stop, self._cut(pending, failure, number)
        if not count:
            output, cells = _DROP, ()
        elif pending.mask is None:
            output = _renumbered(data[position:stop], pending.shift)
        if record is not None:
            if cells and pending.mask is not None:
                record.count_masked(pending.mask.labels, cells)
            record.rows += count
            record.bytes_out += len(output)
        pending.next = number + count + pending.shift
        if over is not None:
            following = data[stop + 3] if stop < len(data) else number + count
            cut = self._cut(pending, over, following)
            return scan_rows(data, stop, len(data), limit)[0], output + cut
        return stop, output

    def _masked(self, pending: Pending, data: bytes, start: int, stop: int) -> tuple[int, int, tuple[int, ...], bytes]:
        """Rows under their mask: where they end, how many they are, each column's masked cells, and their packets."""
        mask = pending.mask
        if mask is None:
            raise MaskingError("there is no mask")
        sequence = (data[start + 3] + pending.shift) & 0xFF
        masked = mask_rows(data, start, stop, mask, self._core.eof_limit, sequence)
        return masked if masked[1] else self._large_row(pending, data, start)

    def _large_row(self, pending: Pending, data: bytes, position: int) -> tuple[int, int, tuple[int, ...], bytes]:
        """One row that takes several packets, before or after it was masked."""
        mask = pending.mask
        stop, count = scan_rows(data, position, len(data), self._core.eof_limit, 1)
        if not count or mask is None:
            return position, 0, (), _DROP
        payload, at = b"", position
        while at < stop:
            length = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            payload += data[at + HEADER : at + HEADER + length]
            at += HEADER + length
        masked, cells = mask_payload(payload, mask)
        output = packet(masked, data[position + 3] + pending.shift)
        pending.shift = (pending.shift + packet_count(len(masked)) - packet_count(len(payload))) & 0xFF
        return stop, 1, cells, output

    def _cut(self, pending: Pending, error: GatewayError, sequence: int) -> bytes:
        """Put an error in the place of the rest of the answer; ``sequence`` is the number of the first packet of it."""
        core = self._core
        pending.outcome = error
        pending.muted = True
        core.cancel()
        reference = pending.record.id if pending.record is not None else core.session_id
        return packet(err_payload(error, reference=reference), sequence + pending.shift)

    def expire(self, token: int) -> None:
        """A statement's time is over."""
        pending = self._core.pending
        if pending is not None and id(pending) == token and not pending.muted:
            pending.timed_out = True
            self._core.cancel()

    # --- errors -------------------------------------------------------------------------------------------------

    def _error(self, pending: Pending, data: bytes) -> bytes | None:
        """The server's error ends the answer, whatever was to follow; ``data`` is the packet."""
        core = self._core
        error, sequence = Err.decode(data[HEADER:]), data[3]
        core.tracker.certain = False
        core.count = -1
        replacement: bytes | None = None
        pending.code = str(error.code)
        if pending.muted:
            replacement = _DROP
        elif pending.timed_out and error.code in _INTERRUPTED:
            pending.outcome = limit = TimeLimitExceeded("the policy's time limit was reached")
            reference = pending.record.id if pending.record is not None else core.session_id
            replacement = packet(err_payload(limit, reference=reference), sequence + pending.shift)
        elif _may_speak_of_masked(core, pending.ruling):
            replacement = packet(redacted_error(error).encode(), sequence + pending.shift)
        elif pending.shift:
            replacement = packet(error.encode(), sequence + pending.shift)
        last = data if replacement is None else replacement
        if pending.changes is not None and changes.conclude(core, pending, last):
            return _DROP
        self._finish(pending)
        return replacement

    def _unasked(self, payload: bytes) -> bytes | None:
        """Between commands a server speaks only to say that it ends the session."""
        if not payload or payload[0] != ERR:
            raise RemoteProtocolError("the server speaks without being asked")
        return None

    # --- the gateway's own questions ----------------------------------------------------------------------------

    def _before(self, pending: Pending, payload: bytes) -> None:
        """A savepoint or transaction was begun, or was not."""
        core = self._core
        if payload[0] == ERR:
            core.tracker.certain = False
            error = Err.decode(payload)
            core.undo_refused = redacted_error(error) if core.masked else error
        elif payload[0] != OK:
            raise RemoteProtocolError("the server's answer does not fit the command")
        elif not changes.prepared(core, pending, Ok.decode(payload).status):
            return  # something else was asked for
        self._finish(pending)

    def _after(self, pending: Pending, payload: bytes) -> bytes:
        """What was changed lasts or was undone: the answer that the client waits for."""
        core = self._core
        if payload[0] == ERR and pending.commits:
            error = Err.decode(payload)
            sequence = pending.held[3] if pending.held else 1
            shown = redacted_error(error) if _may_speak_of_masked(core, pending.ruling) else error
            changes.again(core, pending, packet(shown.encode(), sequence), str(error.code))
            return _DROP
        if payload[0] != OK:
            raise UpstreamError("changes could not be taken back")
        ok = Ok.decode(payload)
        if ok.warnings and not pending.commits and not pending.code:
            # ER_WARNING_NOT_COMPLETE_ROLLBACK: a trigger wrote to a table that cannot be rolled back.
            raise UpstreamError("not all changes could be taken back")
        core.tracker.status(ok.status)
        self._finish(pending)
        return pending.held

    def _probe_packet(self, pending: Pending, payload: bytes) -> None:
        core = self._core
        first = payload[0]
        if pending.stage is _FIRST and first not in (ERR, OK):
            columns = Reader(payload, "column count").length()
            pending.definitions = columns + (0 if self._deprecate_eof else 1)
            pending.stage = _DEFINITIONS
            self._probe = []
        elif pending.stage is _DEFINITIONS:
            pending.definitions -= 1
            if not pending.definitions:
                pending.stage = Stage.OWN_ROWS
        elif first in (ERR, OK) or (first == EOF and len(payload) < core.eof_limit):
            if first == EOF:
                core.tracker.status(self._status(payload))
            if len(self._probe) == 5:
                core.tracker.probed(self._probe)
                core.tracker.state = core.rulings.intern(core.tracker.state)
            else:
                core.tracker.probe_failed()
            self._probe = []
            self._finish(pending)
        else:
            reader = Reader(payload, "probe")
            self._probe = [reader.cell() for _ in range(5)]


class _Incomplete(Exception):
    """More is needed: so many bytes from the packet's beginning."""

    def __init__(self, need: int) -> None:
        super().__init__()
        self.need = need


def _renumbered(packets: bytes, shift: int) -> bytes:
    """Packets with other sequence numbers."""
    if not shift:
        return packets
    changed = bytearray(packets)
    position = 0
    while position < len(changed):
        changed[position + 3] = (changed[position + 3] + shift) & 0xFF
        position += HEADER + (changed[position] | changed[position + 1] << 8 | changed[position + 2] << 16)
    return bytes(changed)


def _may_speak_of_masked(core: Core, ruling: Ruling | None) -> bool:
    """Whether the server's message may hold masked data; nothing is known of one without a ruling."""
    return core.masked if ruling is None else ruling.redact_messages

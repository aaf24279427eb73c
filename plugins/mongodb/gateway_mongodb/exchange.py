"""One command at the database: sent, answered, passed on.

A command that wants no answer is acknowledged by the database all the same, so that its outcome is known; the client
hears nothing of it. A long reply that nobody has to change goes out as it comes.
"""

from __future__ import annotations

from typing import Final

from bson import Binary, Int64
from bson.binary import UUID_SUBTYPE

from gateway.domain.audit import Outcome, StatementRecord
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, SessionEffect
from gateway.errors import GatewayError, LimitExceeded, LocalProtocolError, RemoteProtocolError
from gateway.protocol.effects import CatalogChanged, SendDownstream, SendUpstream
from gateway_mongodb.claims import Claims
from gateway_mongodb.core import Core
from gateway_mongodb.documents import MaskedResults
from gateway_mongodb.errors import error_document
from gateway_mongodb.limits import acknowledged
from gateway_mongodb.local import TELLS_TOPOLOGY
from gateway_mongodb.replies import note, outcome, shown, told
from gateway_mongodb.requests import Request
from gateway_mongodb.wire.codec import encode, skip_elements
from gateway_mongodb.wire.compression import compress, decompress
from gateway_mongodb.wire.framing import FrameBuffer
from gateway_mongodb.wire.messages import BODY_AT, OP_COMPRESSED, OP_MSG, Msg, MsgFlag, decode_msg, has_more, is_plain
from gateway_mongodb.wire.scan import ReplyScan, scan_reply
from gateway_mongodb.wire.stream import ReplyStream

MAX_MESSAGE: Final = 48_000_000
"""``maxMessageSizeBytes`` of every server."""
OVERHEAD: Final = 16 * 1024
"""What servers allow on top of it, bytes."""
_READING: Final = frozenset({Action.READ, Action.SHOW, Action.EXPLAIN, Action.CURSOR})
"""What the database itself ends when its client leaves; the outcome of everything else is waited for."""
_STREAM_FROM: Final = 128 * 1024
"""Bytes of a reply from which on it is worth sending before it is whole."""


class Exchange:
    """What the database works at, for the current command of a session."""

    __slots__ = (
        "_abandoned",
        "_buffer",
        "_claims",
        "_core",
        "_masked",
        "_more",
        "_probe",
        "_probed",
        "_record",
        "_reply_id",
        "_reply_to",
        "_stream",
    )

    def __init__(self, core: Core, claims: Claims) -> None:
        self._core = core
        self._claims = claims
        self._buffer = FrameBuffer(max_message=MAX_MESSAGE + OVERHEAD)
        self._record: StatementRecord | None = None
        """The record of the current command once the database has it."""
        self._probe: int | None = None
        """The request id of a question of the gateway's own."""
        self._probed: bytes | None = None
        """The answer to it."""
        self._reply_to = 0
        self._abandoned = False
        self._stream: ReplyStream | None = None
        """The present reply, where it is read as it comes in. It goes out at once, unless it is masked."""
        self._masked: MaskedResults | None = None
        """Its results, where they are masked."""
        self._reply_id = 0
        """Its id."""
        self._more = False
        """Another reply follows it."""

    @property
    def running(self) -> bool:
        """Whether the database has the current command."""
        return self._record is not None

    @property
    def may_speak(self) -> bool:
        """Whether the client hears an error: in the middle of a reply there is no room for another one."""
        return not self._abandoned and (self._stream is None or self._masked is not None)

    def ready(self, max_message: int) -> None:
        """The database takes commands."""
        self._buffer.max_message = max(max_message, MAX_MESSAGE + OVERHEAD)

    def start_over(self) -> None:
        """A new connection to the database: nothing of the old one counts."""
        self._buffer.take_rest()
        self._stream = self._masked = None

    # --- ends ---------------------------------------------------------------------------------------------------

    def abandon(self, request: Request) -> bool:
        """The client is gone. Whether something runs whose outcome is worth waiting for."""
        record = self._record
        if record is None or record.ruling.analysis.actions <= _READING or request.msg.exhaust_allowed:
            self.lose()
            return False
        self._abandoned = True
        return True

    def lose(self) -> None:
        """What runs is lost: whether it happened is not known."""
        if self._record is not None:
            self._core.finish(self._record, Outcome.LOST)
            self._record = self._core.current = None

    # --- to the database ----------------------------------------------------------------------------------------

    def forward(self, request: Request, record: StatementRecord) -> None:
        """The database gets the command."""
        if request.msg.more_to_come:
            # The client wants no answer; the audit does, and one that says whether the writes succeeded.
            body = acknowledged(request.msg.body)
            message = Msg(request.msg.flags & ~MsgFlag.MORE_TO_COME, body, request.msg.sequences).encode(
                request.request_id
            )
        else:
            message = request.message
        self._record = record
        self._reply_to = request.request_id
        self._send(message)

    def ask(self, question: bytes) -> None:
        """Ask something for the gateway; ``take_answer`` has the answer some time."""
        self._probe = -self._core.next_id()
        self._send(Msg(0, question).encode(self._probe))

    def kill(self, namespace: str, cursor_id: int) -> None:
        """Have the database close a cursor that nobody will be let read on. It is not asked how that went."""
        database, _, collection = namespace.partition(".")
        command = {"killCursors": collection, "cursors": [Int64(cursor_id)], "$db": database}
        self._send(Msg(int(MsgFlag.MORE_TO_COME), encode(command)).encode(-self._core.next_id()))

    def abort(self, session: bytes, transaction: int) -> None:
        """Have the database undo a transaction. It is not asked how that went."""
        command = {
            "abortTransaction": 1,
            "lsid": {"id": Binary(session, UUID_SUBTYPE)},
            "txnNumber": Int64(transaction),
            "autocommit": False,
            "$db": "admin",
        }
        self._send(Msg(int(MsgFlag.MORE_TO_COME), encode(command)).encode(-self._core.next_id()))

    def take_answer(self) -> bytes | None:
        """The answer that has come, once."""
        found, self._probed = self._probed, None
        return found

    def _send(self, message: bytes) -> None:
        if self._core.compressor is not None:
            message = compress(message, self._core.compressor)
        self._core.effects.append(SendUpstream(message))

    # --- from the database --------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Bytes from the database."""
        if self._stream is not None:
            data = self._pass(self._stream, data)
            if not data:
                return
        self._buffer.feed(data)
        while not self._core.closed and self._buffer.next():
            self._reply()
        if self._buffer.awaited > _STREAM_FROM and self._may_stream():
            self._pass(self._begin_stream(), self._buffer.take_rest())

    def _may_stream(self) -> bool:
        """Whether the long reply that is coming in can be dealt with as it comes. Errors are never that long."""
        request, record, buffer = self._core.current, self._record, self._buffer
        if (
            request is None
            or record is None
            or buffer.opcode != OP_MSG
            or buffer.response_to != self._reply_to
            or request.compressor is not None
            or request.msg.more_to_come
            or self._abandoned
            or record.ruling.allowance is not None
            or record.ruling.decision.obligations.row_limit is not None
            or request.name in TELLS_TOPOLOGY
            or not is_plain(buffer.peek(BODY_AT))
        ):
            return False
        if request.mask is None:
            return not record.ruling.redact_messages
        self._masked = request.mask.results()
        return self._masked is not None

    def _begin_stream(self) -> ReplyStream:
        buffer, masked = self._buffer, self._masked
        self._reply_id, self._more = buffer.request_id, has_more(buffer.peek(BODY_AT))
        self._stream = ReplyStream(buffer.awaited, skip_elements if masked is None else masked.take)
        return self._stream

    def _pass(self, stream: ReplyStream, data: bytes) -> bytes:
        """Take what is of the reply, and send it on where it is not masked; what is behind it."""
        left = stream.left
        part, rest = (data, b"") if len(data) <= left else (data[:left], data[left:])
        stream.feed(part)
        if self._masked is None:
            self._core.effects.append(SendDownstream(part))
        if not stream.left:
            self._streamed(stream, self._masked)
            self._stream = self._masked = None
        return rest

    def _reply(self) -> None:
        buffer, request = self._buffer, self._core.current
        data, start, end, opcode = buffer.data, buffer.start, buffer.end, buffer.opcode
        if opcode == OP_COMPRESSED:
            data, _ = decompress(data, start, end, max_message=buffer.max_message)
            start, end, opcode = 0, len(data), OP_MSG
        if opcode != OP_MSG or request is None:
            raise RemoteProtocolError("the database sends what nobody asked for")
        msg = decode_msg(data, start, end)
        if self._probe is not None:
            if buffer.response_to != self._probe:
                raise RemoteProtocolError("the database answers another question")
            self._probe, self._probed = None, bytes(msg.body)
            return
        record = self._record
        if record is None or buffer.response_to != self._reply_to:
            raise RemoteProtocolError("the database answers another question")
        self._reply_to = buffer.request_id
        message = data if start == 0 and end == len(data) else data[start:end]
        self._answered_by_database(request, record, msg, message, buffer.request_id)

    def _answered_by_database(
        self, request: Request, record: StatementRecord, msg: Msg, message: bytes, request_id: int
    ) -> None:
        core, ruling = self._core, record.ruling
        body = msg.body
        scan = scan_reply(body)
        self._note(request, ruling, scan, body)
        record.rows = scan.rows or scan.changed
        try:
            body = shown(core, request, ruling, record, scan, body)
        except GatewayError as error:
            self._cut_off(request, record, scan, error)
            return
        result, code = outcome(ruling, scan, msg.body)
        record.bytes_out += len(body)
        last = not msg.more_to_come
        self._record = None
        core.finish(record, result, code)
        if not request.msg.more_to_come and not self._abandoned:
            if body is not msg.body:
                message = Msg(msg.flags & ~MsgFlag.CHECKSUM_PRESENT, body).encode(request_id, buffer_reply_to(message))
            core.effects.append(
                SendDownstream(message if request.compressor is None else compress(message, request.compressor))
            )
        if last:
            if scan.cursor_id and body is not msg.body:
                cursor = core.shared.cursors.find(core.resource, scan.cursor_id, core.owner)
                if cursor is not None and cursor.over is not None:
                    self.kill(scan.namespace, scan.cursor_id)
            self._ended(ruling, scan)
        else:
            self._record = core.begin(ruling, record.text)

    def _ended(self, ruling: Ruling, scan: ReplyScan) -> None:
        """The last reply to the command is dealt with."""
        core = self._core
        if SessionEffect.CATALOG in ruling.analysis.session_effects and scan.ok:
            core.effects.append(CatalogChanged())
        self._core.current = None
        if self._abandoned:
            core.close()

    def _streamed(self, stream: ReplyStream, masked: MaskedResults | None) -> None:
        """The end of a reply that was read as it came: what it said."""
        core, request, record = self._core, self._core.current, self._record
        if request is None or record is None:
            raise LocalProtocolError("a reply was streamed to nobody")
        body = stream.without_results()
        scan = scan_reply(body)
        self._note(request, record.ruling, scan, body)
        record.rows = stream.rows or scan.rows or scan.changed
        if masked is not None and masked.error is not None:
            self._cut_off(request, record, scan, masked.error)
            return
        pieces = [] if masked is None else self._shown(stream, masked, record, scan, body)
        record.bytes_out += stream.length - BODY_AT if masked is None else sum(map(len, pieces)) - BODY_AT
        result, code = outcome(record.ruling, scan, body)
        self._record = None
        core.finish(record, result, code)
        if not self._abandoned:
            core.effects += [SendDownstream(piece) for piece in pieces]
        self._reply_to = self._reply_id
        if self._more:
            self._record = core.begin(record.ruling, record.text)
        else:
            self._ended(record.ruling, scan)
        if masked is None and scan.topology_version:
            core.close(LocalProtocolError("a reply that had to be changed was sent already"))

    def _shown(
        self, stream: ReplyStream, masked: MaskedResults, record: StatementRecord, scan: ReplyScan, body: bytes
    ) -> list[bytes]:
        """A masked reply's message in pieces; ``body`` is without its results."""
        results, size, cells = masked.masked()
        record.count_masked(masked.labels(), cells)
        before, behind = stream.around(size)
        if results:
            results[0] = before + results[0]
            results[-1] += behind
        pieces = results or [before, behind]
        if told(record.ruling, scan, body) is body:
            return pieces
        whole = told(record.ruling, scan, b"".join(pieces)[BODY_AT:])
        flags = int(MsgFlag.MORE_TO_COME) if self._more else 0
        return [Msg(flags, whole).encode(self._reply_id, self._reply_to)]

    def _cut_off(self, request: Request, record: StatementRecord, scan: ReplyScan, error: GatewayError) -> None:
        """The reply must not be seen: the client gets an error in its place."""
        core = self._core
        self._record = None
        core.finish(record, Outcome.FAILURE if not isinstance(error, LimitExceeded) else Outcome.LIMITED, "")
        if not self._abandoned:
            core.say(request, error_document(error, reference=record.id))
        self._core.current = None
        if request.msg.exhaust_allowed or self._abandoned:
            core.close(error)  # further replies may be on their way
        elif scan.cursor_id:
            core.shared.cursors.drop(core.resource, scan.cursor_id)
            self.kill(scan.namespace, scan.cursor_id)

    def _note(self, request: Request, ruling: Ruling, scan: ReplyScan, body: bytes) -> None:
        note(self._core, request, ruling, scan, body)
        self._claims.replied(request, ok=scan.ok)


def buffer_reply_to(message: bytes) -> int:
    """The id of the request that a message answers."""
    return int.from_bytes(message[8:12], "little", signed=True)

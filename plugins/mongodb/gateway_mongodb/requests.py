"""A message of the client's, unpacked as far as every command needs it."""

from __future__ import annotations

from typing import Any, Final

from gateway.domain.audit import StatementRecord
from gateway.domain.ruling import Ruling
from gateway.errors import RemoteProtocolError, UnsupportedFeature
from gateway_mongodb.cursors import Cursor
from gateway_mongodb.documents import DocumentMask
from gateway_mongodb.texts import shown_text
from gateway_mongodb.wire.codec import decode, without
from gateway_mongodb.wire.compression import Compressor, compress, decompress
from gateway_mongodb.wire.framing import FrameBuffer
from gateway_mongodb.wire.hello import NAMES
from gateway_mongodb.wire.messages import (
    OP_COMPRESSED,
    OP_MSG,
    OP_QUERY,
    Msg,
    Reply,
    decode_header,
    decode_msg,
    decode_query,
)
from gateway_mongodb.wire.scan import CommandScan, scan_command

_ENVELOPE: Final = frozenset(
    b"lsid $clusterTime txnNumber autocommit startTransaction apiVersion apiStrict apiDeprecationErrors".split()
)
"""Of sessions, clocks and versions: nothing of what the command does, apart from ``$db``, which stays."""


class Request:
    """One command on its way."""

    __slots__ = (
        "asked_plan",
        "checked",
        "committed",
        "compressor",
        "cursor",
        "legacy",
        "mask",
        "masks_known",
        "message",
        "msg",
        "name",
        "permitted",
        "probed",
        "record",
        "request_id",
        "ruling",
        "scan",
        "text",
    )

    def __init__(
        self,
        message: bytes,
        msg: Msg,
        scan: CommandScan,
        request_id: int,
        compressor: Compressor | None,
        *,
        legacy: bool,
    ) -> None:
        self.message = message
        """As it goes to the database if nothing has to be changed."""
        self.msg = msg
        self.scan = scan
        self.name = scan.name
        self.request_id = request_id
        self.compressor = compressor
        """What the request came packed with, and the reply will be."""
        self.legacy = legacy
        self.ruling: Ruling | None = None
        self.record: StatementRecord | None = None
        """Its execution, from when it was found to be permitted."""
        self.checked = False
        """Everything in it is the client's own."""
        self.permitted = False
        """Budgets, limits and approvals let it run."""
        self.committed = False
        """The intent is on disk."""
        self.cursor: Cursor | None = None
        """The cursor that a getMore continues."""
        self.mask: DocumentMask | None = None
        self.masks_known = False
        self.asked_plan: object = None
        self.probed = False
        self.text: str | None = None

    def command(self) -> dict[str, Any]:
        """The whole command, its document sequences put in as arrays."""
        command = decode(self.msg.body)
        for sequence in self.msg.sequences:
            if sequence.name in command:
                raise RemoteProtocolError("OP_MSG: a document sequence has the name of an argument")
            command[sequence.name] = [decode(document) for document in sequence.documents()]
        return command

    def sequences(self) -> list[tuple[str, bytes]]:
        """The names and raw documents of the sections of kind 1."""
        found = self.msg.sequences
        return [(sequence.name, sequence.data) for sequence in found] if found else []

    def approved_bytes(self) -> bytes:
        """What an approval is for: the command to the byte, without what differs each time it is sent."""
        parts = [without(self.msg.body, _ENVELOPE)]
        for name, data in self.sequences():
            parts += [b"%s\0%d\0" % (name.encode(), len(data)), data]
        return b"".join(parts)

    def described(self) -> str:
        """The text for the audit and for who approves."""
        if self.text is None:
            self.text = shown_text(self.msg.body, self.sequences())
        return self.text

    def replace_body(self, body: bytes) -> None:
        """Send the database this body instead."""
        self.msg = Msg(self.msg.flags, body, self.msg.sequences)
        self.message = self.msg.encode(self.request_id)

    def reply(self, body: bytes, request_id: int) -> bytes:
        """The message that answers this request with ``body``."""
        if self.legacy:
            return Reply(body).encode(request_id, self.request_id)
        message = Msg(0, body).encode(request_id, self.request_id)
        return message if self.compressor is None else compress(message, self.compressor)


def read_request(buffer: FrameBuffer) -> Request:
    """The current message of ``buffer``; ``RemoteProtocolError`` for what is no command."""
    data, start, end, opcode = buffer.data, buffer.start, buffer.end, buffer.opcode
    compressor: Compressor | None = None
    if opcode == OP_COMPRESSED:
        data, compressor = decompress(data, start, end, max_message=buffer.max_message)
        start, end, opcode = 0, len(data), decode_header(data, 0).opcode
    message = data if start == 0 and end == len(data) else data[start:end]
    if opcode == OP_MSG:
        msg = decode_msg(data, start, end)
        scan = scan_command(msg.body)
        if not scan.database:
            raise RemoteProtocolError("OP_MSG: the command names no database")
        return Request(message, msg, scan, buffer.request_id, compressor, legacy=False)
    if opcode == OP_QUERY:
        query = decode_query(data, start, end)
        scan = scan_command(query.body)
        scan.database = query.namespace.removesuffix(".$cmd")
        if scan.name not in NAMES:
            raise UnsupportedFeature("OP_QUERY is understood for hello only: the driver is too old")
        return Request(message, Msg(0, query.body), scan, buffer.request_id, compressor, legacy=True)
    raise RemoteProtocolError("a message of a kind that clients do not send, or no longer")

"""Messages: header, OP_MSG, OP_COMPRESSED, and of the legacy ones OP_QUERY and OP_REPLY.

Source: "MongoDB Wire Protocol" in the server's manual, and the driver specifications for OP_MSG and compression. All
numbers are little-endian. Decoders raise ``RemoteProtocolError``; what a peer sent is never part of an error's text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from struct import Struct
from typing import Final

from gateway.errors import RemoteProtocolError, UnsupportedFeature
from gateway_mongodb.wire.checksum import crc32c
from gateway_mongodb.wire.codec import INT32, document_size

HEADER: Final = Struct("<iiii")
HEADER_SIZE: Final = 16

OP_REPLY: Final = 1
OP_QUERY: Final = 2004
OP_COMPRESSED: Final = 2012
OP_MSG: Final = 2013

_FLAGS: Final = Struct("<I")
_QUERY_NUMBERS: Final = Struct("<ii")
_REPLY_FIXED: Final = Struct("<iqii")


class MsgFlag(IntFlag):
    """Flag bits of OP_MSG. Bits 0 to 15 must be understood by whoever gets them."""

    CHECKSUM_PRESENT = 1
    MORE_TO_COME = 2
    EXHAUST_ALLOWED = 1 << 16


_UNKNOWN_REQUIRED: Final = 0xFFFF & ~int(MsgFlag.CHECKSUM_PRESENT | MsgFlag.MORE_TO_COME)
# Plain numbers: operators of enumerations take a microsecond each.
_CHECKSUM: Final = int(MsgFlag.CHECKSUM_PRESENT)
_MORE: Final = int(MsgFlag.MORE_TO_COME)
_EXHAUST: Final = int(MsgFlag.EXHAUST_ALLOWED)


@dataclass(frozen=True, slots=True)
class Header:
    """What every message begins with. ``length`` counts the header."""

    length: int
    request_id: int
    response_to: int
    opcode: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """Section of kind 1: documents that belong into the array ``name`` of the body."""

    name: str
    data: bytes
    """The documents one after the other."""

    def documents(self) -> list[bytes]:
        """Each document's bytes."""
        found, position = [], 0
        while position < len(self.data):
            size = document_size(self.data, position, len(self.data))
            found.append(self.data[position : position + size])
            position += size
        return found


@dataclass(frozen=True, slots=True)
class Msg:
    """OP_MSG without its header: the body, and document sequences in their order."""

    flags: int
    body: bytes
    sequences: tuple[Sequence, ...] = ()

    @property
    def more_to_come(self) -> bool:
        """Another message follows (from a server), or no reply is wanted (from a client)."""
        return bool(self.flags & _MORE)

    @property
    def exhaust_allowed(self) -> bool:
        """The client takes several replies to this one request."""
        return bool(self.flags & _EXHAUST)

    def encode(self, request_id: int, response_to: int = 0) -> bytes:
        """The whole message. With the flag for a checksum it gets a fresh one."""
        parts = [b"\0", self.body]
        for sequence in self.sequences:
            name = sequence.name.encode()
            parts += [b"\x01", INT32.pack(4 + len(name) + 1 + len(sequence.data)), name, b"\0", sequence.data]
        checked = bool(self.flags & _CHECKSUM)
        size = HEADER_SIZE + 4 + sum(map(len, parts)) + (4 if checked else 0)
        head = HEADER.pack(size, request_id, response_to, OP_MSG) + _FLAGS.pack(self.flags)
        message = b"".join([head, *parts])
        return message + _FLAGS.pack(crc32c(message)) if checked else message


BODY_AT: Final = HEADER_SIZE + 5
"""Where the body of a plain OP_MSG begins: behind header, flags, and the kind of the section."""
_PLAIN: Final = bytes(5)
_PLAIN_WITH_MORE: Final = bytes((_MORE, 0, 0, 0, 0))


def decode_header(data: bytes, start: int) -> Header:
    """The header at ``start``."""
    return Header(*HEADER.unpack_from(data, start))


def decode_msg(data: bytes, start: int, end: int) -> Msg:
    """The OP_MSG that lies at ``data[start:end]``, header included. Its checksum, if any, must be right."""
    position = start + HEADER_SIZE
    if (
        data[position : start + BODY_AT] == _PLAIN
        and document_size(data, start + BODY_AT, end) == end - start - BODY_AT
    ):
        return Msg(0, data[start + BODY_AT : end])
    if end - position < 4:
        raise RemoteProtocolError("OP_MSG: ends inside its flags")
    flags: int = _FLAGS.unpack_from(data, position)[0]
    if flags & _UNKNOWN_REQUIRED:
        raise RemoteProtocolError("OP_MSG: has a required flag that nobody knows")
    position += 4
    limit = end
    if flags & _CHECKSUM:
        limit = end - 4
        if limit < position or crc32c(memoryview(data)[start:limit]) != _FLAGS.unpack_from(data, limit)[0]:
            raise RemoteProtocolError("OP_MSG: the checksum is wrong")
    body: bytes | None = None
    sequences: list[Sequence] = []
    while position < limit:
        kind = data[position]
        position += 1
        if kind == 0:
            if body is not None:
                raise RemoteProtocolError("OP_MSG: has two bodies")
            size = document_size(data, position, limit)
            body = data[position : position + size]
            position += size
        elif kind == 1:
            sequence, position = _sequence(data, position, limit)
            if any(other.name == sequence.name for other in sequences):
                raise RemoteProtocolError("OP_MSG: has two document sequences of one name")
            sequences.append(sequence)
        else:
            raise RemoteProtocolError(f"OP_MSG: has a section of the unknown kind {kind}")
    if body is None:
        raise RemoteProtocolError("OP_MSG: has no body")
    return Msg(flags, body, tuple(sequences))


def is_plain(data: bytes) -> bool:
    """Whether the OP_MSG that begins here has nothing but a body, and no checksum. False: not surely."""
    return data[HEADER_SIZE:BODY_AT] in (_PLAIN, _PLAIN_WITH_MORE)


def has_more(data: bytes) -> bool:
    """Whether another message follows the OP_MSG that begins here without being asked for."""
    return bool(data[HEADER_SIZE] & _MORE)


def _sequence(data: bytes, position: int, limit: int) -> tuple[Sequence, int]:
    if limit - position < 5:
        raise RemoteProtocolError("OP_MSG: a document sequence ends inside its length")
    size: int = INT32.unpack_from(data, position)[0]
    after = position + size
    if size < 6 or after > limit:
        raise RemoteProtocolError("OP_MSG: a document sequence's length is impossible")
    stop = data.find(b"\0", position + 4, after)
    if stop < 0:
        raise RemoteProtocolError("OP_MSG: a document sequence's name has no end")
    try:
        name = data[position + 4 : stop].decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("OP_MSG: a document sequence's name is not UTF-8") from None
    documents, place = data[stop + 1 : after], 0
    while place < len(documents):
        place += document_size(documents, place, len(documents))
    return Sequence(name, documents), after


@dataclass(frozen=True, slots=True)
class Query:
    """OP_QUERY, which is only left for the first hello of a connection."""

    flags: int
    namespace: str
    body: bytes

    def encode(self, request_id: int) -> bytes:
        """The whole message, for one document."""
        payload = INT32.pack(self.flags) + self.namespace.encode() + b"\0" + _QUERY_NUMBERS.pack(0, -1) + self.body
        return HEADER.pack(HEADER_SIZE + len(payload), request_id, 0, OP_QUERY) + payload


def decode_query(data: bytes, start: int, end: int) -> Query:
    """The OP_QUERY at ``data[start:end]``; ``UnsupportedFeature`` for one that is no command."""
    position = start + HEADER_SIZE
    if end - position < 4:
        raise RemoteProtocolError("OP_QUERY: ends inside its flags")
    flags: int = INT32.unpack_from(data, position)[0]
    stop = data.find(b"\0", position + 4, end)
    if stop < 0 or end - stop < 9:
        raise RemoteProtocolError("OP_QUERY: the collection's name has no end")
    try:
        namespace = data[position + 4 : stop].decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("OP_QUERY: the collection's name is not UTF-8") from None
    if not namespace.endswith(".$cmd"):
        raise UnsupportedFeature("OP_QUERY is understood for commands only")
    place = stop + 9
    size = document_size(data, place, end)
    return Query(flags, namespace, data[place : place + size])


@dataclass(frozen=True, slots=True)
class Reply:
    """OP_REPLY with one document: the answer to an OP_QUERY."""

    body: bytes

    def encode(self, request_id: int, response_to: int) -> bytes:
        """The whole message. Flag 8 (AwaitCapable) is always set by servers."""
        payload = _REPLY_FIXED.pack(8, 0, 0, 1) + self.body
        return HEADER.pack(HEADER_SIZE + len(payload), request_id, response_to, OP_REPLY) + payload


def decode_reply(data: bytes, start: int, end: int) -> Reply:
    """The OP_REPLY at ``data[start:end]``; it must hold one document."""
    place = start + HEADER_SIZE + _REPLY_FIXED.size
    size = document_size(data, place, end)
    if place + size != end:
        raise RemoteProtocolError("OP_REPLY: does not hold one document")
    return Reply(data[place:end])

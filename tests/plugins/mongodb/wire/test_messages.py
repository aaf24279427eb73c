"""Messages: what is encoded is decoded, a stream may be cut anywhere, and garbage is refused without a fault."""

from __future__ import annotations

import contextlib
import struct

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MessageTooLarge, RemoteProtocolError, UnsupportedFeature
from gateway_mongodb.requests import read_request
from gateway_mongodb.wire.checksum import crc32c
from gateway_mongodb.wire.compression import OFFERED, Compressor, compress, decompress
from gateway_mongodb.wire.framing import FrameBuffer
from gateway_mongodb.wire.messages import (
    HEADER,
    HEADER_SIZE,
    OP_MSG,
    Msg,
    MsgFlag,
    Query,
    Reply,
    Sequence,
    decode_msg,
    decode_query,
    decode_reply,
)

LIMIT = 48_000_000
BODY = bson.encode({"insert": "t", "ordered": True, "$db": "shop"})
DOCUMENTS = tuple(bson.encode({"_id": number, "text": "x" * number}) for number in range(3))
MESSAGES = {
    "body only": Msg(0, BODY),
    "a sequence": Msg(0, BODY, (Sequence("documents", b"".join(DOCUMENTS)),)),
    "two sequences": Msg(0, BODY, (Sequence("a", DOCUMENTS[0]), Sequence("b", b""))),
    "unacknowledged": Msg(int(MsgFlag.MORE_TO_COME), BODY),
    "exhaust": Msg(int(MsgFlag.EXHAUST_ALLOWED), BODY),
    "a checksum": Msg(int(MsgFlag.CHECKSUM_PRESENT), BODY, (Sequence("documents", DOCUMENTS[2]),)),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_what_is_encoded_is_decoded(message: Msg) -> None:
    data = message.encode(7, 6)
    assert decode_msg(data, 0, len(data)) == message
    # Anywhere in a larger chunk, too.
    assert decode_msg(b"123" + data + b"456", 3, 3 + len(data)) == message


def test_a_sequence_gives_its_documents() -> None:
    assert tuple(Sequence("documents", b"".join(DOCUMENTS)).documents()) == DOCUMENTS


def test_the_checksum_is_castagnolis() -> None:
    # RFC 3720, appendix B.4.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


def test_a_wrong_checksum_is_refused() -> None:
    data = bytearray(MESSAGES["a checksum"].encode(1))
    data[30] ^= 1
    with pytest.raises(RemoteProtocolError, match="checksum"):
        decode_msg(bytes(data), 0, len(data))


def _msg(payload: bytes, flags: int = 0) -> bytes:
    return HEADER.pack(HEADER_SIZE + 4 + len(payload), 1, 0, OP_MSG) + struct.pack("<I", flags) + payload


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_msg(b""), "no body"),
        (_msg(b"\0" + BODY + b"\0" + BODY), "two bodies"),
        (_msg(b"\x02" + BODY), "unknown kind"),
        (_msg(b"\0" + BODY, flags=4), "required flag"),
        (_msg(b"\0" + BODY[:-1]), "length"),
        (_msg(b"\0" + struct.pack("<i", -1) + BODY[4:]), "length"),
        (_msg(b"\0" + BODY + b"\x01" + struct.pack("<i", 500) + b"d\0"), "impossible"),
        (_msg(b"\0" + BODY + b"\x01" + struct.pack("<i", 6) + b"dd"), "no end"),
        (_msg(b"\0" + BODY + 2 * (b"\x01" + struct.pack("<i", 6) + b"d\0")), "one name"),
    ],
)
def test_a_malformed_message_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        decode_msg(data, 0, len(data))


def test_a_flag_that_need_not_be_understood_is_no_fault() -> None:
    data = Msg(1 << 20, BODY).encode(1)
    assert decode_msg(data, 0, len(data)).flags == 1 << 20


def test_the_legacy_hello_and_its_reply() -> None:
    query = Query(4, "admin.$cmd", bson.encode({"isMaster": 1}))
    data = query.encode(3)
    assert decode_query(data, 0, len(data)) == query
    reply = Reply(bson.encode({"ok": 1.0}))
    data = reply.encode(4, 3)
    assert decode_reply(data, 0, len(data)) == reply
    other = Query(0, "shop.customers", bson.encode({})).encode(5)
    with pytest.raises(UnsupportedFeature):
        decode_query(other, 0, len(other))


@pytest.mark.parametrize("compressor", OFFERED, ids=lambda compressor: compressor.wire_name)
def test_compressed_messages_come_out_as_they_were(compressor: Compressor) -> None:
    message = Msg(0, bson.encode({"find": "t", "$db": "shop", "filler": "abc" * 100})).encode(9)
    packed = compress(message, compressor)
    assert len(packed) < len(message)
    assert decompress(packed, 0, len(packed), max_message=LIMIT) == (message, compressor)


@pytest.mark.parametrize("compressor", OFFERED, ids=lambda compressor: compressor.wire_name)
def test_a_compressed_message_that_grows_beyond_its_word_or_the_limit_is_refused(compressor: Compressor) -> None:
    packed = compress(Msg(0, bson.encode({"a": bytes(1_000_000)})).encode(9), compressor)
    with pytest.raises(MessageTooLarge):
        decompress(packed, 0, len(packed), max_message=100_000)
    lying = bytearray(packed)
    struct.pack_into("<i", lying, HEADER_SIZE + 4, 500)
    with pytest.raises(RemoteProtocolError):
        decompress(bytes(lying), 0, len(lying), max_message=LIMIT)
    with pytest.raises(RemoteProtocolError):
        decompress(packed[:-3], 0, len(packed) - 3, max_message=LIMIT)


def test_a_compressed_message_cannot_hold_another_one() -> None:
    packed = compress(Msg(0, bson.encode({"a": "b" * 500})).encode(9), Compressor.ZLIB)
    nested = bytearray(compress(packed + bytes(200), Compressor.ZLIB))
    with pytest.raises(RemoteProtocolError, match="holds no message"):
        decompress(bytes(nested), 0, len(nested), max_message=LIMIT)


STREAM = b"".join(message.encode(number) for number, message in enumerate(MESSAGES.values(), 1))


def test_a_stream_may_be_cut_at_every_byte() -> None:
    for cut in range(len(STREAM) + 1):
        buffer, found = FrameBuffer(max_message=LIMIT), []
        for part in (STREAM[:cut], STREAM[cut:]):
            if part:
                buffer.feed(part)
            while buffer.next():
                found.append(decode_msg(buffer.data, buffer.start, buffer.end))
        assert found == list(MESSAGES.values())
        assert not len(buffer)


def test_a_stream_may_come_byte_by_byte() -> None:
    buffer, found = FrameBuffer(max_message=LIMIT), []
    for place in range(len(STREAM)):
        buffer.feed(STREAM[place : place + 1])
        while buffer.next():
            found.append(buffer.message())
    assert b"".join(found) == STREAM


def test_a_length_beyond_the_limit_is_refused_before_the_message_is_there() -> None:
    buffer = FrameBuffer(max_message=1000)
    buffer.feed(HEADER.pack(1001, 1, 0, OP_MSG))
    with pytest.raises(MessageTooLarge):
        buffer.next()
    buffer = FrameBuffer(max_message=1000)
    buffer.feed(HEADER.pack(15, 1, 0, OP_MSG))
    with pytest.raises(RemoteProtocolError):
        buffer.next()


@given(st.binary(max_size=300), st.sampled_from([1, 2004, 2010, 2012, 2013]))
def test_garbage_is_refused_and_nothing_else(payload: bytes, opcode: int) -> None:
    buffer = FrameBuffer(max_message=LIMIT)
    buffer.feed(HEADER.pack(HEADER_SIZE + len(payload), 1, 0, opcode) + payload)
    assert buffer.next()
    with contextlib.suppress(RemoteProtocolError):
        read_request(buffer)


@given(st.integers(0, len(STREAM) - 1), st.binary(min_size=1, max_size=8))
def test_a_damaged_stream_is_refused_or_read_as_something_else(place: int, damage: bytes) -> None:
    data = STREAM[:place] + damage + STREAM[place + len(damage) :]
    buffer = FrameBuffer(max_message=LIMIT)
    buffer.feed(data)
    with contextlib.suppress(RemoteProtocolError):
        while buffer.next():
            read_request(buffer).command()

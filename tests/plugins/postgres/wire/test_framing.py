"""Framing: the same messages however the stream is cut, and limits before memory."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MessageTooLarge, RemoteProtocolError
from gateway_postgres.wire.codec import frame
from gateway_postgres.wire.framing import FrameBuffer, startup_length
from gateway_postgres.wire.startup import StartupMessage

MESSAGES = [(ord("Q"), b"select 1\0"), (ord("S"), b""), (ord("d"), bytes(range(256)) * 3), (ord("X"), b"")]
STREAM = b"".join(frame(kind, body) for kind, body in MESSAGES)


def new(limit: int = 1 << 20, **limits: int) -> FrameBuffer:
    return FrameBuffer(max_message=limit, limits={ord(kind): size for kind, size in limits.items()})


def test_whole_messages_in_one_chunk():
    buffer = new()
    buffer.feed(STREAM)
    assert list(buffer.messages()) == MESSAGES
    assert len(buffer) == 0


def test_split_at_every_byte():
    for cut in range(len(STREAM) + 1):
        buffer = new()
        buffer.feed(STREAM[:cut])
        got = list(buffer.messages())
        buffer.feed(STREAM[cut:])
        assert got + list(buffer.messages()) == MESSAGES


def test_byte_by_byte():
    buffer = new()
    got: list[tuple[int, bytes]] = []
    for byte in STREAM:
        buffer.feed(bytes((byte,)))
        got += buffer.messages()
    assert got == MESSAGES


@given(
    st.lists(st.tuples(st.sampled_from(b"QSdX"), st.binary(max_size=30)), max_size=8),
    st.lists(st.integers(1, 40), max_size=30),
    st.booleans(),
)
def test_any_cutting_gives_the_same_messages(messages, sizes, read_at_once):
    stream = b"".join(frame(kind, body) for kind, body in messages)
    buffer = new()
    got: list[tuple[int, bytes]] = []
    for size in [*sizes, len(stream) + 1]:
        chunk, stream = stream[:size], stream[size:]
        buffer.feed(chunk)
        if read_at_once:
            got += buffer.messages()
    assert got + list(buffer.messages()) == messages
    assert len(buffer) == 0


def test_the_current_message_outlives_a_feed():
    buffer = new()
    buffer.feed(frame(ord("Q"), b"one\0"))
    assert buffer.next() == ord("Q")
    buffer.feed(frame(ord("Q"), b"two\0"))
    assert buffer.body() == b"one\0"
    assert bytes(buffer.view()) == b"one\0"
    assert buffer.frame() == frame(ord("Q"), b"one\0")
    assert buffer.next() == ord("Q")
    assert buffer.body() == b"two\0"


def test_a_run_of_messages_is_one_slice():
    buffer = new()
    buffer.feed(STREAM)
    for _ in MESSAGES:
        assert buffer.next() is not None
    assert buffer.data[: buffer.end] == STREAM


def test_an_oversized_message_is_refused_when_its_length_is_read():
    buffer = new(100)
    buffer.feed(struct.pack("!BI", ord("Q"), 105))
    with pytest.raises(MessageTooLarge, match="'Q'"):
        buffer.next()


def test_the_largest_allowed_message_passes():
    buffer = new(100)
    buffer.feed(frame(ord("Q"), bytes(100)))
    assert [len(body) for _, body in buffer.messages()] == [100]


def test_a_limit_for_one_type():
    buffer = new(100, p=10)
    buffer.feed(frame(ord("d"), bytes(50)))
    assert buffer.next() == ord("d")
    buffer.feed(frame(ord("p"), bytes(11)))
    with pytest.raises(MessageTooLarge):
        buffer.next()


def test_limits_can_be_raised_after_login():
    buffer = new(10)
    buffer.feed(frame(ord("p"), bytes(10)))
    assert buffer.next() == ord("p")
    buffer.max_message = 50
    buffer.feed(frame(ord("Q"), bytes(50)))
    assert buffer.next() == ord("Q")


@pytest.mark.parametrize("length", [0, 1, 3])
def test_impossible_lengths_are_refused(length):
    buffer = new()
    buffer.feed(struct.pack("!BI", ord("Q"), length))
    with pytest.raises(RemoteProtocolError, match="too small"):
        buffer.next()


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_huge_and_negative_lengths_take_no_memory(length):
    buffer = new()
    tracemalloc.start()
    buffer.feed(struct.pack("!BI", ord("Q"), length))
    with pytest.raises(MessageTooLarge):
        buffer.next()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_an_announced_length_takes_no_memory_before_it_arrives():
    buffer = new(1 << 30)
    tracemalloc.start()
    buffer.feed(struct.pack("!BI", ord("Q"), 1 << 29))
    assert buffer.next() is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_a_long_message_in_many_pieces_is_put_together_once():
    class Counting(FrameBuffer):
        joined = 0

        def _refill(self, need: int) -> bool:
            done = super()._refill(need)
            Counting.joined += len(self.data)
            return done

    size, piece = 4 << 20, 1000
    stream = frame(ord("d"), bytes(size))
    buffer = Counting(max_message=size)
    got = []
    for start in range(0, len(stream), piece):
        buffer.feed(stream[start : start + piece])
        got += [len(body) for _, body in buffer.messages()]
    assert got == [size]
    assert Counting.joined < 1.1 * size


def test_many_messages_fed_while_nobody_reads_are_copied_a_fixed_number_of_times():
    class Counting(FrameBuffer):
        joined = 0

        def _refill(self, need: int) -> bool:
            done = super()._refill(need)
            Counting.joined += len(self.data)
            return done

    buffer = Counting(max_message=1000)
    for _ in range(2000):
        buffer.feed(STREAM)
    assert sum(1 for _ in buffer.messages()) == 2000 * len(MESSAGES)
    assert Counting.joined <= 2 * 2000 * len(STREAM)


def test_a_waiting_tail_does_not_keep_its_chunk():
    buffer = new()
    buffer.feed(frame(ord("d"), bytes(500_000)) + b"Q")
    assert buffer.next() == ord("d")
    assert buffer.next() is None
    assert buffer.data == b""
    assert len(buffer) == 1


def test_startup_packet_then_typed_messages_at_every_split():
    startup = StartupMessage(3 << 16, {"user": "ana@example.com"}).encode()
    stream = startup + frame(ord("p"), b"x\0")
    for cut in range(len(stream) + 1):
        buffer = new()
        buffer.feed(stream[:cut])
        body = buffer.take_startup(max_length=10_000)
        if body is None:
            assert cut < len(startup)
            buffer.feed(stream[cut:])
            body = buffer.take_startup(max_length=10_000)
        else:
            buffer.feed(stream[cut:])
        assert body == startup[4:]
        assert list(buffer.messages()) == [(ord("p"), b"x\0")]


@pytest.mark.parametrize(
    ("length", "error"), [(0, RemoteProtocolError), (7, RemoteProtocolError), (10_001, MessageTooLarge)]
)
def test_startup_length_is_bounded(length, error):
    with pytest.raises(error):
        startup_length(length.to_bytes(4, "big"), max_length=10_000)
    buffer = new()
    buffer.feed(length.to_bytes(4, "big"))
    with pytest.raises(error):
        buffer.take_startup(max_length=10_000)


def test_startup_length_needs_four_bytes():
    with pytest.raises(RemoteProtocolError):
        startup_length(b"\0\0\1", max_length=100)
    assert startup_length(b"\0\0\0\x08", max_length=100) == 4


def test_take_rest_gives_what_nobody_read():
    buffer = new()
    buffer.feed(STREAM)
    buffer.next()
    buffer.feed(b"tail")
    assert buffer.take_rest() == STREAM[len(frame(*MESSAGES[0])) :] + b"tail"
    assert len(buffer) == 0
    buffer.feed(STREAM)
    assert list(buffer.messages()) == MESSAGES


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_random_bytes_make_clean_errors_only(chunks):
    buffer = new(1000)
    try:
        for chunk in chunks:
            buffer.feed(chunk)
            for _, body in buffer.messages():
                assert len(body) <= 1000
    except RemoteProtocolError:
        pass

"""Replies read while they come in: whatever the pieces, the same is found, and nothing is taken for what it is not."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import bson
import pytest
from bson import Int64, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RemoteProtocolError
from gateway_mongodb.wire import _elements_reference
from gateway_mongodb.wire.codec import element_size, skip_elements
from gateway_mongodb.wire.messages import BODY_AT, Msg
from gateway_mongodb.wire.stream import ReplyStream, Take
from tests.plugins.mongodb.wire.test_scan import EVERY_TYPE

SKIPS = pytest.mark.parametrize(
    "skip", [skip_elements, _elements_reference.skip_elements], ids=["used", "specification"]
)
CLOCK = {"$clusterTime": {"clusterTime": Timestamp(1, 2)}, "operationTime": Timestamp(1, 2)}


def found(*documents: Any, batch: str = "nextBatch") -> dict[str, Any]:
    return {"cursor": {batch: list(documents), "id": Int64(7), "ns": "shop.t"}, "ok": 1.0, **CLOCK}


REPLIES: dict[str, dict[str, Any]] = {
    "documents": found(*({"_id": number, **EVERY_TYPE} for number in range(12))),
    "a first batch": found({}, {"a": []}, batch="firstBatch"),
    "none": found(),
    "values": {"values": list(EVERY_TYPE.values()), "ok": 1.0},
    "results behind the id": {"cursor": {"id": Int64(0), "firstBatch": [{"a": 1}] * 3}, "ok": 1.0},
    "no results": {"ok": 0.0, "errmsg": "no", "code": 5, "cursor": {"nothing": [1, 2]}, "cursor ": {"nextBatch": [1]}},
}


def results(reply: dict[str, Any]) -> list[Any]:
    cursor = reply.get("cursor", {})
    listed: list[Any] = reply.get("values", cursor.get("firstBatch", cursor.get("nextBatch", [])))
    return listed


def encoded(reply: dict[str, Any]) -> bytes:
    return Msg(0, bson.encode(reply)).encode(1, 2)


def bare(reply: dict[str, Any]) -> bytes:
    """The reply's body as it would be without results."""
    kept = {key: [] if key == "values" else value for key, value in reply.items()}
    if isinstance(kept.get("cursor"), dict):
        kept["cursor"] = {
            key: [] if key in ("firstBatch", "nextBatch") else value for key, value in kept["cursor"].items()
        }
    return bson.encode(kept)


class Taken:
    """Keeps what is taken, whole results only."""

    def __init__(self) -> None:
        self.bytes = b""

    def __call__(self, data: bytes, position: int, end: int) -> tuple[int, int]:
        begin, count = position, 0
        while position < min(end, len(data)):
            size = element_size(data, position, end)
            if not size or position + size > len(data):
                break
            position, count = position + size, count + 1
        self.bytes += data[begin:position]
        return position, count


def read(message: bytes, pieces: Iterator[bytes], take: Take) -> ReplyStream:
    stream = ReplyStream(len(message), take)
    feed(stream, pieces)
    return stream


def feed(stream: ReplyStream, pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        stream.feed(piece)


def every(size: int, message: bytes) -> Iterator[bytes]:
    return (message[at : at + size] for at in range(0, len(message), size))


@SKIPS
@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.parametrize("size", [1, 2, 7, 64, 1_000, 1_000_000])
def test_pieces_make_no_difference(skip: Take, name: str, size: int) -> None:
    reply = REPLIES[name]
    message = encoded(reply)
    stream = read(message, every(size, message), skip)
    assert (stream.left, stream.rows, stream.without_results()) == (0, len(results(reply)), bare(reply))

    taken = Taken()
    stream = read(message, every(size, message), taken)
    assert stream.rows == len(results(reply))
    before, behind = stream.around(len(taken.bytes))
    assert before + taken.bytes + behind == message


@pytest.mark.parametrize("name", REPLIES)
def test_no_cut_makes_a_difference(name: str) -> None:
    message = encoded(REPLIES[name])
    for cut in range(1, len(message)):
        taken = Taken()
        stream = read(message, iter((message[:cut], message[cut:])), taken)
        assert (
            b"".join((stream.around(len(taken.bytes))[0], taken.bytes, stream.around(len(taken.bytes))[1])) == message
        )
        assert read(message, iter((message[:cut], message[cut:])), skip_elements).without_results() == bare(
            REPLIES[name]
        )


def test_other_results_get_other_lengths() -> None:
    reply = found({"a": "long" * 10}, {"b": 1})
    message = encoded(reply)
    stream = read(message, iter((message,)), skip_elements)
    others = bson.encode({"0": {"a": "x"}})[4:-1]
    before, behind = stream.around(len(others))
    assert before + others + behind == encoded(found({"a": "x"}))


def lengths(message: bytes) -> dict[str, int]:
    """Where the lengths around and in the first result are."""
    batch = message.index(b"nextBatch\0") + len(b"nextBatch\0")
    return {"message": 0, "body": BODY_AT, "cursor": BODY_AT + 4 + 8, "batch": batch, "result": batch + 4 + 3}


@SKIPS
@pytest.mark.parametrize("which", ["message", "body", "cursor", "batch", "result"])
@pytest.mark.parametrize("lie", [-1000, -1, 1, 1000, 1 << 30])
@pytest.mark.parametrize("size", [1, 50, 100_000])
def test_a_length_that_lies_is_found_out(skip: Take, which: str, lie: int, size: int) -> None:
    message = bytearray(encoded(found({"a": "x" * 20}, {"a": "y" * 20}, {"b": 1})))
    at = lengths(bytes(message))[which]
    (length,) = struct.unpack_from("<i", message, at)
    struct.pack_into("<i", message, at, max(-5, length + lie))
    stream = ReplyStream(max(length + lie, 0) if which == "message" else len(message), skip)
    with pytest.raises(RemoteProtocolError):
        feed(stream, every(size, bytes(message)))


@given(st.sampled_from(sorted(REPLIES)), st.integers(21, 900), st.binary(min_size=1, max_size=5), st.integers(1, 300))
def test_damaged_replies_are_refused_or_read_alike(name: str, place: int, damage: bytes, size: int) -> None:
    message = encoded(REPLIES[name])
    place = min(place, len(message) - len(damage))
    message = message[:place] + damage + message[place + len(damage) :]
    assert verdict(message, skip_elements, size) == verdict(message, _elements_reference.skip_elements, size)


def verdict(message: bytes, skip: Take, size: int) -> object:
    try:
        stream = read(message, every(size, message), skip)
    except RemoteProtocolError as error:
        return str(error)[:20]
    return stream.rows, stream.without_results()


@given(st.integers(0, 420), st.binary(max_size=6), st.integers(1, 500), st.integers(0, 60))
def test_the_compiled_kernel_agrees_with_its_reference(place: int, damage: bytes, known: int, position: int) -> None:
    data = bson.encode(EVERY_TYPE)
    data = data[:place] + damage + data[place + len(damage) :]
    end = len(data) - 1
    position = 4 + position
    for compiled, plain in (
        (element_size, _elements_reference.element_size),
        (skip_elements, _elements_reference.skip_elements),
    ):
        assert tried(compiled, data[:known], position, end) == tried(plain, data[:known], position, end)


def tried(function: Callable[[bytes, int, int], object], data: bytes, position: int, end: int) -> object:
    if position >= len(data):
        return None
    try:
        return function(data, position, end)
    except RemoteProtocolError:
        return RemoteProtocolError


@pytest.mark.parametrize("piece", [1_000, 200_000])
def test_what_passes_is_not_kept(piece: int) -> None:
    chance = random.Random(1)
    message = encoded(found(*({"_id": number, "x": chance.randbytes(50_000)} for number in range(400))))
    stream = ReplyStream(len(message), skip_elements)
    tracemalloc.start()
    for part in every(piece, message):
        stream.feed(part)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (stream.left, stream.rows) == (0, 400)
    assert most < 4 * piece + 100_000

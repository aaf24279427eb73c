"""Frames around packets: in any pieces, of any size, and with lies in them."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RemoteProtocolError
from gateway_mysql.wire.compression import Compression, ServerCompression
from gateway_mysql.wire.packets import FULL, packet
from tests.plugins.mysql.frames import HEAD, ZLIB, ZSTD, frame, packed, read_frames, unpacked

ALGORITHMS = pytest.mark.parametrize("algorithm", [ZLIB, ZSTD])
Make = Callable[[str], Compression | ServerCompression]
BOTH_SIDES = pytest.mark.parametrize(
    "make",
    [lambda one: Compression(zstd=one == ZSTD), lambda one: ServerCompression(zstd=one == ZSTD)],
    ids=["client", "server"],
)


@ALGORITHMS
@given(data=st.binary(max_size=3000), cut=st.integers(0, 3000))
def test_compressed_bytes_survive_in_any_pieces(algorithm: str, data: bytes, cut: int) -> None:
    wire = Compression(zstd=algorithm == ZSTD).encode(data * 3)
    reader = Compression(zstd=algorithm == ZSTD)
    assert unpacked(reader, wire[:cut]) + unpacked(reader, wire[cut:]) == data * 3


@ALGORITHMS
def test_others_can_read_it(algorithm: str) -> None:
    compression = Compression(zstd=algorithm == ZSTD)
    data = bytes(range(256)) * (80_000)
    frames = read_frames(compression.encode(data) + compression.encode(b"short"), algorithm)
    assert [number for number, _ in frames] == [0, 1, 2]
    assert b"".join(body for _, body in frames) == data + b"short"


def _lies(algorithm: str) -> dict[str, bytes]:
    body = b"a" * 100_000
    honest = frame(body, 0, algorithm)
    content = packed(body, algorithm)

    def stating(plain: int, content: bytes = content) -> bytes:
        return len(content).to_bytes(3, "little") + b"\0" + plain.to_bytes(3, "little") + content

    return {
        "less than there is": stating(50_000),
        "more than there is": stating(100_001),
        "one byte": stating(1),
        "cut off": stating(100_000, content[:-5]),
        "nothing": stating(100, b""),
        "not compressed at all": stating(100, b"x" * 100),
        "changed on the way": honest[:-3] + bytes(255 - byte for byte in honest[-3:]),
        "the other algorithm": frame(body, 0, ZSTD if algorithm == ZLIB else ZLIB),
    }


@pytest.mark.parametrize("lie", list(_lies(ZLIB)))
@ALGORITHMS
@BOTH_SIDES
def test_frames_that_lie_are_refused(make: Make, algorithm: str, lie: str) -> None:
    wire = _lies(algorithm)[lie]
    if algorithm == ZSTD and lie == "changed on the way":
        wire = wire[:HEAD] + bytes(255 - byte for byte in wire[HEAD:])  # its end is no checksum
    with pytest.raises(RemoteProtocolError):
        unpacked(make(algorithm), wire)


def _bomb(algorithm: str) -> bytes:
    """256 MiB in one frame that says that it holds a kilobyte."""
    if algorithm == ZLIB:
        compressor = zlib.compressobj(9)
        content = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(256)) + compressor.flush()
    else:
        # No size is stated inside, so that nothing but the limit stops it.
        stream = zstandard.ZstdCompressor(level=1).compressobj()
        content = b"".join(stream.compress(bytes(1 << 20)) for _ in range(256)) + stream.flush()
    return len(content).to_bytes(3, "little") + b"\0" + (1024).to_bytes(3, "little") + content


@ALGORITHMS
@BOTH_SIDES
def test_a_bomb_does_not_go_off(make: Make, algorithm: str) -> None:
    wire = _bomb(algorithm)
    reader = make(algorithm)
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError):
            unpacked(reader, wire)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(wire) + (1 << 20)
    finally:
        tracemalloc.stop()


def test_a_zstd_frame_may_not_look_back_further_than_a_frame_is_long() -> None:
    """It would have as much memory taken for it, and this one says 128 MiB."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=27)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    content = stream.compress(bytes(1000)) + stream.flush()
    wire = len(content).to_bytes(3, "little") + b"\0" + (1000).to_bytes(3, "little") + content
    with pytest.raises(RemoteProtocolError):
        unpacked(Compression(zstd=True), wire)


def test_frames_are_unpacked_when_somebody_takes_them() -> None:
    reader = Compression()
    one = frame(bytes(1 << 20), 0, ZLIB)
    reader.feed(one * 50)
    assert reader.held == 50 * len(one)
    assert reader.take() == bytes(1 << 20)
    assert reader.held == 49 * len(one)
    assert reader.ready
    assert not Compression().ready


@pytest.mark.parametrize("step", [1, 3, 1000, 70_000, 1 << 30])
def test_frames_end_where_packets_do(step: int) -> None:
    packets = [packet(b"x" * size, number) for number, size in enumerate((1, 0, 300, 200_000, 4, 65_536))]
    stream = b"".join(packets)
    compression = Compression()
    frames = []
    for start in range(0, len(stream), step):
        frames += read_frames(compression.pack(stream[start : start + step]), ZLIB)
    assert [number for number, _ in frames] == list(range(len(frames)))
    ends = {len(b"".join(packets[: count + 1])) for count in range(len(packets))}
    total = 0
    for _, body in frames:
        total += len(body)
        assert total in ends
    assert total == len(stream)
    assert compression.rest() == b""
    assert compression.pack(packets[0] + packets[2][:100])
    assert read_frames(compression.rest(), ZLIB)[0][1] == packets[2][:100]


# --- the server's numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
def test_packets_get_the_numbers_that_they_have_without_compression(step: int) -> None:
    """Servers number packets anew after each flush, and cut the stream where they like."""
    payloads = [b"x" * size for size in (1, 0, 300, 7, 20, 9)]
    as_sent = [packet(payload, number) for payload, number in zip(payloads, (1, 2, 3, 2, 3, 3), strict=True)]
    stream = b"".join(as_sent)
    reader = ServerCompression()
    reader.command(packet(b"\3SELECT 1", 0))
    cuts = [stream[start : start + step] for start in range(0, len(stream), step)]
    wire = b"".join(frame(piece, number, ZLIB if number % 2 else "") for number, piece in enumerate(cuts))
    plain = b"".join(packet(payload, number) for number, payload in enumerate(payloads, 1))
    assert unpacked(reader, wire) == plain
    alone = ServerCompression()
    alone.command(packet(b"\3SELECT 1", 0))
    assert b"".join(unpacked(alone, wire[at : at + 1]) for at in range(len(wire))) == plain


@pytest.mark.parametrize(("size", "number"), [(10, 1), (FULL - 1, 1), (FULL, 2), (FULL + 1, 2), (2 * FULL, 3)])
def test_the_answer_is_numbered_behind_its_command(size: int, number: int) -> None:
    compression = ServerCompression()
    command = packet(bytes(size), 0)
    frames = read_frames(compression.command(command), ZLIB)
    assert b"".join(body for _, body in frames) == command
    assert [sequence for sequence, _ in frames] == list(range(len(frames)))
    assert unpacked(compression, frame(packet(b"\0", 77), len(frames))) == packet(b"\0", number)
    again = read_frames(compression.command(packet(b"\1", 0)), ZLIB)
    assert [sequence for sequence, _ in again] == [0]

"""Frames of compressed connections, made and read without the product's own code."""

from __future__ import annotations

import zlib
from typing import Protocol

import zstandard

ZLIB, ZSTD = "zlib", "zstd"
HEAD = 7


class Frames(Protocol):
    """One side of a compressed connection of the product."""

    def feed(self, data: bytes) -> None: ...

    def take(self) -> bytes | None: ...


def unpacked(frames: Frames, data: bytes) -> bytes:
    """What the product finds in the frames that are whole with ``data``."""
    frames.feed(data)
    return b"".join(iter(frames.take, None))


def packed(body: bytes, algorithm: str) -> bytes:
    """A frame's body."""
    return zlib.compress(body) if algorithm == ZLIB else zstandard.ZstdCompressor().compress(body)


def frame(body: bytes, sequence: int, algorithm: str = "") -> bytes:
    """One frame; without an algorithm its body is as it is."""
    content = packed(body, algorithm) if algorithm else body
    plain = len(body) if algorithm else 0
    return len(content).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + plain.to_bytes(3, "little") + content


def read_frames(data: bytes, algorithm: str) -> list[tuple[int, bytes]]:
    """Number and content of every frame; they must be whole."""
    found = []
    while data:
        size, sequence, plain = int.from_bytes(data[:3], "little"), data[3], int.from_bytes(data[4:7], "little")
        body, data = data[HEAD : HEAD + size], data[HEAD + size :]
        assert len(body) == size, "half a frame"
        if plain:
            body = zlib.decompress(body) if algorithm == ZLIB else zstandard.ZstdDecompressor().decompress(body)
            assert len(body) == plain
        found.append((sequence, body))
    return found

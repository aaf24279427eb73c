"""The framing around packets of a compressed connection (page "Compression").

A frame has three bytes of compressed length, one of sequence number, three of length before compression (0: it is not
compressed), and the data: any part of the stream of packets.
"""

from __future__ import annotations

import zlib
from typing import Final

import zstandard

from gateway.errors import MessageTooLarge, RemoteProtocolError

FRAME_HEADER: Final = 7
_WORTH_IT: Final = 50
"""Bytes from which compressing makes sense; the page's own figure."""
_MAX_FRAME: Final = 0xFFFFFF


class Compression:
    """One direction pair of one connection: frames in, packets out, and the reverse.

    Sequence numbers of frames count from 0 within each command, over both directions.
    """

    __slots__ = ("_compress", "_decompress", "_held", "sequence", "zstd")

    def __init__(self, *, zstd: bool = False, level: int = 3) -> None:
        self.zstd = zstd
        self.sequence = 0
        """The next frame's number."""
        self._held = bytearray()
        self._compress = zstandard.ZstdCompressor(level=min(max(level, 1), 22)) if zstd else None
        self._decompress = zstandard.ZstdDecompressor() if zstd else None

    @property
    def held(self) -> int:
        """Bytes of an incomplete frame."""
        return len(self._held)

    def decode(self, data: bytes) -> bytes:
        """Take received bytes; gives the packets' bytes of all complete frames."""
        held = self._held
        held += data
        output, position = [], 0
        while len(held) - position >= FRAME_HEADER:
            size = int.from_bytes(held[position : position + 3], "little")
            plain = int.from_bytes(held[position + 4 : position + 7], "little")
            start = position + FRAME_HEADER
            if len(held) - start < size:
                break
            self.sequence = (held[position + 3] + 1) & 0xFF
            body = bytes(held[start : start + size])
            output.append(body if not plain else self._inflate(body, plain))
            position = start + size
        del held[:position]
        return b"".join(output)

    def _inflate(self, body: bytes, plain: int) -> bytes:
        """``plain`` is at most 16 MiB, so nothing larger is ever made of a frame."""
        try:
            if self._decompress is not None:
                stated = zstandard.frame_content_size(body)
                data = self._decompress.decompress(body, max_output_size=plain) if stated <= plain else b""
            else:
                inflater = zlib.decompressobj()
                data = inflater.decompress(body, plain + 1)
        except (zlib.error, zstandard.ZstdError):
            raise RemoteProtocolError("a compressed frame cannot be read") from None
        if len(data) != plain:
            raise MessageTooLarge("a compressed frame holds something else than it states")
        return data

    def encode(self, data: bytes) -> bytes:
        """Packets' bytes as frames."""
        frames = []
        for start in range(0, len(data), _MAX_FRAME):
            piece = data[start : start + _MAX_FRAME]
            body, plain = piece, 0
            if len(piece) >= _WORTH_IT:
                smaller = self._compress.compress(piece) if self._compress is not None else zlib.compress(piece, 1)
                if len(smaller) < len(piece):
                    body, plain = smaller, len(piece)
            frames += [
                len(body).to_bytes(3, "little"),
                bytes((self.sequence,)),
                plain.to_bytes(3, "little"),
                body,
            ]
            self.sequence = (self.sequence + 1) & 0xFF
        return b"".join(frames)

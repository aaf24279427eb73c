"""The framing around packets of a compressed connection (page "Compression").

A frame has three bytes of compressed length, one of sequence number, three of length before compression (0: it is not
compressed), and the data: any part of the stream of packets.
"""

from __future__ import annotations

import zlib
from typing import Final

import zstandard

from gateway.errors import MessageTooLarge, RemoteProtocolError
from gateway_mysql.wire.packets import FULL, HEADER

FRAME_HEADER: Final = 7
DEFAULT_LEVEL: Final = 3
"""Of zstd, as servers and clients have it."""
_WORTH_IT: Final = 50
"""Bytes from which compressing makes sense; the page's own figure."""
_MAX_FRAME: Final = 0xFFFFFF
_MAX_WINDOW: Final = 1 << 24
"""Bytes that a zstd frame may look back: as many as one can hold. More would be memory for nothing."""


class Compression:
    """One direction pair of one connection: frames in, packets out, and the reverse.

    What came is unpacked frame by frame, when somebody takes it: a few bytes may stand for 16 MiB. Sequence numbers of
    frames count from 0 within each command, over both directions.
    """

    __slots__ = ("_compress", "_decompress", "_held", "_need", "_unsent", "sequence")

    def __init__(self, *, zstd: bool = False, level: int = DEFAULT_LEVEL) -> None:
        self.sequence = 0
        """The next frame's number."""
        self._held = bytearray()
        self._unsent = bytearray()
        """The beginning of a packet that ``pack`` was given."""
        self._need = 0
        """Bytes of it that have to be there before it makes sense to look again."""
        self._compress = zstandard.ZstdCompressor(level=min(max(level, 1), 22)) if zstd else None
        self._decompress = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW) if zstd else None

    @property
    def held(self) -> int:
        """Bytes received and not taken yet."""
        return len(self._held)

    @property
    def ready(self) -> bool:
        """Whether a whole frame is there to be taken."""
        held = self._held
        if len(held) < FRAME_HEADER:
            return False
        return len(held) - FRAME_HEADER >= held[0] | held[1] << 8 | held[2] << 16

    def feed(self, data: bytes) -> None:
        """Put received bytes behind what is there."""
        self._held += data

    def take(self) -> bytes | None:
        """What the next frame holds, at most 16 MiB; None if it is not all there yet."""
        if not self.ready:
            return None
        held = self._held
        stop = FRAME_HEADER + (held[0] | held[1] << 8 | held[2] << 16)
        plain = held[4] | held[5] << 8 | held[6] << 16
        self.sequence = (held[3] + 1) & 0xFF
        body = bytes(held[FRAME_HEADER:stop])
        del held[:stop]
        return self._inflate(body, plain) if plain else body

    def _inflate(self, body: bytes, plain: int) -> bytes:
        """Nothing larger than ``plain`` is ever made of a frame."""
        try:
            if self._decompress is not None:
                stated = zstandard.frame_content_size(body)
                data = self._decompress.decompress(body, max_output_size=plain) if stated <= plain else b""
                whole = True
            else:
                inflater = zlib.decompressobj()
                data = inflater.decompress(body, plain + 1)
                whole = inflater.eof
        except (zlib.error, zstandard.ZstdError):
            raise RemoteProtocolError("a compressed frame cannot be read") from None
        if len(data) != plain:
            raise MessageTooLarge("a compressed frame holds something else than it states")
        if not whole:
            raise RemoteProtocolError("a compressed frame has no end")
        return data

    def pack(self, data: bytes) -> bytes:
        """Packets' bytes as frames that end where packets do; what is not a whole packet waits for its rest.

        A packet may lie in any number of frames, but servers put it into one or two, and there are clients that cannot
        put it together from more.
        """
        if self._unsent:
            self._unsent += data
            if len(self._unsent) < self._need:
                return b""
            data = bytes(self._unsent)
            self._unsent.clear()
        position, size, need = 0, len(data), HEADER
        while size - position >= HEADER:
            need = HEADER + (data[position] | data[position + 1] << 8 | data[position + 2] << 16)
            if need > size - position:
                break
            position += need
            need = HEADER
        if position < size:
            self._unsent += data[position:]
            self._need = need
            data = data[:position]
        return self.encode(data)

    def rest(self) -> bytes:
        """What waits of a packet whose rest does not come any more, as a frame; empty if there is none."""
        data = bytes(self._unsent)
        self._unsent.clear()
        return self.encode(data)

    def encode(self, data: bytes) -> bytes:
        """Packets' bytes as frames, whatever is in them."""
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


class ServerCompression:
    """A server's side: commands packed, answers unpacked.

    Servers number the packets inside of frames anew whenever they have sent some of an answer (``net_flush`` takes the
    frames' count over), which nobody minds who is compressed too. Clients without compression do, so the packets are
    given the numbers that they would have without it.
    """

    __slots__ = ("_frames", "_head", "_left", "_number")

    def __init__(self, *, zstd: bool = False, level: int = DEFAULT_LEVEL) -> None:
        self._frames = Compression(zstd=zstd, level=level)
        self._head = b""
        """The beginning of a packet whose header is not all there."""
        self._left = 0
        """Bytes still to come of the packet under way."""
        self._number = 0
        """The next packet's."""

    @property
    def ready(self) -> bool:
        """Whether something can be taken."""
        return self._frames.ready

    def command(self, packets: bytes) -> bytes:
        """A whole command, as it goes to the server."""
        self._number = -(-len(packets) // (FULL + HEADER)) & 0xFF
        self._frames.sequence = 0
        return self._frames.encode(packets)

    def feed(self, data: bytes) -> None:
        """Put received bytes behind what is there."""
        self._frames.feed(data)

    def take(self) -> bytes | None:
        """The packets' bytes of the next frame, or None."""
        data: bytes | None = self._frames.take()
        return None if data is None else self._numbered(data)

    def _numbered(self, data: bytes) -> bytes:
        if self._head:
            data = self._head + data
            self._head = b""
        changed: bytearray | None = None
        position, size = 0, len(data)
        while True:
            step = min(self._left, size - position)
            self._left -= step
            position += step
            if self._left:
                break
            if size - position < HEADER:
                if position < size:
                    self._head = data[position:]
                    data = data[:position]
                    if changed is not None:
                        del changed[position:]
                break
            if data[position + 3] != self._number:
                if changed is None:
                    changed = bytearray(data)
                changed[position + 3] = self._number
            self._number = (self._number + 1) & 0xFF
            self._left = HEADER + (data[position] | data[position + 1] << 8 | data[position + 2] << 16)
        return data if changed is None else bytes(changed)

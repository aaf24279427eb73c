"""OP_COMPRESSED (driver specification "Wire Compression"): snappy, zlib and zstd.

The size that a message says it will have is checked against the limit before anything is unpacked, and what comes out
must have exactly that size.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from enum import IntEnum
from struct import Struct
from typing import Final

import cramjam
import zstandard

from gateway.errors import MessageTooLarge, RemoteProtocolError
from gateway_mongodb.wire.messages import HEADER, HEADER_SIZE, OP_COMPRESSED, OP_MSG, OP_QUERY, OP_REPLY

_PREFIX: Final = Struct("<iiB")
_OPCODES: Final = frozenset({OP_MSG, OP_QUERY, OP_REPLY})
_ZLIB_LEVEL: Final = 6
_MIN_SIZE: Final = 64
"""Bodies below this go out as they are: they would only grow."""


class Compressor(IntEnum):
    """The ids of the wire protocol; names as in hello's ``compression``."""

    NOOP = 0
    SNAPPY = 1
    ZLIB = 2
    ZSTD = 3

    @property
    def wire_name(self) -> str:
        """The name in hello."""
        return self.name.lower()


OFFERED: Final[Sequence[Compressor]] = (Compressor.SNAPPY, Compressor.ZSTD, Compressor.ZLIB)
BY_NAME: Final = {compressor.wire_name: compressor for compressor in OFFERED}


def compress(message: bytes, compressor: Compressor) -> bytes:
    """A whole message in OP_COMPRESSED; the message itself where that would not help."""
    size = len(message) - HEADER_SIZE
    if size < _MIN_SIZE or compressor is Compressor.NOOP:
        return message
    length, request_id, response_to, opcode = HEADER.unpack_from(message)
    body = memoryview(message)[HEADER_SIZE:length]
    match compressor:
        case Compressor.SNAPPY:
            packed = bytes(cramjam.snappy.compress_raw(body))
        case Compressor.ZLIB:
            packed = zlib.compress(body, _ZLIB_LEVEL)
        case _:
            packed = zstandard.compress(bytes(body))
    payload = _PREFIX.pack(opcode, size, compressor) + packed
    return HEADER.pack(HEADER_SIZE + len(payload), request_id, response_to, OP_COMPRESSED) + payload


def decompress(data: bytes, start: int, end: int, *, max_message: int) -> tuple[bytes, Compressor]:
    """The message inside the OP_COMPRESSED at ``data[start:end]``, and what it was packed with."""
    place = start + HEADER_SIZE
    if end - place < _PREFIX.size:
        raise RemoteProtocolError("OP_COMPRESSED: ends inside its prefix")
    _, request_id, response_to, _ = HEADER.unpack_from(data, start)
    opcode, size, number = _PREFIX.unpack_from(data, place)
    if opcode not in _OPCODES:
        raise RemoteProtocolError("OP_COMPRESSED: holds no message that may be compressed")
    if size < 0:
        raise RemoteProtocolError("OP_COMPRESSED: has a negative size")
    if size + HEADER_SIZE > max_message:
        raise MessageTooLarge("OP_COMPRESSED: unpacks to more than the limit")
    try:
        compressor = Compressor(number)
    except ValueError:
        raise RemoteProtocolError("OP_COMPRESSED: an unknown compressor") from None
    body = _unpacked(memoryview(data)[place + _PREFIX.size : end], compressor, size)
    if len(body) != size:
        raise RemoteProtocolError("OP_COMPRESSED: unpacks to another size than it says")
    return HEADER.pack(HEADER_SIZE + size, request_id, response_to, opcode) + body, compressor


def _unpacked(packed: memoryview, compressor: Compressor, size: int) -> bytes:
    try:
        match compressor:
            case Compressor.NOOP:
                return bytes(packed)
            case Compressor.SNAPPY:
                if _snappy_size(packed) != size:
                    raise RemoteProtocolError("OP_COMPRESSED: unpacks to another size than it says")
                return bytes(cramjam.snappy.decompress_raw(packed))
            case Compressor.ZLIB:
                unpacker = zlib.decompressobj()
                body = unpacker.decompress(packed, size + 1)
                if not unpacker.eof or unpacker.unused_data:
                    raise RemoteProtocolError("OP_COMPRESSED: has a broken or longer zlib stream")
                return body
            case Compressor.ZSTD:
                if zstandard.frame_content_size(packed) not in (-1, size):
                    raise RemoteProtocolError("OP_COMPRESSED: unpacks to another size than it says")
                return zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
    except (zlib.error, zstandard.ZstdError, cramjam.DecompressionError, MemoryError) as error:
        raise RemoteProtocolError("OP_COMPRESSED: cannot be unpacked") from error


def _snappy_size(packed: memoryview) -> int:
    """The unpacked size, a varint at the beginning (snappy format description, section 1)."""
    size = 0
    for shift, byte in enumerate(packed[:5]):
        size |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return size
    raise RemoteProtocolError("OP_COMPRESSED: has no snappy preamble")

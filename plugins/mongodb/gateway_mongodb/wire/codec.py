"""The parts of BSON that the gateway reads and writes without decoding documents (bsonspec.org, version 1.1).

Everything here works on offsets into bytes, so that documents which nobody has to look into are never decoded.
"""

from __future__ import annotations

import os
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

import bson
from bson.codec_options import CodecOptions
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument

from gateway.errors import RemoteProtocolError
from gateway_mongodb.wire import types

if TYPE_CHECKING or os.environ.get("QUERYGATE_PURE_PYTHON") == "1":
    from gateway_mongodb.wire._elements_reference import COMPILED, count_elements, element_size, elements, skip_elements
else:
    try:
        from gateway_mongodb.wire._elements import COMPILED, count_elements, element_size, elements, skip_elements
    except ImportError:
        from gateway_mongodb.wire._elements_reference import (
            COMPILED,
            count_elements,
            element_size,
            elements,
            skip_elements,
        )

__all__ = [
    "COMPILED",
    "count_elements",
    "decode",
    "decode_raw",
    "document_size",
    "element",
    "element_size",
    "elements",
    "encode",
    "number",
    "skip_elements",
    "text",
    "with_elements",
    "without",
]

INT32: Final = Struct("<i")
INT64: Final = Struct("<q")
DOUBLE: Final = Struct("<d")

MIN_DOCUMENT: Final = 5

_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    document_class=dict, unicode_decode_error_handler="replace"
)
_RAW: Final[CodecOptions[RawBSONDocument]] = CodecOptions(
    document_class=RawBSONDocument, unicode_decode_error_handler="replace"
)


def document_size(data: bytes | memoryview, start: int, limit: int) -> int:
    """The size of the document at ``start``, which must end before ``limit``; ``RemoteProtocolError``."""
    if limit - start < MIN_DOCUMENT:
        raise RemoteProtocolError("a document ends inside its length")
    size: int = INT32.unpack_from(data, start)[0]
    if size < MIN_DOCUMENT or size > limit - start or data[start + size - 1] != 0:
        raise RemoteProtocolError("a document's length is impossible")
    return size


def number(data: bytes, kind: int, start: int) -> int | None:
    """A number as an integer (truncated), None for anything else; booleans count."""
    if kind == types.INT32:
        return int(INT32.unpack_from(data, start)[0])
    if kind == types.INT64:
        return int(INT64.unpack_from(data, start)[0])
    if kind == types.BOOLEAN:
        return data[start]
    if kind == types.DOUBLE:
        value: float = DOUBLE.unpack_from(data, start)[0]
        return int(value) if -(2.0**62) < value < 2.0**62 else None
    return None


def text(data: bytes, kind: int, start: int, end: int) -> str | None:
    """A string's value, None for anything else."""
    return data[start + 4 : end - 1].decode("utf-8", "replace") if kind == types.STRING else None


def decode(data: bytes) -> dict[str, Any]:
    """A whole document as Python values; ``RemoteProtocolError`` where it is malformed."""
    try:
        return bson.decode(data, _OPTIONS)
    except (InvalidBSON, ValueError, OverflowError, RecursionError) as error:
        raise RemoteProtocolError("a document cannot be decoded") from error


def decode_raw(data: bytes) -> RawBSONDocument:
    """A document whose nested documents are decoded when they are looked at."""
    try:
        return RawBSONDocument(data, _RAW)
    except (InvalidBSON, ValueError) as error:
        raise RemoteProtocolError("a document cannot be decoded") from error


def encode(document: dict[str, Any]) -> bytes:
    """A document's bytes."""
    return bson.encode(document)


def with_elements(document: bytes, more: bytes) -> bytes:
    """The document with already encoded elements put at its end."""
    return INT32.pack(len(document) + len(more)) + document[4:-1] + more + b"\0"


def element(kind: int, name: bytes, value: bytes) -> bytes:
    """One element."""
    return bytes((kind,)) + name + b"\0" + value


def without(data: bytes, names: frozenset[bytes]) -> bytes:
    """The document without the elements of these names; the same object where it has none of them."""
    kept: list[bytes] = []
    dropped = False
    position = 4
    for _, name, _, after in elements(data, 0, len(data)):
        if name in names:
            dropped = True
        else:
            kept.append(data[position:after])
        position = after
    if not dropped:
        return data
    body = b"".join(kept)
    return INT32.pack(len(body) + 5) + body + b"\0"

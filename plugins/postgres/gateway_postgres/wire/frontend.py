"""Messages from client to server (manual, 54.7). Texts are bytes: their encoding is the session's affair.

``decode`` takes the body without type and length and accepts exactly the documented layout. Messages of type ``p``
belong to a login and are in ``gateway_postgres.wire.authentication``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import ClassVar, Final, Self

from gateway.errors import RemoteProtocolError
from gateway_postgres.wire.codec import (
    NULL_LENGTH,
    Buffer,
    Reader,
    counted,
    cstring,
    format_codes,
    frame,
    int16,
    int32,
    uint16,
    uint32,
)

_SHORT: Final = 16 * 1024
"""Up to this many bytes a copy of a body costs nothing."""

_UINT16: Final = struct.Struct("!H")
_INT32: Final = struct.Struct("!i")


class Target(IntEnum):
    """What Describe and Close speak of."""

    STATEMENT = ord("S")
    PORTAL = ord("P")


@dataclass(frozen=True, slots=True)
class Query:
    """Simple query: one text of any number of statements."""

    type: ClassVar[int] = ord("Q")

    sql: bytes

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, cstring("Query", self.sql))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("Query", body)
        sql = reader.cstring("the query")
        reader.finish()
        return cls(sql)


@dataclass(frozen=True, slots=True)
class Parse:
    """Prepare ``sql`` under ``statement`` (empty: the unnamed one). ``parameter_types`` are OIDs, 0 for unknown."""

    type: ClassVar[int] = ord("P")

    statement: bytes
    sql: bytes
    parameter_types: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """The whole message."""
        return frame(
            self.type,
            cstring("Parse", self.statement),
            cstring("Parse", self.sql),
            uint16(len(self.parameter_types)),
            *map(uint32, self.parameter_types),
        )

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("Parse", body)
        statement = reader.cstring("the statement name")
        sql = reader.cstring("the query")
        types = reader.oids(reader.uint16("the number of types"), "the types")
        reader.finish()
        return cls(statement, sql, types)


@dataclass(frozen=True, slots=True)
class Bind:
    """Make ``portal`` from ``statement``. Format codes: 0 text, 1 binary; none, one for all, or one for each."""

    type: ClassVar[int] = ord("B")

    portal: bytes
    statement: bytes
    parameters: tuple[Buffer | None, ...] = field(default=(), repr=False)
    parameter_formats: tuple[int, ...] = ()
    result_formats: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """The whole message."""
        return frame(
            self.type,
            cstring("Bind", self.portal),
            cstring("Bind", self.statement),
            format_codes(self.parameter_formats),
            *counted(self.parameters),
            format_codes(self.result_formats),
        )

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body; parameters are slices of it (views of a view)."""
        reader = Reader("Bind", body)
        portal = reader.cstring("the portal name")
        statement = reader.cstring("the statement name")
        formats = reader.codes("the parameter formats")
        parameters = tuple(reader.value("a parameter") for _ in range(reader.uint16("the number of parameters")))
        results = reader.codes("the result formats")
        reader.finish()
        return cls(portal, statement, parameters, formats, results)


@dataclass(frozen=True, slots=True)
class BindHeader:
    """What of a Bind a gateway needs: everything but the values, whose lengths are checked all the same."""

    type: ClassVar[int] = ord("B")

    portal: bytes
    statement: bytes
    parameter_count: int
    result_formats: tuple[int, ...]

    def result_format(self, column: int) -> int:
        """The format code of a result column, counted from 0."""
        formats = self.result_formats
        match len(formats):
            case 0:
                return 0
            case 1:
                return formats[0]
            case _:
                return formats[column]

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        if len(body) > _SHORT:
            return cls._decode_slowly(body)
        return cls.decode_at(bytes(body), 0, len(body))

    @classmethod
    def decode_at(cls, data: bytes, start: int, end: int) -> Self:
        """From the body that lies at ``data[start:end]``, without a copy of the values; once for each execution."""
        try:
            portal_end = data.index(0, start, end)
            statement_end = data.index(0, portal_end + 1, end)
            at = statement_end + 1
            at += 2 + 2 * _UINT16.unpack_from(data, at)[0]
            count: int = _UINT16.unpack_from(data, at)[0]
            at += 2
            for _ in range(count):
                size = _INT32.unpack_from(data, at)[0]
                at += 4 if size == NULL_LENGTH else 4 + size
                if size < NULL_LENGTH or at > end:
                    raise ValueError
            results = _UINT16.unpack_from(data, at)[0]
            formats = struct.unpack_from(f"!{results}h", data, at + 2) if results else ()
            if at + 2 + 2 * results != end:
                raise ValueError
        except (ValueError, struct.error):
            # Read once more, to say what is wrong with it.
            return cls._decode_slowly(data[start:end])
        return cls(data[start:portal_end], data[portal_end + 1 : statement_end], count, formats)

    @classmethod
    def _decode_slowly(cls, body: Buffer) -> Self:
        reader = Reader("Bind", body)
        portal = reader.cstring("the portal name")
        statement = reader.cstring("the statement name")
        reader.codes("the parameter formats")
        count = reader.uint16("the number of parameters")
        for _ in range(count):
            reader.skip_value("a parameter")
        results = reader.codes("the result formats")
        reader.finish()
        return cls(portal, statement, count, results)


@dataclass(frozen=True, slots=True)
class Describe:
    """Ask for the shape of a statement or portal."""

    type: ClassVar[int] = ord("D")

    target: Target
    name: bytes

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, bytes((self.target,)), cstring("Describe", self.name))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        return cls(*_target_and_name("Describe", body))


@dataclass(frozen=True, slots=True)
class Close:
    """Forget a statement or portal."""

    type: ClassVar[int] = ord("C")

    target: Target
    name: bytes

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, bytes((self.target,)), cstring("Close", self.name))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        return cls(*_target_and_name("Close", body))


def _target_and_name(message: str, body: Buffer) -> tuple[Target, bytes]:
    reader = Reader(message, body)
    kind = reader.byte("the kind")
    name = reader.cstring("the name")
    reader.finish()
    try:
        return Target(kind), name
    except ValueError:
        raise reader.error("speaks of neither a statement nor a portal") from None


@dataclass(frozen=True, slots=True)
class Execute:
    """Run a portal; ``max_rows`` 0 (or negative, which the server reads the same way) means all rows."""

    type: ClassVar[int] = ord("E")

    portal: bytes
    max_rows: int = 0

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, cstring("Execute", self.portal), int32(self.max_rows))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("Execute", body)
        portal = reader.cstring("the portal name")
        max_rows = reader.int32("the row limit")
        reader.finish()
        return cls(portal, max_rows)


@dataclass(frozen=True, slots=True)
class CopyData:
    """A piece of a COPY stream, cut anywhere. The server sends the same message."""

    type: ClassVar[int] = ord("d")

    data: Buffer = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, self.data)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body; any body is one."""
        return cls(body)


@dataclass(frozen=True, slots=True)
class CopyFail:
    """The client gives a COPY up, with a reason."""

    type: ClassVar[int] = ord("f")

    reason: bytes

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, cstring("CopyFail", self.reason))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("CopyFail", body)
        reason = reader.cstring("the reason")
        reader.finish()
        return cls(reason)


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """Call a function by OID: SQL's back door (manual, 54.2.4 "Function Call")."""

    type: ClassVar[int] = ord("F")

    function: int
    arguments: tuple[Buffer | None, ...] = field(default=(), repr=False)
    argument_formats: tuple[int, ...] = ()
    result_format: int = 0

    def encode(self) -> bytes:
        """The whole message."""
        return frame(
            self.type,
            uint32(self.function),
            format_codes(self.argument_formats),
            *counted(self.arguments),
            int16(self.result_format),
        )

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body; arguments are slices of it."""
        reader = Reader("FunctionCall", body)
        function = reader.uint32("the function")
        formats = reader.codes("the argument formats")
        arguments = tuple(reader.value("an argument") for _ in range(reader.uint16("the number of arguments")))
        result_format = reader.int16("the result format")
        reader.finish()
        return cls(function, arguments, formats, result_format)


def _decode_empty(message: str, body: Buffer) -> None:
    Reader(message, body).finish()


@dataclass(frozen=True, slots=True)
class Sync:
    """End of a pipeline: the server answers with ReadyForQuery, whatever happened before."""

    type: ClassVar[int] = ord("S")

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body, which is empty."""
        _decode_empty("Sync", body)
        return cls()


@dataclass(frozen=True, slots=True)
class Flush:
    """Send what is ready, without ending the pipeline."""

    type: ClassVar[int] = ord("H")

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body, which is empty."""
        _decode_empty("Flush", body)
        return cls()


@dataclass(frozen=True, slots=True)
class CopyDone:
    """The COPY stream is complete. The server sends the same message."""

    type: ClassVar[int] = ord("c")

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body, which is empty."""
        _decode_empty("CopyDone", body)
        return cls()


@dataclass(frozen=True, slots=True)
class Terminate:
    """The client says goodbye."""

    type: ClassVar[int] = ord("X")

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body, which is empty."""
        _decode_empty("Terminate", body)
        return cls()


FrontendMessage = (
    Query
    | Parse
    | Bind
    | Describe
    | Close
    | Execute
    | CopyData
    | CopyDone
    | CopyFail
    | FunctionCall
    | Sync
    | Flush
    | Terminate
)

_DECODERS: Final[Mapping[int, Callable[[Buffer], FrontendMessage]]] = MappingProxyType(
    {
        Query.type: Query.decode,
        Parse.type: Parse.decode,
        Bind.type: Bind.decode,
        Describe.type: Describe.decode,
        Close.type: Close.decode,
        Execute.type: Execute.decode,
        CopyData.type: CopyData.decode,
        CopyDone.type: CopyDone.decode,
        CopyFail.type: CopyFail.decode,
        FunctionCall.type: FunctionCall.decode,
        Sync.type: Sync.decode,
        Flush.type: Flush.decode,
        Terminate.type: Terminate.decode,
    }
)


def decode_frontend(kind: int, body: Buffer) -> FrontendMessage:
    """Any message of a session after login. ``p`` is refused here: it belongs to a login."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise RemoteProtocolError(f"message {chr(kind)!r} is not one that a client sends in a session")
    return decoder(body)

"""Messages from server to client (manual, 54.7).

Names and tags that a client's encoding decides about are bytes; error and notice fields and parameter values are
``str`` with undecodable bytes kept as surrogates, so that ``encode(decode(body))`` gives the same bytes back.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Final, Self

from gateway.errors import RemoteProtocolError
from gateway_postgres.wire.codec import (
    Buffer,
    Reader,
    counted,
    cstring,
    format_codes,
    frame,
    int32,
    uint16,
    uint32,
)
from gateway_postgres.wire.startup import MAX_CANCEL_KEY


class TransactionStatus(StrEnum):
    """Where a session stands when the server is ready for the next query."""

    IDLE = "I"
    IN_TRANSACTION = "T"
    FAILED = "E"


def _to_bytes(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError:
        return text.encode(encoding, "replace")


# --- session ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BackendKeyData:
    """What a cancel request must present. ``secret`` is four bytes before protocol 3.2, up to 256 in it."""

    type: ClassVar[int] = ord("K")

    pid: int
    secret: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, uint32(self.pid), self.secret)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("BackendKeyData", body)
        pid = reader.uint32("the process id")
        if not 4 <= reader.remaining <= MAX_CANCEL_KEY:
            raise reader.error("the secret has an impossible length")
        return cls(pid, reader.rest())


@dataclass(frozen=True, slots=True)
class NegotiateProtocolVersion:
    """The server speaks at most ``version`` (major << 16 | minor) and does not know ``unknown_options``."""

    type: ClassVar[int] = ord("v")

    version: int
    unknown_options: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """The whole message."""
        names = (cstring("NegotiateProtocolVersion", name.encode()) for name in self.unknown_options)
        return frame(self.type, uint32(self.version), uint32(len(self.unknown_options)), *names)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("NegotiateProtocolVersion", body)
        version = reader.uint32("the version")
        count = reader.uint32("the number of options")
        if count > reader.remaining:
            raise reader.error("ends inside the options")
        names = [reader.cstring("an option") for _ in range(count)]
        reader.finish()
        return cls(version, tuple(name.decode("utf-8", "surrogateescape") for name in names))


@dataclass(frozen=True, slots=True)
class ParameterStatus:
    """A reported setting has (now) this value."""

    type: ClassVar[int] = ord("S")

    name: str
    value: str

    def encode(self) -> bytes:
        """The whole message."""
        return frame(
            self.type,
            cstring("ParameterStatus", _to_bytes(self.name, "utf-8")),
            cstring("ParameterStatus", _to_bytes(self.value, "utf-8")),
        )

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("ParameterStatus", body)
        name = reader.cstring("the name")
        value = reader.cstring("the value")
        reader.finish()
        return cls(name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class ReadyForQuery:
    """The server has answered everything up to the last Query or Sync."""

    type: ClassVar[int] = ord("Z")

    status: TransactionStatus

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, self.status.encode("ascii"))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("ReadyForQuery", body)
        status = reader.byte("the transaction status")
        reader.finish()
        try:
            return cls(TransactionStatus(chr(status)))
        except ValueError:
            raise reader.error("unknown transaction status") from None


@dataclass(frozen=True, slots=True)
class NotificationResponse:
    """NOTIFY reached this session."""

    type: ClassVar[int] = ord("A")

    pid: int
    channel: bytes
    payload: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        return frame(
            self.type,
            uint32(self.pid),
            cstring("NotificationResponse", self.channel),
            cstring("NotificationResponse", self.payload),
        )

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("NotificationResponse", body)
        pid = reader.uint32("the process id")
        channel = reader.cstring("the channel")
        payload = reader.cstring("the payload")
        reader.finish()
        return cls(pid, channel, payload)


# --- results ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldDescription:
    """One result column. ``table_oid`` and ``attnum`` name the stored column behind it, 0 for anything else.

    ``typlen`` is negative for variable-width types; ``format`` is 0 for text, 1 for binary, and means nothing in the
    description of a statement (as against a portal).
    """

    name: bytes
    table_oid: int
    attnum: int
    type_oid: int
    typlen: int
    typmod: int
    format: int


_COLUMN: Final = struct.Struct("!IhIhih")
"""A column after its name: the fields of ``FieldDescription`` in order."""


@dataclass(frozen=True, slots=True)
class RowDescription:
    """The columns of the rows to come."""

    type: ClassVar[int] = ord("T")

    fields: tuple[FieldDescription, ...]

    def encode(self) -> bytes:
        """The whole message."""
        parts = [uint16(len(self.fields))]
        for column in self.fields:
            numbers = (column.table_oid, column.attnum, column.type_oid, column.typlen, column.typmod, column.format)
            parts += (cstring("RowDescription", column.name), _COLUMN.pack(*numbers))
        return frame(self.type, *parts)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("RowDescription", body)
        fields = tuple(
            FieldDescription(reader.cstring("a column name"), *reader.record(_COLUMN, "a column"))
            for _ in range(reader.uint16("the number of columns"))
        )
        reader.finish()
        return cls(fields)


@dataclass(frozen=True, slots=True)
class DataRow:
    """One row; None is NULL. For catalog queries and tests: a relay masks rows without making these."""

    type: ClassVar[int] = ord("D")

    values: tuple[Buffer | None, ...] = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, *counted(self.values))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body; values are slices of it."""
        reader = Reader("DataRow", body)
        values = tuple(reader.value("a value") for _ in range(reader.uint16("the number of values")))
        reader.finish()
        return cls(values)


@dataclass(frozen=True, slots=True)
class CommandComplete:
    """A statement ended well; the tag says which and how many rows it touched."""

    type: ClassVar[int] = ord("C")

    tag: str

    @property
    def rows(self) -> int | None:
        """The row count at the end of the tag (``INSERT 0 5``, ``SELECT 5``); None where there is none."""
        _, _, last = self.tag.rpartition(" ")
        return int(last) if last.isascii() and last.isdigit() and len(last) <= 20 else None

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, cstring("CommandComplete", _to_bytes(self.tag, "utf-8")))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("CommandComplete", body)
        tag = reader.cstring("the tag")
        reader.finish()
        return cls(tag.decode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class ParameterDescription:
    """The parameter types of a prepared statement, as OIDs."""

    type: ClassVar[int] = ord("t")

    types: tuple[int, ...]

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, uint16(len(self.types)), *map(uint32, self.types))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("ParameterDescription", body)
        types = reader.oids(reader.uint16("the number of parameters"), "the types")
        reader.finish()
        return cls(types)


@dataclass(frozen=True, slots=True)
class FunctionCallResponse:
    """What a FunctionCall returned; None is NULL."""

    type: ClassVar[int] = ord("V")

    value: Buffer | None = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        value = self.value
        return frame(self.type, int32(-1)) if value is None else frame(self.type, int32(len(value)), value)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("FunctionCallResponse", body)
        value = reader.value("the result")
        reader.finish()
        return cls(value)


@dataclass(frozen=True, slots=True)
class _CopyResponse:
    """``format`` is the stream's (0 text, 1 binary); ``column_formats`` has one code for each column."""

    type: ClassVar[int]

    format: int
    column_formats: tuple[int, ...]

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, bytes((self.format,)), format_codes(self.column_formats))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader(cls.__name__, body)
        overall = reader.byte("the stream's format")
        columns = reader.codes("the column formats")
        reader.finish()
        if overall not in (0, 1):
            raise reader.error("the stream's format is neither text nor binary")
        return cls(overall, columns)


@dataclass(frozen=True, slots=True)
class CopyInResponse(_CopyResponse):
    """The server waits for COPY data."""

    type: ClassVar[int] = ord("G")


@dataclass(frozen=True, slots=True)
class CopyOutResponse(_CopyResponse):
    """COPY data from the server follows."""

    type: ClassVar[int] = ord("H")


@dataclass(frozen=True, slots=True)
class CopyBothResponse(_CopyResponse):
    """COPY data goes both ways: streaming replication."""

    type: ClassVar[int] = ord("W")


# --- errors and notices ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Report:
    """``fields`` by their letter (manual, 54.8): S and V severity, C code, M message, D detail, H hint and so on."""

    type: ClassVar[int]

    fields: Mapping[str, str]

    @property
    def code(self) -> str:
        """The SQLSTATE, five characters; empty where the server gave none."""
        return self.fields.get("C", "")

    @property
    def severity(self) -> str:
        """Untranslated severity where there is one (PostgreSQL 9.6 and later)."""
        return self.fields.get("V") or self.fields.get("S", "")

    @property
    def message(self) -> str:
        """The primary message. May hold values: not for a log without redaction."""
        return self.fields.get("M", "")

    def encode(self, encoding: str = "utf-8") -> bytes:
        """The whole message; characters that ``encoding`` lacks become question marks."""
        name = type(self).__name__
        parts = [
            letter.encode("ascii") + cstring(name, _to_bytes(text, encoding)) for letter, text in self.fields.items()
        ]
        return frame(self.type, *parts, b"\0")

    @classmethod
    def decode(cls, body: Buffer, encoding: str = "utf-8") -> Self:
        """From the body. A field that comes twice is refused."""
        reader = Reader(cls.__name__, body)
        fields: dict[str, str] = {}
        while letter := reader.byte("a field"):
            key = chr(letter)
            text = reader.cstring("a field")
            if letter > 0x7F:
                raise reader.error("a field's letter is not ASCII")
            if key in fields:
                raise reader.error("a field is there twice")
            fields[key] = text.decode(encoding, "surrogateescape")
        reader.finish()
        return cls(fields)


@dataclass(frozen=True, slots=True)
class ErrorResponse(_Report):
    """Something failed. With severity FATAL or PANIC the server hangs up."""

    type: ClassVar[int] = ord("E")


@dataclass(frozen=True, slots=True)
class NoticeResponse(_Report):
    """A warning or notice; may come at any time."""

    type: ClassVar[int] = ord("N")


# --- messages without a body -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Empty:
    type: ClassVar[int]

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body, which is empty."""
        Reader(cls.__name__, body).finish()
        return cls()


@dataclass(frozen=True, slots=True)
class ParseComplete(_Empty):
    """Answer to Parse."""

    type: ClassVar[int] = ord("1")


@dataclass(frozen=True, slots=True)
class BindComplete(_Empty):
    """Answer to Bind."""

    type: ClassVar[int] = ord("2")


@dataclass(frozen=True, slots=True)
class CloseComplete(_Empty):
    """Answer to Close."""

    type: ClassVar[int] = ord("3")


@dataclass(frozen=True, slots=True)
class NoData(_Empty):
    """Answer to Describe where there are no rows to describe."""

    type: ClassVar[int] = ord("n")


@dataclass(frozen=True, slots=True)
class PortalSuspended(_Empty):
    """Execute reached its row limit; the portal has more."""

    type: ClassVar[int] = ord("s")


@dataclass(frozen=True, slots=True)
class EmptyQueryResponse(_Empty):
    """The query text held no statement."""

    type: ClassVar[int] = ord("I")


BackendMessage = (
    BackendKeyData
    | NegotiateProtocolVersion
    | ParameterStatus
    | ReadyForQuery
    | NotificationResponse
    | RowDescription
    | DataRow
    | CommandComplete
    | ParameterDescription
    | FunctionCallResponse
    | CopyInResponse
    | CopyOutResponse
    | CopyBothResponse
    | ErrorResponse
    | NoticeResponse
    | ParseComplete
    | BindComplete
    | CloseComplete
    | NoData
    | PortalSuspended
    | EmptyQueryResponse
)

_DECODERS: Final[Mapping[int, Callable[[Buffer], BackendMessage]]] = MappingProxyType(
    {
        BackendKeyData.type: BackendKeyData.decode,
        NegotiateProtocolVersion.type: NegotiateProtocolVersion.decode,
        ParameterStatus.type: ParameterStatus.decode,
        ReadyForQuery.type: ReadyForQuery.decode,
        NotificationResponse.type: NotificationResponse.decode,
        RowDescription.type: RowDescription.decode,
        DataRow.type: DataRow.decode,
        CommandComplete.type: CommandComplete.decode,
        ParameterDescription.type: ParameterDescription.decode,
        FunctionCallResponse.type: FunctionCallResponse.decode,
        CopyInResponse.type: CopyInResponse.decode,
        CopyOutResponse.type: CopyOutResponse.decode,
        CopyBothResponse.type: CopyBothResponse.decode,
        ErrorResponse.type: ErrorResponse.decode,
        NoticeResponse.type: NoticeResponse.decode,
        ParseComplete.type: ParseComplete.decode,
        BindComplete.type: BindComplete.decode,
        CloseComplete.type: CloseComplete.decode,
        NoData.type: NoData.decode,
        PortalSuspended.type: PortalSuspended.decode,
        EmptyQueryResponse.type: EmptyQueryResponse.decode,
    }
)


def decode_backend(kind: int, body: Buffer) -> BackendMessage:
    """Any message of a server but authentication (``gateway_postgres.wire.authentication``) and the COPY stream
    (``CopyData`` and ``CopyDone`` of ``gateway_postgres.wire.frontend``)."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise RemoteProtocolError(f"message {chr(kind)!r} is not one that a server sends")
    return decoder(body)

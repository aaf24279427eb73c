"""What a server answers (pages "OK_Packet", "ERR_Packet", "EOF_Packet", "Column Definition")."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntFlag
from typing import Final

from gateway_mysql.wire.capabilities import NONE, Capability
from gateway_mysql.wire.codec import Reader, encode_length, encode_string

OK: Final = 0x00
EOF: Final = 0xFE
ERR: Final = 0xFF
LOCAL_INFILE: Final = 0xFB
UNKNOWN_STATE = b"HY000"


class Status(IntFlag):
    """The server's status flags, as far as anybody here looks at them."""

    IN_TRANSACTION = 1
    AUTOCOMMIT = 2
    MORE_RESULTS = 8
    CURSOR_EXISTS = 0x40
    LAST_ROW_SENT = 0x80
    NO_BACKSLASH_ESCAPES = 0x200
    SESSION_STATE_CHANGED = 0x4000


@dataclass(frozen=True, slots=True)
class Ok:
    """A statement is done. ``rest`` is the info string and the session's changes, as they came."""

    affected: int = 0
    insert_id: int = 0
    status: int = int(Status.AUTOCOMMIT)
    warnings: int = 0
    rest: bytes = b""

    def encode(self, header: int = OK) -> bytes:
        """The payload; ``header`` 0xFE where it ends a result set."""
        return b"".join(
            (
                bytes((header,)),
                encode_length(self.affected),
                encode_length(self.insert_id),
                self.status.to_bytes(2, "little"),
                self.warnings.to_bytes(2, "little"),
                self.rest,
            )
        )

    @classmethod
    def decode(cls, payload: bytes) -> Ok:
        """From the payload."""
        reader = Reader(payload, "OK packet", 1)
        return cls(reader.length(), reader.length(), reader.integer(2), reader.integer(2), reader.rest())


@dataclass(frozen=True, slots=True)
class Err:
    """A statement failed."""

    code: int
    state: bytes = UNKNOWN_STATE
    message: bytes = b""

    def encode(self) -> bytes:
        """The payload."""
        return b"\xff" + self.code.to_bytes(2, "little") + b"#" + self.state + self.message

    @classmethod
    def decode(cls, payload: bytes) -> Err:
        """From the payload. Before a client has said what it can, an error has no SQLSTATE."""
        reader = Reader(payload, "ERR packet", 1)
        code = reader.integer(2)
        rest = reader.rest()
        if rest[:1] == b"#" and len(rest) >= 6:
            return cls(code, rest[1:6], rest[6:])
        return cls(code, UNKNOWN_STATE, rest)


@dataclass(frozen=True, slots=True)
class Eof:
    """The end of definitions or rows, to clients without DEPRECATE_EOF."""

    warnings: int = 0
    status: int = int(Status.AUTOCOMMIT)

    def encode(self) -> bytes:
        """The payload."""
        return b"\xfe" + self.warnings.to_bytes(2, "little") + self.status.to_bytes(2, "little")

    @classmethod
    def decode(cls, payload: bytes) -> Eof:
        """From the payload."""
        reader = Reader(payload, "EOF packet", 1)
        return cls(reader.integer(2), reader.integer(2))


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """One column of a result. ``org_table`` and ``org_name`` are empty for expressions, and can be spoofed."""

    schema: bytes
    table: bytes
    org_table: bytes
    name: bytes
    org_name: bytes
    charset: int
    length: int
    type: int
    flags: int
    decimals: int
    catalog: bytes = b"def"
    extended: bytes | None = None
    """MariaDB's extended metadata, undecoded; None where it was not agreed on."""

    def encode(self) -> bytes:
        """The payload."""
        names = (self.catalog, self.schema, self.table, self.org_table, self.name, self.org_name)
        parts = [encode_string(name) for name in names]
        if self.extended is not None:
            parts.append(encode_string(self.extended))
        parts += [b"\x0c", self.charset.to_bytes(2, "little"), self.length.to_bytes(4, "little")]
        parts += [bytes((self.type,)), self.flags.to_bytes(2, "little"), bytes((self.decimals, 0, 0))]
        return b"".join(parts)

    @classmethod
    def decode(cls, payload: bytes, capabilities: Capability = NONE) -> ColumnDefinition:
        """From the payload. COM_FIELD_LIST's default value, behind it, is left out."""
        reader = Reader(payload, "column definition")
        catalog, schema, table, org_table, name, org_name = (reader.string() for _ in range(6))
        extended = reader.string() if capabilities & Capability.MARIADB_EXTENDED_METADATA else None
        fixed = Reader(reader.string(), "column definition")
        charset, length, kind, flags = fixed.integer(2), fixed.integer(4), fixed.integer(1), fixed.integer(2)
        decimals = fixed.integer(1)
        return cls(schema, table, org_table, name, org_name, charset, length, kind, flags, decimals, catalog, extended)


@dataclass(frozen=True, slots=True)
class PrepareOk:
    """A prepared statement is there; definitions of its parameters and columns follow."""

    statement: int
    columns: int
    parameters: int
    warnings: int = 0

    def encode(self) -> bytes:
        """The payload."""
        return b"".join(
            (
                b"\0",
                self.statement.to_bytes(4, "little"),
                self.columns.to_bytes(2, "little"),
                self.parameters.to_bytes(2, "little"),
                b"\0",
                self.warnings.to_bytes(2, "little"),
            )
        )

    @classmethod
    def decode(cls, payload: bytes) -> PrepareOk:
        """From the payload."""
        reader = Reader(payload, "prepare OK packet", 1)
        statement, columns, parameters = reader.integer(4), reader.integer(2), reader.integer(2)
        reader.take(1)
        return cls(statement, columns, parameters, reader.integer(2) if reader.left >= 2 else 0)


def without_session_state(ok: Ok) -> Ok:
    """The same OK for a client that did not ask for session tracking: the info string is plain, nothing follows it."""
    if not ok.rest:
        return ok
    info = Reader(ok.rest, "OK packet").string()
    return replace(ok, rest=info, status=ok.status & ~Status.SESSION_STATE_CHANGED)

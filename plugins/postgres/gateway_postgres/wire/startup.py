"""Messages without a type byte: what a client sends first (manual, 54.2.1 "Start-up" and 54.2.9 to 54.2.11).

A startup packet carries names and values as NUL-terminated strings. A NUL inside a value would end it and begin a
second parameter of the sender's choosing, so ``encode`` refuses it and ``decode`` accepts the exact structure only.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from gateway.errors import LocalProtocolError, MessageTooLarge, RemoteProtocolError, UnsupportedFeature
from gateway_postgres.wire.codec import Buffer, Reader, cstring, uint32

PROTOCOL_3_0: Final = 3 << 16
PROTOCOL_3_2: Final = 3 << 16 | 2
MAX_STARTUP: Final = 10_000
"""What the server accepts (``MAX_STARTUP_PACKET_LENGTH``), length bytes included."""
MAX_CANCEL_KEY: Final = 256
"""Longest secret of a cancel key in protocol 3.2, bytes; before 3.2 it is always four."""
PROTOCOL_PARAMETER_PREFIX: Final = "_pq_."
"""Parameters with this prefix are protocol extensions: a server that does not know one must say so."""

_ONCE: Final = frozenset({"user", "database"})


def _untyped(*parts: bytes) -> bytes:
    return b"".join((uint32(4 + sum(map(len, parts))), *parts))


@dataclass(frozen=True, slots=True)
class SslRequest:
    """May we speak TLS? The answer is one byte, ``S`` or ``N``."""

    code: ClassVar[int] = 80877103

    def encode(self) -> bytes:
        """The whole packet."""
        return _untyped(uint32(self.code))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the packet without its length."""
        _expect_code("SSLRequest", body, cls.code)
        return cls()


@dataclass(frozen=True, slots=True)
class GssEncRequest:
    """May we speak GSSAPI encryption? The answer is one byte, ``G`` or ``N``."""

    code: ClassVar[int] = 80877104

    def encode(self) -> bytes:
        """The whole packet."""
        return _untyped(uint32(self.code))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the packet without its length."""
        _expect_code("GSSENCRequest", body, cls.code)
        return cls()


def _expect_code(message: str, body: Buffer, code: int) -> None:
    reader = Reader(message, body)
    if reader.uint32("the request code") != code:
        raise reader.error("wrong request code")
    reader.finish()


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Cancel what the backend ``pid`` runs. ``secret`` is 4 to 256 bytes (exactly 4 before protocol 3.2)."""

    code: ClassVar[int] = 80877102

    pid: int
    secret: bytes

    def encode(self) -> bytes:
        """The whole packet."""
        if not 4 <= len(self.secret) <= MAX_CANCEL_KEY:
            raise LocalProtocolError("CancelRequest: the secret has an impossible length")
        return _untyped(uint32(self.code), uint32(self.pid), self.secret)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the packet without its length."""
        reader = Reader("CancelRequest", body)
        if reader.uint32("the request code") != cls.code:
            raise reader.error("wrong request code")
        pid = reader.uint32("the process id")
        if not 4 <= reader.remaining <= MAX_CANCEL_KEY:
            raise reader.error("the secret has an impossible length")
        return cls(pid, reader.rest())


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """Opens a session. ``version`` is major << 16 | minor; ``parameters`` are in the order of the packet.

    Of a parameter that comes twice the last one counts, as the server does it, except that ``user`` and ``database``
    may come only once: who the session is for must not depend on who reads the packet.
    """

    version: int
    parameters: Mapping[str, str]

    @property
    def user(self) -> str:
        """The user name; never empty after ``decode``."""
        return self.parameters.get("user", "")

    @property
    def database(self) -> str | None:
        """The database name as given; None where the client gave none (or an empty one)."""
        return self.parameters.get("database") or None

    @property
    def protocol_options(self) -> tuple[str, ...]:
        """Names of the protocol extensions that the client asks for."""
        return tuple(name for name in self.parameters if name.startswith(PROTOCOL_PARAMETER_PREFIX))

    def encode(self) -> bytes:
        """The whole packet. ``LocalProtocolError`` if it could be read as something else."""
        parts = [uint32(self.version)]
        for name, value in self.parameters.items():
            if not name:
                raise LocalProtocolError("StartupMessage: a parameter has no name")
            parts.append(cstring("StartupMessage", name.encode()))
            parts.append(cstring("StartupMessage", value.encode()))
        parts.append(b"\0")
        packet = _untyped(*parts)
        if len(packet) > MAX_STARTUP:
            raise LocalProtocolError("StartupMessage: longer than a server accepts")
        return packet

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the packet without its length.

        ``UnsupportedFeature`` for another major version; minor versions of 3 are the caller's to negotiate.
        """
        if len(body) + 4 > MAX_STARTUP:
            raise MessageTooLarge("StartupMessage: longer than the limit")
        reader = Reader("StartupMessage", body)
        version = reader.uint32("the protocol version")
        if version >> 16 != 3:
            raise UnsupportedFeature("StartupMessage: only protocol version 3 is spoken")
        parameters: dict[str, str] = {}
        while name := reader.cstring("a parameter name"):
            key = _text(reader, name)
            value = _text(reader, reader.cstring("a parameter value"))
            if key in parameters:
                if key in _ONCE:
                    raise reader.error(f"parameter {key!r} is there twice")
                del parameters[key]
            parameters[key] = value
        reader.finish()
        if not parameters.get("user"):
            raise reader.error("no user name")
        return cls(version, parameters)


def _text(reader: Reader, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise reader.error("a parameter is not UTF-8") from None


StartupPacket = StartupMessage | SslRequest | GssEncRequest | CancelRequest


def decode_startup(body: Buffer) -> StartupPacket:
    """Whatever a client may send first, from the packet without its length."""
    if len(body) < 4:
        raise RemoteProtocolError("startup packet: ends inside the request code")
    match struct.unpack_from("!I", body)[0]:
        case SslRequest.code:
            return SslRequest.decode(body)
        case GssEncRequest.code:
            return GssEncRequest.decode(body)
        case CancelRequest.code:
            return CancelRequest.decode(body)
        case _:
            return StartupMessage.decode(body)

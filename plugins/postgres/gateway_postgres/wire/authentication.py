"""The authentication messages of both sides (manual, 54.2.1 "Start-up" and 54.3 "SASL Authentication").

The server's share one type byte, ``R``, and hold a number that says which they are. The client's share ``p`` and hold
none: which one it is follows from what the server asked for, so the caller chooses the class.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from gateway.errors import RemoteProtocolError
from gateway_postgres.wire.codec import Buffer, Reader, cstring, frame, int32, uint32

AUTHENTICATION: Final = ord("R")
PASSWORD: Final = ord("p")


def _open(message: str, body: Buffer, kind: int) -> Reader:
    reader = Reader(message, body)
    if reader.uint32("the kind") != kind:
        raise reader.error("wrong kind of authentication")
    return reader


@dataclass(frozen=True, slots=True)
class AuthenticationOk:
    """The client is who it says."""

    type: ClassVar[int] = AUTHENTICATION
    kind: ClassVar[int] = 0

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, uint32(self.kind))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        _open("AuthenticationOk", body, cls.kind).finish()
        return cls()


@dataclass(frozen=True, slots=True)
class AuthenticationCleartextPassword:
    """Send the password in clear."""

    type: ClassVar[int] = AUTHENTICATION
    kind: ClassVar[int] = 3

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, uint32(self.kind))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        _open("AuthenticationCleartextPassword", body, cls.kind).finish()
        return cls()


@dataclass(frozen=True, slots=True)
class AuthenticationMd5Password:
    """Send the password hashed by MD5 with this four-byte salt."""

    type: ClassVar[int] = AUTHENTICATION
    kind: ClassVar[int] = 5

    salt: bytes

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, uint32(self.kind), self.salt)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = _open("AuthenticationMD5Password", body, cls.kind)
        salt = reader.take(4, "the salt")
        reader.finish()
        return cls(salt)


@dataclass(frozen=True, slots=True)
class AuthenticationSasl:
    """Choose one of these SASL mechanisms, in the server's order of preference."""

    type: ClassVar[int] = AUTHENTICATION
    kind: ClassVar[int] = 10

    mechanisms: tuple[str, ...]

    def encode(self) -> bytes:
        """The whole message."""
        names = (cstring("AuthenticationSASL", name.encode("ascii")) for name in self.mechanisms)
        return frame(self.type, uint32(self.kind), *names, b"\0")

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = _open("AuthenticationSASL", body, cls.kind)
        names: list[str] = []
        while name := reader.cstring("a mechanism"):
            if not name.isascii():
                raise reader.error("a mechanism is not ASCII")
            names.append(name.decode("ascii"))
        reader.finish()
        return cls(tuple(names))


@dataclass(frozen=True, slots=True)
class AuthenticationSaslContinue:
    """A SASL challenge."""

    type: ClassVar[int] = AUTHENTICATION
    kind: ClassVar[int] = 11

    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, uint32(self.kind), self.data)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        return cls(_open("AuthenticationSASLContinue", body, cls.kind).rest())


@dataclass(frozen=True, slots=True)
class AuthenticationSaslFinal:
    """The outcome of SASL: what proves the server to the client."""

    type: ClassVar[int] = AUTHENTICATION
    kind: ClassVar[int] = 12

    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, uint32(self.kind), self.data)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        return cls(_open("AuthenticationSASLFinal", body, cls.kind).rest())


@dataclass(frozen=True, slots=True)
class AuthenticationUnsupported:
    """A method that the gateway does not speak: Kerberos V5 (2), GSSAPI (7, 8), SSPI (9) and whatever comes."""

    type: ClassVar[int] = AUTHENTICATION

    kind: int


AuthenticationMessage = (
    AuthenticationOk
    | AuthenticationCleartextPassword
    | AuthenticationMd5Password
    | AuthenticationSasl
    | AuthenticationSaslContinue
    | AuthenticationSaslFinal
    | AuthenticationUnsupported
)


def decode_authentication(body: Buffer) -> AuthenticationMessage:
    """Any message of type ``R``, from its body."""
    if len(body) < 4:
        raise RemoteProtocolError("Authentication: ends inside the kind")
    kind: int = struct.unpack_from("!I", body)[0]
    match kind:
        case AuthenticationOk.kind:
            return AuthenticationOk.decode(body)
        case AuthenticationCleartextPassword.kind:
            return AuthenticationCleartextPassword.decode(body)
        case AuthenticationMd5Password.kind:
            return AuthenticationMd5Password.decode(body)
        case AuthenticationSasl.kind:
            return AuthenticationSasl.decode(body)
        case AuthenticationSaslContinue.kind:
            return AuthenticationSaslContinue.decode(body)
        case AuthenticationSaslFinal.kind:
            return AuthenticationSaslFinal.decode(body)
        case _:
            return AuthenticationUnsupported(kind)


# --- from the client -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PasswordMessage:
    """The answer to a request for a password: in clear, or an MD5 hash."""

    type: ClassVar[int] = PASSWORD

    password: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, cstring("PasswordMessage", self.password))

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("PasswordMessage", body)
        password = reader.cstring("the password")
        reader.finish()
        return cls(password)


@dataclass(frozen=True, slots=True)
class SaslInitialResponse:
    """The chosen mechanism and its first message; None where the mechanism has the server speak first."""

    type: ClassVar[int] = PASSWORD

    mechanism: str
    data: bytes | None = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        data = self.data
        return frame(
            self.type,
            cstring("SASLInitialResponse", self.mechanism.encode("ascii")),
            int32(-1) if data is None else int32(len(data)) + data,
        )

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body."""
        reader = Reader("SASLInitialResponse", body)
        mechanism = reader.cstring("the mechanism")
        data = reader.value("the first message")
        reader.finish()
        if not mechanism.isascii():
            raise reader.error("the mechanism is not ASCII")
        return cls(mechanism.decode("ascii"), None if data is None else bytes(data))


@dataclass(frozen=True, slots=True)
class SaslResponse:
    """A later message of the SASL mechanism: the whole body."""

    type: ClassVar[int] = PASSWORD

    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        return frame(self.type, self.data)

    @classmethod
    def decode(cls, body: Buffer) -> Self:
        """From the body; any body is one."""
        return cls(bytes(body))

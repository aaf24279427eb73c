"""The connection phase (page "Connection Phase"): greeting, SSLRequest, the client's answer, and changing the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.errors import RemoteProtocolError, UnsupportedFeature
from gateway_mysql.wire.capabilities import Capability
from gateway_mysql.wire.codec import Reader, encode_length, encode_string
from gateway_mysql.wire.scramble import NATIVE, NONCE_SIZE

PROTOCOL_10 = 10
MAX_LOGIN_PAYLOAD = 64 * 1024
"""Bytes of one message before the login is over; connection attributes are the most of it."""
_LOW = 0xFFFFFFFF
_SSL_REQUEST_SIZE = 32
_MAX_ATTRIBUTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Greeting:
    """HandshakeV10: the server's first word. ``thread`` is what clients name in KILL."""

    version: bytes
    thread: int
    nonce: bytes = field(repr=False)
    capabilities: Capability
    charset: int
    status: int
    plugin: bytes

    def encode(self) -> bytes:
        """The payload."""
        flags = int(self.capabilities)
        return b"".join(
            (
                bytes((PROTOCOL_10,)),
                self.version,
                b"\0",
                self.thread.to_bytes(4, "little"),
                self.nonce[:8],
                b"\0",
                (flags & 0xFFFF).to_bytes(2, "little"),
                bytes((self.charset & 0xFF,)),
                self.status.to_bytes(2, "little"),
                (flags >> 16 & 0xFFFF).to_bytes(2, "little"),
                bytes((len(self.nonce) + 1,)),
                bytes(6),
                (flags >> 32).to_bytes(4, "little"),
                self.nonce[8:],
                b"\0",
                self.plugin,
                b"\0",
            )
        )

    @classmethod
    def decode(cls, payload: bytes) -> Greeting:
        """From the payload."""
        reader = Reader(payload, "greeting")
        if reader.integer(1) != PROTOCOL_10:
            raise UnsupportedFeature("greeting: not protocol version 10")
        version = reader.until_nul()
        thread = reader.integer(4)
        nonce = reader.take(8)
        reader.take(1)
        flags = reader.integer(2)
        if not reader.left:
            return cls(version, thread, nonce, Capability(flags), 0, 0, NATIVE)
        charset, status = reader.integer(1), reader.integer(2)
        flags |= reader.integer(2) << 16
        nonce_size = reader.integer(1)
        reader.take(6)
        extended = reader.integer(4)
        if not flags & Capability.LONG_PASSWORD:
            flags |= extended << 32
        nonce += reader.take(max(13, nonce_size - 8))
        plugin = reader.until_nul_or_end() if flags & Capability.PLUGIN_AUTH else NATIVE
        return cls(
            version, thread, nonce[: max(nonce_size - 1, NONCE_SIZE)], Capability(flags), charset, status, plugin
        )


def fresh_nonce(random: Callable[[int], bytes]) -> bytes:
    """What a client's proof is made with: no byte of it is zero. ``random`` gives so many random bytes."""
    return bytes(byte % 127 + 1 for byte in random(NONCE_SIZE))


def _head(capabilities: Capability, max_packet: int, charset: int) -> bytes:
    flags = int(capabilities)
    extended = flags >> 32
    return b"".join(
        (
            (flags & _LOW).to_bytes(4, "little"),
            max_packet.to_bytes(4, "little"),
            bytes((charset & 0xFF,)),
            bytes(19),
            extended.to_bytes(4, "little"),
        )
    )


def _flags(reader: Reader) -> tuple[Capability, int, int]:
    low = reader.integer(4)
    if not low & Capability.PROTOCOL_41:
        raise UnsupportedFeature("handshake response: the client speaks a protocol older than MySQL 4.1")
    max_packet, charset = reader.integer(4), reader.integer(1)
    reader.take(19)
    extended = reader.integer(4)
    if not low & Capability.LONG_PASSWORD:
        low |= extended << 32
    return Capability(low), max_packet, charset


@dataclass(frozen=True, slots=True)
class SslRequest:
    """The client wants TLS. It is the beginning of a HandshakeResponse, and its flags count."""

    capabilities: Capability
    max_packet: int
    charset: int

    def encode(self) -> bytes:
        """The payload."""
        return _head(self.capabilities | Capability.SSL, self.max_packet, self.charset)

    @classmethod
    def decode(cls, payload: bytes) -> SslRequest | None:
        """From the payload; None if it is not an SSLRequest (but a handshake response, or nonsense)."""
        if len(payload) != _SSL_REQUEST_SIZE:
            return None
        capabilities, max_packet, charset = _flags(Reader(payload, "SSL request"))
        return cls(capabilities, max_packet, charset) if capabilities & Capability.SSL else None


@dataclass(frozen=True, slots=True)
class HandshakeResponse:
    """HandshakeResponse41: who the client says it is, and its first proof."""

    capabilities: Capability
    max_packet: int
    charset: int
    user: bytes
    proof: bytes = field(repr=False)
    database: bytes = b""
    plugin: bytes = b""
    attributes: Mapping[bytes, bytes] = field(default_factory=dict)
    zstd_level: int = 3

    def encode(self) -> bytes:
        """The payload. Which fields there are follows from the capabilities."""
        flags = self.capabilities
        parts = [_head(flags, self.max_packet, self.charset), self.user, b"\0"]
        if flags & Capability.PLUGIN_AUTH_LENENC:
            parts.append(encode_string(self.proof))
        else:
            parts += [bytes((len(self.proof),)), self.proof]
        if flags & Capability.CONNECT_WITH_DB:
            parts += [self.database, b"\0"]
        if flags & Capability.PLUGIN_AUTH:
            parts += [self.plugin, b"\0"]
        if flags & Capability.CONNECT_ATTRS:
            parts.append(encode_attributes(self.attributes))
        if flags & Capability.ZSTD:
            parts.append(bytes((self.zstd_level,)))
        return b"".join(parts)

    @classmethod
    def decode(cls, payload: bytes) -> HandshakeResponse:
        """From the payload."""
        reader = Reader(payload, "handshake response")
        flags, max_packet, charset = _flags(reader)
        user = reader.until_nul()
        if flags & Capability.PLUGIN_AUTH_LENENC:
            proof = reader.string()
        elif flags & Capability.SECURE_CONNECTION:
            proof = reader.take(reader.integer(1))
        else:
            proof = reader.until_nul_or_end()
        database = reader.until_nul_or_end() if flags & Capability.CONNECT_WITH_DB else b""
        plugin = reader.until_nul_or_end() if flags & Capability.PLUGIN_AUTH else b""
        attributes = decode_attributes(reader) if flags & Capability.CONNECT_ATTRS and reader.left else {}
        level = reader.integer(1) if flags & Capability.ZSTD and reader.left else 3
        return cls(flags, max_packet, charset, user, proof, database, plugin, attributes, level)


@dataclass(frozen=True, slots=True)
class ChangeUser:
    """COM_CHANGE_USER, without its command byte."""

    user: bytes
    proof: bytes = field(repr=False)
    database: bytes
    charset: int
    plugin: bytes
    attributes: Mapping[bytes, bytes] = field(default_factory=dict)

    def encode(self, capabilities: Capability) -> bytes:
        """The payload behind the command byte."""
        parts = [self.user, b"\0", bytes((len(self.proof),)), self.proof, self.database, b"\0"]
        parts.append(self.charset.to_bytes(2, "little"))
        if capabilities & Capability.PLUGIN_AUTH:
            parts += [self.plugin, b"\0"]
        if capabilities & Capability.CONNECT_ATTRS:
            parts.append(encode_attributes(self.attributes))
        return b"".join(parts)

    @classmethod
    def decode(cls, payload: bytes, capabilities: Capability) -> ChangeUser:
        """From the payload behind the command byte."""
        reader = Reader(payload, "COM_CHANGE_USER")
        user = reader.until_nul()
        proof = reader.take(reader.integer(1)) if capabilities & Capability.SECURE_CONNECTION else reader.until_nul()
        database = reader.until_nul()
        charset = reader.integer(2) if reader.left >= 2 else 0
        plugin = reader.until_nul_or_end() if capabilities & Capability.PLUGIN_AUTH and reader.left else b""
        attributes = decode_attributes(reader) if capabilities & Capability.CONNECT_ATTRS and reader.left else {}
        return cls(user, proof, database, charset, plugin, attributes)


def encode_attributes(attributes: Mapping[bytes, bytes]) -> bytes:
    """Connection attributes, with their length before them."""
    pairs = b"".join(encode_string(name) + encode_string(value) for name, value in attributes.items())
    return encode_length(len(pairs)) + pairs


def decode_attributes(reader: Reader) -> dict[bytes, bytes]:
    """Connection attributes; the last of a name counts."""
    size = reader.length()
    if size > _MAX_ATTRIBUTES:
        raise RemoteProtocolError(f"{reader.what}: too many connection attributes")
    inner = Reader(reader.take(size), reader.what)
    attributes: dict[bytes, bytes] = {}
    while inner.left:
        name = inner.string()
        attributes[name] = inner.string()
    return attributes


@dataclass(frozen=True, slots=True)
class AuthSwitchRequest:
    """The server wants another plugin."""

    plugin: bytes
    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The payload."""
        return b"\xfe" + self.plugin + b"\0" + self.data + b"\0"

    @classmethod
    def decode(cls, payload: bytes) -> AuthSwitchRequest:
        """From the payload. A payload of one byte is the request of servers before 4.1, which is refused."""
        reader = Reader(payload, "authentication switch request", 1)
        if not reader.left:
            raise UnsupportedFeature("authentication switch request: passwords of before MySQL 4.1")
        plugin = reader.until_nul()
        data = reader.rest()
        return cls(plugin, data.removesuffix(b"\0"))

"""Whole conversations with a server as generators: yield bytes to send (may be empty), get bytes received.

``b""`` sent in means that the server hung up. Whatever the server does wrong ends as an ``UpstreamError``.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import ProtocolError, UpstreamAuthenticationError, UpstreamError, UpstreamUnavailable
from gateway_mysql.wire.auth import UpstreamExchange
from gateway_mysql.wire.capabilities import NEEDED, Capability
from gateway_mysql.wire.codec import Reader
from gateway_mysql.wire.commands import Command
from gateway_mysql.wire.compression import DEFAULT_LEVEL
from gateway_mysql.wire.handshake import Greeting, HandshakeResponse
from gateway_mysql.wire.messages import EOF, ERR, LOCAL_INFILE, OK, Err, Ok
from gateway_mysql.wire.packets import FULL, PacketBuffer, packet

MAX_LOGIN: Final = 1 << 20
MAX_RESULT: Final = 256 << 20
"""What ``run_queries`` takes of a server in one payload, bytes."""
MAX_PACKET: Final = 1 << 30
"""What the gateway says it can take; the server has its own limit."""
UTF8MB4: Final = 45
"""utf8mb4_general_ci, which every server since MySQL 5.5.3 knows."""

_DENIED: Final = frozenset({1045, 1698, 1820, 1862, 3118, 4151})
Row = tuple[str | None, ...]


class UpstreamRefused(UpstreamError):
    """The server answered with an error. ``response`` is what it said; its message may hold names and values."""

    def __init__(self, response: Err) -> None:
        super().__init__(f"the server answered with error {response.code}")
        self.response = response


class UpstreamLoginRefused(UpstreamAuthenticationError):
    """The server refused the gateway's credentials."""

    def __init__(self, response: Err) -> None:
        super().__init__(f"the server answered with error {response.code}")
        self.response = response


@dataclass(frozen=True, slots=True)
class LoginOptions:
    """What to log in with. ``tls`` None of them: whether the connection is encrypted is the handle's business."""

    capabilities: Capability
    charset: int = UTF8MB4
    attributes: Mapping[bytes, bytes] = field(default_factory=dict)
    zstd_level: int = DEFAULT_LEVEL


@dataclass(frozen=True, slots=True)
class LoginResult:
    """A session that is ready for commands."""

    greeting: Greeting
    capabilities: Capability
    ok: Ok
    leftover: bytes = field(default=b"", repr=False)


def possible(wanted: Capability, server: Capability) -> Capability:
    """What of ``wanted`` can be asked of a server. Raises ``UpstreamError`` where it lacks what everything rests on."""
    if missing := NEEDED & ~server:
        raise UpstreamError(f"the database server is too old for the gateway: it lacks {missing!r}")
    return wanted & (server | Capability.SSL)


def upstream_login(
    greeting: Greeting,
    user: str,
    password: str | None,
    database: str,
    options: LoginOptions,
    *,
    tls: bool,
) -> Generator[bytes, bytes, LoginResult]:
    """Log in: the answer to the greeting, authentication, up to OK. ``options.capabilities`` are what is wanted."""
    with _server_errors():
        capabilities = possible(options.capabilities, greeting.capabilities)
        if tls:
            capabilities |= Capability.SSL
        exchange = UpstreamExchange(password, tls=tls)
        plugin, proof = exchange.first(greeting.plugin, greeting.nonce)
        sequence = 2 if tls else 1
        response = HandshakeResponse(
            capabilities=capabilities,
            max_packet=MAX_PACKET,
            charset=options.charset,
            user=user.encode(),
            proof=proof,
            database=database.encode(),
            plugin=plugin,
            attributes=options.attributes,
            zstd_level=options.zstd_level,
        )
        output: bytes = packet(response.encode(), sequence)
        buffer = PacketBuffer(max_payload=MAX_LOGIN, sequence=sequence + 1)
        ok = yield from authenticated(buffer, exchange, output)
        return LoginResult(greeting, capabilities, ok, buffer.take_rest())


def authenticated(buffer: PacketBuffer, exchange: UpstreamExchange, output: bytes) -> Generator[bytes, bytes, Ok]:
    """The rest of an authentication, up to OK; ``output`` is sent first."""
    for _ in range(10):
        payload = yield from next_payload(buffer, output)
        output = b""
        if payload[0] == OK:
            return Ok.decode(payload)
        if payload[0] == ERR:
            raise refusal(Err.decode(payload))
        answer = exchange.receive(payload)
        if answer is not None:
            output = packet(answer, buffer.sequence)
            buffer.sequence = (buffer.sequence + 1) & 0xFF
    raise UpstreamAuthenticationError("the server does not come to an end with authentication")


def refusal(response: Err) -> UpstreamError:
    """A server's error as ours."""
    return UpstreamLoginRefused(response) if response.code in _DENIED else UpstreamRefused(response)


def next_payload(buffer: PacketBuffer, output: bytes = b"") -> Generator[bytes, bytes, bytes]:
    """Send ``output`` and wait for the next payload, which is never empty."""
    while (payload := buffer.take()) is None:
        data = yield output
        output = b""
        if not data:
            raise UpstreamUnavailable("the server hung up")
        buffer.feed(data)
    if not payload:
        raise UpstreamError("the server sent an empty packet")
    return payload


def run_queries(texts: Sequence[str], capabilities: Capability) -> Generator[bytes, bytes, list[list[Row]]]:
    """Run texts one after the other and give their rows as text (UTF-8). The session must not be compressed."""
    results = []
    for text in texts:
        with _server_errors():
            buffer = PacketBuffer(max_payload=MAX_RESULT, sequence=1)
            rows = yield from _result(buffer, packet(bytes((Command.QUERY,)) + text.encode(), 0), capabilities)
        results.append(rows)
    return results


def _result(buffer: PacketBuffer, output: bytes, capabilities: Capability) -> Generator[bytes, bytes, list[Row]]:
    payload = yield from next_payload(buffer, output)
    if payload[0] == ERR:
        raise UpstreamRefused(Err.decode(payload))
    if payload[0] == OK:
        return []
    if payload[0] == LOCAL_INFILE:
        raise UpstreamError("the server asks for a file")
    columns = Reader(payload, "column count").length()
    deprecate_eof = bool(capabilities & Capability.DEPRECATE_EOF)
    for _ in range(columns if deprecate_eof else columns + 1):
        yield from next_payload(buffer)
    rows: list[Row] = []
    while True:
        payload = yield from next_payload(buffer)
        if payload[0] == ERR:
            raise UpstreamRefused(Err.decode(payload))
        if payload[0] == EOF and len(payload) < (FULL if deprecate_eof else 9):
            return rows
        reader = Reader(payload, "row")
        cells = [reader.cell() for _ in range(columns)]
        reader.end()
        rows.append(tuple(None if cell is None else cell.decode("utf-8", "replace") for cell in cells))


@contextmanager
def _server_errors() -> Iterator[None]:
    """The server's breaches of protocol are the database's failure, not the client's."""
    try:
        yield
    except ProtocolError as error:
        raise UpstreamError(f"the database server: {error}") from error

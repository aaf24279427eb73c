"""A PostgreSQL client of a few lines that shows every byte of the answers."""

from __future__ import annotations

import socket
import struct
from collections.abc import Generator
from types import TracebackType
from typing import Self

from gateway.protocol.adapter import UpstreamHandle
from gateway_postgres.wire.codec import frame
from gateway_postgres.wire.upstream import LoginResult, upstream_login

Message = tuple[str, bytes]

_HEADER = struct.Struct("!cI")


def query(text: str) -> bytes:
    """Query."""
    return frame(ord("Q"), text.encode(), b"\0")


def parse(text: str, name: str = "", types: tuple[int, ...] = ()) -> bytes:
    """Parse."""
    return frame(
        ord("P"), name.encode(), b"\0", text.encode(), b"\0", struct.pack(f"!H{len(types)}I", len(types), *types)
    )


def bind(
    *values: bytes | None, name: str = "", portal: str = "", formats: tuple[int, ...] = (), given: int = 0
) -> bytes:
    """Bind; ``given`` is the format code of the values, ``formats`` are those of the result."""
    parts = [portal.encode(), b"\0", name.encode(), b"\0", struct.pack("!Hh", 1, given), struct.pack("!H", len(values))]
    for value in values:
        parts.append(struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value)
    parts.append(struct.pack(f"!H{len(formats)}h", len(formats), *formats))
    return frame(ord("B"), *parts)


def describe(name: str = "", *, what: str = "P") -> bytes:
    """Describe a portal or, with ``what`` S, a statement."""
    return frame(ord("D"), what.encode(), name.encode(), b"\0")


def execute(portal: str = "", rows: int = 0) -> bytes:
    """Execute."""
    return frame(ord("E"), portal.encode(), b"\0", struct.pack("!i", rows))


def close(name: str = "", *, what: str = "S") -> bytes:
    """Close."""
    return frame(ord("C"), what.encode(), name.encode(), b"\0")


def copy_data(data: bytes) -> bytes:
    """CopyData."""
    return frame(ord("d"), data)


def function_call(oid: int, *values: bytes) -> bytes:
    """FunctionCall with text arguments and a text result."""
    arguments = b"".join(struct.pack("!i", len(value)) + value for value in values)
    return frame(ord("F"), struct.pack("!IHH", oid, 0, len(values)), arguments, struct.pack("!h", 0))


SYNC = frame(ord("S"))
FLUSH = frame(ord("H"))
COPY_DONE = frame(ord("c"))
COPY_FAIL = frame(ord("f"), b"changed my mind\0")
TERMINATE = frame(ord("X"))


def extended(text: str, *values: bytes | None, formats: tuple[int, ...] = (), given: int = 0) -> bytes:
    """Parse, Bind, Describe, Execute of the unnamed statement, without Sync."""
    return parse(text) + bind(*values, formats=formats, given=given) + describe() + execute()


class RawClient:
    """A session. ``ask`` sends and reads up to a number of ReadyForQuery."""

    def __init__(self, sock: socket.socket, login: LoginResult) -> None:
        self.socket = sock
        self.login = login
        self._buffer = bytearray(login.leftover)

    @classmethod
    def connect(cls, port: int, *, user: str, password: str, database: str, **parameters: str) -> Self:
        """Log in without TLS."""
        sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handle = UpstreamHandle(tls=False)
        exchange = upstream_login({"user": user, "database": database, **parameters}, password, handle, random=_random)
        return cls(sock, _run(sock, exchange))

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def receive(self) -> Message:
        """The next message; raises ``EOFError`` where the server hung up."""
        while True:
            if len(self._buffer) >= 5:
                kind, length = _HEADER.unpack_from(self._buffer)
                if len(self._buffer) > length:
                    body = bytes(self._buffer[5 : 1 + length])
                    del self._buffer[: 1 + length]
                    return kind.decode("latin-1"), body
            data = self.socket.recv(1 << 20)
            if not data:
                raise EOFError
            self._buffer += data

    def until(self, last: str) -> list[Message]:
        """Messages up to and with the first of type ``last``."""
        messages = []
        while True:
            message = self.receive()
            messages.append(message)
            if message[0] == last:
                return messages

    def ask(self, data: bytes, readies: int = 1) -> list[Message]:
        """Send, and read that many ReadyForQuery."""
        self.send(data)
        answer = []
        for _ in range(readies):
            answer += self.until("Z")
        return answer

    def rest(self) -> list[Message]:
        """Everything until the server hangs up."""
        messages = []
        try:
            while True:
                messages.append(self.receive())
        except (EOFError, ConnectionResetError):
            return messages

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()


def fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse."""
    return {part[:1].decode(): part[1:].decode(errors="replace") for part in body.split(b"\0") if part}


def errors(messages: list[Message]) -> list[dict[str, str]]:
    """All errors among messages."""
    return [fields(body) for kind, body in messages if kind == "E"]


def kinds(messages: list[Message]) -> str:
    """The types of messages, as one word."""
    return "".join(kind for kind, _ in messages)


def rows(messages: list[Message]) -> list[tuple[bytes | None, ...]]:
    """The values of all rows."""
    return [_values(body) for kind, body in messages if kind == "D"]


def _values(body: bytes) -> tuple[bytes | None, ...]:
    (count,) = struct.unpack_from("!H", body)
    position, values = 2, []
    for _ in range(count):
        (size,) = struct.unpack_from("!i", body, position)
        position += 4
        values.append(None if size < 0 else body[position : position + size])
        position += max(size, 0)
    return tuple(values)


def _run(sock: socket.socket, exchange: Generator[bytes, bytes, LoginResult]) -> LoginResult:
    output = next(exchange)
    try:
        while True:
            if output:
                sock.sendall(output)
            output = exchange.send(sock.recv(1 << 16))
    except StopIteration as stop:
        result: LoginResult = stop.value
        return result


def _random(size: int) -> bytes:
    return bytes(range(size))

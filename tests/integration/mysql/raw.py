"""A MySQL client of a few lines that shows every packet of the answers."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from gateway_mysql.wire.capabilities import NEEDED, Capability, asked
from gateway_mysql.wire.commands import Command
from gateway_mysql.wire.compression import Compression
from gateway_mysql.wire.handshake import Greeting
from gateway_mysql.wire.messages import ERR, Err, Ok
from gateway_mysql.wire.packets import HEADER, packet
from gateway_mysql.wire.upstream import UTF8MB4, LoginOptions, upstream_login
from tests.fixtures.gateway import ADMIN, RESOURCE
from tests.fixtures.mysql_gateway import MySqlGateway
from tests.plugins.mysql.frames import unpacked

_LONG_TYPE = struct.pack("<H", 3)
_TYPES_FOLLOW = 128
PACKED = Capability.COMPRESS | Capability.ZSTD


class RawClient:
    """A logged-in session in clear. ``greeting`` is what the server said first."""

    def __init__(self, stream: socket.socket, *, user: str, password: str, database: str, wanted: Capability) -> None:
        self.socket = stream
        self.sequence = 0
        """The number of the last packet that came."""
        self.compression: Compression | None = None
        self._data = b""
        self.greeting = Greeting.decode(self.packet())
        flags = asked(NEEDED | Capability.CONNECT_WITH_DB | wanted, tls=False, compress=wanted & PACKED)
        options = LoginOptions(flags, UTF8MB4)
        login = upstream_login(self.greeting, user, password, database, options, tls=False)
        output = next(login)
        while True:
            self.socket.sendall(output)
            try:
                output = login.send(self.socket.recv(65536))
            except StopIteration as stop:
                self.capabilities: Capability = stop.value.capabilities
                break
        if self.capabilities & PACKED:
            self.compression = Compression(zstd=not self.capabilities & Capability.COMPRESS)

    @classmethod
    def connect(
        cls,
        gateway: MySqlGateway,
        user: str = ADMIN,
        *,
        database: str = RESOURCE,
        bulk: bool = False,
        compress: bool = False,
    ) -> RawClient:
        """A session on a gateway."""
        wanted = Capability.MARIADB_BULK | Capability.MARIADB_EXTENDED_METADATA if bulk else Capability(0)
        if compress:
            wanted |= Capability.COMPRESS
        stream = socket.create_connection((gateway.host, gateway.port), timeout=30)
        return cls(stream, user=user, password=gateway.token, database=database, wanted=wanted)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, payload: bytes, sequence: int = 0) -> None:
        data = packet(payload, sequence)
        if self.compression is not None:
            if not sequence:
                self.compression.sequence = 0
            data = self.compression.encode(data)
        self.socket.sendall(data)

    def packet(self) -> bytes:
        """The next packet's payload. Raises ``EOFError`` where the server hung up."""
        header = self._exactly(HEADER)
        self.sequence = header[3]
        return self._exactly(int.from_bytes(header[:3], "little"))

    def _exactly(self, size: int) -> bytes:
        while len(self._data) < size:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self._data += piece if self.compression is None else unpacked(self.compression, piece)
        data, self._data = self._data[:size], self._data[size:]
        return data

    def ask(self, payload: bytes) -> Ok | Err:
        """A command whose answer has no rows."""
        self.send(payload)
        return self.outcome()

    def outcome(self) -> Ok | Err:
        """The OK or ERR that comes next."""
        answer = self.packet()
        return Err.decode(answer) if answer[0] == ERR else Ok.decode(answer)

    def value(self, text: str) -> bytes:
        """The one cell of a query's one row, as text."""
        self.send(bytes((Command.QUERY,)) + text.encode())
        first = self.packet()
        assert first[0] != ERR, Err.decode(first)
        packets = [self.packet() for _ in range(4)]  # column, EOF, row, EOF
        return packets[2][1:]

    def bulk(self, text: str, numbers: Iterable[int]) -> Ok | Err:
        """Prepare a text with one placeholder and run it with many numbers at once."""
        assert self.capabilities & Capability.MARIADB_BULK, "the gateway does not know yet that this is MariaDB"
        self.send(bytes((Command.STMT_PREPARE,)) + text.encode())
        number = self.packet()[1:5]
        for _ in range(2):  # the parameter, EOF
            self.packet()
        rows = b"".join(b"\0" + value.to_bytes(4, "little") for value in numbers)
        head = bytes((Command.STMT_BULK_EXECUTE,)) + number + _TYPES_FOLLOW.to_bytes(2, "little") + _LONG_TYPE
        return self.ask(head + rows)

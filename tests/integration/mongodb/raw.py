"""A client without a driver: sends what no driver would, and reads messages one by one."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Generator
from secrets import token_bytes
from typing import Any, Self

from gateway.domain.resource import UpstreamCredentials
from gateway_mongodb.wire.codec import decode, encode
from gateway_mongodb.wire.compression import Compressor, decompress
from gateway_mongodb.wire.framing import FrameBuffer
from gateway_mongodb.wire.messages import OP_COMPRESSED, OP_MSG, OP_REPLY, Msg, decode_msg, decode_reply
from gateway_mongodb.wire.upstream import Conversation, LoginSettings, log_in
from tests.fixtures.mongodb import ADMIN, RESOURCE, MongoGateway


class RawClient:
    """One connection. ``login`` first; then ``ask``, or ``send`` and ``receive``."""

    def __init__(self, gateway: MongoGateway, *, timeout: float = 20) -> None:
        self.gateway = gateway
        self.socket = socket.create_connection((gateway.host, gateway.port), timeout=timeout)
        if gateway.tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.buffer = FrameBuffer(max_message=64_000_000)
        self.number = 1000
        self.compressed_with: Compressor | None = None

    def login(self, user: str = ADMIN, *, compressor: Compressor | None = None) -> Conversation:
        """Log in as a driver does; the conversation goes on from there."""
        settings = LoginSettings(
            UpstreamCredentials(f"{user}#{RESOURCE}", self.gateway.token),
            mechanism="SCRAM-SHA-256",
            compressors=() if compressor is None else (compressor,),
        )
        conversation = Conversation()
        self.drive(log_in(conversation, settings, {"driver": {"name": "raw", "version": "1"}}, token_bytes))
        return conversation

    def drive(self, exchange: Generator[bytes, bytes, Any]) -> Any:
        """Hold a whole conversation."""
        output = next(exchange)
        while True:
            if output:
                self.socket.sendall(output)
            try:
                output = exchange.send(self.socket.recv(65536))
            except StopIteration as stop:
                return stop.value

    def send(self, command: dict[str, Any], *, flags: int = 0, database: str = "admin") -> int:
        """Send a command; its request id."""
        self.number += 1
        self.socket.sendall(Msg(flags, encode({**command, "$db": database})).encode(self.number))
        return self.number

    def receive(self) -> tuple[dict[str, Any], int]:
        """The next message's document and flags; ``EOFError`` at the end."""
        while not self.buffer.next():
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self.buffer.feed(data)
        data, start, end, opcode = self.buffer.data, self.buffer.start, self.buffer.end, self.buffer.opcode
        if opcode == OP_COMPRESSED:
            data, self.compressed_with = decompress(data, start, end, max_message=64_000_000)
            start, end, opcode = 0, len(data), OP_MSG
        if opcode == OP_REPLY:
            return decode(decode_reply(data, start, end).body), 0
        message = decode_msg(data, start, end)
        return decode(message.body), message.flags

    def ask(self, command: dict[str, Any], *, database: str = "admin", flags: int = 0) -> dict[str, Any]:
        """The reply to a command."""
        self.send(command, database=database, flags=flags)
        return self.receive()[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

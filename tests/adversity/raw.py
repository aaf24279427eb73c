"""A PostgreSQL client that reads only when it is told to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import struct
from typing import Self

from tests.adversity.bed import TOKENS


class RawClient:
    """Blocking, one socket, small receive buffer, no TLS."""

    def __init__(self, port: int, *, receive_buffer: int = 16 * 1024) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", port))
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    # --- messages -----------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def message(self, kind: str, body: bytes) -> None:
        self.send(kind.encode() + struct.pack("!I", len(body) + 4) + body)

    def query(self, text: str) -> None:
        self.message("Q", text.encode() + b"\0")

    def read(self) -> tuple[str, bytes]:
        """The next message: its type, empty at the end, and its body."""
        head = self._file.read(5)
        if len(head) < 5:
            return "", b""
        return chr(head[0]), self._file.read(struct.unpack("!I", head[1:])[0] - 4)

    def expect(self, wanted: str) -> bytes:
        """Read up to a message of that type; its body. An error in between fails."""
        while True:
            kind, body = self.read()
            if kind == wanted:
                return body
            assert kind, f"the gateway hung up before a {wanted} came"
            assert kind != "E", body

    def expect_error(self) -> str:
        """Read up to an error; its SQLSTATE."""
        body = self.expect_error_body()
        return next(field[1:].decode() for field in body.split(b"\0") if field.startswith(b"C"))

    def expect_error_body(self) -> bytes:
        while True:
            kind, body = self.read()
            assert kind, "the gateway hung up without a word"
            if kind == "E":
                return body

    def count_rows(self) -> int:
        """Read a whole result: how many rows came."""
        rows = 0
        while True:
            kind, body = self.read()
            if kind == "Z":
                return rows
            assert kind, "the gateway hung up in the middle of a result"
            assert kind != "E", body
            rows += kind == "D"

    # --- logging in ---------------------------------------------------------------------------------------------

    @staticmethod
    def startup_packet(user: str, database: str) -> bytes:
        body = struct.pack("!I", 196608) + f"user\0{user}\0database\0{database}\0\0".encode()
        return struct.pack("!I", len(body) + 4) + body

    def log_in(self, user: str, database: str, password: str | None = None) -> None:
        """Startup and SCRAM-SHA-256 (RFC 5802, RFC 7677), up to the first ReadyForQuery."""
        self.send(self.startup_packet(user, database))
        self.expect("R")
        nonce = secrets.token_urlsafe(18)
        first = f"n=,r={nonce}"
        initial = f"n,,{first}".encode()
        self.message("p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(initial)) + initial)
        server_first = self.expect("R")[4:].decode()
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        secret = (TOKENS[user] if password is None else password).encode()
        salted = hashlib.pbkdf2_hmac("sha256", secret, base64.b64decode(fields["s"]), int(fields["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        final = f"c=biws,r={fields['r']}"
        signed = f"{first},{server_first},{final}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self.message("p", f"{final},p={base64.b64encode(proof).decode()}".encode())
        self.expect("Z")

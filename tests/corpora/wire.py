"""A small PostgreSQL client that keeps every byte it receives (protocol 3.0, documentation chapter 55).

It is written for the corpora and uses nothing of the gateway, so that a mistake there cannot hide here.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

_HEAD = struct.Struct("!ci")


class Mode(StrEnum):
    """How a statement is sent and its rows are asked for."""

    SIMPLE = "simple"
    TEXT = "extended-text"
    BINARY = "extended-binary"


@dataclass(slots=True)
class Result:
    """One statement's answer. A cell is its wire bytes, None for NULL."""

    names: tuple[str, ...] = ()
    types: tuple[int, ...] = ()
    rows: list[tuple[bytes | None, ...]] = field(default_factory=list)
    tag: str = ""
    error: str = ""
    """SQLSTATE."""
    message: str = ""
    copied: list[bytes] = field(default_factory=list)


def frame(kind: bytes, *parts: bytes) -> bytes:
    """A message: its type, its length, its body."""
    body = b"".join(parts)
    return kind + struct.pack("!i", len(body) + 4) + body


def frames(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The complete messages in ``data``, as type and body."""
    position = 0
    while position + 5 <= len(data):
        kind, length = _HEAD.unpack_from(data, position)
        if position + 1 + length > len(data):
            return
        yield kind, data[position + 5 : position + 1 + length]
        position += 1 + length


def cells_of(data: bytes) -> tuple[bytes, bytes]:
    """All cells in ``data`` put together along the rows, and down the columns."""
    rows: list[bytes] = []
    columns: list[list[bytes]] = []
    for kind, body in frames(data):
        if kind == b"D":
            for index, cell in enumerate(_cells(body)):
                if cell is not None:
                    rows.append(cell)
                    while len(columns) <= index:
                        columns.append([])
                    columns[index].append(cell)
        elif kind == b"d":
            rows.append(body)
    return b"".join(rows), b"|".join(b"".join(column) for column in columns)


def _cells(body: bytes) -> tuple[bytes | None, ...]:
    (count,) = struct.unpack_from("!h", body)
    position = 2
    found: list[bytes | None] = []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, position)
        position += 4
        if length < 0:
            found.append(None)
        else:
            found.append(body[position : position + length])
            position += length
    return tuple(found)


class Closed(Exception):
    """The other side ended the session."""


class Client:
    """One session. ``received`` grows by every byte that comes; the owner may empty it."""

    def __init__(self, stream: socket.socket) -> None:
        self._socket = stream
        self._unread = b""
        self.received = bytearray()
        self.copy_in = b""
        """What is sent where the server asks for COPY data; empty: the copy is failed."""

    @classmethod
    def connect(cls, port: int, user: str, password: str, database: str, **parameters: str) -> Self:
        """Log in at 127.0.0.1 by SCRAM-SHA-256 (or without a password, where the server asks for none)."""
        client = cls(socket.create_connection(("127.0.0.1", port), timeout=20))
        try:
            client._start({"user": user, "database": database, **parameters})
            client._authenticate(password)
        except BaseException:
            client.close()
            raise
        return client

    def close(self) -> None:
        """End the session."""
        with contextlib.suppress(OSError):
            self._socket.sendall(frame(b"X"))
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- statements -------------------------------------------------------------------------------------------------

    def run(self, text: str, mode: Mode = Mode.SIMPLE, *, parameters: Sequence[bytes] = ()) -> list[Result]:
        """Send a statement in one of the three ways and read to the end. Raises ``Closed``.

        ``parameters`` go in text form, by the extended protocol only.
        """
        encoded = text.encode("utf-8", "surrogateescape")
        if mode is Mode.SIMPLE:
            self.send(frame(b"Q", encoded, b"\0"))
        else:
            formats = struct.pack("!hh", 1, int(mode is Mode.BINARY))
            values = struct.pack("!h", len(parameters)) + b"".join(
                struct.pack("!i", len(value)) + value for value in parameters
            )
            self.send(
                frame(b"P", b"\0", encoded, b"\0\0\0")
                + frame(b"B", b"\0\0\0\0", values, formats)
                + frame(b"D", b"P\0")
                + frame(b"E", b"\0\0\0\0\0")
                + frame(b"S")
            )
        return self.read_until_ready(extended=mode is not Mode.SIMPLE)

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from error

    def read_until_ready(self, *, extended: bool = False) -> list[Result]:
        """Read to ReadyForQuery; answers COPY IN with ``copy_in``."""
        results: list[Result] = []
        result = Result()
        while True:
            kind, body = self._message()
            match kind:
                case b"Z":
                    if result.names or result.rows or result.copied:
                        results.append(result)
                    return results
                case b"T":
                    result = _described(body)
                case b"D":
                    result.rows.append(_cells(body))
                case b"d":
                    result.copied.append(body)
                case b"C" | b"I" | b"s":
                    result.tag = body.rstrip(b"\0").decode("utf-8", "replace")
                    results.append(result)
                    result = Result()
                case b"E":
                    fields = error_fields(body)
                    result.error, result.message = fields.get("C", "?"), fields.get("M", "")
                    results.append(result)
                    result = Result()
                case b"G":
                    end = frame(b"d", self.copy_in) + frame(b"c") if self.copy_in else frame(b"f", b"no data\0")
                    # The copy swallows the Sync that was sent with the statement.
                    self.send(end + (frame(b"S") if extended else b""))
                case b"W":
                    self.send(frame(b"c"))
                case _:
                    pass

    # --- bytes ------------------------------------------------------------------------------------------------------

    def _start(self, parameters: dict[str, str]) -> None:
        pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items())
        body = struct.pack("!i", 196608) + pairs + b"\0"
        self.send(struct.pack("!i", len(body) + 4) + body)

    def _authenticate(self, password: str) -> None:
        nonce = base64.b64encode(os.urandom(18)).decode()
        first = f"n=,r={nonce}"
        challenge = ""
        told = bytearray()
        while True:
            kind, body = self._message()
            if kind == b"E":
                raise Closed(error_fields(body).get("M", ""))
            if kind == b"Z":
                # The exchange of proofs and the cancel key are random: now and then they spell letters of anything.
                self.received = told + self._unread
                return
            if kind not in (b"R", b"K"):
                told += frame(kind, body)
            if kind != b"R":
                continue
            (code,) = struct.unpack_from("!i", body)
            if code == 10:
                initial = f"n,,{first}".encode()
                self.send(frame(b"p", b"SCRAM-SHA-256\0", struct.pack("!i", len(initial)), initial))
            elif code == 11:
                challenge = body[4:].decode()
                self.send(frame(b"p", _proof(password, first, challenge).encode()))

    def _message(self) -> tuple[bytes, bytes]:
        while len(self._unread) < 5 or len(self._unread) < 1 + _HEAD.unpack_from(self._unread)[1]:
            try:
                data = self._socket.recv(1 << 16)
            except OSError as error:
                raise Closed(str(error)) from error
            if not data:
                raise Closed("the server closed the connection")
            self.received += data
            self._unread += data
        kind, length = _HEAD.unpack_from(self._unread)
        body = self._unread[5 : 1 + length]
        self._unread = self._unread[1 + length :]
        return kind, body


def _proof(password: str, first: str, challenge: str) -> str:
    """The client's last message of SCRAM-SHA-256 (RFC 5802, 7677)."""
    pairs = dict(part.split("=", 1) for part in challenge.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(pairs["s"]), int(pairs["i"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    bare = f"c=biws,r={pairs['r']}"
    signed = f"{first},{challenge},{bare}".encode()
    signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    return f"{bare},p={base64.b64encode(proof).decode()}"


def error_fields(body: bytes) -> dict[str, str]:
    """An ErrorResponse's or NoticeResponse's fields by letter."""
    parts: Sequence[bytes] = body.split(b"\0")
    return {part[:1].decode("latin-1"): part[1:].decode("utf-8", "replace") for part in parts if part}


def _described(body: bytes) -> Result:
    (count,) = struct.unpack_from("!h", body)
    position, names, types = 2, [], []
    for _ in range(count):
        end = body.index(b"\0", position)
        names.append(body[position:end].decode("utf-8", "replace"))
        types.append(struct.unpack_from("!ihihih", body, end + 1)[2])
        position = end + 19
    return Result(tuple(names), tuple(types))

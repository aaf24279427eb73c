"""Compressed connections in the eyes of others: a client's socket, and a server that knows zstd.

MariaDB has zlib only, and no MySQL that has zstd can be had here, so ``ZstdFront`` puts zstd around a MariaDB.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import replace
from typing import Self

from gateway_mysql.wire.capabilities import Capability
from gateway_mysql.wire.handshake import Greeting, HandshakeResponse
from gateway_mysql.wire.messages import OK
from gateway_mysql.wire.packets import packet
from tests.plugins.mysql.frames import HEAD, ZSTD, frame, read_frames

_CHUNK = 65536
_PIECE = 1 << 20


class FramedSocket:
    """A socket whose bytes go in frames. As real clients do, it takes only frames that are numbered in a row."""

    def __init__(self, stream: socket.socket, algorithm: str) -> None:
        self._socket = stream
        self._algorithm = algorithm
        self._number = 0
        self._plain = b""

    def sendall(self, data: bytes) -> None:
        """Send one command."""
        self._number = 0
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            algorithm = self._algorithm if len(piece) >= 50 else ""
            self._socket.sendall(frame(piece, self._number, algorithm))
            self._number += 1

    def recv(self, size: int) -> bytes:
        """At most so many of the bytes inside of frames."""
        while not self._plain:
            whole = read_frame(self._socket)
            ((number, self._plain),) = read_frames(whole, self._algorithm)
            assert number == self._number & 0xFF, "frames are out of order"
            self._number += 1
        data, self._plain = self._plain[:size], self._plain[size:]
        return data


def read_frame(stream: socket.socket) -> bytes:
    """A whole frame as it came. Raises ``EOFError``."""
    head = _exactly(stream, HEAD)
    return head + _exactly(stream, int.from_bytes(head[:3], "little"))


class ZstdFront:
    """Listens in front of a MariaDB, offers zstd, and takes it off. ``sessions`` counts those that used it."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.sessions = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server)) as server, suppress(OSError, EOFError):
            greeting = Greeting.decode(_packet(server)[4:])
            greeting = replace(greeting, capabilities=greeting.capabilities | Capability.ZSTD)
            client.sendall(packet(greeting.encode(), 0))
            response = HandshakeResponse.decode(_packet(client)[4:])
            zstd = bool(response.capabilities & Capability.ZSTD)
            response = replace(response, capabilities=response.capabilities & ~Capability.ZSTD)
            server.sendall(packet(response.encode(), 1))
            while (answer := _packet(server))[4] != OK:
                client.sendall(answer)
                server.sendall(_packet(client))
            client.sendall(answer)
            self.sessions += zstd
            _Pumps(client, server, zstd=zstd).run()


class _Pumps:
    """Both directions of a session after its login."""

    def __init__(self, client: socket.socket, server: socket.socket, *, zstd: bool) -> None:
        self._client, self._server, self._zstd = client, server, zstd
        self._number = 0

    def run(self) -> None:
        answers = threading.Thread(target=self._answers, daemon=True)
        answers.start()
        with suppress(OSError, EOFError):
            while True:
                if self._zstd:
                    ((number, data),) = read_frames(read_frame(self._client), ZSTD)
                    self._number = number + 1
                elif not (data := self._client.recv(_CHUNK)):
                    break
                self._server.sendall(data)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        answers.join()

    def _answers(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(_CHUNK):
                self._client.sendall(frame(data, self._number, ZSTD) if self._zstd else data)
                self._number += 1
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)


def _packet(stream: socket.socket) -> bytes:
    head = _exactly(stream, 4)
    return head + _exactly(stream, int.from_bytes(head[:3], "little"))


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data

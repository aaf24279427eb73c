"""Clients that cost little: libpq connects and asks, and the answer is only counted."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass

import psycopg

from benchmarks.bed import Route

_READY = b"Z\x00\x00\x00\x05I"
_BUFFER = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Drained:
    """An answer that was read to its end. ``seconds`` from the question to the last byte."""

    seconds: float
    bytes: int


def connect(route: Route) -> psycopg.Connection:
    """A session in autocommit."""
    return psycopg.connect(route.conninfo(), autocommit=True, prepare_threshold=None)


class RawReader:
    """A session whose answers are read from its socket by the buffer, without looking into them. Not for TLS."""

    def __init__(self, route: Route) -> None:
        self.connection = connect(route)
        self._socket = socket.socket(fileno=os.dup(self.connection.pgconn.socket))
        self._socket.setblocking(True)
        self._socket.settimeout(60)
        self._buffer = bytearray(_BUFFER)

    def ask(self, sql: str) -> None:
        """Send a simple query and read nothing."""
        text = sql.encode() + b"\0"
        self._socket.sendall(b"Q" + (len(text) + 4).to_bytes(4, "big") + text)

    def drain(self, sql: str) -> Drained:
        """Ask, and read until the server is ready for the next question."""
        start = time.perf_counter()
        self.ask(sql)
        view, total, tail = memoryview(self._buffer), 0, b""
        while tail != _READY:
            received = self._socket.recv_into(view)
            if not received:
                raise ConnectionError("the connection was closed in the middle of an answer")
            total += received
            # ReadyForQuery may be cut in two by the reads.
            tail = (tail + bytes(view[max(0, received - len(_READY)) : received]))[-len(_READY) :]
        return Drained(time.perf_counter() - start, total)

    def close(self) -> None:
        """Hang up without a word, as a client that crashed."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.connection.close()

"""Both implementations of ``send_now``: what they say of a socket that takes all, some and nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from gateway.server.send import Bytes, _send_now, send_now

Send = Callable[[int, Bytes], int]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    here.setblocking(False)
    with here, there:
        yield here, there


@pytest.mark.parametrize("send", [_send_now, send_now], ids=["specification", "used"])
class TestSendNow:
    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_what_fits_is_sent(self, send: Send, pair: tuple[socket.socket, socket.socket], kind: type) -> None:
        here, there = pair
        assert send(here.fileno(), kind(b"hello")) == 5
        assert there.recv(10) == b"hello"

    def test_what_does_not_fit_is_left(self, send: Send, pair: tuple[socket.socket, socket.socket]) -> None:
        here, there = pair
        data = bytes(range(256)) * 40_000
        sent = send(here.fileno(), data)
        assert 0 < sent < len(data)
        assert send(here.fileno(), data) == 0, "the buffer is full: nothing is sent, and nobody waits"
        received = b""
        while len(received) < sent:
            received += there.recv(1 << 20)
        assert received == data[:sent]

    def test_a_broken_connection_takes_nothing(self, send: Send, pair: tuple[socket.socket, socket.socket]) -> None:
        here, there = pair
        there.close()
        assert send(here.fileno(), b"hello") == 0

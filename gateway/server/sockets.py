"""The part of a connection before TLS: exact reads and writes on the raw socket.

Nothing is read ahead here. So no byte that a peer sent in clear can be taken for one that came through TLS (the flaw
class of CVE-2021-23214, which buffered streams have).
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from gateway.errors import RemoteProtocolError
from gateway.protocol.adapter import Peek, Preamble, ReadExactly, StartTls, Write


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What a preamble came to. ``initial`` are bytes in clear that belong to the relay, and come first."""

    tls: bool
    alpn: str | None
    initial: bytes


async def negotiate(sock: socket.socket, preamble: Preamble) -> Negotiated:
    """Carry out a preamble up to TLS or its end.

    Raises ``RemoteProtocolError`` when the peer hangs up or breaks the rules, ``OSError`` when the network does. The
    caller sets the deadline.
    """
    loop = asyncio.get_running_loop()
    answer: bytes | None = None
    while True:
        try:
            step = next(preamble) if answer is None else preamble.send(answer)
        except StopIteration as stop:
            return Negotiated(tls=False, alpn=None, initial=stop.value)
        answer = b""
        match step:
            case Peek(size):
                await _readable(loop, sock)
                answer = sock.recv(size, socket.MSG_PEEK)
                if not answer:
                    raise RemoteProtocolError("the peer hung up before it said anything")
            case ReadExactly(size):
                answer = await _read_exactly(loop, sock, size)
            case Write(data):
                await loop.sock_sendall(sock, data)
            case StartTls(alpn, initial):
                preamble.close()
                return Negotiated(tls=True, alpn=alpn, initial=initial)


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock.fileno(), wake)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())


async def _read_exactly(loop: asyncio.AbstractEventLoop, sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await loop.sock_recv(sock, size - len(data))
        if not more:
            raise RemoteProtocolError("the peer hung up in the middle of the negotiation")
        data += more
    return data


def keep_alive(sock: socket.socket) -> None:
    """Have the kernel notice peers that vanished without a word (after about two minutes)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

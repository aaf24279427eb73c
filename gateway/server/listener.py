"""Accepting clients. Every handshake runs in a task of its own, so that a silent client holds up nobody."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import Protocol

import structlog
from typing_extensions import override

from gateway.errors import AuthenticationError, GatewayError
from gateway.protocol.adapter import ProtocolAdapter
from gateway.server.session import ClientProtocol, Session
from gateway.server.sockets import Negotiated, keep_alive, negotiate
from gateway.server.tasks import Tasks

_log = structlog.get_logger("querygate.listener")

ACCEPT_PAUSE = 0.1
"""Seconds to wait when the process is out of file descriptors."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a listener is. ``resource`` names the one resource that is behind it; None means that clients choose."""

    host: str
    port: int
    resource: str | None = None

    @override
    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServerTls:
    """A listener's TLS: its context, and the DER of its certificate for channel binding."""

    context: ssl.SSLContext
    certificate: bytes


class SessionFactory(Protocol):
    """What a listener needs of the gateway."""

    def create_session(self, listener: Listener, client: str, *, tls: bool) -> Session:
        """A session for a client that has just connected."""

    def admit(self, session: Session) -> None:
        """Count the session, or send it away."""


class Listener:
    """One listening socket for one protocol."""

    def __init__(
        self,
        endpoint: Endpoint,
        adapter: ProtocolAdapter,
        tls: ServerTls | None,
        factory: SessionFactory,
        tasks: Tasks,
        *,
        login_timeout: float = 30.0,
        max_greetings: int = 1000,
    ) -> None:
        self.endpoint = endpoint
        self.adapter = adapter
        self._tls = tls
        self._factory = factory
        self._tasks = tasks
        self._login_timeout = login_timeout
        self._max_greetings = max_greetings
        self._greetings: dict[asyncio.Task[None], None] = {}
        """Handshakes under way, the oldest first."""
        self._socket: socket.socket | None = None

    @property
    def certificate(self) -> bytes | None:
        """DER of the certificate that clients see."""
        return None if self._tls is None else self._tls.certificate

    def open(self) -> None:
        """Bind and listen; raises ``OSError`` naming the address."""
        endpoint = self.endpoint
        family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((endpoint.host, endpoint.port))
            sock.listen(1024)
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            raise OSError(f"cannot listen on {endpoint} for {self.adapter.name}: {error.strerror}") from error
        self._socket = sock

    async def serve(self) -> None:
        """Accept for ever."""
        loop = asyncio.get_running_loop()
        troubled = False
        while (listening := self._socket) is not None:
            try:
                sock, address = await loop.sock_accept(listening)
            except OSError as error:
                if self._socket is None:
                    return
                if not troubled:
                    _log.error("cannot accept", endpoint=str(self.endpoint), error=str(error))
                troubled = True
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            if troubled:
                _log.info("accepting again", endpoint=str(self.endpoint))
            troubled = False
            if len(self._greetings) >= self._max_greetings:
                # A handshake takes milliseconds: the oldest is the likeliest to be nobody.
                next(iter(self._greetings)).cancel()
            task = self._tasks.start(self._greet(sock, address), name=f"client {address[0]}:{address[1]}")
            self._greetings[task] = None
            task.add_done_callback(self._greeted)

    def _greeted(self, task: asyncio.Task[None]) -> None:
        self._greetings.pop(task, None)

    def close(self) -> None:
        """Accept nobody any more."""
        sock, self._socket = self._socket, None
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock.fileno())
            sock.close()

    async def _greet(self, sock: socket.socket, address: tuple[object, ...]) -> None:
        """Negotiate TLS and hand the connection to a session."""
        client = f"{address[0]}:{address[1]}"
        session: Session | None = None
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(sock)
            async with asyncio.timeout(self._login_timeout):
                negotiated = await negotiate(
                    sock, self.adapter.preamble(tls=self._tls is not None, resource=self.endpoint.resource)
                )
                session = self._factory.create_session(self, client, tls=negotiated.tls)
                await self._connect(sock, session, negotiated)
        except (GatewayError, OSError, ssl.SSLError, TimeoutError) as error:
            # Port scanners, health checks and clients that distrust the certificate all end here.
            _log.info("a client went away before its session began", client=client, reason=str(error) or "time-out")
            _hang_up(sock, session, error)
            return
        except BaseException:
            _hang_up(sock, session, None)
            raise
        session.limit_login(self._login_timeout)

    async def _connect(self, sock: socket.socket, session: Session, negotiated: Negotiated) -> None:
        loop = asyncio.get_running_loop()
        context = self._tls.context if negotiated.tls and self._tls is not None else None
        alpn = negotiated.alpn

        def begin() -> None:
            # Before the transport reads anything, so that the bytes stay in order.
            self._factory.admit(session)
            if negotiated.initial:
                session.from_client(negotiated.initial)

        transport, _ = await loop.connect_accepted_socket(lambda: ClientProtocol(session, begin), sock, ssl=context)
        if alpn is not None:
            # TLS from the first byte is only for clients that name the protocol inside it, so that a connection that
            # was meant for another server cannot end here.
            selected = transport.get_extra_info("ssl_object").selected_alpn_protocol()
            if selected != alpn:
                transport.abort()
                raise AuthenticationError("TLS was begun at once without naming the protocol by ALPN")


def _hang_up(sock: socket.socket, session: Session | None, error: Exception | None) -> None:
    """The handshake failed or was given up, perhaps after the session had begun to count."""
    if session is not None:
        session.end(error)
    if session is None or session.downstream is None:
        sock.close()

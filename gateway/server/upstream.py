"""Connections to databases: for sessions, for the gateway's own questions, and for cancel requests."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from typing_extensions import override

from gateway.domain.resource import Resource, UpstreamCredentials, UpstreamTls
from gateway.errors import GatewayError, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from gateway.protocol.adapter import CatalogView, Exchange, ProtocolAdapter, UpstreamHandle
from gateway.server.sockets import keep_alive, negotiate
from gateway.server.tls import client_context

P = TypeVar("P", bound=asyncio.BaseProtocol)

CONNECT_TIMEOUT = 10.0
"""Seconds for TCP and TLS together."""
EXCHANGE_TIMEOUT = 30.0
"""Seconds for a whole conversation of the gateway's own."""
CANCEL_TIMEOUT = 5.0
"""Seconds to wait for the database to take a cancel request."""


class Upstreams:
    """Opens connections to databases. TLS contexts are made once per setting, since reading a CA file takes time."""

    def __init__(self) -> None:
        self._contexts: dict[UpstreamTls, ssl.SSLContext | None] = {}

    def forget(self) -> None:
        """Read certificates again: files may have been replaced."""
        self._contexts.clear()

    async def connect(
        self, resource: Resource, adapter: ProtocolAdapter, factory: Callable[[], P]
    ) -> tuple[asyncio.Transport, P, UpstreamHandle]:
        """A connection after TLS negotiation; raises ``UpstreamError``."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await self._connect(resource, adapter, factory)
        except TimeoutError as error:
            raise UpstreamTimeout(f"connecting to resource {resource.name} took too long") from error
        except ssl.SSLCertVerificationError as error:
            raise UpstreamError(f"resource {resource.name}: {error.verify_message}") from error
        except (OSError, ssl.SSLError) as error:
            raise UpstreamUnavailable(f"cannot connect to resource {resource.name}: {error}") from error

    async def _connect(
        self, resource: Resource, adapter: ProtocolAdapter, factory: Callable[[], P]
    ) -> tuple[asyncio.Transport, P, UpstreamHandle]:
        loop = asyncio.get_running_loop()
        context = self._context(resource)
        sock = await _open_socket(loop, resource.host, resource.port)
        try:
            negotiated = await negotiate(sock, adapter.upstream_preamble(tls=context is not None))
            transport, protocol = await loop.create_connection(
                factory,
                sock=sock,
                ssl=context if negotiated.tls else None,
                server_hostname=resource.host if negotiated.tls else None,
            )
        except BaseException:
            sock.close()
            raise
        certificate = None
        if negotiated.tls:
            tls = transport.get_extra_info("ssl_object")
            certificate = None if tls is None else tls.getpeercert(binary_form=True)
        return transport, protocol, UpstreamHandle(tls=negotiated.tls, certificate=certificate)

    def _context(self, resource: Resource) -> ssl.SSLContext | None:
        if resource.tls not in self._contexts:
            self._contexts[resource.tls] = client_context(resource.tls)
        return self._contexts[resource.tls]

    async def introspect(
        self, resource: Resource, adapter: ProtocolAdapter, credentials: UpstreamCredentials, database: str
    ) -> CatalogView:
        """Read a database's catalog; raises ``UpstreamError``."""

        def introspect(handle: UpstreamHandle) -> Exchange:
            return adapter.introspect(resource, credentials, database, handle)

        catalog: CatalogView = await self.exchange(resource, adapter, introspect, doing="reading the catalog")
        return catalog

    async def exchange(
        self,
        resource: Resource,
        adapter: ProtocolAdapter,
        begin: Callable[[UpstreamHandle], Exchange],
        *,
        doing: str,
        timeout: float = EXCHANGE_TIMEOUT,  # noqa: ASYNC109 - the deadline's error names what took so long
    ) -> Any:
        """Hold a whole conversation on a connection of its own and give its result; raises ``UpstreamError``.

        ``doing`` completes "… of resource x took too long" after ``timeout`` seconds.
        """
        transport, stream, handle = await self.connect(resource, adapter, _Stream)
        try:
            async with asyncio.timeout(timeout):
                exchange = begin(handle)
                output = next(exchange)
                while True:
                    if output:
                        transport.write(output)
                    data = await stream.read()
                    # In a thread: reading thousands of tables out of an answer takes a while, and sessions go on.
                    done, step = await asyncio.to_thread(_step, exchange, data)
                    if done:
                        return step
                    output = step
        except TimeoutError as error:
            raise UpstreamTimeout(f"{doing} of resource {resource.name} took too long") from error
        finally:
            transport.abort()

    async def cancel(self, resource: Resource, adapter: ProtocolAdapter, key: bytes) -> None:
        """Send a cancel request and wait until the database has taken it. A database that is gone is not an error."""
        try:
            transport, stream, _ = await self.connect(resource, adapter, _Stream)
        except GatewayError:
            return
        try:
            transport.write(adapter.cancel(key))
            async with asyncio.timeout(CANCEL_TIMEOUT):
                while await stream.read():
                    pass
        except TimeoutError:
            pass
        finally:
            transport.abort()


async def _open_socket(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(sock)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure or OSError(f"no address for {host}")


def _step(exchange: Exchange, data: bytes) -> tuple[bool, Any]:
    """One step of a conversation: (False, what to send) or (True, its result)."""
    try:
        return False, exchange.send(data)
    except StopIteration as stop:
        return True, stop.value


class _Stream(asyncio.Protocol):
    """Received chunks one by one; ``b""`` at the end."""

    def __init__(self) -> None:
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()

    @override
    def data_received(self, data: bytes) -> None:
        self._chunks.put_nowait(data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._chunks.put_nowait(b"")

    async def read(self) -> bytes:
        return await self._chunks.get()

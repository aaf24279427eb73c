"""Connections to databases: for sessions, for the gateway's own questions, and for cancel requests."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from typing_extensions import override

from gateway.domain.resource import Resource, UpstreamCredentials, UpstreamTls
from gateway.errors import GatewayError, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from gateway.protocol.adapter import CatalogView, Exchange, Farewell, Preamble, ProtocolAdapter, UpstreamHandle
from gateway.protocol.optional import CancelsByExchange, FollowsPrimary, ServerSpeaksFirst
from gateway.server.sockets import keep_alive, negotiate
from gateway.server.tls import client_context

P = TypeVar("P", bound=asyncio.BaseProtocol)

CONNECT_TIMEOUT = 10.0
"""Seconds for TCP and TLS together."""
EXCHANGE_TIMEOUT = 30.0
"""Seconds for a whole conversation of the gateway's own."""
ELECTION_TIMEOUT = 15.0
"""Seconds to wait for a primary; drivers wait 20 to 30 for a server."""
ELECTION_PAUSE = 0.2
"""Seconds between rounds of asking."""
LOCATE_TIMEOUT = 2.0
"""Seconds for one server to say where the primary is."""
PRIMARY_MEMORY = 1.0
"""Seconds that a primary is believed to be where it was."""
PARTING_TIMEOUT = 10.0
"""Seconds that a server gets to take the last word of an exchange."""
CANCEL_TIMEOUT = 5.0
"""Seconds to wait for the database to take a cancel request."""


class Upstreams:
    """Opens connections to databases. TLS contexts are made once per setting, since reading a CA file takes time."""

    def __init__(self) -> None:
        self._contexts: dict[UpstreamTls, ssl.SSLContext | None] = {}
        self._primaries: dict[str, tuple[float, tuple[str, int]]] = {}
        """Where the primary of a resource was last seen, and when (monotonic seconds)."""

    def forget(self) -> None:
        """Read certificates again: files may have been replaced."""
        self._contexts.clear()
        self._primaries.clear()

    def moved(self, resource: Resource) -> None:
        """The primary is no longer where it was."""
        self._primaries.pop(resource.name, None)

    async def connect(
        self, resource: Resource, adapter: ProtocolAdapter, factory: Callable[[], P], options: Hashable = None
    ) -> tuple[asyncio.Transport, P, UpstreamHandle]:
        """A connection after TLS negotiation; raises ``UpstreamError``. ``options`` are the relay's (``AskOpen``).

        Where the protocol has primaries, it goes to the present one, if need be after waiting for an election.
        """
        if isinstance(adapter, FollowsPrimary) and len(adapter.members(resource)) > 1:
            member = await self._primary(resource, adapter, adapter)
            try:
                return await self._connect_in_time(member, adapter, factory, options)
            except UpstreamUnavailable:
                self.moved(resource)
                member = await self._primary(resource, adapter, adapter)
                return await self._connect_in_time(member, adapter, factory, options)
        return await self._connect_in_time(resource, adapter, factory, options)

    async def _primary(self, resource: Resource, adapter: ProtocolAdapter, follower: FollowsPrimary) -> Resource:
        """The resource at its primary's address; waits for one at most ``ELECTION_TIMEOUT`` seconds."""
        known = self._primaries.get(resource.name)
        now = time.monotonic()
        if known is not None and now - known[0] < PRIMARY_MEMORY:
            return replace(resource, host=known[1][0], port=known[1][1])
        while True:
            for host, port in follower.members(resource):
                found = await self._locate(replace(resource, host=host, port=port), adapter, follower)
                if found is None:
                    continue
                named = replace(resource, host=found[0], port=found[1])
                # In an election members still speak of the one before: only the primary itself can tell.
                if found == (host, port) or await self._locate(named, adapter, follower) == found:
                    self._primaries[resource.name] = (time.monotonic(), found)
                    return named
            if time.monotonic() > now + ELECTION_TIMEOUT:
                raise UpstreamUnavailable(f"resource {resource.name} has had no primary for {ELECTION_TIMEOUT:g} s")
            await asyncio.sleep(ELECTION_PAUSE)

    async def _locate(
        self, member: Resource, adapter: ProtocolAdapter, follower: FollowsPrimary
    ) -> tuple[str, int] | None:
        try:
            connection = await self._connect_in_time(member, adapter, _Stream, None)
            found: tuple[str, int] | None = await self._hold(
                connection,
                member,
                lambda _: follower.locate(member, (member.host, member.port)),
                doing="asking for the primary",
                timeout=LOCATE_TIMEOUT,
            )
        except UpstreamError:
            return None  # another member may know
        return found

    async def _connect_in_time(
        self, resource: Resource, adapter: ProtocolAdapter, factory: Callable[[], P], options: Hashable
    ) -> tuple[asyncio.Transport, P, UpstreamHandle]:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await self._connect(resource, adapter, factory, options)
        except TimeoutError as error:
            raise UpstreamTimeout(f"connecting to resource {resource.name} took too long") from error
        except ssl.SSLCertVerificationError as error:
            raise UpstreamError(f"resource {resource.name}: {error.verify_message}") from error
        except (OSError, ssl.SSLError) as error:
            raise UpstreamUnavailable(f"cannot connect to resource {resource.name}: {error}") from error

    async def _connect(
        self, resource: Resource, adapter: ProtocolAdapter, factory: Callable[[], P], options: Hashable
    ) -> tuple[asyncio.Transport, P, UpstreamHandle]:
        loop = asyncio.get_running_loop()
        context = self._context(resource)
        sock = await _open_socket(loop, resource.host, resource.port)
        try:
            negotiated = await negotiate(sock, _preamble(adapter, resource, options, tls=context is not None))
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
        return transport, protocol, UpstreamHandle(negotiated.tls, certificate, negotiated.initial)

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

        try:
            catalog: CatalogView = await self.exchange(resource, adapter, introspect, doing="reading the catalog")
        except (ValueError, LookupError) as error:
            raise UpstreamError(f"the catalog of resource {resource.name} makes no sense: {error}") from error
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
        connection = await self.connect(resource, adapter, _Stream)
        return await self._hold(connection, resource, begin, doing=doing, timeout=timeout)

    @staticmethod
    async def _hold(
        connection: tuple[asyncio.Transport, _Stream, UpstreamHandle],
        resource: Resource,
        begin: Callable[[UpstreamHandle], Exchange],
        *,
        doing: str,
        timeout: float,  # noqa: ASYNC109 - as above
    ) -> Any:
        transport, stream, handle = connection
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
                        return _parted(transport, step)
                    output = step
        except TimeoutError as error:
            raise UpstreamTimeout(f"{doing} of resource {resource.name} took too long") from error
        finally:
            if not transport.is_closing():
                transport.abort()

    async def cancel(
        self, resource: Resource, adapter: ProtocolAdapter, key: bytes, credentials: UpstreamCredentials
    ) -> None:
        """Send a cancel request and wait until the database has taken it. A database that is gone is not an error."""
        if isinstance(adapter, CancelsByExchange):
            with suppress(GatewayError):
                await self.exchange(
                    resource,
                    adapter,
                    lambda handle: adapter.cancel_exchange(credentials, handle, key),
                    doing="cancelling a statement",
                    timeout=CANCEL_TIMEOUT,
                )
            return
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


def _preamble(adapter: ProtocolAdapter, resource: Resource, options: Hashable, *, tls: bool) -> Preamble:
    if isinstance(adapter, ServerSpeaksFirst):
        return adapter.upstream_greeting(resource, options, tls=tls)
    return adapter.upstream_preamble(tls=tls)


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


def _parted(transport: asyncio.Transport, result: object) -> object:
    """The result, after the last word that came with it: a server may take its time to hang up on that."""
    if not isinstance(result, Farewell):
        return result
    transport.write(result.word)
    transport.close()
    asyncio.get_running_loop().call_later(PARTING_TIMEOUT, transport.abort)
    return result.result


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

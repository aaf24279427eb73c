"""Databases that speak first are met before clients are greeted: a greeting promises what the databases can do.

Drivers decide once for a connection, by its greeting, which of the database's own ways they use, and pools keep
connections for hours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog

from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.errors import GatewayError
from gateway.protocol.adapter import Exchange, ProtocolAdapter, UpstreamHandle
from gateway.protocol.optional import ServerSpeaksFirst
from gateway.server.upstream import Upstreams

_log = structlog.get_logger("querygate.acquaintance")

MEETING_SECONDS = 2.0
"""How long the gateway waits for databases before it lets clients in. Those that are late are met later."""
AT_ONCE = 20


class Acquaintance:
    """Meets each resource's database once, and again where the resource has changed."""

    def __init__(
        self,
        protocols: Mapping[str, ProtocolAdapter],
        credentials: Callable[[Resource], Awaitable[UpstreamCredentials]],
        upstreams: Upstreams,
    ) -> None:
        self._protocols = protocols
        self._credentials = credentials
        self._upstreams = upstreams
        self._tried: dict[str, Resource] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    async def meet(self, resources: Iterable[Resource]) -> None:
        """Log in to those that have not been met, and out again. One that cannot be reached is logged, and met when
        its first session opens."""
        strangers = [resource for resource in resources if self._tried.get(resource.name) != resource]
        await asyncio.gather(*(self._meet(resource) for resource in strangers))

    async def _meet(self, resource: Resource) -> None:
        self._tried[resource.name] = resource
        adapter = self._protocols.get(resource.protocol)
        if adapter is None or not isinstance(adapter, ServerSpeaksFirst):
            return
        speaking: ServerSpeaksFirst = adapter
        try:
            async with self._places:
                credentials = await self._credentials(resource)

                def begin(handle: UpstreamHandle) -> Exchange:
                    return speaking.meet(resource, credentials, handle)

                await self._upstreams.exchange(resource, adapter, begin, doing="meeting the database")
        except GatewayError as error:
            _log.warning("a database could not be met", resource=resource.name, error=str(error))

"""From where a request comes that a proxy passed on: for the throttling of logins, and for the audit.

Only proxies that the configuration names are believed, and only the one header that they write: whoever comes without
them, or gets a header of the other kind through them, could claim any address.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.config import ProxySettings

_NODE: Final = re.compile(
    r"\[(?P<six>[0-9A-Fa-f:.]+)\](?::(?P<port6>[0-9]{1,5}))?|(?P<four>[0-9.]+)(?::(?P<port4>[0-9]{1,5}))?"
)
Peer = tuple[IPv4Address | IPv6Address, int]
"""An address, and a port or 0."""


class TrustedProxies:
    """ASGI middleware: where a trusted proxy asks, the client is the one that it asks for."""

    def __init__(self, app: ASGIApp, settings: ProxySettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes requests on."""
        if scope["type"] == "http" and scope.get("client") is not None:
            host, port = scope["client"]
            scope = {**scope, "client": self._client(host, port, Headers(scope=scope))}
        await self._app(scope, receive, send)

    def _client(self, host: str, port: int, headers: Headers) -> tuple[str, int]:
        """From the nearest hop to the farthest, as long as each is said by a trusted one and can be read."""
        peer = _peer(host)
        if peer is None or not self._trusts(peer):
            return host, port
        elements = ",".join(headers.getlist(self._settings.header)).split(",")
        hop: Peer = (peer[0], port)
        for element in reversed(elements):
            said = _forwarded(element) if self._settings.header == "Forwarded" else _peer(element.strip())
            if said is None:
                break
            hop = said
            if not self._trusts(hop):
                break
        return str(hop[0]), hop[1]

    def _trusts(self, peer: Peer) -> bool:
        return any(peer[0] in network for network in self._settings.trusted)


def _peer(text: str) -> Peer | None:
    """``192.0.2.1``, ``192.0.2.1:5000``, ``2001:db8::1``, ``[2001:db8::1]:5000``; None for anything else."""
    found = _NODE.fullmatch(text)
    host, port = text, "0"
    if found is not None:
        host = found["six"] or found["four"]
        port = found["port6"] or found["port4"] or "0"
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        # What a socket for both kinds of addresses calls a client of the older kind.
        address = address.ipv4_mapped or address
    return address, int(port)


def _forwarded(element: str) -> Peer | None:
    """The ``for`` of one element of a ``Forwarded`` header (RFC 7239).

    Elements are separated by commas, and a quoted text may hold one that came from the client (``host="a,for=..."``):
    an element with half a quotation, or with anything escaped, is not believed.
    """
    if element.count('"') % 2 or "\\" in element:
        return None
    pairs = (pair.strip().partition("=") for pair in element.split(";"))
    said = [value for name, _, value in pairs if name.lower() == "for"]
    return _peer(said[0].strip('"')) if len(said) == 1 else None

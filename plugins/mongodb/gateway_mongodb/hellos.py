"""Hello: how the gateway describes itself to drivers, which see one host and never learn of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.protocol.effects import SendDownstream
from gateway_mongodb.core import Core
from gateway_mongodb.login import Login
from gateway_mongodb.requests import Request
from gateway_mongodb.wire.codec import encode
from gateway_mongodb.wire.compression import BY_NAME


class Hellos:
    """Answers the hellos of one session, always at once.

    No topology version is told, so drivers ask at intervals, and at once when they are in doubt, instead of keeping a
    hello waiting for a change. The one host that they see never changes; what does is behind it.
    """

    __slots__ = ("_core", "_login", "_said_hello", "client")

    def __init__(self, core: Core, login: Login) -> None:
        self._core = core
        self._login = login
        self._said_hello = False
        self.client: Mapping[str, Any] = {}
        """What the client says it is, for the database's log."""

    def read(self, document: Mapping[str, Any]) -> None:
        """The first hello says who the client is."""
        if self._said_hello:
            return
        self._said_hello = True
        client = document.get("client")
        if isinstance(client, Mapping):
            self.client = client
            application = client.get("application")
            if isinstance(application, Mapping):
                self._login.named(str(application.get("name", ""))[:128])

    def say(self, request: Request, document: Mapping[str, Any], speculative: dict[str, Any] | None) -> None:
        """Answer one; ``speculative`` is the reply to the login inside it."""
        core = self._core
        resource = self._login.context.resource or core.settings.fixed_resource
        shared = core.shared
        server = shared.description(resource) if resource else shared.common_description()
        reply = shared.greeting.reply(request.name, server, document, connection=core.number, now=core.settings.now())
        asked = document.get("compression")
        if isinstance(asked, list):
            reply["compression"] = [name for name in asked if name in BY_NAME]
        if "saslSupportedMechs" in document:
            reply["saslSupportedMechs"] = self._login.mechanisms()
        if speculative is not None:
            reply["speculativeAuthenticate"] = speculative
        if resource and (clock := shared.cluster_time(resource)) is not None:
            reply["$clusterTime"] = clock
        reply["ok"] = 1.0
        core.effects.append(SendDownstream(request.reply(encode(reply), core.next_id())))

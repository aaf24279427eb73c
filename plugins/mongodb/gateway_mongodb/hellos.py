"""Hello: how the gateway describes itself to drivers, which see one host and never learn of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.protocol.effects import SendDownstream, SetDeadline
from gateway_mongodb.core import Core
from gateway_mongodb.login import Login
from gateway_mongodb.requests import Request
from gateway_mongodb.wire.codec import encode
from gateway_mongodb.wire.compression import BY_NAME
from gateway_mongodb.wire.messages import MsgFlag

MAX_AWAIT: Final = 60.0
"""Seconds that a hello may be kept waiting."""


class Hellos:
    """Answers the hellos of one session, at once or when their time has come."""

    __slots__ = ("_awaiting", "_core", "_login", "_reply_to", "_said_hello", "client")

    def __init__(self, core: Core, login: Login) -> None:
        self._core = core
        self._login = login
        self._awaiting: tuple[Request, Mapping[str, Any], float] | None = None
        """A hello that is answered when its time has come: the request, its document, and seconds."""
        self._reply_to = 0
        self._said_hello = False
        self.client: Mapping[str, Any] = {}
        """What the client says it is, for the database's log."""

    @property
    def awaiting(self) -> bool:
        """Whether a hello waits."""
        return self._awaiting is not None

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

    def waits(self, request: Request, document: Mapping[str, Any]) -> bool:
        """Keep a hello that wants to hear of a change; False for one that is to be answered now."""
        core = self._core
        wait = document.get("maxAwaitTimeMS")
        if not isinstance(wait, int | float) or not core.shared.greeting.is_current(
            document.get("topologyVersion"), core.shared.changes
        ):
            return False
        seconds = min(max(float(wait) / 1000, 0.0), MAX_AWAIT)
        self._awaiting = (request, document, seconds)
        self._reply_to = request.request_id
        core.effects.append(SetDeadline(seconds))
        return True

    def due(self) -> bool:
        """The time of the hello that waits has come. Whether it was the last: an exhaust hello goes on waiting."""
        if self._awaiting is None:
            return False
        request, document, seconds = self._awaiting
        if request.msg.exhaust_allowed:
            # The client wants to hear of changes for as long as it stays: each reply says that another follows.
            self.say(request, document, None, flags=MsgFlag.MORE_TO_COME)
            self._core.effects.append(SetDeadline(max(seconds, 0.05)))
            return False
        self._awaiting = None
        self.say(request, document, None)
        return True

    def say(
        self, request: Request, document: Mapping[str, Any], speculative: dict[str, Any] | None, *, flags: int = 0
    ) -> None:
        """Answer one; ``speculative`` is the reply to the login inside it."""
        core = self._core
        resource = self._login.context.resource or core.settings.fixed_resource
        shared = core.shared
        server = shared.description(resource) if resource else shared.common_description()
        reply = shared.greeting.reply(
            request.name, server, document, connection=core.number, changes=shared.changes, now=core.settings.now()
        )
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
        number = core.next_id()
        body = encode(reply)
        core.effects.append(
            SendDownstream(request.reply(body, number, flags=flags, response_to=self._reply_to if flags else None))
        )
        self._reply_to = number

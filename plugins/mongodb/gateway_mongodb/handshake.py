"""The gateway's own login to the database, at the start of a session and after a change of primary."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final, TypeGuard

from gateway.errors import GatewayError, LocalProtocolError, UpstreamUnavailable
from gateway.protocol.adapter import UpstreamHandle
from gateway.protocol.effects import SendUpstream
from gateway_mongodb.core import Core
from gateway_mongodb.wire.codec import encode
from gateway_mongodb.wire.upstream import Conversation, LoginResult, LoginSettings, log_in

MAX_ABOUT: Final = 512
"""What servers take of ``client`` in hello, bytes."""
_NOBODY: Final = {"driver": {"name": "querygate", "version": "1"}, "os": {"type": "Linux"}}


class Handshake:
    """Logs one session in, as often as it needs a connection."""

    __slots__ = ("_core", "_steps")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._steps: Generator[bytes, bytes, LoginResult] | None = None

    @property
    def under_way(self) -> bool:
        """Whether the login is not over."""
        return self._steps is not None

    def begin(self, handle: UpstreamHandle, client: Mapping[str, Any]) -> None:
        """A connection was made; ``client`` is what the client says it is."""
        core = self._core
        opened = core.opened
        if opened is None:
            raise LocalProtocolError("there is no database to log in to")
        core.shared.connections.remove(core.resource, core.address)
        core.generation = core.deployment.generation
        settings = LoginSettings.read(opened.credentials, opened.resource.parameters, tls=handle.tls)
        self._steps = log_in(Conversation(), settings, _about(client), core.settings.random)
        core.effects.append(SendUpstream(next(self._steps)))

    def receive(self, data: bytes) -> int | None:
        """Bytes of the database, none where it hung up. Its ``maxMessageSizeBytes`` once it takes commands."""
        steps = self._steps
        if steps is None:
            raise LocalProtocolError("the database spoke before it was asked")
        try:
            output = steps.send(data)
        except StopIteration as stop:
            self._steps = None
            return self._ready(stop.value)
        except GatewayError:
            self._steps = None
            raise
        if output:
            self._core.effects.append(SendUpstream(output))
        return None

    def _ready(self, result: LoginResult) -> int:
        core = self._core
        description = result.description
        if not description.writable and not description.mongos:
            raise UpstreamUnavailable("the member that was the primary is none any more")
        core.deployment.description = description
        core.deployment.cluster_time = result.cluster_time
        core.compressor = result.compressor
        core.address = result.address
        core.shared.connections.add(core.resource, core.address, core.owner)
        return description.max_message


def _about(client: Mapping[str, Any]) -> dict[str, Any]:
    """What the database's log says of the connection: the client's own words, as far as the database takes them."""
    driver, system, application = (client.get(name) for name in ("driver", "os", "application"))
    known = _is_named(driver, "name") and _is_named(driver, "version") and _is_named(system, "type")
    if known and len(encode(dict(client))) <= MAX_ABOUT:
        return dict(client)
    if _is_named(application, "name"):
        return {"application": {"name": str(application["name"])[:128]}, **_NOBODY}
    return dict(_NOBODY)


def _is_named(document: Any, key: str) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(document, Mapping) and isinstance(document.get(key), str)

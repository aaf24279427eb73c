"""What the databases behind the gateway can do, as far as it has met them: a greeting promises no more than that."""

from __future__ import annotations

from typing import Final

from gateway_mysql.wire.capabilities import Capability
from gateway_mysql.wire.handshake import Greeting

DEFAULT_VERSION: Final = b"5.7.44-Querygate"
"""What clients are told before any database was met, or where they differ. Drivers guess from it what they may do, so
it is the oldest that the gateway speaks for; what matters they ask for by statement, which the database answers."""


class KnownServers:
    """The last greeting of each resource's server."""

    def __init__(self) -> None:
        self._greetings: dict[str, tuple[bytes, Capability]] = {}

    def met(self, resource: str, greeting: Greeting) -> None:
        """A server has greeted."""
        self._greetings[resource] = (greeting.version, greeting.capabilities)

    def _behind(self, resource: str | None) -> list[tuple[bytes, Capability]]:
        """The greetings of those that a client may be on its way to: of one alone, where the listener is that one's."""
        if resource is None:
            return list(self._greetings.values())
        known = self._greetings.get(resource)
        return [] if known is None else [known]

    def capabilities(self, resource: str | None) -> Capability | None:
        """What all of them can do; None before any was met. ``resource`` is the listener's own, if it has one."""
        common: Capability | None = None
        for _, capabilities in self._behind(resource):
            common = capabilities if common is None else common & capabilities
        return common

    def version(self, resource: str | None) -> bytes:
        """The version that all of them name, or one that stands for none."""
        versions = {version for version, _ in self._behind(resource)}
        return versions.pop() if len(versions) == 1 else DEFAULT_VERSION

"""What all sessions of a gateway process share: cursors, logical sessions, and what is known of the servers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId

from gateway_mongodb.cursors import Cursors
from gateway_mongodb.ownership import Connections, LogicalSessions
from gateway_mongodb.wire.hello import UNKNOWN, Description, Greeting


@dataclass(slots=True, eq=False)
class Deployment:
    """One resource's servers."""

    description: Description = UNKNOWN
    generation: int = 0
    """Counts changes of primary: a connection of an earlier generation is to be made anew."""
    cluster_time: Mapping[str, Any] | None = None
    """The servers' clock when somebody last connected: hello tells it, for causal consistency from the start."""

    def moved(self, generation: int) -> None:
        """Somebody whose connection is of this generation was told that its server is not the primary."""
        if generation == self.generation:
            self.generation += 1


@dataclass(slots=True, eq=False)
class Shared:
    """Made once by the plugin. Used on the event loop only."""

    greeting: Greeting = field(default_factory=lambda: Greeting(ObjectId()))
    cursors: Cursors = field(default_factory=Cursors)
    logical_sessions: LogicalSessions = field(default_factory=LogicalSessions)
    connections: Connections = field(default_factory=Connections)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    """Connection ids, as hello tells them."""
    _deployments: dict[str, Deployment] = field(default_factory=dict)

    def deployment(self, resource: str) -> Deployment:
        """The deployment behind a resource that exists."""
        found = self._deployments.get(resource)
        if found is None:
            found = self._deployments[resource] = Deployment()
        return found

    def description(self, resource: str) -> Description:
        """What is known of a resource's server; a cautious guess for one that nobody has met yet."""
        found = self._deployments.get(resource)
        return UNKNOWN if found is None else found.description

    def cluster_time(self, resource: str) -> Mapping[str, Any] | None:
        """The clock of a resource's servers, None where nobody has met them."""
        found = self._deployments.get(resource)
        return None if found is None else found.cluster_time

    def common_description(self) -> Description:
        """For clients that have not said which resource they want: what every server met so far can do."""
        known = [found.description for found in self._deployments.values() if found.description is not UNKNOWN]
        return min(known, key=lambda description: description.max_wire_version, default=UNKNOWN)

"""Everything about gateways that outlives a request."""

from __future__ import annotations

from dataclasses import dataclass

from admin_api.deps import Work
from admin_api.gateways.reports import Reports
from admin_api.gateways.service import GatewayService
from admin_api.snapshots.service import SnapshotPublisher
from gateway.approvals.instances import Instances


@dataclass(frozen=True, slots=True)
class Fleet:
    """The publisher of snapshots, what gateways reported, and those whose sessions wait for people."""

    publisher: SnapshotPublisher
    reports: Reports
    instances: Instances

    def service(self, work: Work) -> GatewayService:
        """The gateways, within one request."""
        return GatewayService(work, self.publisher, self.reports)

    async def start(self) -> None:
        """Put the store's state in force, and follow it. Raises ``ConfigurationError`` where it cannot be used."""
        await self.publisher.start()
        self.reports.start()
        self.instances.start()

    async def let_go(self) -> None:
        """Answer who waits for changes or decisions, so that nobody waits for them."""
        self.instances.stop()
        await self.publisher.stop()

    async def stop(self) -> None:
        """Answer who waits, and write what is left."""
        await self.let_go()
        await self.reports.stop()

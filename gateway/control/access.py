"""Membership of groups that the control plane granted for some time, as a linked gateway knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from gateway.control.approval_wire import Access


class GrantedAccess:
    """What is granted, until its time is over, whether the control plane can be asked or not.

    ``ended`` is called with principal, resource and group of what is over.
    """

    def __init__(self) -> None:
        self.digest = ""
        """Of what the control plane said last; empty before it has."""
        self.ended: Callable[[str, str, str], None] = lambda principal, resource, group: None
        self._granted: dict[str, tuple[Access, float]] = {}
        """By id, with its end by the event loop's clock."""
        self._timer: asyncio.TimerHandle | None = None

    def groups(self, principal: str, resource: str) -> frozenset[str]:
        """Groups that the principal belongs to on the resource for the time being."""
        if not self._granted:
            return frozenset()
        now = asyncio.get_running_loop().time()
        return frozenset(
            access.group
            for access, until in self._granted.values()
            if access.principal == principal and access.resource in ("", resource) and now < until
        )

    def replace(self, granted: Iterable[Access], digest: str, now: float) -> None:
        """All that is granted. ``now`` is the time by the clock that the ends are by: clocks may differ."""
        offset = asyncio.get_running_loop().time() - now
        before = self._granted
        self._granted = {access.id: (access, access.until + offset) for access in granted}
        self.digest = digest
        for identifier, (access, _) in before.items():
            if identifier not in self._granted:
                self.ended(access.principal, access.resource, access.group)
        self._look()

    def stop(self) -> None:
        """End nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self.stop()
        loop = asyncio.get_running_loop()
        over = [identifier for identifier, (_, until) in self._granted.items() if until <= loop.time()]
        for identifier in over:
            access, _ = self._granted.pop(identifier)
            self.ended(access.principal, access.resource, access.group)
        ends = [until for _, until in self._granted.values()]
        self._timer = loop.call_at(min(ends), self._look) if ends else None

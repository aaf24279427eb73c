"""Who follows the desk: everybody gets every request at every change, and nobody makes the desk wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from gateway.domain.approval import ApprovalRequest

_BACKLOG: Final = 1000
"""Changes that a watcher may be behind before it is cut off."""


class Watchers:
    """A queue for each of them."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[ApprovalRequest | None]] = set()

    async def changes(self) -> AsyncIterator[ApprovalRequest]:
        """Every request at every change from now on. Ends at ``close`` or when the reader is too far behind."""
        queue: asyncio.Queue[ApprovalRequest | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            while (request := await queue.get()) is not None:
                yield request
        finally:
            self._queues.discard(queue)

    def tell(self, request: ApprovalRequest) -> None:
        """A request has changed."""
        for queue in list(self._queues):
            if queue.qsize() < _BACKLOG:
                queue.put_nowait(request)
            else:
                self._queues.discard(queue)
                queue.put_nowait(None)

    def close(self) -> None:
        """There is nothing more to tell."""
        for queue in self._queues:
            queue.put_nowait(None)

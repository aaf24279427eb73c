"""Tells webhooks of every request and of what became of it.

At most ``PENDING`` messages wait for a webhook that does not answer; the oldest is dropped, since a message only points
at a request that can be looked up. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Final

import httpx2
import structlog

from gateway.approvals.desk import Desk
from gateway.approvals.messages import message
from gateway.approvals.signature import HEADER, sign
from gateway.config.approvals import WebhookSettings
from gateway.domain.approval import ApprovalRequest
from gateway.server.tasks import Tasks

_log = structlog.get_logger("querygate.approvals")

PENDING: Final = 1000
_ATTEMPTS: Final = 5
_FIRST_PAUSE: Final = 0.5
"""Seconds before the second attempt; doubled for each one after it."""
_TIMEOUT: Final = 10.0


class Webhooks:
    """Posts to all webhooks while it runs. ``clock`` gives Unix seconds."""

    def __init__(
        self,
        desk: Desk,
        webhooks: tuple[WebhookSettings, ...],
        *,
        url: str,
        clock: Callable[[], float],
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._desk = desk
        self._webhooks = webhooks
        self._url = url
        self._clock = clock
        self._transport = transport
        self._tasks = Tasks()

    def start(self) -> None:
        """Begin to tell."""
        if self._webhooks:
            queues = [asyncio.Queue[ApprovalRequest]() for _ in self._webhooks]
            self._tasks.start(self._listen(queues), name="approval webhooks")
            for webhook, queue in zip(self._webhooks, queues, strict=True):
                self._tasks.start(self._deliver(webhook, queue), name=f"approval webhook {webhook.url}")

    async def stop(self) -> None:
        """Stop at once."""
        await self._tasks.cancel()

    async def _listen(self, queues: list[asyncio.Queue[ApprovalRequest]]) -> None:
        while True:
            async for request in self._desk.changes():
                for queue in queues:
                    if queue.qsize() >= PENDING:
                        dropped = queue.get_nowait()
                        _log.warning("a webhook is too slow; a message was dropped", request=dropped.id)
                    queue.put_nowait(request)

    async def _deliver(self, webhook: WebhookSettings, queue: asyncio.Queue[ApprovalRequest]) -> None:
        async with httpx2.AsyncClient(timeout=_TIMEOUT, transport=self._transport, follow_redirects=False) as client:
            while True:
                request = await queue.get()
                body = json.dumps(message(request, webhook, self._url), ensure_ascii=False).encode()
                await self._post(client, webhook, request, body)

    async def _post(
        self, client: httpx2.AsyncClient, webhook: WebhookSettings, request: ApprovalRequest, body: bytes
    ) -> None:
        pause, problem = _FIRST_PAUSE, ""
        for attempt in range(1, _ATTEMPTS + 1):
            headers = {
                "Content-Type": "application/json",
                HEADER: sign(webhook.secret.reveal(), body, self._clock()),
                "Idempotency-Key": f"{request.id}-{request.state.value}-{len(request.verdicts)}",
            }
            try:
                answer = await client.post(webhook.url, content=body, headers=headers)
            except httpx2.HTTPError as error:
                problem = type(error).__name__
            else:
                if answer.status_code < 300:
                    return
                problem = f"status {answer.status_code}"
                if answer.status_code < 500 and answer.status_code != 429:
                    break  # it will not like it any better next time
            if attempt < _ATTEMPTS:
                await asyncio.sleep(pause)
                pause *= 2
        _log.warning("a webhook was not told", request=request.id, state=request.state.value, problem=problem)

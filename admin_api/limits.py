"""What holds for every request and answer: the size of bodies, and headers that keep browsers out of trouble."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from admin_api.errors import TooLarge, render

MAX_BODY: Final = 4 * 1024 * 1024
LARGER: Final = {"/v1/plan": 64 * 1024 * 1024, "/v1/apply": 64 * 1024 * 1024, "/link/report": 16 * 1024 * 1024}
"""Paths whose bodies hold a whole store, or all sessions of a gateway."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Limits:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes requests on, with a bound on their bodies."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = LARGER.get(scope["path"], MAX_BODY)
        received = 0
        started = False

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _BodyTooLarge
            return message

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, bounded, with_headers)
        except _BodyTooLarge:
            if not started:
                answer = render(TooLarge(f"a body has at most {limit} bytes"))
                await answer(scope, receive, with_headers)


class _BodyTooLarge(BaseException):
    """Not an ``Exception``: no handler on the way may take it for a fault of its own."""

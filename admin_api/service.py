"""The admin API as a service of ``querygate serve`` (entry point ``querygate.services``)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn

from admin_api.app import create_app
from gateway.config import Config
from gateway.server.tasks import Tasks
from gateway.services import Health

STOP_TIMEOUT = 3
"""Seconds that requests under way get when the gateway stops."""


class AdminService:
    """Runs the API with uvicorn inside the gateway's event loop."""

    def __init__(self, host: str, port: int, health: Callable[[], Health]) -> None:
        self._host, self._port = host, port
        self._server = uvicorn.Server(
            uvicorn.Config(
                create_app(health),
                log_level="warning",
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=STOP_TIMEOUT,
            )
        )
        self._tasks = Tasks()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Begin to serve. Raises ``OSError`` where the address cannot be had."""
        sock = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self._host, self._port))
            sock.listen(128)
        except OSError as error:
            sock.close()
            raise OSError(f"admin API: cannot listen on {self._host}:{self._port}: {error.strerror}") from error
        # Not serve(), which would take the process's signals: the gateway decides when to stop.
        self._task = self._tasks.start(self._server._serve(sockets=[sock]), name="admin API")
        return f"admin API on http://{self._host}:{self._port}"

    async def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)


def create(config: Config, health: Callable[[], Health]) -> AdminService | None:
    """The service, where the configuration has an ``admin_api`` address."""
    if config.admin_api is None:
        return None
    host, port = config.admin_api
    return AdminService(host, port, health)

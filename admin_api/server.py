"""The admin API in the gateway's event loop, with uvicorn."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import structlog
import uvicorn

from admin_api.app import create_app
from gateway.config import Config
from gateway.config.resolve import is_loopback
from gateway.errors import ConfigurationError
from gateway.server.tasks import Tasks
from gateway.services import DataPlane

if TYPE_CHECKING:
    from admin_api.context import Context

STOP_TIMEOUT = 3
"""Seconds that requests under way get when the gateway stops."""
_log = structlog.get_logger("querygate.admin")


class AdminService:
    """Runs the API with uvicorn inside the gateway's event loop."""

    def __init__(self, config: Config, plane: DataPlane, address: tuple[str, int]) -> None:
        self._config = config
        self._plane = plane
        self._host, self._port = address
        self._context: Context | None = None
        self._server: uvicorn.Server | None = None
        self._tasks = Tasks()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Open the store, put it in force, and begin to serve.

        Raises ``OSError`` where the address cannot be had and ``ConfigurationError`` where the store cannot be used.
        """
        sock = self._listen()
        try:
            if self._config.control_plane is not None:
                from admin_api.setup import build_context

                self._context = await build_context(self._config, self._config.control_plane, self._plane)
                await self._welcome(self._context)
            secure = None if self._in_clear() else self._config.tls
            if secure is not None and secure.certificate is None:
                # Configuration files like this are refused; this is for whoever made one otherwise.
                raise ConfigurationError("admin API: passwords and tokens would go over the network in clear")
        except BaseException:
            sock.close()
            if self._context is not None:
                await self._context.close()
            raise
        self._server = uvicorn.Server(
            uvicorn.Config(
                create_app(self._plane.health, self._context, self._plane),
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=STOP_TIMEOUT,
                ssl_certfile=None if secure is None else str(secure.certificate),
                ssl_keyfile=None if secure is None else str(secure.key),
                ssl_version=ssl.PROTOCOL_TLS_SERVER,
            )
        )
        # Not serve(), which would take the process's signals: the gateway decides when to stop.
        self._task = self._tasks.start(self._server._serve(sockets=[sock]), name="admin API")
        return f"admin API on {'https' if secure else 'http'}://{self._host}:{self._port}"

    async def stop(self) -> None:
        """Stop serving."""
        if self._context is not None:
            await self._context.fleet.let_go()
        if self._server is not None:
            self._server.should_exit = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        if self._context is not None:
            await self._context.close()

    def _listen(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self._host, self._port))
            sock.listen(128)
        except OSError as error:
            sock.close()
            raise OSError(f"admin API: cannot listen on {self._host}:{self._port}: {error.strerror}") from error
        return sock

    def _in_clear(self) -> bool:
        """Where passwords and tokens go over a network it is TLS, with the gateway's certificate.

        Unless a proxy in front ends TLS. Health alone holds no secret and stays in clear, as probes expect it.
        """
        settings = self._config.control_plane
        return settings is None or settings.plaintext or is_loopback(self._host)

    async def _welcome(self, context: Context) -> None:
        from admin_api.admins.repository import AdminRepository
        from admin_api.auth.bootstrap import write_bootstrap_token

        async with context.database.transaction() as session:
            nobody = await AdminRepository(session).count() == 0
        if nobody:
            path = write_bootstrap_token(self._config.data_dir, context.random)
            _log.warning("there is no administrator yet; make one with the token in this file", file=str(path))

"""One request to the control plane, and what can become of it."""

from __future__ import annotations

import logging
import ssl
from typing import Final

import httpx2

from gateway.config.resolve import is_loopback
from gateway.config.settings import ControlSettings
from gateway.errors import ConfigurationError, GatewayError

TIMEOUT: Final = 10.0
"""Seconds for an answer that nobody is kept waiting for."""


class ControlUnavailable(GatewayError):
    """The control plane cannot be asked, or gave an answer that cannot be used."""

    client_message = "the control plane is not available"


class ControlRefused(ControlUnavailable):
    """The control plane understood and said no: it will not say anything else the next time."""


class Line:
    """Asks with the gateway's credential. ``client`` is for tests; None makes one from the settings."""

    def __init__(self, settings: ControlSettings, client: httpx2.AsyncClient | None = None) -> None:
        self._settings = settings
        self._client = make_client(settings) if client is None else client

    async def ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - for the client, which tells kinds of time-outs apart
    ) -> httpx2.Response:
        """The answer, whose status is 200. Raises ``ControlUnavailable``."""
        sent = {"Authorization": f"Bearer {self._settings.credential.reveal()}", **(headers or {})}
        if content is not None:
            sent["Content-Type"] = "application/json"
        try:
            answer = await self._client.request(method, path, content=content, headers=sent, timeout=timeout)
        except httpx2.HTTPError as error:
            raise ControlUnavailable(str(error) or type(error).__name__) from error
        if answer.status_code == 401:
            raise ControlUnavailable("the control plane does not know this gateway's credential")
        if answer.status_code in (400, 403, 404, 405, 409, 413, 422):
            raise ControlRefused(f"the control plane answered {answer.status_code}")
        if answer.status_code != 200:
            raise ControlUnavailable(f"the control plane answered {answer.status_code}")
        return answer

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()


def make_client(settings: ControlSettings) -> httpx2.AsyncClient:
    """An HTTPS client for the control plane. Raises ``ConfigurationError`` for an address without TLS elsewhere."""
    url = httpx2.URL(settings.url)
    local = is_loopback(url.host)
    if url.scheme != "https" and not (url.scheme == "http" and local):
        raise ConfigurationError("control.url: must be https, but for this machine's own loopback addresses")
    # A line for every poll would bury everything else; what goes wrong is logged here.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    verify = ssl.create_default_context(cafile=None if settings.ca is None else str(settings.ca))
    return httpx2.AsyncClient(base_url=settings.url, verify=verify, timeout=TIMEOUT, trust_env=not local)

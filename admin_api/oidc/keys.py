"""An OIDC issuer's public keys over the network: discovered, cached, followed when they rotate.

The issuer's address comes from the configuration file and is https; what a token says decides nothing here but which of
the cached keys is looked up. Fetches are few, one at a time, small and without redirects. While the issuer does not
answer, the last good keys stay, for a while.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import structlog

from gateway.errors import AuthenticationError
from gateway.identity.jwks import FixedKeys, Jwk

MAX_BODY: Final = 1 << 20
TIMEOUT: Final = 5.0
FRESH: Final = 600.0
"""Seconds after which keys are fetched anew."""
LONGEST: Final = 24 * 3600.0
"""Seconds for which keys stay good while the issuer does not answer."""
RETRY: Final = 30.0
"""Seconds between fetches, whoever asks and whatever for: nobody can make us hammer an issuer."""

_log = structlog.get_logger("querygate.admin")

Fetch = Callable[[str], Awaitable[bytes]]
"""The body at an https address. Raises ``OSError`` or ``ValueError`` where it cannot be had."""


class RemoteKeys:
    """The keys of one issuer. ``monotonic`` gives seconds."""

    def __init__(self, issuer: str, fetch: Fetch, *, monotonic: Callable[[], float]) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: tuple[Jwk, ...] = ()
        self._fetched: float | None = None
        self._tried: float | None = None
        self._fetching = asyncio.Lock()

    async def current(self, kid: object) -> FixedKeys:
        """The keys, fetched anew where they are old or none has this id. Raises ``AuthenticationError`` without any."""
        now = self._monotonic()
        known = any(key.get("kid") == kid for key in self._keys)
        if self._fetched is None or now - self._fetched > FRESH or not known:
            await self._refresh(now)
        if self._fetched is None or self._monotonic() - self._fetched > LONGEST:
            raise AuthenticationError("bearer token: the issuer's keys cannot be had")
        return FixedKeys(self._keys)

    async def _refresh(self, asked: float) -> None:
        async with self._fetching:
            # Whoever waited here while another one fetched has what that one got.
            if self._tried is not None and (self._tried >= asked or self._monotonic() - self._tried < RETRY):
                return
            self._tried = self._monotonic()
            try:
                self._keys = await self._read()
            except (OSError, ValueError, RecursionError) as error:
                _log.warning("the keys of an OIDC issuer cannot be fetched", issuer=self._issuer, error=str(error))
                return
            self._fetched = self._monotonic()

    async def _read(self) -> tuple[Jwk, ...]:
        place = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
        document = _object(await self._fetch(place))
        # OpenID Connect Discovery 1.0 section 4.3: it must speak of itself.
        if document.get("issuer") != self._issuer:
            raise ValueError("the discovery document is of another issuer")
        address = document.get("jwks_uri")
        if not isinstance(address, str) or urlsplit(address).scheme != "https":
            raise ValueError("the discovery document has no jwks_uri with https")
        keys = _object(await self._fetch(address)).get("keys")
        if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
            raise ValueError("not a key set")
        return tuple(keys)


def https_fetch(ca: Path | None) -> Fetch:
    """Fetches with certificates verified against ``ca``, or the system's authorities."""
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))

    async def fetch(address: str) -> bytes:
        if urlsplit(address).scheme != "https":
            raise ValueError("not https")
        try:
            async with (
                httpx2.AsyncClient(verify=context, timeout=TIMEOUT, follow_redirects=False) as client,
                client.stream("GET", address, headers={"Accept": "application/json"}) as answer,
            ):
                if answer.status_code != 200:
                    raise ValueError(f"status {answer.status_code}")
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > MAX_BODY:
                        raise ValueError("the answer is too large")
                return body
        except httpx2.HTTPError as error:
            raise OSError(str(error) or type(error).__name__) from None

    return fetch


def _object(body: bytes) -> dict[str, Any]:
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value

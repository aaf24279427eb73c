"""Logging in with a browser that need not be on this machine: OAuth 2.0 device authorization (RFC 8628).

The issuer is found by OpenID Connect discovery. Nothing that is shown or typed is a secret.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from gateway.client.api import make_http, send
from gateway.client.session import OidcLogin
from gateway.errors import ConfigurationError

GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
SLOWER: Final = 5.0
"""Seconds added to the interval by ``slow_down`` (section 3.5)."""


@dataclass(frozen=True, slots=True)
class DeviceTokens:
    """What the issuer gave. ``expires_in`` is in seconds."""

    access_token: str
    refresh_token: str
    expires_in: float
    login: OidcLogin


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the person is to do."""

    url: str
    code: str
    complete_url: str | None


def log_in_by_device(
    issuer: str,
    client_id: str,
    *,
    scope: str,
    ca: str | None,
    show: Callable[[Prompt], None],
    use_id_token: bool = False,
    http: httpx2.Client | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> DeviceTokens:
    """Wait until somebody has logged in. Raises ``ConfigurationError`` for a refusal, or when the code has expired."""
    with make_http(issuer, ca) if http is None else http as client:
        found = _discover(client, issuer)
        answer = send(
            client, "POST", found["device_authorization_endpoint"], data={"client_id": client_id, "scope": scope}
        )
        device = _object(answer, "the issuer did not begin a login")
        show(
            Prompt(
                url=str(device["verification_uri"]),
                code=str(device["user_code"]),
                complete_url=device.get("verification_uri_complete"),
            )
        )
        deadline = clock() + float(device.get("expires_in", 600))
        interval = float(device.get("interval", 5))
        form = {"grant_type": GRANT, "device_code": str(device["device_code"]), "client_id": client_id}
        while True:
            sleep(interval)
            if clock() > deadline:
                raise ConfigurationError("the code has expired; run querygate login again")
            answer = send(client, "POST", found["token_endpoint"], data=form)
            if answer.is_success:
                return _tokens(_object(answer, ""), found["token_endpoint"], client_id, use_id_token=use_id_token)
            match _error(answer):
                case "authorization_pending":
                    pass
                case "slow_down":
                    interval += SLOWER
                case "access_denied":
                    raise ConfigurationError("the login was refused")
                case "expired_token":
                    raise ConfigurationError("the code has expired; run querygate login again")
                case other:
                    raise ConfigurationError(f"the issuer answered {answer.status_code} {other}".rstrip())


def _discover(client: httpx2.Client, issuer: str) -> dict[str, str]:
    url = issuer.rstrip("/") + "/.well-known/openid-configuration"
    found = _object(send(client, "GET", url), f"{url}: no OpenID Connect issuer")
    if str(found.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
        raise ConfigurationError(f"{url}: speaks for another issuer")
    for name in ("device_authorization_endpoint", "token_endpoint"):
        if not isinstance(found.get(name), str):
            raise ConfigurationError(f"{issuer}: has no {name}, so that it cannot be used from a command line")
    return found


def _tokens(answer: dict[str, Any], endpoint: str, client_id: str, *, use_id_token: bool) -> DeviceTokens:
    token = answer.get("id_token" if use_id_token else "access_token")
    if not isinstance(token, str):
        raise ConfigurationError("the issuer gave no token that can be used")
    return DeviceTokens(
        access_token=token,
        refresh_token=str(answer.get("refresh_token", "")),
        expires_in=float(answer.get("expires_in", 300)),
        login=OidcLogin(endpoint, client_id),
    )


def _object(answer: httpx2.Response, message: str) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        value = None
    if not answer.is_success or not isinstance(value, dict):
        raise ConfigurationError(message or "the issuer's answer cannot be read")
    return value


def _error(answer: httpx2.Response) -> str:
    try:
        value = answer.json()
    except ValueError:
        return ""
    return str(value.get("error", "")) if isinstance(value, dict) else ""

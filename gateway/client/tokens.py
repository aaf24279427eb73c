"""Access tokens from wherever they are issued: the gateway's own folder on this machine, or an admin API."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from gateway.client.api import ApiClient
from gateway.config import Config
from gateway.errors import ConfigurationError
from gateway.identity.files import INSTALL_KEY, load_or_create_secret
from gateway.identity.sha2 import sha2_verifier
from gateway.identity.store import TOKENS, TokenRecord, TokenStore
from gateway.identity.tokens import new_secret, new_token_id, token_verifier
from gateway.identity.uses import TokenUses

FORGOTTEN = 30 * 86400
"""Seconds after which an expired token is no longer listed."""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """An issued token. Times are Unix seconds; ``expires`` None: never, ``used`` None: not that anybody knows."""

    id: str
    principal: str
    resources: tuple[str, ...]
    created: float
    expires: float | None
    used: float | None = None
    state: str = "active"


class TokenDesk(Protocol):
    """Issues, lists and revokes."""

    def create(self, principal: str | None, resources: Sequence[str], seconds: float) -> tuple[TokenInfo, str]:
        """A new token and its secret, shown once. ``principal`` None: for oneself. Raises ``ConfigurationError``."""

    def list(self, principal: str | None) -> list[TokenInfo]:
        """Issued tokens in the order of issue."""

    def revoke(self, identifier: str) -> None:
        """Make it useless. Raises ``ConfigurationError`` where there is none of that id."""


class LocalTokens:
    """Tokens in the ``data_dir`` of a gateway on this machine, which follows the file."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._store = TokenStore(config.data_dir / TOKENS)

    def create(self, principal: str | None, resources: Sequence[str], seconds: float) -> tuple[TokenInfo, str]:
        """As ``TokenDesk``; there is no "oneself" here."""
        config = self._config
        if principal is None:
            raise ConfigurationError("say whom the token is for: --principal ana@example.com")
        if principal not in config.principals:
            known = ", ".join(sorted(config.principals)) or "none"
            raise ConfigurationError(f"there is no principal {principal!r} in {config.path} (there are: {known})")
        for name in resources:
            if name not in config.resources:
                raise ConfigurationError(f"there is no resource {name!r} in {config.path}")
        now = time.time()
        secret = new_secret(secrets.token_bytes)
        key = load_or_create_secret(config.data_dir / INSTALL_KEY)
        record = TokenRecord(
            id=new_token_id(secrets.token_bytes),
            principal=principal,
            scram=token_verifier(secret, install_secret=key, name=principal),
            resources=frozenset(resources),
            created=now,
            expires=now + seconds,
            sha2=sha2_verifier(secret.encode()),
        )
        self._store.remove_expired(before=now - FORGOTTEN)
        self._store.add(record)
        return _info(record, None, now), secret

    def list(self, principal: str | None) -> list[TokenInfo]:
        """As ``TokenDesk``."""
        uses, now = TokenUses(self._config.data_dir).read(), time.time()
        return [
            _info(record, uses.get(record.id), now)
            for record in self._store.list()
            if principal is None or record.principal == principal
        ]

    def revoke(self, identifier: str) -> None:
        """As ``TokenDesk``."""
        if not self._store.revoke(identifier):
            raise ConfigurationError(f"there is no token {identifier!r}; see: querygate token list")


class ApiTokens:
    """Tokens of an admin API."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def create(self, principal: str | None, resources: Sequence[str], seconds: float) -> tuple[TokenInfo, str]:
        """As ``TokenDesk``; without a principal for whoever is logged in."""
        who = principal or self._client.get("/v1/auth/me")["name"]
        content = {
            "principal": who,
            "resources": list(resources),
            "ttl": f"{seconds:g}s" if seconds < 1000 else f"{int(seconds)}s",
            "description": "querygate token create",
        }
        answer = self._client.post("/v1/tokens", content)
        return _shown(answer), answer["token"]

    def list(self, principal: str | None) -> list[TokenInfo]:
        """As ``TokenDesk``."""
        return [_shown(item) for item in reversed(self._client.pages("/v1/tokens", principal=principal))]

    def revoke(self, identifier: str) -> None:
        """As ``TokenDesk``."""
        self._client.post(f"/v1/tokens/{identifier}/revoke")


def local_config(path: Path) -> Config:
    """The configuration of a gateway on this machine."""
    from gateway.config import load_config

    return load_config(path, environ=os.environ)


def _info(record: TokenRecord, used: float | None, now: float) -> TokenInfo:
    expired = record.expires is not None and record.expires <= now
    return TokenInfo(
        record.id,
        record.principal,
        tuple(sorted(record.resources)),
        record.created,
        record.expires,
        used,
        "expired" if expired else "active",
    )


def _shown(item: dict[str, object]) -> TokenInfo:
    def moment(name: str) -> float | None:
        value = item.get(name)
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None

    resources = item.get("resources")
    return TokenInfo(
        id=str(item["id"]),
        principal=str(item["principal"]),
        resources=tuple(map(str, resources)) if isinstance(resources, list) else (),
        created=moment("created_at") or 0.0,
        expires=moment("expires_at"),
        used=moment("last_used_at"),
        state=str(item.get("state", "active")),
    )


def say_moment(seconds: float | None, otherwise: str) -> str:
    """A time for people, in UTC."""
    return otherwise if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")

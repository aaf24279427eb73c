"""Access tokens of administrators: short-lived JWTs, signed with ES256 by keys that live in the store and rotate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, delete, select

from admin_api.auth.models import SigningKeyRow
from admin_api.db import Database
from gateway.control.sealing import Sealer
from gateway.errors import AuthenticationError
from gateway.identity.issue import ALGORITHM, new_key, public_jwk, sign
from gateway.identity.jwks import FixedKeys
from gateway.identity.jwt import BearerVerifier

AUDIENCE: Final = "querygate-admin-api"
ROTATION: Final = timedelta(days=30)
KEPT: Final = ROTATION + timedelta(days=1)
"""Longer than any access token lives after its key was the newest."""
_LOOK_INTERVAL: Final = timedelta(seconds=30)
"""Between looks into the store for keys that another replica made."""


@dataclass(frozen=True, slots=True)
class _Issuer:
    """What ``BearerVerifier`` asks of an issuer."""

    issuer: str
    audience: str = AUDIENCE
    algorithms: tuple[str, ...] = (ALGORITHM,)
    username_claim: str = "sub"
    groups_claim: None = None
    groups: None = None
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Key:
    kid: str
    private: str
    created: datetime


class AdminTokens:
    """Issues and verifies. Call ``load`` before either."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        *,
        issuer: str,
        lifetime: float,
        clock: Callable[[], datetime],
        new_id: Callable[[str], str],
    ) -> None:
        """``lifetime`` is in seconds."""
        self._database = database
        self._sealer = sealer
        self._issuer = _Issuer(issuer)
        self.lifetime = lifetime
        self._clock = clock
        self._new_id = new_id
        self._keys: tuple[_Key, ...] = ()
        self._verifier: BearerVerifier | None = None
        self._looked: datetime | None = None
        self._loading = asyncio.Lock()

    @property
    def issuer(self) -> str:
        """Who issues: ``iss``."""
        return self._issuer.issuer

    async def load(self) -> None:
        """Read the keys from the store; make one where the newest is old, or where there is none."""
        async with self._loading:
            now = self._clock()
            async with self._database.transaction(write=True) as session:
                await session.exec(delete(SigningKeyRow).where(col(SigningKeyRow.created_at) < now - KEPT))
                rows = list((await session.exec(select(SigningKeyRow).order_by(col(SigningKeyRow.created_at)))).all())
                if not rows or rows[-1].created_at < now - ROTATION:
                    row = SigningKeyRow(
                        kid=self._new_id("key"), private_key=self._sealer.seal(new_key()), created_at=now
                    )
                    session.add(row)
                    rows.append(row)
            self._keys = tuple(_Key(row.kid, self._sealer.open(row.private_key), row.created_at) for row in rows)
            public = [public_jwk(key.private, key.kid) for key in self._keys]
            self._verifier = BearerVerifier(self._issuer, FixedKeys(public), clock=lambda: self._clock().timestamp())
            self._looked = now

    async def renew(self) -> None:
        """Have a new key where the newest is old. Call it outside of any transaction: it has one of its own."""
        if not self._keys or self._keys[-1].created < self._clock() - ROTATION:
            await self.load()

    def public_keys(self) -> list[dict[str, str]]:
        """The public halves of all keys that are still good, as a key set has them (RFC 7517)."""
        return [public_jwk(key.private, key.kid) for key in self._keys]

    def sign(self, claims: Mapping[str, object]) -> str:
        """A token of another kind, signed by the newest key. ``claims`` must name another audience than this API."""
        if claims.get("aud") in (None, AUDIENCE):
            raise ValueError("a token for this API itself is issued by issue()")
        key = self._keys[-1]
        return sign(claims, key.private, key.kid)

    def issue(self, admin_id: str, session_id: str, token_id: str) -> str:
        """A token for a session of an account. What the account may do is looked up at each request."""
        now = self._clock()
        key, issued = self._keys[-1], int(now.timestamp())
        claims = {
            "iss": self._issuer.issuer,
            "aud": AUDIENCE,
            "sub": admin_id,
            "sid": session_id,
            "jti": token_id,
            "iat": issued,
            "nbf": issued,
            "exp": issued + int(self.lifetime),
        }
        return sign(claims, key.private, key.kid)

    async def verify(self, token: str, kid: object) -> tuple[str, str]:
        """Account and session of a good token. Raises ``AuthenticationError`` for any other."""
        known = {key.kid for key in self._keys}
        stale = self._looked is None or self._clock() - self._looked > _LOOK_INTERVAL
        if kid not in known and stale:
            await self.load()
        if self._verifier is None:
            raise AuthenticationError("bearer token: no key to check it with")
        claims = self._verifier.verify(token)
        subject, session = claims.get("sub"), claims.get("sid")
        if not isinstance(subject, str) or not isinstance(session, str):
            raise AuthenticationError("bearer token: names no session")
        return subject, session

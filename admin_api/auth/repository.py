"""Queries over sessions and refresh tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.auth.models import AdminSessionRow, RefreshTokenRow

_KEPT: Final = timedelta(days=7)
"""How long a session that is over is remembered, so that reuse of its tokens is still noticed."""


class SessionRepository:
    """The one place with queries over both tables."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, identifier: str) -> AdminSessionRow | None:
        """The session with that id."""
        return await self._session.get(AdminSessionRow, identifier)

    async def find_token(self, digest: str) -> RefreshTokenRow | None:
        """The refresh token with that digest."""
        return await self._session.get(RefreshTokenRow, digest)

    async def add(self, row: AdminSessionRow | RefreshTokenRow) -> None:
        """Keep a new one, at once."""
        self._session.add(row)
        await self._session.flush()

    async def use(self, digest: str, now: datetime) -> bool:
        """Mark a refresh token as used; False if it was already."""
        unused = (col(RefreshTokenRow.digest) == digest, col(RefreshTokenRow.used_at).is_(None))
        done = await self._session.exec(update(RefreshTokenRow).where(*unused).values(used_at=now))
        return bool(done.rowcount == 1)

    async def revoke(self, sessions: Sequence[str], now: datetime, because: str) -> None:
        """End sessions that are not over yet."""
        open_ones = (col(AdminSessionRow.id).in_(sessions), col(AdminSessionRow.revoked_at).is_(None))
        values = {"revoked_at": now, "revoked_because": because}
        await self._session.exec(update(AdminSessionRow).where(*open_ones).values(**values))

    async def revoke_all(self, admin_id: str, now: datetime, because: str, *, but: str = "") -> None:
        """End every session of an account, but for one."""
        wanted = (
            col(AdminSessionRow.admin_id) == admin_id,
            col(AdminSessionRow.revoked_at).is_(None),
            col(AdminSessionRow.id) != but,
        )
        values = {"revoked_at": now, "revoked_because": because}
        await self._session.exec(update(AdminSessionRow).where(*wanted).values(**values))

    async def forget_old(self, now: datetime) -> None:
        """Take away what was over long ago."""
        old = select(AdminSessionRow.id).where(col(AdminSessionRow.expires_at) < now - _KEPT)
        await self._session.exec(delete(RefreshTokenRow).where(col(RefreshTokenRow.session_id).in_(old)))
        await self._session.exec(delete(AdminSessionRow).where(col(AdminSessionRow.expires_at) < now - _KEPT))

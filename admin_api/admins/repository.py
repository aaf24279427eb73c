"""Queries over administrators."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col, select

from admin_api.admins.models import AdminRow
from admin_api.repository import NamedRepository


class AdminRepository(NamedRepository[AdminRow]):
    """Their accounts."""

    row = AdminRow

    async def enabled(self) -> Sequence[AdminRow]:
        """Those that may log in."""
        return (await self._session.exec(select(AdminRow).where(col(AdminRow.disabled).is_(False)))).all()

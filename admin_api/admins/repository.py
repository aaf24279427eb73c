"""Queries over administrators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import func
from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.admins.models import AdminRow
from admin_api.context import Context
from admin_api.pages import Paging, find_page


class AdminRepository:
    """The one place with queries over the table."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, name: str) -> AdminRow | None:
        """The account of that name."""
        return (await self._session.exec(select(AdminRow).where(col(AdminRow.name) == name))).first()

    async def find_id(self, identifier: str) -> AdminRow | None:
        """The account with that id."""
        return await self._session.get(AdminRow, identifier)

    async def count(self) -> int:
        """How many there are."""
        return (await self._session.exec(select(func.count()).select_from(AdminRow))).one()

    async def enabled(self) -> Sequence[AdminRow]:
        """Those that may log in."""
        return (await self._session.exec(select(AdminRow).where(col(AdminRow.disabled).is_(False)))).all()

    async def page(self, context: Context, paging: Paging) -> tuple[list[AdminRow], str | None]:
        """One page."""
        fields = ("name", "created_at", "updated_at")
        sortable = {name: cast(InstrumentedAttribute[Any], getattr(AdminRow, name)) for name in fields}
        key = cast(InstrumentedAttribute[Any], AdminRow.id)
        return await find_page(
            context, self._session, AdminRow, paging, sortable=sortable, key=key, default_sort="name"
        )

    async def save(self, row: AdminRow) -> None:
        """Add or change one, at once."""
        self._session.add(row)
        await self._session.flush()

    async def delete(self, row: AdminRow) -> None:
        """Take one away, at once."""
        await self._session.delete(row)
        await self._session.flush()

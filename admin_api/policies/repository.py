"""Queries over the versions of policies."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import func
from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.context import Context
from admin_api.pages import Paging, find_page
from admin_api.policies.models import PolicyVersionRow


class VersionRepository:
    """What policies were."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def last(self, name: str) -> int:
        """The number of the last version of that name; 0 where there never was one."""
        wanted = select(func.max(PolicyVersionRow.version)).where(col(PolicyVersionRow.name) == name)
        return (await self._session.exec(wanted)).one() or 0

    async def find(self, name: str, version: int) -> PolicyVersionRow | None:
        """One version."""
        wanted = (col(PolicyVersionRow.name) == name, col(PolicyVersionRow.version) == version)
        return (await self._session.exec(select(PolicyVersionRow).where(*wanted))).first()

    async def page(self, context: Context, name: str, paging: Paging) -> tuple[list[PolicyVersionRow], str | None]:
        """One page, the newest first."""
        return await find_page(
            context,
            self._session,
            PolicyVersionRow,
            paging,
            where=[col(PolicyVersionRow.name) == name],
            filters={"name": name},
            sortable={"version": cast(InstrumentedAttribute[Any], PolicyVersionRow.version)},
            key=cast(InstrumentedAttribute[Any], PolicyVersionRow.id),
            default_sort="-version",
        )

    async def add(self, row: PolicyVersionRow) -> None:
        """Keep a version, at once."""
        self._session.add(row)
        await self._session.flush()

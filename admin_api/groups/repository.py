"""Queries over groups."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.context import Context
from admin_api.groups.models import GroupRow
from admin_api.pages import Paging, find_page
from admin_api.principals.models import PrincipalRow


class GroupRepository:
    """The one place with queries over groups and who is in them."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, name: str) -> GroupRow | None:
        """The group of that name."""
        return (await self._session.exec(select(GroupRow).where(col(GroupRow.name) == name))).first()

    async def page(self, context: Context, paging: Paging) -> tuple[list[GroupRow], str | None]:
        """One page."""
        fields = ("name", "created_at", "updated_at")
        sortable = {name: cast(InstrumentedAttribute[Any], getattr(GroupRow, name)) for name in fields}
        key = cast(InstrumentedAttribute[Any], GroupRow.id)
        return await find_page(
            context, self._session, GroupRow, paging, sortable=sortable, key=key, default_sort="name"
        )

    async def members(self, groups: Collection[str]) -> dict[str, list[str]]:
        """The names of the members of each group, in order."""
        found: dict[str, list[str]] = {name: [] for name in groups}
        rows = await self._session.exec(
            select(PrincipalRow.name, PrincipalRow.document).order_by(col(PrincipalRow.name))
        )
        for principal, document in rows.all():
            for group in document.get("groups", ()):
                if group in found:
                    found[group].append(principal)
        return found

    async def add(self, context: Context, name: str, description: str, who: str) -> GroupRow:
        """A new one, at once."""
        now = context.clock()
        row = GroupRow(
            id=context.new_id("grp"),
            name=name,
            description=description,
            created_at=now,
            created_by=who,
            updated_at=now,
            updated_by=who,
        )
        await self.save(row)
        return row

    async def save(self, row: GroupRow) -> None:
        """Keep a change, at once."""
        self._session.add(row)
        await self._session.flush()

    async def delete(self, row: GroupRow) -> None:
        """Take it away, at once."""
        await self._session.delete(row)
        await self._session.flush()

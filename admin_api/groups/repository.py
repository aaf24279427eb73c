"""Queries over groups."""

from __future__ import annotations

from collections.abc import Collection

from sqlmodel import col, select

from admin_api.context import Context
from admin_api.groups.models import GroupRow
from admin_api.principals.models import PrincipalRow
from admin_api.repository import NamedRepository


class GroupRepository(NamedRepository[GroupRow]):
    """Groups and who is in them."""

    row = GroupRow

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

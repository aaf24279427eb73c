"""The life of groups."""

from __future__ import annotations

from typing import Any

from admin_api.deps import Work
from admin_api.errors import Conflict, NotFound
from admin_api.groups.models import GroupOut, GroupRow
from admin_api.groups.repository import GroupRepository
from admin_api.pages import Paging
from admin_api.preconditions import require_match


class GroupService:
    """Within one request."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.repository = GroupRepository(work.session)

    async def get(self, name: str) -> GroupRow:
        """The group. Raises 404."""
        row = await self.repository.find(name)
        if row is None:
            raise NotFound(f'there is no group "{name}"')
        return row

    async def page(self, paging: Paging) -> dict[str, Any]:
        """One page of answers."""
        rows, cursor = await self.repository.page(self.work.context, paging)
        members = await self.repository.members([row.name for row in rows])
        return {"items": [_answer(row, members[row.name]) for row in rows], "next": cursor}

    async def answer(self, row: GroupRow) -> dict[str, Any]:
        """A group as it is shown."""
        return _answer(row, (await self.repository.members([row.name]))[row.name])

    async def create(self, name: str, description: str) -> GroupRow:
        """A new one. Raises 409."""
        if await self.repository.find(name) is not None:
            raise Conflict(f'there is a group "{name}" already')
        row = await self.repository.add(self.work.context, name, description, self.work.who.name)
        self.work.change("group.create", "group", name, after={"description": description})
        return row

    async def describe(self, row: GroupRow, description: str, match: str | None) -> GroupRow:
        """Change what is said about it."""
        require_match(match, row.version)
        before = row.description
        row.description = description
        row.version += 1
        row.updated_at, row.updated_by = self.work.context.clock(), self.work.who.name
        await self.repository.save(row)
        self.work.change(
            "group.update", "group", row.name, before={"description": before}, after={"description": description}
        )
        return row

    async def delete(self, row: GroupRow, match: str | None) -> None:
        """Take an empty one away. Raises 409 for one with members."""
        require_match(match, row.version)
        members = (await self.repository.members([row.name]))[row.name]
        if members:
            raise Conflict(f'the group "{row.name}" has members: {", ".join(members[:5])}')
        await self.repository.delete(row)
        self.work.change("group.delete", "group", row.name, before={"description": row.description})


def _answer(row: GroupRow, members: list[str]) -> dict[str, Any]:
    return GroupOut(**row.model_dump(), members=members).model_dump(mode="json")

"""The life of administrators."""

from __future__ import annotations

from typing import Any

from admin_api.admins.models import AdminChange, AdminIn, AdminOut, AdminRow
from admin_api.admins.repository import AdminRepository
from admin_api.auth.repository import SessionRepository
from admin_api.auth.service import new_admin
from admin_api.deps import Work
from admin_api.errors import Conflict, NotFound
from admin_api.pages import Paging
from admin_api.preconditions import require_match
from admin_api.security import Role


class AdminService:
    """Within one request. There is always an owner who can log in."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.repository = AdminRepository(work.session)

    async def get(self, identifier: str) -> AdminRow:
        """The account. Raises 404."""
        row = await self.repository.find_id(identifier)
        if row is None:
            raise NotFound(f'there is no administrator "{identifier}"')
        return row

    async def page(self, paging: Paging) -> dict[str, Any]:
        """One page of answers."""
        rows, cursor = await self.repository.page(self.work.context, paging)
        return {"items": [answer(row) for row in rows], "next": cursor}

    async def create(self, wanted: AdminIn) -> AdminRow:
        """A new account. Raises 409."""
        if await self.repository.find(wanted.name) is not None:
            raise Conflict(f'there is an administrator "{wanted.name}" already')
        password = await self.work.context.passwords.hash(wanted.password)
        row = new_admin(self.work.context, wanted.name, password, wanted.roles, wanted.groups, self.work.who.name)
        await self.repository.save(row)
        self.work.change("admin.create", "admin", row.name, after=answer(row))
        return row

    async def change(self, row: AdminRow, wanted: AdminChange, match: str | None) -> AdminRow:
        """Change what is given. A new password or a disabled account ends its sessions."""
        require_match(match, row.version)
        before = answer(row)
        if wanted.roles is not None:
            row.roles = [role.value for role in wanted.roles]
        if wanted.groups is not None:
            row.groups = wanted.groups
        if wanted.disabled is not None:
            row.disabled = wanted.disabled
        if wanted.password is not None:
            row.password = await self.work.context.passwords.hash(wanted.password)
        row.version += 1
        row.updated_at, row.updated_by = self.work.context.clock(), self.work.who.name
        await self.repository.save(row)
        await self._need_owner()
        if wanted.password is not None or row.disabled:
            because = "the account was disabled" if row.disabled else "the password was changed"
            await SessionRepository(self.work.session).revoke_all(row.id, self.work.context.clock(), because)
        after = answer(row) | ({} if wanted.password is None else {"password": "changed"})
        self.work.change("admin.update", "admin", row.name, before=before, after=after)
        return row

    async def delete(self, row: AdminRow, match: str | None) -> None:
        """Take the account away; its sessions end."""
        require_match(match, row.version)
        await self.repository.delete(row)
        await self._need_owner()
        await SessionRepository(self.work.session).revoke_all(
            row.id, self.work.context.clock(), "the account was deleted"
        )
        self.work.change("admin.delete", "admin", row.name, before=answer(row))

    async def _need_owner(self) -> None:
        if not any(Role.OWNER in row.roles for row in await self.repository.enabled()):
            raise Conflict("there must be an owner who can log in; make another one first")


def answer(row: AdminRow) -> dict[str, Any]:
    """An account as it is shown: everything but its password."""
    return AdminOut(**row.model_dump(exclude={"password"})).model_dump(mode="json")

"""The life of principals."""

from __future__ import annotations

from typing import Final

from typing_extensions import override

from admin_api.documents.models import Document
from admin_api.documents.service import DocumentService, Kind
from admin_api.groups.repository import GroupRepository
from admin_api.principals.models import PrincipalRow
from admin_api.tokens.repository import TokenRepository

PRINCIPALS: Final = Kind("principals", "principal", "pri", PrincipalRow, (("token",),), {"kind": "human"})


class PrincipalService(DocumentService[PrincipalRow]):
    """Groups that a principal is put into come to be, and its tokens end with it."""

    kind = PRINCIPALS

    @override
    async def changed(self, row: PrincipalRow, before: Document | None) -> None:
        groups = GroupRepository(self.work.session)
        for name in sorted(set(row.document.get("groups", ())) - set((before or {}).get("groups", ()))):
            if await groups.find(name) is None:
                await groups.add(self.work.context, name, "", self.work.who.name)

    @override
    async def removed(self, row: PrincipalRow) -> None:
        tokens = TokenRepository(self.work.session)
        live = await tokens.live(row.name)
        ids = await tokens.revoke(live, self.work.context.clock(), self.work.who.name)
        for identifier in ids:
            self.work.change("token.revoke", "token", identifier, before={"principal": row.name}, publish=True)
        self.work.revoked.extend(ids)

"""The life of policies: draft, warn, enforce; every version kept; back to any of them."""

from __future__ import annotations

from typing import Final

from typing_extensions import override

from admin_api.deps import Work
from admin_api.documents.models import Document
from admin_api.documents.service import DocumentService, Kind
from admin_api.errors import NotFound
from admin_api.pages import Paging
from admin_api.policies.models import PolicyRow, PolicyVersionRow
from admin_api.policies.repository import VersionRepository
from admin_api.preconditions import require_match
from gateway.domain.decision import Mode

POLICIES: Final = Kind("policies", "policy", "pol", PolicyRow, defaults={"mode": "enforce"})


class PolicyService(DocumentService[PolicyRow]):
    """Version numbers of a name only ever grow, also when the policy was deleted in between."""

    kind = POLICIES

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self.versions = VersionRepository(work.session)
        self._note = ""

    @override
    def note(self, text: str) -> None:
        self._note = text

    @override
    async def changed(self, row: PolicyRow, before: Document | None) -> None:
        row.version = await self.versions.last(row.name) + 1
        await self.repository.save(row)
        await self.versions.add(
            PolicyVersionRow(
                id=self.work.context.new_id("pvr"),
                name=row.name,
                version=row.version,
                document=row.document,
                created_at=row.updated_at,
                created_by=row.updated_by,
                note=self._note,
            )
        )

    async def set_mode(self, row: PolicyRow, mode: Mode, match: str | None) -> tuple[PolicyRow, tuple[str, ...]]:
        """Move it along its life."""
        self._note = f"mode {mode.value}"
        return await self.replace(row, {**row.document, "mode": mode.value}, match)

    async def roll_back(self, name: str, version: int, match: str | None) -> tuple[PolicyRow, tuple[str, ...]]:
        """What it was at a version, as a new version; a policy that was deleted comes back. Raises 404."""
        kept = await self.versions.find(name, version)
        if kept is None:
            raise NotFound(f'the policy "{name}" has no version {version}')
        self._note = f"rolled back to version {version}"
        row = await self.repository.find(name)
        if row is None:
            # Nothing is there to be overwritten, so there is nothing to be matched.
            return await self.create(kept.document)
        require_match(match, row.version)
        return await self.replace(row, kept.document, match)

    async def version_page(self, name: str, paging: Paging) -> dict[str, object]:
        """One page of what it was. Raises 404 for a name that no policy ever had."""
        rows, cursor = await self.versions.page(self.work.context, name, paging)
        if not rows and paging.cursor is None:
            raise NotFound(f'there never was a policy "{name}"')
        return {"items": [_version(row) for row in rows], "next": cursor}

    async def version(self, name: str, version: int) -> dict[str, object]:
        """One version. Raises 404."""
        row = await self.versions.find(name, version)
        if row is None:
            raise NotFound(f'the policy "{name}" has no version {version}')
        return _version(row)


def _version(row: PolicyVersionRow) -> dict[str, object]:
    return {
        "version": row.version,
        "document": row.document,
        "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
        "created_by": row.created_by,
        "note": row.note,
    }

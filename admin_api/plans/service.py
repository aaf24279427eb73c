"""Comparing and applying. A plan is an application that is taken back, so that the two cannot differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from admin_api.deps import Work
from admin_api.documents.models import Document, DocumentRow
from admin_api.documents.sections import TABLES, read_sections
from admin_api.documents.service import DocumentService
from admin_api.errors import Conflict, Invalid, Wrong
from admin_api.plans.access import lost_access
from admin_api.plans.check import check_shape, check_whole
from admin_api.plans.kinds import SERVICES, shown_document
from admin_api.plans.models import ChangeOut, PlanOut, UnmanagedOut
from admin_api.revision import current_revision

Sections = Mapping[str, Sequence[Document]]

_WRITE_ORDER: Final = ("resources", "principals", "classifications", "policies")


class PlanService:
    """Within one request."""

    def __init__(self, work: Work) -> None:
        self.work = work

    async def plan(self, sections: Sections, *, prune: bool) -> PlanOut:
        """What would change. Raises ``Invalid`` where it could not be applied."""
        async with self.work.session.begin_nested() as savepoint:
            plan = await self._carry_out(sections, prune=prune, stored=False, note="")
            await savepoint.rollback()
        self.work.forget_changes()
        return plan

    async def apply(
        self,
        sections: Sections,
        *,
        prune: bool,
        allow_lockout: bool,
        revision: int | None = None,
        stored: bool = False,
        note: str = "applied",
    ) -> PlanOut:
        """Make it so, all or nothing. ``stored`` True: secrets are sealed already, as the store has them.

        Raises ``Conflict`` where the store is another one than the plan was made for, or where the caller would lose
        access that they have, and ``Invalid`` where the whole could not be put in force.
        """
        current = await current_revision(self.work.session)
        if revision is not None and revision != current:
            raise Conflict(f"the store changed since the plan was made: revision {current}, not {revision}; plan again")
        plan = await self._carry_out(sections, prune=prune, stored=stored, note=note)
        if plan.lockouts and not allow_lockout:
            raise Conflict(
                f"you could no longer use {', '.join(plan.lockouts)}; say so with allow_lockout if that is meant"
            )
        return plan.model_copy(update={"applied": True})

    async def _carry_out(self, sections: Sections, *, prune: bool, stored: bool, note: str) -> PlanOut:
        if not stored:
            check_shape(sections)
        revision = await current_revision(self.work.session)
        before = await read_sections(self.work.session)
        changes: list[ChangeOut] = []
        unmanaged: list[UnmanagedOut] = []
        wrong: list[Wrong] = []
        for section in _WRITE_ORDER:
            service = SERVICES[section](self.work)
            service.deferred = True
            service.note(note)
            rows = {row.name: row for row in await service.repository.all()}
            named: set[str] = set()
            for index, document in enumerate(sections.get(section, ())):
                place = f"/sections/{section}/{index}"
                try:
                    name = service.name_of(document)
                except (KeyError, TypeError):
                    wrong.append(Wrong(pointer=place, detail="has no name"))
                    continue
                if name in named:
                    wrong.append(Wrong(pointer=place, detail=f'"{name}" is there twice'))
                    continue
                named.add(name)
                try:
                    change = await self._put(service, rows.get(name), document, stored=stored)
                except Invalid as error:
                    wrong += [Wrong(pointer=place + item.pointer, detail=item.detail) for item in error.errors]
                    continue
                changes += [] if change is None else [change]
            for name in sorted(rows.keys() - named):
                if not prune:
                    unmanaged.append(UnmanagedOut(section=section, name=name))
                    continue
                row = rows[name]
                shown = shown_document(section, row.document)
                await service.delete(row, "*")
                changes.append(ChangeOut(section=section, name=name, operation="delete", before=shown))
        if wrong:
            raise Invalid("this would not work", errors=wrong)
        if not changes:
            return PlanOut(revision=revision, applied=False, changes=[], unmanaged=unmanaged)
        after = await read_sections(self.work.session)
        warnings = await check_whole(self.work, after, sections)
        return PlanOut(
            revision=revision,
            applied=False,
            changes=changes,
            unmanaged=unmanaged,
            warnings=list(warnings),
            lockouts=lost_access(self.work.context, self.work.who.name, before, after),
        )

    @staticmethod
    async def _put(
        service: DocumentService[Any], row: DocumentRow | None, document: Document, *, stored: bool
    ) -> ChangeOut | None:
        section = service.kind.section
        if row is None:
            created, _ = await service.create(document, stored=stored)
            after = shown_document(section, created.document)
            return ChangeOut(section=section, name=created.name, operation="create", after=after)
        before = row.document
        changed, _ = await service.replace(row, document, "*", stored=stored)
        if changed.document == before:
            return None
        shown = shown_document(section, before), shown_document(section, changed.document)
        return ChangeOut(section=section, name=row.name, operation="update", before=shown[0], after=shown[1])

    async def export(self) -> dict[str, Any]:
        """All documents, secrets not shown."""
        sections = await read_sections(self.work.session)
        shown = {name: [shown_document(name, item) for item in sections[name]] for name in TABLES}
        return {"revision": await current_revision(self.work.session), "sections": shown}

"""What happens to documents: created, replaced, deleted; each time all are checked together, as a file would be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from admin_api.deps import Work
from admin_api.documents.candidate import check_candidate
from admin_api.documents.models import Document, DocumentRow, meta_of
from admin_api.documents.repository import DocumentRepository
from admin_api.documents.secrets import Place, check_references, seal, show
from admin_api.errors import Conflict, Invalid, NotFound, Wrong
from admin_api.pages import Paging
from admin_api.preconditions import require_match

Row = TypeVar("Row", bound=DocumentRow)

IGNORED: Final = "meta"
"""A key of answers that may come back with a document."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[Row]):
    """One kind of document. ``word`` is what people call it, ``secrets`` where in it secrets are."""

    section: str
    word: str
    prefix: str
    row: type[Row]
    secrets: tuple[Place, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    """What keys mean that a document leaves out, for filters."""


class DocumentService(Generic[Row]):
    """The life of the documents of one kind, within one request."""

    kind: Kind[Row]

    def __init__(self, work: Work) -> None:
        self.work = work
        self.deferred = False
        """Whether whoever calls checks everything together, once all documents are written."""
        self.repository = DocumentRepository(work.session, self.kind.row)

    # --- what kinds differ in ---------------------------------------------------------------------------------------

    def name_of(self, document: Document) -> str:
        """What people call the document."""
        return str(document["name"])

    def check(self, document: Document, before: Document | None) -> None:
        """Raise ``Invalid`` for what the store asks for beyond a file's rules. ``document`` is as it was sent."""

    async def changed(self, row: Row, before: Document | None) -> None:
        """Called after a row was created or replaced, before everything is checked."""

    async def removed(self, row: Row) -> None:
        """Called after a row was deleted, before everything is checked."""

    def note(self, text: str) -> None:
        """Why the following changes are made, for kinds that keep their versions."""

    # --- reading ----------------------------------------------------------------------------------------------------

    async def get(self, name: str) -> Row:
        """The row. Raises 404."""
        row = await self.repository.find(name)
        if row is None:
            raise NotFound(f'there is no {self.kind.word} "{name}"')
        return row

    async def page(
        self, paging: Paging, filters: Mapping[str, str | None], text: str | None = None
    ) -> dict[str, object]:
        """One page of answers."""
        rows, cursor = await self.repository.search(self.work.context, paging, filters, text, self.kind.defaults)
        return {"items": [self.answer(row) for row in rows], "next": cursor}

    def answer(self, row: Row, warnings: tuple[str, ...] = ()) -> Document:
        """The document as it is shown, with what the store knows about it."""
        return {**show(row.document, self.kind.secrets), IGNORED: meta_of(row, warnings)}

    # --- changing ---------------------------------------------------------------------------------------------------

    async def create(self, sent: Document, *, stored: bool = False) -> tuple[Row, tuple[str, ...]]:
        """A new document and what is doubtful about it. Raises 409 where its name is taken.

        ``stored`` True: it comes from the store itself, so that its secrets are sealed already.
        """
        document = sent if stored else self._prepare(sent, None)
        name = self.name_of(document)
        if await self.repository.find(name) is not None:
            raise Conflict(f'there is a {self.kind.word} "{name}" already')
        now, who = self.work.context.clock(), self.work.who.name
        row = self.kind.row(
            id=self.work.context.new_id(self.kind.prefix),
            name=name,
            version=1,
            document=document,
            created_at=now,
            created_by=who,
            updated_at=now,
            updated_by=who,
        )
        await self.repository.save(row)
        await self.changed(row, None)
        warnings = await self._accept(row)
        self._tell("create", name, None, document)
        return row, warnings

    async def replace(
        self, row: Row, sent: Document, match: str | None, *, stored: bool = False
    ) -> tuple[Row, tuple[str, ...]]:
        """Another document in the place of the row's. Raises 412 and 428 by ``match``. ``stored``: as ``create``."""
        require_match(match, row.version)
        before = row.document
        document = sent if stored else self._prepare(sent, before)
        if self.name_of(document) != row.name:
            wrong = Wrong(pointer="/name", detail="a name is for good; create another one and delete this one")
            raise Invalid(f'this is the {self.kind.word} "{row.name}"', errors=[wrong])
        if document == before:
            return row, ()
        row.document = document
        row.version += 1
        row.updated_at, row.updated_by = self.work.context.clock(), self.work.who.name
        await self.repository.save(row)
        await self.changed(row, before)
        warnings = await self._accept(row)
        self._tell("update", row.name, before, document)
        return row, warnings

    async def delete(self, row: Row, match: str | None) -> None:
        """Take the document away. Raises 409 where others need it."""
        require_match(match, row.version)
        await self.repository.delete(row)
        await self.removed(row)
        try:
            if not self.deferred:
                await check_candidate(self.work)
        except Invalid as error:
            raise Conflict(f'the {self.kind.word} "{row.name}" is still needed', errors=error.errors) from None
        self._tell("delete", row.name, row.document, None)

    def _prepare(self, sent: Document, before: Document | None) -> Document:
        document = {key: value for key, value in sent.items() if key != IGNORED}
        self.check(document, before)
        check_references(document, self.kind.secrets, self.work.context)
        return seal(document, self.kind.secrets, self.work.context.sealer, before)

    async def _accept(self, row: Row) -> tuple[str, ...]:
        return () if self.deferred else await check_candidate(self.work, self.kind.section, row.name)

    def _tell(self, verb: str, name: str, before: Document | None, after: Document | None) -> None:
        self.work.change(
            f"{self.kind.word}.{verb}",
            self.kind.word,
            name,
            before=None if before is None else show(before, self.kind.secrets),
            after=None if after is None else show(after, self.kind.secrets),
            publish=True,
        )

"""The life of classifications."""

from __future__ import annotations

from typing import Final

from typing_extensions import override

from admin_api.classifications.models import ClassificationRow
from admin_api.documents.models import Document
from admin_api.documents.service import DocumentService, Kind
from admin_api.errors import Invalid, NotFound, Wrong

CLASSIFICATIONS: Final = Kind("classifications", "classification", "cls", ClassificationRow)


class ClassificationService(DocumentService[ClassificationRow]):
    """One label of one resource is one document."""

    kind = CLASSIFICATIONS

    @override
    def name_of(self, document: Document) -> str:
        return f"{document['resource']}/{document['label']}"

    @override
    def check(self, document: Document, before: Document | None) -> None:
        if before is None:
            return
        for key in ("resource", "label"):
            if document[key] != before[key]:
                wrong = Wrong(pointer=f"/{key}", detail="is for good; create another classification")
                raise Invalid("this is another classification", errors=[wrong])

    @override
    async def get(self, name: str) -> ClassificationRow:
        row = await self.repository.find_id(name)
        if row is None:
            raise NotFound(f'there is no classification "{name}"')
        return row

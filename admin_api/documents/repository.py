"""Queries over a table of documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from sqlalchemy import ColumnElement, String, func
from sqlalchemy import cast as sql_cast
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.context import Context
from admin_api.documents.models import Document, DocumentRow
from admin_api.pages import Paging
from admin_api.repository import NamedRepository

Row = TypeVar("Row", bound=DocumentRow)


class DocumentRepository(NamedRepository[Row]):
    """Documents of one kind."""

    def __init__(self, session: AsyncSession, row: type[Row]) -> None:
        super().__init__(session)
        self.row = row

    async def documents(self) -> list[Document]:
        """Every document as it is stored, by name of its row. Rows would cost several times what their documents do."""
        return list((await self._session.exec(select(col(self.row.document)).order_by(col(self.row.name)))).all())

    async def search(
        self,
        context: Context,
        paging: Paging,
        filters: Mapping[str, str | None],
        text: str | None,
        defaults: Mapping[str, str],
    ) -> tuple[list[Row], str | None]:
        """One page. ``filters`` compares keys of the document, ``text`` is a part of the name, whatever its case.

        ``defaults`` says what a key means that is not there.
        """
        wanted = {name: value for name, value in filters.items() if value is not None}
        where: list[ColumnElement[bool]] = [
            self.has(name, value, defaults.get(name, "")) for name, value in wanted.items()
        ]
        if text is not None:
            where.append(func.lower(col(self.row.name)).contains(text.lower(), autoescape=True))
        return await self.page(context, paging, where, {**wanted, "text": text})

    def has(self, key: str, value: str, default: str) -> ColumnElement[bool]:
        """Whether a key of the document is the text ``value``."""
        found = sql_cast(col(self.row.document)[key].as_string(), String)
        return func.coalesce(found, default) == value

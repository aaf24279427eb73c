"""Queries over a table of documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar, cast

from sqlalchemy import ColumnElement, String, func
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.context import Context
from admin_api.documents.models import Document, DocumentRow
from admin_api.pages import Paging, find_page

Row = TypeVar("Row", bound=DocumentRow)

SORTABLE: Final = ("name", "created_at", "updated_at")


class DocumentRepository(Generic[Row]):
    """The one place with queries over ``row``'s table."""

    def __init__(self, session: AsyncSession, row: type[Row]) -> None:
        self._session = session
        self._row = row

    async def find(self, name: str) -> Row | None:
        """The row of that name."""
        return (await self._session.exec(select(self._row).where(col(self._row.name) == name))).first()

    async def find_id(self, identifier: str) -> Row | None:
        """The row with that id."""
        return (await self._session.exec(select(self._row).where(col(self._row.id) == identifier))).first()

    async def all(self) -> Sequence[Row]:
        """Every row, by name."""
        return (await self._session.exec(select(self._row).order_by(col(self._row.name)))).all()

    async def documents(self) -> list[Document]:
        """Every document as it is stored, by name of its row. Rows would cost several times what their documents do."""
        return list((await self._session.exec(select(col(self._row.document)).order_by(col(self._row.name)))).all())

    async def count(self) -> int:
        """How many there are."""
        return (await self._session.exec(select(func.count()).select_from(self._row))).one()

    async def page(
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
            where.append(func.lower(col(self._row.name)).contains(text.lower(), autoescape=True))
        return await find_page(
            context,
            self._session,
            self._row,
            paging,
            where=where,
            filters={**wanted, "text": text},
            sortable={name: cast(InstrumentedAttribute[Any], getattr(self._row, name)) for name in SORTABLE},
            key=cast(InstrumentedAttribute[Any], self._row.id),
            default_sort="name",
        )

    def has(self, key: str, value: str, default: str) -> ColumnElement[bool]:
        """Whether a key of the document is the text ``value``."""
        found = sql_cast(col(self._row.document)[key].as_string(), String)
        return func.coalesce(found, default) == value

    async def save(self, row: Row) -> None:
        """Add or change a row, at once."""
        self._session.add(row)
        await self._session.flush()

    async def delete(self, row: Row) -> None:
        """Take a row away, at once."""
        await self._session.delete(row)
        await self._session.flush()

"""Queries that every table of named things is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, func
from sqlmodel import SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.context import Context
from admin_api.pages import Paging, find_page

Row = TypeVar("Row", bound=SQLModel)

SORTABLE: Final = ("name", "created_at", "updated_at")


class NamedRepository(Generic[Row]):
    """The one place with queries over ``row``'s table, within one transaction. Rows have an ``id`` and a ``name``."""

    row: type[Row]

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @property
    def _columns(self) -> Any:
        """The table's columns, of which the type of ``row`` does not tell."""
        return self.row

    async def find(self, name: str) -> Row | None:
        """The row of that name."""
        return (await self._session.exec(select(self.row).where(self._columns.name == name))).first()

    async def find_id(self, identifier: str) -> Row | None:
        """The row with that id."""
        return await self._session.get(self.row, identifier)

    async def all(self) -> Sequence[Row]:
        """Every row, by name."""
        return (await self._session.exec(select(self.row).order_by(self._columns.name))).all()

    async def count(self) -> int:
        """How many there are."""
        return (await self._session.exec(select(func.count()).select_from(self.row))).one()

    async def page(
        self,
        context: Context,
        paging: Paging,
        where: Sequence[ColumnElement[bool]] = (),
        filters: Mapping[str, str | None] | None = None,
    ) -> tuple[list[Row], str | None]:
        """One page, by name unless it is asked for otherwise; ``filters`` is what ``where`` says."""
        return await find_page(
            context,
            self._session,
            self.row,
            paging,
            where=where,
            filters=filters,
            sortable={name: getattr(self.row, name) for name in SORTABLE},
            key=self._columns.id,
            default_sort="name",
        )

    async def save(self, row: Row) -> None:
        """Add or change a row, at once."""
        self._session.add(row)
        await self._session.flush()

    async def delete(self, row: Row) -> None:
        """Take a row away, at once."""
        await self._session.delete(row)
        await self._session.flush()

"""The store's revision: a number that grows with every change of what gateways decide by, in the same transaction."""

from typing import Final

from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

_ROW: Final = 1


class StoreRevision(SQLModel, table=True):
    """One row."""

    __tablename__ = "store_revision"

    id: int = Field(default=_ROW, primary_key=True)
    revision: int


async def current_revision(session: AsyncSession) -> int:
    """0 for a store in which nothing was ever changed."""
    row = (await session.exec(select(StoreRevision))).first()
    return 0 if row is None else row.revision


async def next_revision(session: AsyncSession) -> int:
    """Count one up; call it in a writing transaction."""
    row = (await session.exec(select(StoreRevision))).first()
    if row is None:
        row = StoreRevision(id=_ROW, revision=0)
    row.revision += 1
    session.add(row)
    await session.flush()
    return row.revision

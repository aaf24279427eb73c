"""Queries over snapshots."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from sqlalchemy import func
from sqlalchemy.orm import defer
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.snapshots.models import SnapshotRow

KEPT: Final = 20
"""The newest snapshots, which are all kept. Of older ones, one for each state of the documents: tokens come and go."""


class SnapshotRepository:
    """Within one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def newest(self) -> SnapshotRow | None:
        """The newest one."""
        wanted = select(SnapshotRow).order_by(col(SnapshotRow.number).desc()).limit(1)
        return (await self._session.exec(wanted)).first()

    async def find(self, number: int) -> SnapshotRow | None:
        """By number."""
        return (await self._session.exec(select(SnapshotRow).where(col(SnapshotRow.number) == number))).first()

    async def find_name(self, name: str) -> SnapshotRow | None:
        """By name."""
        return (await self._session.exec(select(SnapshotRow).where(col(SnapshotRow.name) == name))).first()

    async def list(self, limit: int, before: int | None) -> Sequence[SnapshotRow]:
        """The newest first, without their contents."""
        wanted = select(SnapshotRow).options(defer(SnapshotRow.signed))  # type: ignore[arg-type]
        if before is not None:
            wanted = wanted.where(col(SnapshotRow.number) < before)
        return (await self._session.exec(wanted.order_by(col(SnapshotRow.number).desc()).limit(limit))).all()

    async def add(self, row: SnapshotRow) -> None:
        """Keep one, and forget old ones that differ from a newer one in tokens only."""
        self._session.add(row)
        await self._session.flush()
        distinct = select(func.max(SnapshotRow.number)).group_by(col(SnapshotRow.documents))
        await self._session.exec(
            delete(SnapshotRow).where(
                col(SnapshotRow.number) <= row.number - KEPT, col(SnapshotRow.number).not_in(distinct)
            )
        )


def compress(data: bytes) -> bytes:
    """For the store."""
    return zlib.compress(data, 6)


def signed_bytes(row: SnapshotRow) -> bytes:
    """The signed form of a row, as it travels."""
    return zlib.decompress(row.signed)

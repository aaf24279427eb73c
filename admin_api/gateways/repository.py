"""Queries over gateways."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.gateways.models import GatewayRow


class GatewayRepository:
    """Within one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, name: str) -> GatewayRow | None:
        """By name."""
        return (await self._session.exec(select(GatewayRow).where(col(GatewayRow.name) == name))).first()

    async def find_id(self, identifier: str) -> GatewayRow | None:
        """By id."""
        return (await self._session.exec(select(GatewayRow).where(col(GatewayRow.id) == identifier))).first()

    async def all(self) -> Sequence[GatewayRow]:
        """By name."""
        return (await self._session.exec(select(GatewayRow).order_by(col(GatewayRow.name)))).all()

    async def save(self, row: GatewayRow) -> None:
        """Add or change a row, at once."""
        self._session.add(row)
        await self._session.flush()

    async def delete(self, row: GatewayRow) -> None:
        """Take it away, at once."""
        await self._session.delete(row)
        await self._session.flush()

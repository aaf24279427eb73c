"""Commands to gateways: what must not wait for a snapshot. Gateways that were away get those of the last day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.gateways.models import GatewayCommandRow
from gateway.control.port import SessionFilter
from gateway.control.wire import Command

LIFETIME: Final = timedelta(days=1)
"""Longer, and snapshots say it: a gateway that was away for a day starts with the newest one."""


class CommandRepository:
    """Within one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def newest(self) -> int:
        """The newest sequence; 0 where there is none."""
        return (await self._session.exec(select(func.max(GatewayCommandRow.sequence)))).one() or 0

    async def beyond(self, sequence: int) -> Sequence[Command]:
        """All beyond a sequence, in order."""
        wanted = select(GatewayCommandRow).where(col(GatewayCommandRow.sequence) > sequence)
        rows = (await self._session.exec(wanted.order_by(col(GatewayCommandRow.sequence)))).all()
        return [Command.model_validate({**row.command, "sequence": row.sequence}) for row in rows]

    async def add(self, command: Command, now: datetime) -> None:
        """A new one. The sequences of those that are forgotten are not used again: the newest one always stays."""
        self._session.add(
            GatewayCommandRow(command=command.model_dump(mode="json", exclude={"sequence"}), created_at=now)
        )
        await self._session.flush()
        await self._session.exec(
            delete(GatewayCommandRow).where(
                col(GatewayCommandRow.created_at) < now - LIFETIME,
                col(GatewayCommandRow.sequence) < await self.newest(),
            )
        )


def revoke_command(ids: Sequence[str], reason: str) -> Command:
    """Refuse tokens from now on."""
    return Command(sequence=0, kind="revoke", tokens=tuple(ids), reason=reason)


def terminate_command(which: SessionFilter, reason: str) -> Command:
    """End sessions."""
    return Command(
        sequence=0,
        kind="terminate",
        reason=reason,
        session=which.session,
        principal=which.principal,
        resource=which.resource,
        token=which.token,
    )

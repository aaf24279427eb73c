"""Queries over access tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import or_
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.documents.models import Document
from admin_api.tokens.models import TokenRow


class TokenRepository:
    """The one place with queries over the table."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, identifier: str) -> TokenRow | None:
        """The token with that id."""
        return await self._session.get(TokenRow, identifier)

    async def live(self, principal: str) -> Sequence[TokenRow]:
        """A principal's tokens that were not revoked."""
        wanted = (col(TokenRow.principal) == principal, col(TokenRow.revoked_at).is_(None))
        return (await self._session.exec(select(TokenRow).where(*wanted))).all()

    async def documents(self) -> list[Document]:
        """The tokens that were not revoked, in the form of a configuration."""
        wanted = select(TokenRow).where(col(TokenRow.revoked_at).is_(None)).order_by(col(TokenRow.id))
        return [document_of(row) for row in (await self._session.exec(wanted)).all()]

    async def add(self, row: TokenRow) -> None:
        """Keep a new one, at once."""
        self._session.add(row)
        await self._session.flush()

    async def mark_used(self, uses: Mapping[str, datetime]) -> None:
        """Note when tokens were last used; an earlier time than the known one changes nothing."""
        for identifier, moment in uses.items():
            newer = or_(col(TokenRow.last_used_at).is_(None), col(TokenRow.last_used_at) < moment)
            statement = update(TokenRow).where(col(TokenRow.id) == identifier, newer).values(last_used_at=moment)
            await self._session.exec(statement)

    async def revoke(self, rows: Iterable[TokenRow], now: datetime, who: str) -> list[str]:
        """Revoke them; their ids."""
        revoked = []
        for row in rows:
            row.revoked_at, row.revoked_by = now, who
            self._session.add(row)
            revoked.append(row.id)
        await self._session.flush()
        return revoked


def document_of(row: TokenRow) -> Document:
    """A token in the form of a configuration."""
    document: Document = {
        "id": row.id,
        "principal": row.principal,
        "verifier": row.verifier,
        "resources": list(row.resources),
    }
    if row.expires_at is not None:
        document["expires"] = row.expires_at.isoformat().replace("+00:00", "Z")
    return document

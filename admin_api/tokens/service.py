"""The life of access tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import or_
from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel import col

from admin_api.deps import Work
from admin_api.documents.repository import DocumentRepository
from admin_api.errors import Conflict, Forbidden, Invalid, NotFound, Wrong
from admin_api.pages import Paging, find_page
from admin_api.principals.models import PrincipalRow
from admin_api.resources.models import ResourceRow
from admin_api.security import Role
from admin_api.tokens.models import TokenIn, TokenOut, TokenRow
from admin_api.tokens.repository import TokenRepository
from gateway.domain.identity import ScramVerifier
from gateway.identity.scram import derive_verifier, format_verifier, parse_verifier
from gateway.identity.tokens import new_secret, new_token_id, token_verifier

MAX_LIVE = 100
"""Tokens that one principal may have at a time: each is tried at a login."""


class TokenService:
    """Within one request."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.repository = TokenRepository(work.session)

    async def get(self, identifier: str) -> TokenRow:
        """The token. Raises 404, also for somebody else's that the caller may not see."""
        row = await self.repository.find(identifier)
        if row is None or not self._may_see(row.principal):
            raise NotFound(f'there is no token "{identifier}"')
        return row

    async def page(
        self, paging: Paging, principal: str | None, resource: str | None, state: str | None
    ) -> dict[str, Any]:
        """One page of answers."""
        await self.note_uses()
        now = self.work.context.clock()
        where = []
        if principal is not None:
            where.append(col(TokenRow.principal) == principal)
        if not self.work.who.may(Role.VIEWER):
            where.append(col(TokenRow.principal) == self.work.who.name)
        live = or_(col(TokenRow.expires_at).is_(None), col(TokenRow.expires_at) > now)
        match state:
            case "revoked":
                where.append(col(TokenRow.revoked_at).is_not(None))
            case "expired":
                where += [col(TokenRow.revoked_at).is_(None), col(TokenRow.expires_at) <= now]
            case "active":
                where += [col(TokenRow.revoked_at).is_(None), live]
        fields = ("created_at", "principal", "id")
        rows, cursor = await find_page(
            self.work.context,
            self.work.session,
            TokenRow,
            paging,
            where=where,
            filters={"principal": principal, "resource": resource, "state": state},
            sortable={name: cast(InstrumentedAttribute[Any], getattr(TokenRow, name)) for name in fields},
            key=cast(InstrumentedAttribute[Any], TokenRow.id),
            default_sort="-created_at",
        )
        shown = [row for row in rows if resource is None or not row.resources or resource in row.resources]
        return {"items": [answer(row, now) for row in shown], "next": cursor}

    async def issue(self, wanted: TokenIn) -> tuple[TokenRow, str]:
        """A new token and its secret, which is kept nowhere."""
        who, context = self.work.who, self.work.context
        if wanted.principal != who.name and not who.may(Role.POLICY_ADMIN):
            raise Forbidden("issuing tokens for others needs the role policy-admin; your own name is what you may use")
        principal = await DocumentRepository(self.work.session, PrincipalRow).find(wanted.principal)
        if principal is None:
            wrong = Wrong(pointer="/principal", detail=f'there is no principal "{wanted.principal}"')
            raise Invalid("nobody to issue a token for", errors=[wrong])
        await self._check_resources(wanted.resources)
        now = context.clock()
        live = [row for row in await self.repository.live(wanted.principal) if _state(row, now) == "active"]
        if len(live) >= MAX_LIVE:
            raise Conflict(f"{wanted.principal} has {len(live)} active tokens; revoke some first")
        secret = new_secret(context.random)
        verifier = await asyncio.to_thread(self._verifier, secret, wanted.principal, live)
        row = TokenRow(
            id=new_token_id(context.random),
            principal=wanted.principal,
            verifier=format_verifier(verifier),
            resources=sorted(set(wanted.resources)),
            description=wanted.description,
            created_at=now,
            created_by=who.name,
            expires_at=now + timedelta(seconds=wanted.ttl),
        )
        await self.repository.add(row)
        self.work.change("token.create", "token", row.id, after=answer(row, now), publish=True)
        return row, secret

    async def revoke(self, row: TokenRow) -> None:
        """Make it useless, and end the sessions that it opened. Revoking twice changes nothing."""
        if row.revoked_at is not None:
            return
        now, who = self.work.context.clock(), self.work.who
        if row.principal != who.name and not who.may(Role.POLICY_ADMIN):
            raise Forbidden("revoking others' tokens needs the role policy-admin")
        before = answer(row, now)
        self.work.revoked += await self.repository.revoke([row], now, who.name)
        self.work.change("token.revoke", "token", row.id, before=before, after=answer(row, now), publish=True)

    async def note_uses(self) -> None:
        """Take over what the gateway beside us knows about the use of tokens."""
        context = self.work.context
        if uses := context.plane.token_uses():
            moments = {name: datetime.fromtimestamp(when, context.clock().tzinfo) for name, when in uses.items()}
            async with context.database.transaction(write=True) as session:
                await TokenRepository(session).mark_used(moments)

    def _verifier(self, secret: str, principal: str, live: Sequence[TokenRow]) -> ScramVerifier:
        # One SCRAM exchange has one salt: all tokens of a principal must share it, also those of another replica.
        if live:
            known = parse_verifier(live[0].verifier)
            return derive_verifier(secret, salt=known.salt, iterations=known.iterations)
        return token_verifier(secret, install_secret=self.work.context.install_secret, name=principal)

    async def _check_resources(self, names: list[str]) -> None:
        resources = DocumentRepository(self.work.session, ResourceRow)
        wrong = [
            Wrong(pointer=f"/resources/{index}", detail=f'there is no resource "{name}"')
            for index, name in enumerate(names)
            if await resources.find(name) is None
        ]
        if wrong:
            raise Invalid("a token for something that is not there", errors=wrong)

    def _may_see(self, principal: str) -> bool:
        return self.work.who.may(Role.VIEWER) or principal == self.work.who.name


def answer(row: TokenRow, now: datetime) -> dict[str, Any]:
    """A token as it is shown: everything but its verifier."""
    fields = row.model_dump(exclude={"verifier"})
    return TokenOut(**fields, state=_state(row, now)).model_dump(mode="json")


def _state(row: TokenRow, now: datetime) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= now else "active"

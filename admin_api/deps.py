"""What endpoints take: the context, the request's transaction, and who calls (``admin_api.security``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, cast

import structlog
from fastapi import Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.context import Context
from admin_api.revision import next_revision
from admin_api.security import ANONYMOUS, Identity
from gateway.domain.audit import AdminOutcome, AdminRecord
from gateway.errors import AuditError

_log = structlog.get_logger("querygate.admin")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def get_context(request: Request) -> Context:
    """What all requests share."""
    return cast(Context, request.app.state.context)


def get_request(request: Request) -> Request:
    """The request itself."""
    return request


ContextDep = Annotated[Context, Depends(get_context)]
RequestDep = Annotated[Request, Depends(get_request)]


@dataclass(slots=True)
class Work:
    """One request's transaction and what it changes.

    Every change is told to ``change``. What is to be changed is in the audit, on disk, before the store is committed:
    an audit that cannot be written refuses the change. Its outcome follows in a second event.
    """

    context: Context
    session: AsyncSession
    request: Request
    publishes: bool = False
    """Whether something that gateways decide by was changed."""
    revoked: list[str] = field(default_factory=list)
    """Ids of access tokens that are revoked: once it is committed, they open nothing and their sessions end."""
    _records: list[AdminRecord] = field(default_factory=list)
    _announced: bool = False

    @property
    def who(self) -> Identity:
        """Who calls, as ``Need`` found out."""
        return cast(Identity, getattr(self.request.state, "identity", ANONYMOUS))

    def change(
        self,
        operation: str,
        kind: str,
        name: str,
        *,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
        publish: bool = False,
    ) -> None:
        """Tell of a change, such as ``("policy.update", "policy", "mask-pii")``. No secret may be in either state."""
        self.publishes = self.publishes or publish
        self._records.append(
            admin_record(
                self.context, self.request, self.who, operation, kind, name, before=before, after=after, intent=True
            )
        )

    def forget_changes(self) -> None:
        """What was told is taken back: the transaction does not keep it."""
        self._records.clear()
        self.revoked.clear()
        self.publishes = False

    async def announce(self) -> int | None:
        """Put the intents into the audit; the store's new revision where there is one. Raises ``AuditError``."""
        revision = await next_revision(self.session) if self.publishes else None
        if self._records:
            for record in self._records:
                self.context.audit.record_admin(record)
            await self.context.audit.commit()
            self._announced = True
        return revision

    def conclude(self, outcome: AdminOutcome) -> None:
        """Put the outcomes into the audit. The intents are on disk already, so that nothing is lost if this fails."""
        if not self._announced:
            return
        now = int(self.context.clock().timestamp() * 1e9)
        try:
            for record in self._records:
                self.context.audit.record_admin(record.ended(outcome, now))
        except AuditError as error:
            _log.error("the outcome of a change is not in the audit", outcome=outcome.value, error=str(error))


def admin_record(
    context: Context,
    request: Request,
    who: Identity,
    operation: str,
    kind: str,
    name: str,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    outcome: AdminOutcome = AdminOutcome.SUCCESS,
    detail: str = "",
    intent: bool = False,
) -> AdminRecord:
    """The audit record of what somebody does through the API."""
    return AdminRecord(
        id=context.new_id("req"),
        time=int(context.clock().timestamp() * 1e9),
        admin=who.name,
        admin_id=who.id,
        issuer=who.issuer,
        roles=tuple(sorted(who.roles)),
        session=who.session,
        client_address=client_address(request),
        user_agent=request.headers.get("user-agent", "")[:300],
        operation=operation,
        kind=kind,
        name=name,
        before=before,
        after=after,
        outcome=outcome,
        detail=detail,
        intent=intent,
    )


def client_address(request: Request) -> str:
    """From where a request comes: the socket's peer, or what a trusted proxy says (``admin_api.proxies``)."""
    client = request.client
    if client is None:
        return "unknown"
    host = f"[{client.host}]" if ":" in client.host else client.host
    return f"{host}:{client.port}" if client.port else host


async def get_work(request: Request, context: ContextDep) -> AsyncIterator[Work]:
    """The request's transaction: the one place where the API commits."""
    write = request.method not in _SAFE
    work: Work | None = None
    try:
        async with context.database.transaction(write=write) as session:
            work = Work(context, session, request)
            yield work
            revision = await work.announce()
    except BaseException:
        if work is not None:
            work.conclude(AdminOutcome.FAILURE)
        raise
    work.conclude(AdminOutcome.SUCCESS)
    if work.revoked:
        context.plane.revoke_tokens(work.revoked, "the access token was revoked")
    if revision is not None:
        await context.publisher.publish(revision)


WorkDep = Annotated[Work, Depends(get_work, scope="function")]


async def get_reading(request: Request, context: ContextDep) -> AsyncIterator[Work]:
    """A transaction that changes nothing, for questions that come as POST."""
    async with context.database.transaction() as session:
        yield Work(context, session, request)


ReadDep = Annotated[Work, Depends(get_reading, scope="function")]

"""Who a bearer token speaks for: a local administrator's session, or somebody of an OIDC issuer."""

from __future__ import annotations

import structlog
from fastapi import Request

from admin_api.admins.repository import AdminRepository
from admin_api.auth.repository import SessionRepository
from admin_api.context import Context
from admin_api.deps import admin_record, client_address
from admin_api.errors import ApiError, TooManyRequests, Unauthenticated
from admin_api.security import Identity, Role
from gateway.domain.audit import AdminOutcome
from gateway.errors import AuthenticationError
from gateway.identity.jwt import read_unverified

_log = structlog.get_logger("querygate.admin")


async def recognise(context: Context, token: str | None) -> Identity:
    """The caller. Raises ``Unauthenticated``, with one text for every reason."""
    if token is None:
        raise Unauthenticated
    try:
        header, claims = read_unverified(token)
        if claims.get("iss") != context.tokens.issuer:
            return await context.oidc.identity(token, claims.get("iss"))
        account_id, session_id = await context.tokens.verify(token, header.get("kid"))
    except AuthenticationError as error:
        _log.info("a token was refused", reason=str(error))
        raise Unauthenticated from None
    # The token says who; whether the session still stands and what the account may do, the store says.
    async with context.database.transaction() as session:
        account = await AdminRepository(session).find_id(account_id)
        family = await SessionRepository(session).find(session_id)
    if account is None or account.disabled or family is None or family.revoked_at is not None:
        raise Unauthenticated
    if family.admin_id != account.id:
        raise Unauthenticated
    roles = frozenset(map(Role, account.roles))
    return Identity(account.name, roles, account.id, family.id, groups=frozenset(account.groups))


async def record_refusal(context: Context, request: Request, who: Identity, error: ApiError) -> None:
    """Put a refused request into the audit; of unknown callers at one address only as many as the throttle lets pass.

    Whoever can send requests could otherwise fill the disk, and with that stop everybody's statements.
    """
    if not who.name:
        address = client_address(request).rpartition(":")[0]
        try:
            context.refusals.check("", address)
        except TooManyRequests:
            return
        context.refusals.failed("", address)
    record = admin_record(
        context,
        request,
        who,
        f"{request.method} {request.scope.get('path', '')}"[:300],
        "endpoint",
        getattr(request.scope.get("route"), "path", ""),
        outcome=AdminOutcome.REFUSED,
        detail=f"{error.status} {error}",
    )
    context.audit.record_admin(record)

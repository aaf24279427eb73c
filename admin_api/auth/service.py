"""Logging in, staying logged in, logging out, and the first administrator."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta
from typing import Final

from fastapi import Request

from admin_api.admins.models import AdminRow
from admin_api.admins.repository import AdminRepository
from admin_api.auth.bootstrap import read_bootstrap_token, remove_bootstrap_token
from admin_api.auth.models import AdminSessionRow, BootstrapIn, RefreshTokenRow, Tokens
from admin_api.auth.repository import SessionRepository
from admin_api.context import Context
from admin_api.deps import Work, admin_record, client_address
from admin_api.errors import Conflict, Forbidden, Unauthenticated
from admin_api.security import Identity, Role
from gateway.domain.audit import AdminOutcome

PREFIX: Final = "qgr_"
_WRONG: Final = "name or password are wrong"


class AuthService:
    """Works with transactions of its own, since what a refused login leaves behind must stay."""

    def __init__(self, context: Context, request: Request) -> None:
        self._context = context
        self._request = request

    async def login(self, name: str, password: str) -> Tokens:
        """A new session. Raises 401, and 429 where there were too many failures. Both are in the audit."""
        context, address = self._context, client_host(self._request)
        context.throttle.check(name, address)
        async with context.database.transaction() as session:
            row = await AdminRepository(session).find(name)
        usable = row is not None and not row.disabled
        right = await context.passwords.verify(row.password if row is not None else None, password)
        if row is None or not usable or not right:
            context.throttle.failed(name, address)
            why = "unknown account" if row is None else "disabled account" if not usable else "wrong password"
            await self.record("auth.login", name, AdminOutcome.REFUSED, why)
            raise Unauthenticated(_WRONG)
        context.throttle.succeeded(name, address)
        await context.tokens.renew()
        anew = await context.passwords.hash(password) if context.passwords.is_outdated(row.password) else None
        await self.record("auth.login", name, AdminOutcome.SUCCESS, who=_identity(row))
        async with context.database.transaction(write=True) as session:
            account = await AdminRepository(session).find_id(row.id)
            if account is None or account.disabled:
                raise Unauthenticated(_WRONG)
            account.last_login_at = context.clock()
            if anew is not None:
                account.password = anew
            session.add(account)
            sessions = SessionRepository(session)
            await sessions.forget_old(context.clock())
            return await self._open(sessions, account)

    async def refresh(self, refresh_token: str) -> Tokens:
        """New tokens for a session. A refresh token that comes a second time was stolen: the session ends."""
        context, now = self._context, self._context.clock()
        await context.tokens.renew()
        digest = _digest(refresh_token)
        stolen: AdminSessionRow | None = None
        async with context.database.transaction(write=True) as session:
            sessions = SessionRepository(session)
            token = await sessions.find_token(digest)
            family = None if token is None else await sessions.find(token.session_id)
            if family is None:
                raise Unauthenticated("the refresh token is not valid")
            if not await sessions.use(digest, now):
                await sessions.revoke([family.id], now, "a refresh token was used twice")
                stolen = family
            else:
                account = await AdminRepository(session).find_id(family.admin_id)
                over = family.revoked_at is not None or family.expires_at <= now
                if account is None or account.disabled or over:
                    raise Unauthenticated("the refresh token is not valid")
                return await self._give(sessions, account, family)
        if stolen is not None:
            detail = "a refresh token was used twice; the session is ended"
            await self.record("auth.refresh", stolen.admin_id, AdminOutcome.REFUSED, detail)
        raise Unauthenticated("the refresh token is not valid")

    async def bootstrap(self, wanted: BootstrapIn) -> Tokens:
        """The first administrator, an owner. Raises 409 where there is one, 401 for another token."""
        context, address = self._context, client_host(self._request)
        context.throttle.check("", address)
        kept = read_bootstrap_token(context.config.data_dir)
        if kept is None or not hmac.compare_digest(kept.encode(), wanted.token.encode()):
            context.throttle.failed("", address)
            await self.record("auth.bootstrap", wanted.name, AdminOutcome.REFUSED, "wrong bootstrap token")
            raise Unauthenticated("the bootstrap token is not valid; it is in the file bootstrap-token of data_dir")
        await context.tokens.renew()
        password = await context.passwords.hash(wanted.password)
        async with context.database.transaction(write=True) as session:
            admins = AdminRepository(session)
            if await admins.count():
                raise Conflict("there are administrators already; log in")
            row = new_admin(context, wanted.name, password, [Role.OWNER], [], "bootstrap")
            await self.record("auth.bootstrap", wanted.name, AdminOutcome.SUCCESS, who=_identity(row))
            await admins.save(row)
            tokens = await self._open(SessionRepository(session), row)
        remove_bootstrap_token(context.config.data_dir)
        return tokens

    async def record(
        self, operation: str, name: str, outcome: AdminOutcome, detail: str = "", who: Identity | None = None
    ) -> None:
        """Put it into the audit, on disk. Raises ``AuditError``: who cannot be recorded does not get in."""
        caller = who or Identity("")
        record = admin_record(
            self._context, self._request, caller, operation, "admin", name, outcome=outcome, detail=detail
        )
        self._context.audit.record_admin(record)
        await self._context.audit.commit()

    async def _open(self, sessions: SessionRepository, account: AdminRow) -> Tokens:
        context, now = self._context, self._context.clock()
        family = AdminSessionRow(
            id=context.new_id("ses"),
            admin_id=account.id,
            created_at=now,
            expires_at=now + timedelta(seconds=context.settings.refresh_token_ttl),
            client_address=client_address(self._request),
        )
        await sessions.add(family)
        return await self._give(sessions, account, family)

    async def _give(self, sessions: SessionRepository, account: AdminRow, family: AdminSessionRow) -> Tokens:
        context = self._context
        secret = PREFIX + base64.urlsafe_b64encode(context.random(32)).decode("ascii").rstrip("=")
        now = context.clock()
        await sessions.add(RefreshTokenRow(digest=_digest(secret), session_id=family.id, created_at=now))
        access = context.tokens.issue(account.id, family.id, context.new_id("jti"))
        return Tokens(access_token=access, expires_in=int(context.tokens.lifetime), refresh_token=secret)


async def log_out(work: Work) -> None:
    """End the caller's session. Nothing to do for somebody of an OIDC issuer."""
    if work.who.session:
        await SessionRepository(work.session).revoke([work.who.session], work.context.clock(), "logged out")
        work.change("auth.logout", "admin", work.who.name)


async def change_password(work: Work, current: str, new: str) -> None:
    """Change one's own password; the other sessions of the account end."""
    who, context = work.who, work.context
    admins = AdminRepository(work.session)
    row = await admins.find_id(who.id) if who.id else None
    if row is None:
        raise Forbidden("your password is kept by your OIDC issuer")
    address = client_host(work.request)
    context.throttle.check(row.name, address)
    if not await context.passwords.verify(row.password, current):
        context.throttle.failed(row.name, address)
        raise Forbidden("the current password is wrong")
    row.password = await context.passwords.hash(new)
    row.version += 1
    row.updated_at, row.updated_by = context.clock(), who.name
    await admins.save(row)
    await SessionRepository(work.session).revoke_all(
        row.id, context.clock(), "the password was changed", but=who.session
    )
    work.change("admin.update", "admin", row.name, after={"password": "changed"})


def new_admin(
    context: Context, name: str, password_hash: str, roles: list[Role], groups: list[str], who: str
) -> AdminRow:
    """An account that is not kept yet."""
    now = context.clock()
    return AdminRow(
        id=context.new_id("adm"),
        name=name,
        password=password_hash,
        roles=[role.value for role in roles],
        groups=groups,
        created_at=now,
        created_by=who,
        updated_at=now,
        updated_by=who,
    )


def client_host(request: Request) -> str:
    """The address without the port."""
    return "unknown" if request.client is None else request.client.host


def _identity(row: AdminRow) -> Identity:
    return Identity(row.name, frozenset(map(Role, row.roles)), id=row.id)


def _digest(secret: str) -> str:
    # The secret has 256 random bits: nothing slower than a plain digest is needed.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()

"""Whether those who opened a session may still have it.

Asked of every session when the snapshot changes, and at an interval, since tokens are revoked and expire without one.
A session ends when what let it in is gone: it has to come back and be let in by what is there now.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import structlog

from gateway.domain.decision import SessionContext
from gateway.domain.identity import AccessToken, Login
from gateway.domain.principal import Principal
from gateway.errors import GatewayError, GatewayShutdown
from gateway.policy.snapshot import Snapshot
from gateway.server.session import Session

_log = structlog.get_logger("querygate.standing")

FindLogin = Callable[[SessionContext], Awaitable[Login]]


def lost_by_change(session: Session, snapshot: Snapshot) -> str:
    """Why a session may not go on under another snapshot; empty where it may.

    Its resource must be the same, and so must everybody that the session acts for, as the configuration has them:
    groups that a bearer token brought along are not the configuration's.
    """
    resource, principal, before = session.resource, session.principal, session.snapshot
    if resource is not None and snapshot.resources.get(resource.name) != resource:
        return "the resource was changed or removed"
    if principal is None or before is None or before is snapshot:
        return ""
    names = [member.name for member in principal.chain()]
    if any(before.principals.get(name) != snapshot.principals.get(name) for name in names):
        return "the principal was changed or removed"
    return ""


def with_granted(principal: Principal, resource: str, granted: Callable[[str, str], frozenset[str]]) -> Principal:
    """The principal, and whom it acts for, with the groups that they were granted on the resource for some time."""
    above = principal.acts_for
    return replace(
        principal,
        groups=principal.groups | granted(principal.name, resource),
        acts_for=None if above is None else with_granted(above, resource, granted),
    )


async def end_without_token(sessions: Iterable[Session], find_login: FindLogin, now: float) -> None:
    """End the sessions whose token is no longer good.

    Where it is not known which of several tokens proved the client, all of them must be. An identity provider that
    fails says nothing about any token: those sessions stay, and new ones are refused.
    """
    known: dict[SessionContext, frozenset[bytes] | None] = {}
    for session in sessions:
        proofs = session.tokens if session.token is None else (session.token,)
        if session.ended or session.principal is None or not proofs:
            continue
        if session.expires_at is not None and session.expires_at <= now:
            continue  # that comes to its end in another way: see ``expiry``
        # Sessions of one user from one machine share an answer.
        context = session.context
        host = context.client_address.rpartition(":")[0]
        key = replace(context, id="", client_address=host, database=None, application="")
        if key not in known:
            known[key] = await _valid(context, find_login)
        valid = known[key]
        if valid is not None and not _identities(proofs) <= valid:
            session.terminate(GatewayShutdown("the access token was revoked or has expired"))


async def _valid(context: SessionContext, find_login: FindLogin) -> frozenset[bytes] | None:
    try:
        login = await find_login(context)
    except GatewayError as error:
        _log.error("tokens of running sessions could not be checked", user=context.user, error=str(error))
        return None
    return _identities(login.tokens)


def _identities(tokens: Iterable[AccessToken]) -> frozenset[bytes]:
    # Not the ids: one that the configuration gives by position may mean another token after a change.
    return frozenset(token.scram.stored_key for token in tokens)

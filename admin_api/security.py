"""Who may do what: roles, and the one dependency by which every endpoint says which role it needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, cast

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from admin_api.errors import Forbidden, Unauthenticated

if TYPE_CHECKING:
    from admin_api.context import Context


class Role(StrEnum):
    """What an administrator may do. See ``GRANTS`` for what includes what."""

    VIEWER = "viewer"
    """Reads everything but the audit and the administrators."""
    AUDITOR = "auditor"
    """Reads the audit, and asks what a policy would do."""
    APPROVER = "approver"
    """Decides approvals (of the groups that the policies name)."""
    POLICY_ADMIN = "policy-admin"
    """Changes resources, principals, groups, classifications, policies, and issues access tokens."""
    OWNER = "owner"
    """Does everything, and is the only one to change administrators."""


GRANTS: Final = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.AUDITOR: frozenset({Role.VIEWER, Role.AUDITOR}),
    Role.APPROVER: frozenset({Role.VIEWER, Role.APPROVER}),
    Role.POLICY_ADMIN: frozenset({Role.VIEWER, Role.POLICY_ADMIN}),
    Role.OWNER: frozenset(Role),
}
"""A role, and the roles that it includes."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls. ``id`` is empty for somebody of an OIDC issuer, who has no account here; ``session`` for them, too."""

    name: str
    roles: frozenset[Role] = frozenset()
    id: str = ""
    session: str = ""
    issuer: str = ""
    groups: frozenset[str] = frozenset()

    def may(self, role: Role) -> bool:
        """Whether one of the roles includes ``role``."""
        return any(role in GRANTS[own] for own in self.roles)


ANONYMOUS: Final = Identity("")

_bearer = HTTPBearer(auto_error=False, description="An access token of POST /v1/auth/login, or of an OIDC issuer")


class Need:
    """What an endpoint needs of its caller. ``role`` None: to be somebody, with whatever role."""

    def __init__(self, role: Role | None) -> None:
        self.role = role

    async def __call__(
        self, request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> Identity:
        """The caller. Raises 401 for nobody and 403 for somebody who may not; what had a token is recorded."""
        from admin_api.auth.callers import recognise, record_refusal

        context = cast("Context", request.app.state.context)
        identity = ANONYMOUS
        try:
            identity = await recognise(context, None if credentials is None else credentials.credentials)
            if self.role is not None and not identity.may(self.role):
                raise Forbidden(f"this needs the role {self.role.value}")
        except (Forbidden, Unauthenticated) as error:
            if credentials is not None:
                await record_refusal(context, request, identity, error)
            raise
        request.state.identity = identity
        return identity


class Public:
    """For endpoints that anybody may call, on purpose."""

    async def __call__(self) -> None:
        """Nothing is needed."""


def need(role: Role) -> Need:
    """Declare the role that an endpoint needs: ``who: Annotated[Identity, Depends(need(Role.VIEWER))]``."""
    return Need(role)


public: Final = Depends(Public())
"""Declare that anybody may call an endpoint: ``dependencies=[public]``."""

Anybody = Annotated[Identity, Depends(Need(None))]
Viewer = Annotated[Identity, Depends(need(Role.VIEWER))]
Auditor = Annotated[Identity, Depends(need(Role.AUDITOR))]
Approver = Annotated[Identity, Depends(need(Role.APPROVER))]
PolicyAdmin = Annotated[Identity, Depends(need(Role.POLICY_ADMIN))]
Owner = Annotated[Identity, Depends(need(Role.OWNER))]

"""People of OIDC issuers: their tokens checked as the configuration pins them, their claims turned into roles."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from admin_api.oidc.keys import Fetch, RemoteKeys, https_fetch
from admin_api.security import Identity, Role
from gateway.config import OidcIssuer
from gateway.errors import AuthenticationError
from gateway.identity.claims import MAX_NAME, Claims
from gateway.identity.jwt import BearerVerifier, read_unverified

_MAX_GROUPS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Pinned:
    """What ``BearerVerifier`` asks of an issuer."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    username_claim: str = "sub"
    groups_claim: None = None
    groups: None = None
    users: tuple[str, ...] = ()


class OidcVerifiers:
    """All issuers of the configuration. ``clock`` gives Unix seconds."""

    def __init__(
        self,
        issuers: Sequence[OidcIssuer],
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        fetch: Callable[[OidcIssuer], Fetch] = lambda issuer: https_fetch(issuer.ca),
    ) -> None:
        self._clock = clock
        self._issuers = {item.issuer: item for item in issuers}
        self._keys = {item.issuer: RemoteKeys(item.issuer, fetch(item), monotonic=monotonic) for item in issuers}

    async def identity(self, token: str, issuer: object) -> Identity:
        """Who comes with the token. ``issuer`` is the token's word, good for finding out whose rules hold.

        Raises ``AuthenticationError`` for a token that is bad in any way, and for somebody without any role here.
        """
        known = self._issuers.get(issuer) if isinstance(issuer, str) else None
        if known is None:
            raise AuthenticationError("bearer token: of an unknown issuer")
        header, _ = read_unverified(token)
        keys = await self._keys[known.issuer].current(header.get("kid"))
        pinned = _Pinned(known.issuer, known.audience, known.algorithms)
        claims = BearerVerifier(pinned, keys, clock=self._clock).verify(token)
        groups = _texts(claims.get(known.roles_claim))
        roles = frozenset(Role(known.roles[group]) for group in groups if group in known.roles)
        if not roles:
            raise AuthenticationError("bearer token: its bearer has no role here")
        return Identity(_name(claims, known.username_claim), roles, issuer=known.issuer, groups=groups)


def _name(claims: Claims, claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or not value.isprintable():
        raise AuthenticationError(f"bearer token: claim {claim} is not a usable name")
    # A name that its bearer chose without anybody checking it is somebody else's just as well.
    if claim == "email" and claims.get("email_verified") is False:
        raise AuthenticationError("bearer token: the e-mail address is not verified")
    return value


def _texts(value: object) -> frozenset[str]:
    match value:
        case str():
            return frozenset(value.split())
        case list() if len(value) <= _MAX_GROUPS:
            return frozenset(item for item in value if isinstance(item, str))
        case _:
            return frozenset()

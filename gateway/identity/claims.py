"""What a bearer token says, checked against clock and issuer, and who that makes the bearer (RFC 7519, RFC 8693)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gateway.domain.principal import Principal
from gateway.errors import AuthenticationError

LEEWAY: Final = 30
"""Seconds by which clocks may differ."""
MAX_ACTORS: Final = 4
"""How long a delegation chain may be."""
MAX_NAME: Final = 255

Claims = Mapping[str, object]


def check_claims(claims: Claims, *, issuer: str, audience: str, now: float, leeway: float = LEEWAY) -> None:
    """Check issuer, audience and times; aud, exp, iat, iss and sub must be there. Raises ``AuthenticationError``.

    ``leeway`` is how long a token is good after its ``exp``, seconds.
    """
    for name in ("aud", "exp", "iat", "iss", "sub"):
        if name not in claims:
            raise AuthenticationError(f"bearer token: no claim {name}")
    if claims["iss"] != issuer:
        raise AuthenticationError("bearer token: another issuer")
    audiences = claims["aud"]
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise AuthenticationError("bearer token: for another audience")
    if now >= end_of(claims, leeway):
        raise AuthenticationError("bearer token: expired")
    if now < _time(claims, "iat") - LEEWAY:
        raise AuthenticationError("bearer token: issued in the future")
    if "nbf" in claims and now < _time(claims, "nbf") - LEEWAY:
        raise AuthenticationError("bearer token: not valid yet")


def end_of(claims: Claims, leeway: float) -> float:
    """From when on a token is no longer good, Unix seconds."""
    return _time(claims, "exp") + leeway


def _time(claims: Claims, name: str) -> float:
    value = claims[name]
    match value:
        # A boolean is an int to Python, and text a number to some libraries.
        case bool():
            pass
        case int():
            return value
        case float() if math.isfinite(value):
            return value
    raise AuthenticationError(f"bearer token: claim {name} is not a number")


def principal_of(
    claims: Claims,
    *,
    username_claim: str,
    groups_claim: str | None,
    principals: Mapping[str, Principal],
    groups: Mapping[str, str] | None = None,
) -> Principal:
    """The principal that checked claims speak of.

    The token's subject is found by ``username_claim``; one that the snapshot knows keeps its kind, attributes and
    groups, and gets the token's groups besides: as they are, or as ``groups`` translates those that it names.
    With an ``act`` claim (RFC 8693 section 4.1) the subject is the one acted *for*, and the actor is the principal:
    actors must be in the snapshot, and so must the subject.
    """
    name = _name(claims.get(username_claim), f"claim {username_claim}")
    brought = _groups(claims, groups_claim)
    if groups is not None:
        brought = frozenset(groups[group] for group in brought if group in groups)
    known = principals.get(name)
    subject = Principal(name, groups=brought) if known is None else replace(known, groups=known.groups | brought)
    if "act" not in claims:
        return subject
    if known is None:
        raise AuthenticationError("bearer token: acts for somebody who is not a principal")
    return _acting(_actors(claims["act"]), subject, principals)


def _acting(actors: list[str], subject: Principal, principals: Mapping[str, Principal]) -> Principal:
    # The last in the list acted first: each one acts for everybody after it, so that rights only ever shrink.
    principal = subject
    for name in reversed(actors):
        actor = principals.get(name)
        if actor is None:
            raise AuthenticationError("bearer token: the actor is not a principal")
        if any(member.name == name for member in principal.chain()):
            raise AuthenticationError("bearer token: somebody acts for themselves")
        if actor.acts_for is not None and actor.acts_for.name != principal.name:
            raise AuthenticationError("bearer token: the actor may act for somebody else only")
        principal = replace(actor, acts_for=principal)
    return principal


def _actors(claim: object) -> list[str]:
    names: list[str] = []
    while claim is not None:
        if not isinstance(claim, dict) or len(names) == MAX_ACTORS:
            raise AuthenticationError("bearer token: claim act is malformed or too long")
        names.append(_name(claim.get("sub"), "the actor's sub"))
        claim = claim.get("act")
    if not names:
        raise AuthenticationError("bearer token: claim act is malformed or too long")
    return names


def _name(value: object, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or not value.isprintable():
        raise AuthenticationError(f"bearer token: {what} is not a usable name")
    return value


def _groups(claims: Claims, claim: str | None) -> frozenset[str]:
    if claim is None:
        return frozenset()
    value = claims.get(claim, [])
    if not isinstance(value, list) or not all(isinstance(group, str) for group in value):
        raise AuthenticationError(f"bearer token: claim {claim} is not a list of texts")
    return frozenset(value)

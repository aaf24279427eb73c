"""Bearer tokens (JWT, RFC 7519) as passwords. The only user of python-jose, and the reason that it may be used.

python-jose verifies signatures here and nothing else: which algorithm and which key are ours to say, and so are the
claims. Taken alone it would accept any algorithm, try every key of a set, let a token without audience or expiry pass
and ignore critical header fields (RFC 8725 lists these mistakes).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from jose import jwk, jws
from jose.backends import ECKey, RSAKey
from jose.exceptions import JOSEError

from gateway import hookimpl
from gateway.domain.decision import SessionContext
from gateway.domain.identity import PasswordCredentials, Proof, TokenIssuer
from gateway.domain.principal import Principal
from gateway.errors import AuthenticationError, ConfigurationError
from gateway.identity.claims import LEEWAY, Claims, check_claims, end_of, principal_of
from gateway.identity.jwks import ALGORITHMS
from gateway.policy.globs import Globs

MAX_TOKEN: Final = 8 * 1024
"""Longest token, bytes."""

_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})


class JwtIssuer(Protocol):
    """An issuer as the configuration describes it."""

    @property
    def issuer(self) -> str:
        """What ``iss`` must be."""

    @property
    def audience(self) -> str:
        """What ``aud`` must be or contain."""

    @property
    def algorithms(self) -> Sequence[str]:
        """Accepted signature algorithms, asymmetric ones only."""

    @property
    def username_claim(self) -> str:
        """The claim that holds the principal's name."""

    @property
    def groups_claim(self) -> str | None:
        """The claim that holds groups, a list of texts; None to take none from the token."""

    @property
    def groups(self) -> Mapping[str, str] | None:
        """What values of that claim mean here, others are dropped; None to take them as they are."""

    @property
    def users(self) -> Sequence[str]:
        """Patterns of user names that need not be principals of the snapshot."""


class Keys(Protocol):
    """An issuer's public keys."""

    def find(self, kid: object, algorithm: str) -> Mapping[str, object]:
        """The one key with this id, fit for the algorithm; raises ``AuthenticationError``."""


class BearerVerifier:
    """Verifies the tokens of one issuer. ``clock`` gives Unix seconds.

    A token is good for ``leeway`` seconds more than it says. ``for_people`` is where people get theirs, if known.
    """

    def __init__(
        self,
        issuer: JwtIssuer,
        keys: Keys,
        *,
        clock: Callable[[], float],
        leeway: float = LEEWAY,
        for_people: TokenIssuer | None = None,
    ) -> None:
        unusable = set(issuer.algorithms) - ALGORITHMS
        if unusable or not issuer.algorithms:
            raise ConfigurationError(
                f"issuer {issuer.issuer}: algorithms must be asymmetric ones: {sorted(ALGORITHMS)}"
            )
        _check_backends()
        self._issuer = issuer
        self._users = Globs(issuer.users)
        self._keys = keys
        self._clock = clock
        self._leeway = leeway
        self.for_people = for_people

    @property
    def issuer(self) -> str:
        """The issuer whose tokens these are."""
        return self._issuer.issuer

    def verify(self, token: str) -> Claims:
        """The claims of a good token. ``AuthenticationError`` for any other; its text holds no part of the token."""
        header, claims = read_unverified(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._issuer.algorithms:
            raise AuthenticationError("bearer token: the algorithm is not one of the issuer's")
        if "crit" in header:
            raise AuthenticationError("bearer token: a critical header field is not understood")
        kind = header.get("typ", "JWT")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise AuthenticationError("bearer token: another type of token")
        key = self._keys.find(header.get("kid"), algorithm)
        try:
            jws.verify(token, jwk.construct(dict(key), algorithm), algorithms=[algorithm])
        except (JOSEError, ValueError, TypeError, KeyError) as error:
            raise AuthenticationError("bearer token: the signature cannot be verified") from error
        check_claims(
            claims, issuer=self._issuer.issuer, audience=self._issuer.audience, now=self._clock(), leeway=self._leeway
        )
        return claims

    def end(self, claims: Claims) -> float:
        """Until when a verified token is good, Unix seconds."""
        return end_of(claims, self._leeway)

    def principal(self, claims: Claims, principals: Mapping[str, Principal]) -> Principal:
        """Who the bearer of a verified token is."""
        return principal_of(
            claims,
            username_claim=self._issuer.username_claim,
            groups_claim=self._issuer.groups_claim,
            groups=self._issuer.groups,
            principals=principals,
        )

    def covers(self, user: str) -> bool:
        """Whether the user name belongs to people whom only this issuer's tokens name."""
        return self._users.matches(user)


class BearerProvider:
    """The built-in identity provider for bearer tokens: accepts one as the clear password of the user it names."""

    def __init__(
        self, verifiers: Callable[[], Collection[BearerVerifier]], principals: Callable[[], Mapping[str, Principal]]
    ) -> None:
        self._verifiers = verifiers
        self._principals = principals

    @hookimpl
    def authenticate(self, session: SessionContext, credentials: PasswordCredentials) -> Proof | None:
        """The token's principal and end; None for no JWT of a known issuer, ``AuthenticationError`` for a bad one.

        A session without a user name, as MONGODB-OIDC allows, is whoever the token says.
        """
        if not session.tls or not looks_like_jwt(credentials.password):
            return None
        _, claims = read_unverified(credentials.password)
        verifiers = self._verifiers()
        if not verifiers:
            return None
        for verifier in verifiers:
            if claims.get("iss") == verifier.issuer:
                principals = self._principals()
                verified = verifier.verify(credentials.password)
                principal = verifier.principal(verified, principals)
                if principal.name not in principals and not verifier.covers(principal.name):
                    raise AuthenticationError(
                        "bearer token: its subject is not a principal, nor one of identity.jwt.users"
                    )
                if session.user and principal.name != session.user:
                    raise AuthenticationError("bearer token: for another user name")
                return Proof(principal, verifier.end(verified))
        raise AuthenticationError("bearer token: of an unknown issuer")


def issuer_for(user: str, verifiers: Collection[BearerVerifier]) -> TokenIssuer | None:
    """Where a person gets a token: at the issuer whose people the name is one of, or else at the only one there is."""
    known = [(verifier, issuer) for verifier in verifiers if (issuer := verifier.for_people) is not None]
    for verifier, issuer in known:
        if user and verifier.covers(user):
            return issuer
    return known[0][1] if len(known) == 1 else None


def looks_like_jwt(text: str) -> bool:
    """Whether a password can only be meant as a JWT: three parts, the first one a JSON object in base64url."""
    return text.startswith("eyJ") and text.count(".") == 2


def read_unverified(token: str) -> tuple[Claims, Claims]:
    """Header and claims before anything is believed of them. ``AuthenticationError`` if they cannot be read."""
    if not token.isascii() or len(token) > MAX_TOKEN:
        raise AuthenticationError("bearer token: too long or not ASCII")
    parts = token.split(".")
    if len(parts) != 3:
        raise AuthenticationError("bearer token: not three parts")
    return _object(parts[0]), _object(parts[1])


def _object(part: str) -> Claims:
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = json.loads(raw, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (binascii.Error, ValueError, RecursionError):
        raise AuthenticationError("bearer token: a part is not a JSON object in base64url") from None
    if not isinstance(value, dict):
        raise AuthenticationError("bearer token: a part is not a JSON object in base64url")
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        # Two readers could take two different ones for the truth.
        raise ValueError("a name is there twice")
    return result


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _check_backends() -> None:
    # Without the `cryptography` backend python-jose falls back to a pure-Python one that is open to timing attacks.
    for backend in (RSAKey, ECKey):
        if backend is None or not backend.__module__.endswith("cryptography_backend"):
            raise ConfigurationError(
                "python-jose does not use the cryptography library: install python-jose[cryptography]"
            )

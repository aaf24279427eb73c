"""Exchanging proofs of a person and of an agent for one token of the agent that acts for the person.

What the agent may do is decided by gateways at every statement: the intersection of both. Here it is only made sure
that both are who they say, that they are principals, and that the agent may act for this person at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from admin_api.auth.callers import recognise
from admin_api.context import Context
from admin_api.documents.repository import DocumentRepository
from admin_api.errors import ApiError
from admin_api.exchange.tokens import AUDIENCE, LIFETIME, LONGEST
from admin_api.principals.models import PrincipalRow
from admin_api.tokens.repository import TokenRepository
from gateway.domain.identity import ScramVerifier
from gateway.identity.provider import MAX_PASSWORD
from gateway.identity.scram import DEFAULT_ITERATIONS, client_key, parse_verifier, salted_password
from gateway.identity.tokens import TOKEN_PREFIX, scram_salt
from gateway.policy.units import parse_duration

GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
ACCESS: Final = "urn:ietf:params:oauth:token-type:access_token"
_TYPES: Final = frozenset({JWT, ACCESS, "urn:ietf:params:oauth:token-type:id_token"})


class ExchangeError(Exception):
    """An error of RFC 6749 section 5.2. ``description`` holds no part of a token."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.status = status


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A token, for how long it is good (seconds), and for whom it is."""

    token: str
    expires_in: int
    subject: str
    actor: str
    id: str


class TokenExchange:
    """One request."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def exchange(self, form: Mapping[str, str]) -> Exchanged:
        """The token. Raises ``ExchangeError``."""
        if form.get("grant_type") != GRANT:
            raise ExchangeError("unsupported_grant_type", f"grant_type must be {GRANT}")
        if form.get("requested_token_type", JWT) not in (JWT, ACCESS):
            raise ExchangeError("invalid_request", "requested_token_type: only JWTs are issued")
        if form.get("audience", AUDIENCE) != AUDIENCE:
            raise ExchangeError("invalid_target", f"audience: only {AUDIENCE}")
        lifetime = self._lifetime(form.get("expires_in"))
        subject = await self._who(form, "subject")
        actor = await self._who(form, "actor")
        if subject == actor:
            raise ExchangeError("invalid_request", "nobody acts for themselves")
        await self._check(subject, actor)
        context = self._context
        now = context.clock()
        identifier = context.new_id("act")
        expires = min(now + lifetime, now + LONGEST)
        claims: dict[str, Any] = {
            "iss": context.tokens.issuer,
            "aud": AUDIENCE,
            "sub": subject,
            "act": {"sub": actor},
            "jti": identifier,
            "iat": int(now.timestamp()),
            "exp": int(expires.timestamp()),
        }
        await context.tokens.renew()
        token = context.tokens.sign(claims)
        return Exchanged(token, int((expires - now).total_seconds()), subject, actor, identifier)

    async def _who(self, form: Mapping[str, str], role: str) -> str:
        token, kind = form.get(f"{role}_token"), form.get(f"{role}_token_type")
        if not token:
            raise ExchangeError("invalid_request", f"{role}_token is missing")
        if kind not in _TYPES:
            raise ExchangeError("invalid_request", f"{role}_token_type must be {ACCESS} or {JWT}")
        if token.startswith(TOKEN_PREFIX):
            return await self._whose_access_token(token, form.get(f"{role}_name"), role)
        try:
            return (await recognise(self._context, token)).name
        except ApiError:
            raise ExchangeError("invalid_grant", f"{role}_token is not good", status=401) from None

    async def _whose_access_token(self, token: str, name: str | None, role: str) -> str:
        """A gateway's access token says nothing about its owner, and only verifiers are kept: the owner is named."""
        if name is None:
            raise ExchangeError("invalid_request", f"{role}_name must name the owner of an access token (qg_…)")
        now = self._context.clock()
        async with self._context.database.transaction() as session:
            rows = await TokenRepository(session).live(name)
        verifiers = [parse_verifier(row.verifier) for row in rows if row.expires_at is None or now < row.expires_at]
        salt = scram_salt(self._context.install_secret, name)
        if not await asyncio.to_thread(_proves, token[:MAX_PASSWORD], verifiers, salt):
            raise ExchangeError("invalid_grant", f"{role}_token is not good", status=401)
        return name

    async def _check(self, subject: str, actor: str) -> None:
        async with self._context.database.transaction() as session:
            repository = DocumentRepository(session, PrincipalRow)
            person, agent = await repository.find(subject), await repository.find(actor)
        if person is None or agent is None:
            raise ExchangeError("invalid_grant", "both must be principals")
        document = agent.document
        if document.get("kind", "human") == "human":
            raise ExchangeError("invalid_grant", f"{actor} is a human; only services and agents act for others")
        if document.get("acts_for") not in (None, subject):
            raise ExchangeError("invalid_grant", f"{actor} may act for somebody else only")
        if not document.get("bearer", False):
            raise ExchangeError(
                "invalid_grant",
                f"{actor} cannot use such tokens: its document must say bearer: true",
            )

    @staticmethod
    def _lifetime(text: str | None) -> timedelta:
        if text is None:
            return LIFETIME
        try:
            seconds = float(text) if text.isdigit() else parse_duration(text)
        except ValueError:
            raise ExchangeError("invalid_request", "expires_in: seconds, or a duration such as 15m") from None
        if not 0 < seconds <= LONGEST.total_seconds():
            raise ExchangeError("invalid_request", f"expires_in: at most {int(LONGEST.total_seconds())} seconds")
        return timedelta(seconds=seconds)


def _proves(token: str, verifiers: Sequence[ScramVerifier], salt: bytes) -> bool:
    """Whether a token is behind one of the verifiers; takes as long for somebody who has none."""
    known: dict[tuple[bytes, int], bytes] = {}
    good = False
    for parameters in [(salt, DEFAULT_ITERATIONS), *((item.salt, item.iterations) for item in verifiers)]:
        if parameters not in known:
            known[parameters] = hashlib.sha256(client_key(salted_password(token, *parameters))).digest()
    for verifier in verifiers:
        good = hmac.compare_digest(known[verifier.salt, verifier.iterations], verifier.stored_key) or good
    return good

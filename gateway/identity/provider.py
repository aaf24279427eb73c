"""The built-in identity provider: principals of the snapshot, proved by access tokens."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from gateway import hookimpl
from gateway.domain.decision import SessionContext
from gateway.domain.identity import AccessToken, Login, PasswordCredentials, Proof, TokenIssuer
from gateway.domain.principal import Principal
from gateway.identity.scram import DEFAULT_ITERATIONS, client_key, salted_password
from gateway.identity.store import TokenRecord, TokenStore
from gateway.identity.tokens import scram_salt

MAX_PASSWORD: Final = 1024
"""Longest password that is hashed, characters; a longer one may be a bearer token but never an access token."""


class AccessTokenProvider:
    """Finds the tokens that may prove a user name, and checks tokens that come in clear.

    ``principals`` gives the current snapshot's principals: a token of somebody who is no longer there proves nothing,
    and a principal's groups are always the snapshot's. ``configured`` gives tokens from the configuration by principal,
    ``store`` has the issued ones; ``clock`` gives Unix seconds. ``asks_for_password`` says of a user name whether
    it is asked for a clear password, since who has it comes with a bearer token, and ``issuer_for`` where it gets one.

    ``find_login`` answers for every name, known or not, so register this provider as the last one.
    """

    def __init__(
        self,
        principals: Callable[[], Mapping[str, Principal]],
        configured: Callable[[], Mapping[str, Sequence[AccessToken]]],
        store: TokenStore | None,
        install_secret: bytes,
        clock: Callable[[], float],
        *,
        asks_for_password: Callable[[str], bool] = lambda user: False,
        issuer_for: Callable[[str], TokenIssuer | None] = lambda user: None,
    ) -> None:
        self._principals = principals
        self._configured = configured
        self._store = store
        self._clock = clock
        self._install_secret = install_secret
        self._asks_for_password = asks_for_password
        self._issuer_for = issuer_for
        self._revoked: frozenset[str] = frozenset()

    def revoke(self, ids: Iterable[str]) -> None:
        """Believe these tokens no longer, whatever configuration and store say. It holds until the process ends."""
        self._revoked |= frozenset(ids)

    def use_secret(self, install_secret: bytes) -> None:
        """Derive salts from another secret from now on: a gateway that is linked to a control plane shares its."""
        self._install_secret = install_secret

    def scram_parameters(self, name: str) -> tuple[bytes, int]:
        """Salt and iterations of a user name. A verifier given in the configuration brings its own."""
        for token in self._configured().get(name, ()):
            return token.scram.salt, token.scram.iterations
        return scram_salt(self._install_secret, name), DEFAULT_ITERATIONS

    @hookimpl
    def find_login(self, session: SessionContext) -> Login:
        """The valid tokens of the user for the session's resource. An unknown user's login looks like any other."""
        salt, iterations = self.scram_parameters(session.user)
        tokens = tuple(
            token
            for token in self._valid_tokens(session)
            if token.scram.salt == salt and token.scram.iterations == iterations
        )
        return Login(salt, iterations, tokens, self._asks_for_password(session.user), self._issuer_for(session.user))

    @hookimpl
    def authenticate(self, session: SessionContext, credentials: PasswordCredentials) -> Proof | None:
        """The principal whose token came in clear inside TLS; None where no valid token is this one."""
        if not session.tls or len(credentials.password) > MAX_PASSWORD:
            return None
        matched: AccessToken | None = None
        stored_keys: dict[tuple[bytes, int], bytes] = {}
        # An unknown user costs as much as one with tokens of one salt.
        _stored_key(credentials.password, self.scram_parameters(session.user), stored_keys)
        for token in self._valid_tokens(session):
            key = _stored_key(credentials.password, (token.scram.salt, token.scram.iterations), stored_keys)
            if hmac.compare_digest(key, token.scram.stored_key):
                matched = token
        return None if matched is None else Proof(matched.principal, matched.expires_at, matched)

    def _valid_tokens(self, session: SessionContext) -> list[AccessToken]:
        principal = self._principals().get(session.user)
        if principal is None:
            return []
        known = [replace(token, principal=principal) for token in self._configured().get(session.user, ())]
        if self._store is not None:
            known += [_token(record, principal) for record in self._store.find(session.user)]
        now = self._clock()
        return [
            token
            for token in known
            if (token.expires_at is None or now < token.expires_at)
            and token.id not in self._revoked
            and (not token.resources or session.resource in token.resources)
        ]


def _token(record: TokenRecord, principal: Principal) -> AccessToken:
    return AccessToken(record.id, principal, record.scram, record.resources, record.expires, record.sha2)


def _stored_key(password: str, parameters: tuple[bytes, int], known: dict[tuple[bytes, int], bytes]) -> bytes:
    key = known.get(parameters)
    if key is None:
        salt, iterations = parameters
        key = hashlib.sha256(client_key(salted_password(password, salt, iterations))).digest()
        known[parameters] = key
    return key

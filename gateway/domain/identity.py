"""How a principal proves itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.domain.principal import Principal


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """What RFC 5802 lets a server keep instead of a password (SCRAM-SHA-256, RFC 7677)."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A database password issued by the gateway: verifiers only, never the secret.

    ``resources`` empty means every resource; ``expires_at`` is Unix seconds (None: does not expire). ``sha2`` is what
    MySQL's caching_sha2_password needs; None where only the SCRAM verifier is known: the client then has to send the
    token itself, inside TLS or under the gateway's RSA key.
    """

    id: str
    principal: Principal
    scram: ScramVerifier
    resources: frozenset[str] = frozenset()
    expires_at: float | None = None
    sha2: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """What a client needs to know to get a bearer token for the person in front of it."""

    url: str
    client_id: str
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Login:
    """What a user name opens: the tokens that may prove it. All tokens share one salt, so that one SCRAM exchange
    serves several. An unknown user gets a ``Login`` without tokens whose salt is derived from the name, so that nobody
    can tell unknown users from known ones.

    ``password`` True means that the client is asked for its password in clear (inside TLS only), for bearer tokens.
    ``issuer`` is where a person gets such a token, for clients that ask.
    """

    salt: bytes
    iterations: int
    tokens: tuple[AccessToken, ...] = ()
    password: bool = False
    issuer: TokenIssuer | None = None


@dataclass(frozen=True, slots=True)
class PasswordCredentials:
    """A password or bearer token that came in clear inside TLS."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proof:
    """Whom a password or bearer token proves its bearer to be, and until when.

    ``expires_at`` is Unix seconds: the session takes no statement from then on. None: it lasts as long as it likes.
    ``token`` is the access token that it was, if it was one.
    """

    principal: Principal
    expires_at: float | None = None
    token: AccessToken | None = None

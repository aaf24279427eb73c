"""The client proves who it is: SCRAM-SHA-256 for access tokens, PLAIN and MONGODB-OIDC for bearers inside TLS.

Pure: a ``Login`` is told commands and answers and says what is asked or replied next. The specification is the drivers'
"Authentication"; a conversation may begin inside hello (``speculativeAuthenticate``).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

from bson import Binary

from gateway.domain.decision import SessionContext
from gateway.domain.identity import AccessToken, PasswordCredentials, Proof
from gateway.domain.identity import Login as Found
from gateway.domain.principal import Principal
from gateway.errors import AuthenticationError, GatewayError, RemoteProtocolError, TlsRequired
from gateway.identity.sasl import (
    NONCE_SIZE,
    SCRAM_SHA_256,
    Refused,
    ScramError,
    ScramServer,
    client_first_user,
)
from gateway.protocol.effects import AskAuthenticate, AskLogin
from gateway_mongodb.wire.codec import decode, encode

PLAIN: Final = "PLAIN"
OIDC: Final = "MONGODB-OIDC"
EXTERNAL: Final = "$external"
CONVERSATION: Final = 1
MAX_PAYLOAD: Final = 16 * 1024
"""Bytes of one SASL message."""
MAX_TOKENS: Final = 3
"""How often a client may begin on one connection, with a bearer token or by asking where to get one. Drivers keep
theirs, show it to see whether it is still good, and get another one when it is not; a password gets one guess."""


class Stage(Enum):
    """Whose word comes next."""

    START = "the client's: saslStart"
    HOST = "the host's: an answer is awaited"
    CONTINUE = "the client's: saslContinue with the proof"
    PERSON = "the client's: saslContinue with the token that a person gets meanwhile"
    LAST = "the client's: an empty saslContinue"
    DONE = "nobody's"


@dataclass(frozen=True, slots=True)
class Say:
    """Reply to the command with this document."""

    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the host; ``Login.answered`` takes what it says."""

    question: AskLogin | AskAuthenticate


@dataclass(frozen=True, slots=True)
class Proved:
    """The client is ``principal``. ``document`` is to be the reply once the database is connected."""

    context: SessionContext
    principal: Principal
    token: AccessToken | None
    resource: str
    document: dict[str, Any] = field(repr=False)
    expires_at: float | None = None


Step = Say | Ask | Proved


class Login:
    """One client's conversation. Methods raise ``GatewayError`` where it fails; there is no second chance then."""

    __slots__ = (
        "_certificate",
        "_context",
        "_first",
        "_fixed",
        "_known",
        "_random",
        "_resolve",
        "_resource",
        "_scram",
        "_skip_empty",
        "_tls",
        "_tls_required",
        "_tokens_shown",
        "mechanism",
        "stage",
    )

    def __init__(
        self,
        context: SessionContext,
        *,
        tls_required: bool,
        certificate: bytes | None,
        fixed_resource: str | None,
        resolve_resource: Callable[[str], bool],
        random: Callable[[int], bytes],
    ) -> None:
        self._context = context
        self._tls = context.tls
        self._tls_required = tls_required
        self._certificate = certificate
        self._first = b""
        self._fixed = fixed_resource
        self._known = ""
        """Who the client of an open session is."""
        self._resolve = resolve_resource
        self._random = random
        self._resource = ""
        self._scram: ScramServer | None = None
        self._skip_empty = False
        self._tokens_shown = 0
        self.mechanism = ""
        self.stage = Stage.START

    @property
    def context(self) -> SessionContext:
        """What is known of the client so far."""
        return self._context

    def mechanisms(self) -> list[str]:
        """What may be used here, for hello's ``saslSupportedMechs``. The same for every name."""
        return [SCRAM_SHA_256, PLAIN] if self._tls else [SCRAM_SHA_256]

    def named(self, application: str) -> None:
        """The client told the application's name."""
        self._context = replace(self._context, application=application)

    @property
    def another_try(self) -> bool:
        """Whether a client whose proof was not good may come with another one."""
        return self.mechanism == OIDC and self._tokens_shown < MAX_TOKENS

    @property
    def renewable(self) -> bool:
        """Whether the client can prove itself anew in the open session."""
        return self.mechanism == OIDC and self.stage is Stage.DONE

    def begin_again(self) -> Login:
        """The same for a client that is known, and shows another token."""
        again = Login(
            self._context,
            tls_required=self._tls_required,
            certificate=self._certificate,
            fixed_resource=self._resource,
            resolve_resource=self._resolve,
            random=self._random,
        )
        again._known = self._context.user
        return again

    def start_over(self) -> None:
        """What began came to nothing, and the client begins again."""
        self._scram = None
        self.stage = Stage.START

    # --- commands -----------------------------------------------------------------------------------------------

    def start(self, command: Mapping[str, Any], source: str) -> Step:
        """saslStart. ``source`` is the database that the user is said to be of."""
        if self.stage is not Stage.START:
            raise RemoteProtocolError("saslStart came in the middle of another authentication")
        if self._tls_required and not self._tls:
            raise TlsRequired("the client came without TLS")
        self.mechanism = str(command.get("mechanism", ""))
        payload = _payload(command)
        options = command.get("options")
        self._skip_empty = isinstance(options, Mapping) and options.get("skipEmptyExchange") is True
        self.stage = Stage.HOST
        match self.mechanism:
            case "SCRAM-SHA-256":
                return self._start_scram(payload, source)
            case "PLAIN":
                self._only_external(source)
                return self._start_plain(payload)
            case "MONGODB-OIDC":
                self._tokens_shown += 1
                self._only_external(source)
                return self._start_oidc(payload)
            case _:
                raise AuthenticationError("the client chose a mechanism that was not offered")

    def proceed(self, command: Mapping[str, Any]) -> Step:
        """saslContinue."""
        if command.get("conversationId") != CONVERSATION:
            raise RemoteProtocolError("saslContinue names a conversation that does not exist")
        payload = _payload(command)
        if self.stage is Stage.LAST:
            self.stage = Stage.DONE
            if payload:
                raise RemoteProtocolError("saslContinue has a payload where the conversation is over")
            return Say(_sasl(b"", done=True))
        if self.stage is Stage.PERSON:
            self.stage = Stage.HOST
            return self._show_token(_token(payload))
        if self.stage is not Stage.CONTINUE or self._scram is None:
            raise RemoteProtocolError("saslContinue came where nothing is to be continued")
        step = self._scram.finish(payload)
        if isinstance(step, Refused):
            raise AuthenticationError(step.reason)
        self.stage = Stage.DONE if self._skip_empty else Stage.LAST
        reply = _sasl(step.data, done=self._skip_empty)
        token = step.token
        return Proved(self._context, token.principal, token, self._resource, reply, token.expires_at)

    def answered(self, result: object) -> Step:
        """The host's answer."""
        if isinstance(result, GatewayError):
            raise result
        if isinstance(result, Found) and self.mechanism == OIDC:
            return self._name_issuer(result)
        if isinstance(result, Found) and self._scram is None:
            return self._challenge(result)
        if isinstance(result, Proof):
            principal = result.principal
            if not self._context.user:
                self._context = replace(self._context, user=principal.name)
            self.stage = Stage.DONE
            reply = _sasl(b"", done=True)
            return Proved(self._context, principal, result.token, self._resource, reply, result.expires_at)
        raise AuthenticationError(f"no usable answer: {type(result).__name__}")

    # --- mechanisms ---------------------------------------------------------------------------------------------

    def _start_scram(self, payload: bytes, source: str) -> Step:
        self._first = payload
        try:
            user = client_first_user(payload)
        except ScramError as error:
            raise AuthenticationError(f"SCRAM: {error}") from None
        self._route(user, source)
        return Ask(AskLogin(self._context))

    def _challenge(self, found: Found) -> Step:
        self._scram = ScramServer(found, nonce=self._random(NONCE_SIZE), certificate=None)
        step = self._scram.begin(SCRAM_SHA_256, self._first)
        if isinstance(step, Refused):
            raise AuthenticationError(step.reason)
        self.stage = Stage.CONTINUE
        return Say(_sasl(step.data, done=False))

    def _start_plain(self, payload: bytes) -> Step:
        parts = payload.split(b"\0")
        if len(parts) != 3:
            raise AuthenticationError("PLAIN: the message is not made of three parts")
        try:
            authorization, user, password = (part.decode() for part in parts)
        except UnicodeDecodeError:
            raise AuthenticationError("PLAIN: the message is not UTF-8") from None
        if authorization not in ("", user) or not password:
            raise AuthenticationError("PLAIN: another authorization identity, or no password")
        self._route(user, EXTERNAL)
        return Ask(AskAuthenticate(self._context, PasswordCredentials(self._context.user, password)))

    def _start_oidc(self, payload: bytes) -> Step:
        said = decode(payload) if payload else {}
        if "jwt" in said:
            self._route("", EXTERNAL)
            return self._show_token(_token(payload))
        # Somebody who has to be asked for it: the client wants to know where tokens come from, and may say for whom.
        name = said.get("n")
        self._route(name if isinstance(name, str) else "", EXTERNAL)
        return Ask(AskLogin(self._context))

    def _name_issuer(self, found: Found) -> Step:
        issuer = found.issuer
        if issuer is None:
            raise AuthenticationError(
                "MONGODB-OIDC: the client has no token, and there is no issuer with a client_id for it to ask"
            )
        self.stage = Stage.PERSON
        wanted = {"issuer": issuer.url, "clientId": issuer.client_id, "requestScopes": list(issuer.scopes)}
        return Say(_sasl(encode(wanted), done=False))

    def _show_token(self, token: str) -> Step:
        if not self._resource:
            # Whose token it is, nobody has verified yet: it only says which resource is wanted.
            self._resource = _wanted_resource(token)
            self._context = replace(self._context, resource=self._resource)
        return Ask(AskAuthenticate(self._context, PasswordCredentials(self._context.user, token)))

    def _only_external(self, source: str) -> None:
        if not self._tls:
            raise TlsRequired("a password or token in clear is accepted inside TLS only")
        if source != EXTERNAL:
            raise AuthenticationError(f"{self.mechanism} belongs to the database {EXTERNAL}")

    def _route(self, user: str, source: str) -> None:
        """Find the resource: the listener's own, or ``user#resource``, or the authentication database's name."""
        name, mark, suffix = user.rpartition("#")
        if not mark:
            name, suffix = user, ""
        name = self._known or name
        if self._fixed is not None:
            resource = self._fixed
        elif suffix:
            resource = suffix
        elif source not in ("admin", EXTERNAL) and self._resolve(source):
            resource = source
        else:
            resource = ""
        self._resource = resource
        self._context = replace(self._context, user=name, resource=resource)


def _token(payload: bytes) -> str:
    token = decode(payload).get("jwt") if payload else None
    if not isinstance(token, str):
        raise AuthenticationError("MONGODB-OIDC: the client shows no token")
    return token


def _sasl(payload: bytes, *, done: bool) -> dict[str, Any]:
    return {"conversationId": CONVERSATION, "done": done, "payload": Binary(payload), "ok": 1.0}


def _payload(command: Mapping[str, Any]) -> bytes:
    found = command.get("payload")
    if isinstance(found, str):  # an old way of writing it
        try:
            found = base64.b64decode(found, validate=True)
        except (ValueError, binascii.Error):
            found = None
    if not isinstance(found, bytes) or len(found) > MAX_PAYLOAD:
        raise RemoteProtocolError("a SASL command has no payload, or one that is too long")
    return bytes(found)


def _wanted_resource(token: str) -> str:
    """The claim ``querygate_resource`` of a token nobody has verified: which resource its bearer wants."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        found = claims.get("querygate_resource", "")
    except (IndexError, ValueError, AttributeError):
        return ""
    return found if isinstance(found, str) else ""

"""Authentication as step objects over messages: bytes in, then bytes to send, or accepted, or refused.

Downstream (the gateway is the server): ``SaslExchange`` for access tokens, ``CleartextExchange`` for bearer tokens
inside TLS. Upstream (the gateway is the client): ``UpstreamAuthentication``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from gateway.domain.identity import Login
from gateway.errors import RemoteProtocolError, UpstreamAuthenticationError
from gateway.identity.sasl import (
    NONCE_SIZE,
    Accepted,
    Challenge,
    Refused,
    ScramClient,
    ScramError,
    ScramServer,
)
from gateway_postgres.wire.authentication import (
    AuthenticationCleartextPassword,
    AuthenticationMd5Password,
    AuthenticationMessage,
    AuthenticationOk,
    AuthenticationSasl,
    AuthenticationSaslContinue,
    AuthenticationSaslFinal,
    AuthenticationUnsupported,
    PasswordMessage,
    SaslInitialResponse,
    SaslResponse,
)

MAX_AUTHENTICATION_MESSAGE = 65_535
"""What PostgreSQL itself accepts of a client before it is authenticated, bytes."""


class SaslExchange:
    """SCRAM with a client. ``start`` gives the offer; then ``receive`` each body of type ``p``.

    ``Challenge`` and ``Accepted`` hold whole messages to send; ``Accepted`` includes AuthenticationOk. A body that is
    no message of the exchange raises ``RemoteProtocolError``.
    """

    def __init__(self, login: Login, *, nonce: bytes, certificate: bytes | None) -> None:
        self._scram = ScramServer(login, nonce=nonce, certificate=certificate)
        self._begun = False

    def start(self) -> bytes:
        """AuthenticationSASL with what is offered."""
        return AuthenticationSasl(self._scram.mechanisms).encode()

    def receive(self, body: bytes) -> Challenge | Accepted | Refused:
        """The client's next message."""
        if not self._begun:
            self._begun = True
            initial = SaslInitialResponse.decode(body)
            return self._wrap(self._scram.begin(initial.mechanism, initial.data))
        return self._wrap(self._scram.finish(SaslResponse.decode(body).data))

    @staticmethod
    def _wrap(step: Challenge | Accepted | Refused) -> Challenge | Accepted | Refused:
        match step:
            case Challenge(data):
                return Challenge(AuthenticationSaslContinue(data).encode())
            case Accepted(token, data):
                return Accepted(token, AuthenticationSaslFinal(data).encode() + AuthenticationOk().encode())
            case Refused():
                return step
            case _ as unreachable:
                assert_never(unreachable)


@dataclass(frozen=True, slots=True)
class PasswordGiven:
    """The client sent this; whoever knows bearer tokens must check it."""

    password: str = field(repr=False)


class CleartextExchange:
    """Ask a client for its password in clear. Refuses to begin outside TLS."""

    def __init__(self, *, tls: bool) -> None:
        if not tls:
            raise RemoteProtocolError("a password in clear is accepted inside TLS only")

    def start(self) -> bytes:
        """AuthenticationCleartextPassword."""
        return AuthenticationCleartextPassword().encode()

    def receive(self, body: bytes) -> PasswordGiven | Refused:
        """The client's answer; an empty one is refused at once."""
        raw = PasswordMessage.decode(body).password
        if not raw:
            return Refused("the password is empty")
        try:
            return PasswordGiven(raw.decode())
        except UnicodeDecodeError:
            return Refused("the password is not UTF-8")

    def accept(self) -> bytes:
        """AuthenticationOk."""
        return AuthenticationOk().encode()


class UpstreamAuthentication:
    """The client's side towards a database: feed it every message of type ``R``, send what it returns.

    SCRAM is used with channel binding where the server offers it over TLS. A password in clear is given inside TLS
    only; MD5 anywhere, being what old servers have. ``done`` is True after AuthenticationOk, which is believed only
    once a begun SCRAM exchange has proved the server. Raises ``UpstreamAuthenticationError``.
    """

    def __init__(
        self,
        user: str,
        password: str | None,
        *,
        tls: bool,
        certificate: bytes | None,
        random: Callable[[int], bytes],
    ) -> None:
        self._user = user
        self._password = password
        self._tls = tls
        self._certificate = certificate
        self._random = random
        self._scram: ScramClient | None = None
        self.done = False
        self.method = "trust"
        """How the server had us prove ourselves: trust, password, md5 or a SASL mechanism."""

    def receive(self, message: AuthenticationMessage) -> bytes:
        """What to send; empty where nothing is due."""
        if self.done:
            raise UpstreamAuthenticationError("the server goes on authenticating after AuthenticationOk")
        try:
            return self._receive(message)
        except ScramError as error:
            raise UpstreamAuthenticationError(f"SCRAM with the server: {error}") from error

    def _receive(self, message: AuthenticationMessage) -> bytes:
        match message:
            case AuthenticationOk():
                if self._scram is not None and not self._scram.verified:
                    raise UpstreamAuthenticationError("the server accepted before it proved itself")
                self.done = True
                return b""
            case AuthenticationCleartextPassword():
                if not self._tls:
                    raise UpstreamAuthenticationError("the server wants the password in clear outside TLS")
                return self._answer("password", self._secret())
            case AuthenticationMd5Password(salt):
                inner = _md5(self._secret() + self._user.encode())
                return self._answer("md5", b"md5" + _md5(inner + salt))
            case AuthenticationSasl(mechanisms):
                self._expect_first()
                scram = ScramClient(
                    self._configured(),
                    offered=mechanisms,
                    nonce=self._random(NONCE_SIZE),
                    certificate=self._certificate if self._tls else None,
                )
                self._scram = scram
                self.method = scram.mechanism
                return SaslInitialResponse(scram.mechanism, scram.begin()).encode()
            case AuthenticationSaslContinue(data):
                return SaslResponse(self._exchange().respond(data)).encode()
            case AuthenticationSaslFinal(data):
                self._exchange().verify(data)
                return b""
            case AuthenticationUnsupported(kind):
                raise UpstreamAuthenticationError(f"the server wants an unsupported authentication method ({kind})")
            case _ as unreachable:
                assert_never(unreachable)

    def _secret(self) -> bytes:
        return self._configured().encode("utf-8", "surrogateescape")

    def _configured(self) -> str:
        if self._password is None:
            raise UpstreamAuthenticationError("the server wants a password and none is configured")
        if "\0" in self._password:
            raise UpstreamAuthenticationError("the configured password contains NUL")
        return self._password

    def _expect_first(self) -> None:
        if self.method != "trust":
            raise UpstreamAuthenticationError("the server asks for a second proof")

    def _exchange(self) -> ScramClient:
        if self._scram is None:
            raise UpstreamAuthenticationError("the server goes on with a SASL exchange that was not begun")
        return self._scram

    def _answer(self, method: str, password: bytes) -> bytes:
        self._expect_first()
        self.method = method
        return PasswordMessage(password).encode()


def _md5(data: bytes) -> bytes:
    # The protocol's own choice; ``usedforsecurity`` would only stop it on hosts that forbid MD5 altogether.
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode("ascii")

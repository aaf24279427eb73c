"""The startup phase: the client's answer to the greeting, its proof, the database's login.

The gateway decides here who the client is and to what it is connected. The database sees the gateway's own user and
credentials; of the client's answer it gets the capabilities, the character set and the connection attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gateway.domain.audit import SessionEventKind
from gateway.domain.decision import SessionContext
from gateway.domain.identity import Login, PasswordCredentials, Proof
from gateway.domain.principal import Principal
from gateway.errors import (
    AuthenticationError,
    GatewayError,
    LocalProtocolError,
    RemoteProtocolError,
    TlsRequired,
    UnknownResource,
    UnsupportedFeature,
)
from gateway.protocol.adapter import Opened, RelaySettings
from gateway.protocol.effects import (
    Ask,
    AskAuthenticate,
    AskLogin,
    AskOpen,
    Close,
    Effect,
    Identified,
    RecordSession,
    SendDownstream,
    SendUpstream,
)
from gateway_mysql.core import Core
from gateway_mysql.errors import err_payload
from gateway_mysql.options import UpstreamOptions
from gateway_mysql.routing import Route, route
from gateway_mysql.wire.auth import Clear, Proved, Refused, Say, Sha2Exchange, Step
from gateway_mysql.wire.capabilities import (
    MARIADB_RELAYED,
    NEEDED,
    RELAYED,
    Capability,
    asked,
)
from gateway_mysql.wire.compression import Compression, ServerCompression
from gateway_mysql.wire.handshake import MAX_LOGIN_PAYLOAD, ChangeUser, Greeting, HandshakeResponse
from gateway_mysql.wire.messages import Ok, without_session_state
from gateway_mysql.wire.packets import PacketBuffer, packet
from gateway_mysql.wire.scramble import CLEAR
from gateway_mysql.wire.upstream import UTF8MB4, LoginOptions, LoginResult, upstream_login


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a session began with: the greeting, the client's answer to it, and the resource that this led to.

    For a login on a connection that had one before, ``response`` is made of the client's new word and of what stays as
    it was agreed on. ``ahead`` is what the client sent behind it, ``compression`` how the connection is compressed.
    """

    greeting: Greeting
    response: HandshakeResponse
    resource: str
    ahead: bytes = b""
    compression: Compression | None = None

    def again(self, change: ChangeUser, nonce: bytes, ahead: bytes, compression: Compression | None) -> Beginning:
        """The beginning of the session that COM_CHANGE_USER asks for."""
        response = replace(
            self.response,
            user=change.user,
            proof=change.proof,
            database=change.database,
            # Numbers above 255 fit into no other message; SET NAMES tells the server what is meant.
            charset=change.charset if change.charset < _CHARSETS else UTF8MB4,
            plugin=change.plugin,
            attributes=change.attributes,
        )
        return Beginning(replace(self.greeting, nonce=nonce), response, self.resource, ahead, compression)


_CHARSETS: Final = 256
"""How many collations the one byte of a login can name."""


class Phase(Enum):
    """Where the startup is; every phase says whose word comes next."""

    GREETING = "our own greeting, handed over by the preamble"
    AGAIN = "the client's, which has been said: COM_CHANGE_USER"
    RESPONSE = "the client's answer to it"
    LOGIN = "the host: who may this be?"
    PROOF = "the client's proof"
    AUTHENTICATE = "the host: is the bearer token good?"
    OPEN = "the host: authorise and connect"
    UPSTREAM = "the database's login"
    OVER = "nobody's"


class Startup:
    """The startup phase of one session. ``open`` is set when commands may flow."""

    def __init__(
        self, settings: RelaySettings, private_key: Callable[[], RSAPrivateKey], again: Beginning | None = None
    ) -> None:
        self._settings = settings
        self._private_key = private_key
        self._phase = Phase.GREETING
        self._buffer = PacketBuffer(max_payload=MAX_LOGIN_PAYLOAD)
        self._context = SessionContext(
            id=settings.session_id, protocol="mysql", client_address=settings.client_address, tls=settings.tls
        )
        self._greeting: Greeting | None = None
        self._response: HandshakeResponse | None = None
        self._route = Route("", "", None)
        self._exchange: Sha2Exchange | None = None
        self._principal: Principal | None = None
        self._ask: Ask | None = None
        self._opened: Opened | None = None
        self._handshake: Generator[bytes, bytes, LoginResult] | None = None
        self.effects: list[Effect] = []
        self.open: Core | None = None
        self.thread = 0
        """The number that the client knows the session by."""
        self.upstream_thread = 0
        self.upstream_rest = b""
        self.compression: Compression | None = None
        """What the client's side is compressed by from now on."""
        self.upstream_compression: ServerCompression | None = None
        """The same of the database's side."""
        self._again = again
        if again is not None:
            self._greeting = again.greeting
            self.thread = again.greeting.thread
            self.compression = again.compression
            self._phase = Phase.AGAIN
            self._buffer.sequence = 1
            self._buffer.feed(again.ahead)

    @property
    def over(self) -> bool:
        """Whether the login came to an end, good or bad."""
        return self._phase is Phase.OVER

    @property
    def beginning(self) -> Beginning:
        """What the session began with."""
        greeting, response = self._greeting, self._response
        if greeting is None or response is None:
            raise LocalProtocolError("the session has not begun")
        return Beginning(greeting, response, self._route.resource)

    # --- events -------------------------------------------------------------------------------------------------

    def receive_downstream(self, data: bytes) -> None:
        """Take bytes from the client (and, first of all, our own greeting)."""
        if self._phase is Phase.OVER:
            return
        self._buffer.feed(data)
        if len(self._buffer) > 2 * MAX_LOGIN_PAYLOAD:
            raise RemoteProtocolError("the client sends ahead before it is authenticated")
        self._advance()

    def _advance(self) -> None:
        """Take the client's next message, if it is due and there."""
        if self._phase is Phase.GREETING:
            payload = self._buffer.take()
            if payload is None:
                return
            self._greeting = Greeting.decode(payload)
            self.thread = self._greeting.thread
            self._phase = Phase.RESPONSE
            if self._settings.tls:
                self._buffer.sequence = 2  # the request for TLS was the first
        if self._phase is Phase.AGAIN and self._again is not None:
            self._phase = Phase.RESPONSE
            self._answered(self._again.response)
        elif self._phase is Phase.RESPONSE:
            payload = self._buffer.take()
            if payload is not None:
                self._answered(HandshakeResponse.decode(payload))
        elif self._phase is Phase.PROOF and self._exchange is not None:
            payload = self._buffer.take()
            if payload is not None:
                self._proof(self._exchange.receive(payload))

    def take_downstream(self) -> bytes:
        """What the client has sent ahead for the open session."""
        return self._buffer.take_rest()

    def receive_upstream(self, data: bytes) -> None:
        """Take bytes from the database; ``b""`` means that it hung up."""
        if self._phase is Phase.UPSTREAM:
            self._log_in(data)

    def answer(self, ask: Ask, result: object) -> None:
        """Take the answer to a question."""
        if ask is not self._ask or self._phase is Phase.OVER:
            return
        self._ask = None
        if isinstance(result, GatewayError):
            self.refuse(result)
            return
        match ask, result:
            case AskLogin(), Login():
                self._challenge(result)
                self._advance()
            case AskAuthenticate(), Proof():
                self._identified(result)
            case AskOpen(), Opened():
                self._connected(result)
            case _:
                raise LocalProtocolError(f"{type(result).__name__} is no answer to {type(ask).__name__}")

    def refuse(self, error: GatewayError) -> None:
        """End the session with a native error."""
        if self._phase is Phase.OVER:
            return
        kind = SessionEventKind.REFUSED
        if isinstance(error, AuthenticationError) and self._principal is None:
            kind = SessionEventKind.LOGIN_FAILED
        self._phase = Phase.OVER
        self.effects.append(RecordSession(kind, str(error)))
        self._say(err_payload(error, reference=self._settings.session_id))
        self.effects.append(Close(error))

    def fail_silently(self) -> None:
        """There is nobody to talk to any more."""
        if self._phase is not Phase.OVER:
            self._phase = Phase.OVER
            self.effects.append(Close())

    # --- steps --------------------------------------------------------------------------------------------------

    def _say(self, payload: bytes) -> None:
        data = packet(payload, self._buffer.sequence)
        self._buffer.sequence = (self._buffer.sequence + 1) & 0xFF
        self.effects.append(SendDownstream(data))

    def _answered(self, response: HandshakeResponse) -> None:
        if self._greeting is None:
            raise LocalProtocolError("there is no greeting to answer")
        if self._settings.tls_required and not self._settings.tls:
            raise TlsRequired("the client came without TLS")
        if missing := NEEDED & ~response.capabilities:
            raise UnsupportedFeature(f"the client lacks capabilities that the gateway needs: {missing!r}")
        self._response = response
        self._route = route(_text(response.user), _text(response.database) or None, fixed=self._settings.fixed_resource)
        if self._again is not None and not self._route.resource:
            self._route = replace(self._route, resource=self._again.resource)
        application = response.attributes.get(b"program_name") or response.attributes.get(b"_client_name") or b""
        self._context = SessionContext(
            id=self._settings.session_id,
            protocol="mysql",
            client_address=self._settings.client_address,
            tls=self._settings.tls,
            user=self._route.user,
            database=_text(response.database) or None,
            application=application.decode("utf-8", "replace"),
            resource=self._route.resource,
        )
        self._phase = Phase.LOGIN
        self._ask_host(AskLogin(self._context))

    def _challenge(self, login: Login) -> None:
        greeting, response = self._greeting, self._response
        if greeting is None or response is None:
            raise LocalProtocolError("a login came before the client")
        self._exchange = Sha2Exchange(
            login.tokens, greeting.nonce, tls=self._settings.tls, private_key=self._private_key
        )
        self._phase = Phase.PROOF
        # The proof of a client that logs in again is made with a nonce that was used before: it is asked for another.
        plugin = response.plugin if self._again is None or response.plugin == CLEAR else b""
        self._proof(self._exchange.start(plugin, response.proof))

    def _proof(self, step: Step) -> None:
        match step:
            case Say(payload):
                self._say(payload)
            case Proved(token, payload):
                if payload:
                    self._say(payload)
                self._identified(Proof(token.principal, token.expires_at, token))
            case Refused(reason):
                raise AuthenticationError(reason)
            case Clear(password):
                self._phase = Phase.AUTHENTICATE
                self._ask_host(AskAuthenticate(self._context, PasswordCredentials(self._context.user, password)))

    def _identified(self, proof: Proof) -> None:
        self._principal = principal = proof.principal
        self.effects.append(Identified(self._context, principal, proof.token, proof.expires_at))
        if not self._settings.resolve_resource(self._route.resource):
            raise UnknownResource("the client asked for a resource that does not exist")
        self._phase = Phase.OPEN
        self._ask_host(
            AskOpen(self._context, principal, self._route.resource, self._route.database, options=self._options())
        )

    def _flags(self) -> Capability:
        """What was agreed on with the client: what it asks for, as far as it was promised."""
        greeting, response = self._greeting, self._response
        if greeting is None or response is None:
            raise LocalProtocolError("nothing was agreed on with the client")
        return response.capabilities & (greeting.capabilities | Capability.LONG_PASSWORD)

    def _options(self) -> Capability:
        """What the server is to be asked for; it has to be said with the request for TLS already."""
        return asked(self._flags(), tls=False)

    def _connected(self, opened: Opened) -> None:
        response = self._response
        if response is None:
            raise LocalProtocolError("the database is there, but no client")
        self._opened = opened
        self._phase = Phase.UPSTREAM
        greeting = Greeting.decode(opened.handle.greeting)
        self.upstream_thread = greeting.thread
        wanted = self._options()
        if missing := self._flags() & (RELAYED | MARIADB_RELAYED) & ~greeting.capabilities:
            raise UnsupportedFeature(f"the database server lacks what the client was promised: {missing!r}")
        settings = UpstreamOptions.read(opened.resource.parameters)
        wanted |= settings.choose(greeting.capabilities)
        options = LoginOptions(wanted, response.charset or UTF8MB4, response.attributes, settings.level)
        # Where neither the client nor the configuration names a database, none is selected.
        database = opened.database if self._route.database or opened.resource.database else ""
        credentials = opened.credentials
        self._handshake = upstream_login(
            greeting, credentials.username, credentials.password, database, options, tls=opened.handle.tls
        )
        self.effects.append(SendUpstream(next(self._handshake)))

    def _log_in(self, data: bytes) -> None:
        handshake = self._handshake
        if handshake is None:
            raise LocalProtocolError("the database spoke before it was asked")
        try:
            output = handshake.send(data)
        except StopIteration as stop:
            self._ready(stop.value)
        else:
            if output:
                self.effects.append(SendUpstream(output))

    def _ready(self, login: LoginResult) -> None:
        """The database accepts commands: tell the client."""
        opened, response = self._opened, self._response
        if opened is None or response is None:
            raise LocalProtocolError("the database is ready, but for nobody")
        flags = self._flags()
        core = Core(self._settings, opened, flags, login.capabilities, response.user)
        ok = login.ok if flags & Capability.SESSION_TRACK else without_session_state(login.ok)
        core.tracker.status(ok.status)
        self._say(Ok(status=ok.status, warnings=ok.warnings, rest=ok.rest).encode())
        if self._again is None and flags & (Capability.COMPRESS | Capability.ZSTD):
            # A client that can do both is expected to use zlib.
            zstd = not flags & Capability.COMPRESS
            self.compression = Compression(zstd=zstd, level=response.zstd_level)
        packed = login.capabilities & (Capability.COMPRESS | Capability.ZSTD)
        if packed:
            level = UpstreamOptions.read(opened.resource.parameters).level
            self.upstream_compression = ServerCompression(zstd=bool(packed & Capability.ZSTD), level=level)
        core.probe()
        self.upstream_rest = login.leftover
        self._phase = Phase.OVER
        self.open = core

    def _ask_host(self, ask: Ask) -> None:
        self._ask = ask
        self.effects.append(ask)


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("handshake response: a name is not UTF-8") from None

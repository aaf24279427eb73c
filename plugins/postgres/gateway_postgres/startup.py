"""A session before its first statement: startup packet, who the client is, which database it gets.

The client proves itself to the gateway and never to the database; the gateway logs in to the database with credentials
of its own. The database's settings and the client's own startup parameters meet here (PostgreSQL documentation 55.2.1).
"""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum
from typing import Final

from gateway.domain.audit import SessionEventKind
from gateway.domain.decision import SessionContext
from gateway.domain.identity import Login, PasswordCredentials, Proof
from gateway.domain.principal import Principal
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, opaque_analysis
from gateway.errors import (
    AuthenticationError,
    GatewayError,
    LocalProtocolError,
    RemoteProtocolError,
    TlsRequired,
    UnknownResource,
)
from gateway.identity.sasl import NONCE_SIZE, Accepted, Challenge, Refused
from gateway.protocol.adapter import Opened, RelaySettings
from gateway.protocol.effects import (
    Ask,
    AskAuthenticate,
    AskCancel,
    AskLogin,
    AskOpen,
    AskRuling,
    Close,
    Effect,
    Identified,
    RecordSession,
    SendDownstream,
    SendUpstream,
)
from gateway_postgres import settings
from gateway_postgres.core import Core
from gateway_postgres.errors import error_response
from gateway_postgres.pipeline import Kind, Pending
from gateway_postgres.session import probe
from gateway_postgres.wire.auth import (
    MAX_AUTHENTICATION_MESSAGE,
    CleartextExchange,
    PasswordGiven,
    SaslExchange,
)
from gateway_postgres.wire.backend import (
    BackendKeyData,
    NegotiateProtocolVersion,
    ParameterStatus,
    ReadyForQuery,
)
from gateway_postgres.wire.framing import FrameBuffer
from gateway_postgres.wire.startup import PROTOCOL_3_2, CancelRequest, StartupMessage, decode_startup
from gateway_postgres.wire.upstream import LoginResult, upstream_login

_PASSWORD: Final = ord("p")
_TERMINATE: Final = ord("X")
_REPLICATION_ON: Final = frozenset({"true", "on", "yes", "1", "database"})
_REPLICATION_OFF: Final = frozenset({"false", "off", "no", "0"})


class Phase(Enum):
    """Where the startup is; every phase says whose word comes next."""

    PACKET = "the client's startup packet"
    LOGIN = "the host: who may this be?"
    PROOF = "the client's proof"
    AUTHENTICATE = "the host: is the bearer token good?"
    OPEN = "the host: authorise and connect"
    RULING = "the host: may the session begin with these settings, or be a replication session?"
    UPSTREAM = "the database's login"
    OVER = "nobody's"


class Startup:
    """The startup phase of one session. ``open`` is set when statements may flow."""

    __slots__ = (
        "_ask",
        "_bearer",
        "_buffer",
        "_context",
        "_exchange",
        "_handshake",
        "_opened",
        "_parameters",
        "_phase",
        "_principal",
        "_replication",
        "_resource",
        "_settings",
        "_upstream_database",
        "_version",
        "cancel_key",
        "effects",
        "open",
        "upstream_cancel_key",
        "upstream_rest",
    )

    def __init__(self, settings: RelaySettings) -> None:
        self._settings = settings
        self._phase = Phase.PACKET
        self._buffer = FrameBuffer(max_message=MAX_AUTHENTICATION_MESSAGE)
        self._context = SessionContext(
            id=settings.session_id, protocol="postgres", client_address=settings.client_address, tls=settings.tls
        )
        self._parameters: dict[str, str] = {}
        self._version = 0
        self._resource = ""
        self._upstream_database: str | None = None
        self._replication = False
        self._exchange: SaslExchange | None = None
        self._bearer: CleartextExchange | None = None
        self._principal: Principal | None = None
        self._ask: Ask | None = None
        self._opened: Opened | None = None
        self._handshake: Generator[bytes, bytes, LoginResult] | None = None
        self.effects: list[Effect] = []
        self.open: Core | None = None
        self.cancel_key: bytes | None = None
        self.upstream_cancel_key: bytes | None = None
        self.upstream_rest = b""

    # --- events -------------------------------------------------------------------------------------------------

    def receive_downstream(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self._phase is Phase.OVER:
            return
        self._buffer.feed(data)
        if len(self._buffer) > MAX_AUTHENTICATION_MESSAGE:
            raise RemoteProtocolError("the client sends ahead before it is authenticated")
        self._advance()

    def _advance(self) -> None:
        """Take the client's next message, if it is due and there."""
        if self._phase is Phase.PACKET:
            body = self._buffer.take_startup(max_length=self._settings.limits.max_startup)
            if body is not None:
                self._packet(body)
        elif self._phase is Phase.PROOF:
            kind = self._buffer.next()
            if kind == _PASSWORD:
                self._proof(self._buffer.body())
            elif kind == _TERMINATE:
                self.fail_silently()
            elif kind is not None:
                raise RemoteProtocolError("expected a password message")

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
                self._advance()  # a client may send its password together with the startup packet
            case AskAuthenticate(), Proof():
                if self._bearer is not None:
                    self.effects.append(SendDownstream(self._bearer.accept()))
                self._identified(result)
            case AskOpen(), Opened():
                self._connected(result)
            case AskRuling(), Ruling():
                if result.refusal is not None:
                    self.refuse(result.refusal)
                else:
                    self._begin_upstream_login()
            case AskCancel(), _:
                self.fail_silently()
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
        self.effects.append(SendDownstream(error_response(error, reference=self._settings.session_id, fatal=True)))
        self.effects.append(Close(error))

    def fail_silently(self) -> None:
        """There is nobody to talk to any more."""
        if self._phase is not Phase.OVER:
            self._phase = Phase.OVER
            self.effects.append(Close())

    # --- steps --------------------------------------------------------------------------------------------------

    def _packet(self, body: bytes) -> None:
        packet = decode_startup(body)
        if isinstance(packet, CancelRequest):
            self._phase = Phase.OPEN
            self._ask_host(AskCancel(packet.pid.to_bytes(4, "big") + packet.secret))
            return
        if not isinstance(packet, StartupMessage):
            raise RemoteProtocolError("encryption was asked for where it cannot begin")
        if self._settings.tls_required and not self._settings.tls:
            raise TlsRequired("the client came without TLS")
        self._version = min(packet.version, PROTOCOL_3_2)
        options = packet.protocol_options
        if packet.version > PROTOCOL_3_2 or options:
            self.effects.append(SendDownstream(NegotiateProtocolVersion(self._version, options).encode()))
        self._parameters = {
            name: value
            for name, value in packet.parameters.items()
            if name not in ("user", "database", "replication") and name not in options
        }
        replication = packet.parameters.get("replication", "false").lower()
        if replication not in _REPLICATION_ON | _REPLICATION_OFF:
            raise RemoteProtocolError("startup packet: replication has an unknown value")
        if replication in _REPLICATION_ON:
            self._replication = True
            self._parameters["replication"] = replication
        user = self._route(packet.user, packet.database)
        self._context = SessionContext(
            id=self._settings.session_id,
            protocol="postgres",
            client_address=self._settings.client_address,
            tls=self._settings.tls,
            user=user,
            database=packet.database,
            application=packet.parameters.get("application_name", ""),
            resource=self._resource,
        )
        self._phase = Phase.LOGIN
        self._ask_host(AskLogin(self._context))

    def _route(self, user: str, database: str | None) -> str:
        """Find the resource and the upstream's database; returns the user's own name.

        The database name is ``resource`` or ``resource/database``; or the user name is ``user#resource``, and then a
        database name that libpq did not just copy from the user name is the upstream's. On a resource's own listener
        the database name is the upstream's, whatever it is.
        """
        fixed = self._settings.fixed_resource
        name, mark, suffix = user.rpartition("#")
        if not mark:
            name, suffix = user, ""
        if fixed is not None:
            self._resource, self._upstream_database = fixed, database
            return name
        if database in (user, name):
            database = None
        if suffix:
            self._resource = suffix
            if database is not None and database != suffix:
                self._upstream_database = database.removeprefix(suffix + "/")
        else:
            self._resource, _, rest = (database or "").partition("/")
            self._upstream_database = rest or None
        return name

    def _challenge(self, login: Login) -> None:
        self._phase = Phase.PROOF
        if login.password:
            if not self._settings.tls:
                raise TlsRequired("a bearer token in clear is accepted inside TLS only")
            self._bearer = CleartextExchange(tls=True)
            self.effects.append(SendDownstream(self._bearer.start()))
        else:
            self._exchange = SaslExchange(
                login, nonce=self._settings.random(NONCE_SIZE), certificate=self._settings.tls_certificate
            )
            self.effects.append(SendDownstream(self._exchange.start()))

    def _proof(self, body: bytes) -> None:
        step: Challenge | Accepted | Refused | PasswordGiven
        if self._exchange is not None:
            step = self._exchange.receive(body)
        elif self._bearer is not None:
            step = self._bearer.receive(body)
        else:
            raise LocalProtocolError("a proof came before the challenge")
        match step:
            case Challenge(data):
                self.effects.append(SendDownstream(data))
            case Accepted(token, data):
                self.effects.append(SendDownstream(data))
                self._identified(Proof(token.principal, token.expires_at, token))
            case Refused(reason):
                raise AuthenticationError(reason)
            case PasswordGiven(password):
                self._phase = Phase.AUTHENTICATE
                self._ask_host(AskAuthenticate(self._context, PasswordCredentials(self._context.user, password)))

    def _identified(self, proof: Proof) -> None:
        self._principal = principal = proof.principal
        self.effects.append(Identified(self._context, principal, proof.token, proof.expires_at))
        if not self._settings.resolve_resource(self._resource):
            raise UnknownResource("the client asked for a resource that does not exist")
        self._phase = Phase.OPEN
        self._ask_host(AskOpen(self._context, principal, self._resource, self._upstream_database))

    def _connected(self, opened: Opened) -> None:
        self._opened = opened
        wanted = settings.names({k: v for k, v in self._parameters.items() if k != "replication"})
        if not wanted and not self._replication:
            self._begin_upstream_login()
            return
        self._phase = Phase.RULING
        replication = opaque_analysis("REPLICATION", Action.REPLICATE, "a replication session").statements
        facts = settings.analysis(wanted, replication if self._replication else ())
        text = "<replication session>" if self._replication else "<startup settings>"
        self._ask_host(AskRuling(" ".join((text, *wanted)), None, None, facts))

    def _begin_upstream_login(self) -> None:
        opened = self._opened
        if opened is None:
            raise LocalProtocolError("there is no upstream to log in to")
        self._phase = Phase.UPSTREAM
        parameters = {"user": opened.credentials.username, "database": opened.database, **self._parameters}
        self._handshake = upstream_login(
            parameters, opened.credentials.password, opened.handle, random=self._settings.random
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
        """The database accepts statements: tell the client what the database told us, with a cancel key of our own."""
        opened = self._opened
        if opened is None:
            raise LocalProtocolError("the database is ready, but for nobody")
        core = Core(self._settings, opened, replication=self._replication)
        core.said = settings.said(self._parameters)
        greeting = [notice.encode() for notice in login.notices]
        for name, value in login.parameters.items():
            core.tracker.parameter(name, value)
            greeting.append(ParameterStatus(name, value).encode())
        if login.key is not None:
            # The process id stays the database's own, since notifications and administrators speak of it.
            secret = self._settings.random(32 if self._version >= PROTOCOL_3_2 else 4)
            key = BackendKeyData(login.key.pid, secret)
            greeting.append(key.encode())
            self.cancel_key = key.pid.to_bytes(4, "big") + secret
            self.upstream_cancel_key = login.key.pid.to_bytes(4, "big") + login.key.secret
        greeting.append(ReadyForQuery(login.status).encode())
        self.effects.append(SendDownstream(b"".join(greeting)))
        if self._replication:
            core.tracker.probe_failed()
        else:
            self.effects.append(SendUpstream(probe(core.private_name)))
            core.pipeline.expect(Pending(Kind.PROBE))
            core.waiting_for_drain = True
        self.upstream_rest = login.leftover
        self._phase = Phase.OVER
        self.open = core

    def _ask_host(self, ask: Ask) -> None:
        self._ask = ask
        self.effects.append(ask)

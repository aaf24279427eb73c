"""One MongoDB session from the first byte to the last.

A connection of a driver is either a monitor, which only ever says hello, or one that logs in and then runs commands,
one after the other. Pure: bytes and answers in, effects out; nothing here raises on bad input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

from gateway.domain.audit import SessionEventKind
from gateway.domain.decision import SessionContext
from gateway.errors import (
    AuthenticationError,
    GatewayError,
    LocalProtocolError,
    UnknownResource,
    UnsupportedFeature,
    UpstreamUnavailable,
)
from gateway.protocol.adapter import Opened, RelaySettings, UpstreamHandle
from gateway.protocol.effects import (
    ApprovalPending,
    Ask,
    AskAuthenticate,
    AskLogin,
    AskOpen,
    AskReconnect,
    Effect,
    Identified,
    RecordSession,
    Reidentified,
    SendDownstream,
    SetDeadline,
    Watching,
)
from gateway_mongodb.core import Core
from gateway_mongodb.errors import (
    ALREADY_AUTHENTICATED,
    REAUTHENTICATE,
    UNSUPPORTED_OP_QUERY,
    client_text,
    error_document,
    plain_error,
)
from gateway_mongodb.exchange import OVERHEAD
from gateway_mongodb.execution import Execution
from gateway_mongodb.handshake import Handshake
from gateway_mongodb.hellos import Hellos
from gateway_mongodb.login import Ask as LoginAsk
from gateway_mongodb.login import Login, Proved, Say, Stage
from gateway_mongodb.renewal import Renewal, Renewed, Said
from gateway_mongodb.requests import Request, read_request
from gateway_mongodb.shared import Shared
from gateway_mongodb.wire.codec import decode, encode
from gateway_mongodb.wire.framing import FrameBuffer
from gateway_mongodb.wire.hello import NAMES
from gateway_mongodb.wire.messages import OP_QUERY, Reply

MAX_UNPROVED: Final = 64 * 1024
"""Bytes of one message before the login is over."""
MAX_HELD: Final = 64 * 1024
"""Bytes that may wait while something runs before the client is no longer read, so that its leaving is noticed."""
MAX_LOGINS: Final = 5
"""Members that are tried one after the other, while there is an election, say, before the client is told."""
MONITOR_SILENCE: Final = 150.0
"""Seconds after which a monitor that says nothing is gone; drivers ask every 10, at most every 60."""


PERSON: Final = 330.0
"""Seconds that a person gets to log in at an issuer; drivers wait for 300."""


class Phase(Enum):
    """How far the session is."""

    STRANGER = "nobody has proved anything"
    OPENING = "the database is being connected"
    OPEN = "commands flow"


class MongoRelay:
    """The state machine of one session; implements ``gateway.protocol.adapter.Relay``."""

    __slots__ = (
        "_buffer",
        "_carrier",
        "_commands",
        "_core",
        "_expired",
        "_handshake",
        "_hellos",
        "_login",
        "_logins_failed",
        "_phase",
        "_proved",
        "_renewal",
        "_speculated",
        "_speculating",
        "cancel_key",
        "upstream_cancel_key",
    )

    def __init__(self, settings: RelaySettings, shared: Shared) -> None:
        self.cancel_key: bytes | None = None
        self.upstream_cancel_key: bytes | None = None
        self._core = Core(settings, shared)
        self._buffer = FrameBuffer(max_message=MAX_UNPROVED)
        context = SessionContext(
            id=settings.session_id, protocol="mongodb", client_address=settings.client_address, tls=settings.tls
        )
        self._login = Login(
            context,
            tls_required=settings.tls_required,
            certificate=settings.tls_certificate,
            fixed_resource=settings.fixed_resource,
            resolve_resource=settings.resolve_resource,
            random=settings.random,
        )
        self._hellos = Hellos(self._core, self._login)
        self._phase = Phase.STRANGER
        self._commands = Execution(self._core)
        self._carrier: Callable[[dict[str, Any] | None], None] | None = None
        """Brings the reply of a login step to the client, inside hello or alone; None: it failed."""
        self._proved: Proved | None = None
        self._handshake = Handshake(self._core)
        self._logins_failed = 0
        """Members in a row that did not take the gateway's login."""
        self._expired: GatewayError | None = None
        """Why no statement is taken any more."""
        self._renewal: Renewal | None = None
        """How the client of the open session proves itself anew, once it has tried."""
        self._speculating = False
        """The login goes on inside hello: where it fails, the client begins again and is told then."""
        self._speculated: Request | None = None
        """The hello that a login was tried inside; there is one."""

    # --- the contract -------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether nothing runs and no transaction is open."""
        return (
            self._phase is Phase.OPEN
            and self._core.ask is None
            and not self._handshake.under_way
            and not len(self._buffer)
            and self._commands.idle
        )

    @property
    def wants_downstream(self) -> bool:
        """Whether the client should be read from."""
        return self._buffer.empty or not self._blocked or len(self._buffer) < MAX_HELD

    @property
    def wants_upstream(self) -> bool:
        """Whether the database should be read from."""
        return True

    @property
    def _blocked(self) -> bool:
        core = self._core
        return core.current is not None or core.ask is not None or self._handshake.under_way

    def receive_downstream(self, data: bytes) -> list[Effect]:
        """Take bytes from the client."""
        if not self._core.closed:
            self._buffer.feed(data)
            self._guarded(self._advance)
        return self._take()

    def receive_upstream(self, data: bytes) -> list[Effect]:
        """Take bytes from the database."""
        if not self._core.closed:
            self._guarded(self._from_database, data)
        return self._take()

    def answer(self, ask: Ask, result: object) -> list[Effect]:
        """Take the answer to a question."""
        if isinstance(result, ApprovalPending):
            return []  # the question stays open, and the protocol has no way to tell a client that waits
        if not self._core.closed and ask is self._core.ask:
            self._core.ask = None
            self._guarded(lambda: self._answered(ask, result))
        return self._take()

    def eof_downstream(self) -> list[Effect]:
        """The client hung up. Reads are ended by the database itself when it sees its own client leave."""
        if not self._core.closed and not self._commands.abandon():
            self._core.close()
        return self._take()

    def eof_upstream(self) -> list[Effect]:
        """The database hung up."""
        core = self._core
        if not core.closed:
            if self._handshake.under_way:
                self._guarded(self._from_database, b"")
            else:
                core.deployment.moved(core.generation)
                self._commands.lose()
                core.close(UpstreamUnavailable("the database closed the connection"))
        return self._take()

    def deadline_expired(self, token: int) -> list[Effect]:
        """A monitor has been silent for too long."""
        core = self._core
        if not core.closed and self._phase is Phase.STRANGER:
            core.close()
        return self._take()

    def terminate(self, error: GatewayError) -> list[Effect]:
        """End the session from the gateway's side."""
        core = self._core
        if not core.closed:
            self._commands.fail(error)
            if self._phase is not Phase.OPEN:
                self._refused(error)
            core.close(error)
        return self._take()

    def expire(self, error: GatewayError) -> list[Effect]:
        """What let the client in is over. It is told when it wants something, and may renew a bearer then."""
        core = self._core
        if self._phase is not Phase.OPEN:
            return self.terminate(error)
        if not core.closed:
            self._expired = error
            if not self._commands.expire(self._expired_reply(error), error):
                core.close(error)
        return self._take()

    # --- events -------------------------------------------------------------------------------------------------

    def _take(self) -> list[Effect]:
        effects, self._core.effects = self._core.effects, []
        return effects

    def _guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        """Whatever is wrong on the wire ends the session, after what runs has been recorded as lost."""
        try:
            step(*arguments)
        except GatewayError as error:
            self._commands.fail(error)
            if self._phase is not Phase.OPEN:
                self._refused(error)
            self._core.close(error)

    def _advance(self) -> None:
        """Handle the client's messages as far as they may go."""
        buffer = self._buffer
        while not buffer.empty and not self._core.closed and not self._blocked and buffer.next():
            try:
                request = read_request(self._buffer)
            except UnsupportedFeature as error:
                if self._buffer.opcode != OP_QUERY:
                    raise
                reply = plain_error(UNSUPPORTED_OP_QUERY, str(error))
                self._core.effects.append(
                    SendDownstream(Reply(encode(reply)).encode(self._core.next_id(), self._buffer.request_id))
                )
                continue
            self._handle(request)

    def _handle(self, request: Request) -> None:
        if request.name in NAMES:
            self._hello(request)
        elif self._phase is Phase.OPEN and not self._login_command(request):
            if self._expired is None:
                self._commands.handle(request)
            else:
                self._too_late(request, self._expired)
        elif self._phase is not Phase.OPEN:
            self._stranger(request)

    def _answered(self, ask: Ask, result: object) -> None:
        if self._phase is Phase.STRANGER:
            try:
                self._go_on(self._login.answered(result))
            except GatewayError as error:
                self._login_failed(error)
        elif self._phase is Phase.OPENING:
            match result:
                case Opened():
                    self._connected(result)
                case UpstreamHandle():
                    self._begin_handshake(result)
                case _:
                    raise result if isinstance(result, GatewayError) else LocalProtocolError("no usable answer")
        elif isinstance(ask, AskReconnect):
            if not isinstance(result, UpstreamHandle):
                self._commands.lose()
                self._core.close(result if isinstance(result, GatewayError) else None)
                return
            self._begin_handshake(result)
        elif self._renewal is not None and isinstance(ask, AskLogin | AskAuthenticate):
            self._renew(self._renewal.answered(result))
        else:
            self._commands.answered(ask, result)
        self._advance()

    # --- hello --------------------------------------------------------------------------------------------------

    def _hello(self, request: Request) -> None:
        document = decode(request.msg.body)
        hellos = self._hellos
        hellos.read(document)
        if self._phase is Phase.STRANGER:
            self._core.effects += [Watching(), SetDeadline(MONITOR_SILENCE)]
        speculative = document.get("speculativeAuthenticate")
        fresh = self._phase is Phase.STRANGER and self._login.stage is Stage.START and self._speculated is None
        if fresh and isinstance(speculative, Mapping):
            self._speculate(request, document, speculative)
        else:
            hellos.say(request, document, None)

    # --- login --------------------------------------------------------------------------------------------------

    def _speculate(self, request: Request, document: Mapping[str, Any], command: Mapping[str, Any]) -> None:
        self._carrier = lambda reply: self._hellos.say(request, document, reply)
        self._speculating, self._speculated = True, request
        try:
            if "saslStart" not in command:
                raise AuthenticationError("the client chose a mechanism that was not offered")
            self._go_on(self._login.start(command, str(command.get("db", "admin"))))
        except GatewayError as error:
            self._login_failed(error)

    def _stranger(self, request: Request) -> None:
        """A command before the login is over."""
        if request.name in ("saslStart", "saslContinue"):
            self._carrier = lambda reply: None if reply is None else self._core.say(request, reply)
            command = decode(request.msg.body)
            try:
                if request.name == "saslStart":
                    self._go_on(self._login.start(command, request.scan.database))
                else:
                    self._go_on(self._login.proceed(command))
            except GatewayError as error:
                self._login_failed(error)
        elif request.name == "ping":
            self._core.say(request, {"ok": 1.0})
        elif request.name == "authenticate":
            self._carrier = lambda reply: None if reply is None else self._core.say(request, reply)
            self._login_failed(AuthenticationError("the client chose a mechanism that was not offered"))
        else:
            message = f"Command {request.name} requires authentication"
            self._core.say(request, {"ok": 0.0, "errmsg": message, "code": 13, "codeName": "Unauthorized"})

    def _login_command(self, request: Request) -> bool:
        """Commands about the login in an open session; False for any other."""
        match request.name:
            case "saslContinue" if self._login.stage is Stage.LAST:
                step = self._login.proceed(decode(request.msg.body))
                if isinstance(step, Say):
                    self._core.say(request, step.document)
            case "saslStart" | "saslContinue" if self._login.renewable:
                if self._renewal is None and self._proved is not None:
                    self._renewal = Renewal(self._login, self._proved)
                if self._renewal is not None:
                    self._renew(self._renewal.receive(request))
            case "saslStart" | "saslContinue" | "authenticate":
                message = "this connection is authenticated already; open another one to be somebody else"
                self._core.say(request, plain_error(ALREADY_AUTHENTICATED, message))
            case "logout":
                self._core.say(request, {"ok": 1.0})
                self._core.close()
            case _:
                return False
        return True

    def _renew(self, step: Renewed | Said | LoginAsk) -> None:
        """The next step of a client of the open session that proves itself anew."""
        core = self._core
        match step:
            case LoginAsk(question):
                core.put(question)
            case Said(request, document, failure, over):
                if failure is not None:
                    core.effects.append(RecordSession(SessionEventKind.LOGIN_FAILED, str(failure)))
                core.say(request, document)
                if over:
                    core.close(failure)
            case Renewed(request, document, expires_at):
                self._expired = None
                core.effects += [
                    Reidentified(expires_at),
                    RecordSession(SessionEventKind.LOGIN, "proved once more, by another token"),
                ]
                core.say(request, document)

    def _too_late(self, request: Request, error: GatewayError) -> None:
        """A statement of a client whose token has expired."""
        core = self._core
        core.effects.append(RecordSession(SessionEventKind.REFUSED, f"{request.name}: {error}"))
        core.say(request, self._expired_reply(error))
        if not self._login.renewable:
            self._commands.undo(request)
            core.close(error)

    def _expired_reply(self, error: GatewayError) -> dict[str, Any]:
        reference = self._core.settings.session_id
        if self._login.renewable:
            return plain_error(REAUTHENTICATE, client_text(error), reference=reference)
        return error_document(error, reference=reference)

    def _go_on(self, step: Say | LoginAsk | Proved) -> None:
        match step:
            case Say(document):
                if self._login.stage is Stage.PERSON:
                    self._core.effects += [Watching(), SetDeadline(PERSON)]
                self._deliver(document)
            case LoginAsk(question):
                self._core.put(question)
            case Proved():
                self._identified(step)

    def _login_failed(self, error: GatewayError) -> None:
        """One guess for each connection; but a guess inside hello is only a first try, and a token no guess."""
        if self._speculating and self._phase is Phase.STRANGER:
            if isinstance(error, AuthenticationError):
                self._core.effects.append(RecordSession(SessionEventKind.LOGIN_FAILED, str(error)))
            self._login.start_over()
            self._deliver(None)
        elif self._phase is Phase.STRANGER and isinstance(error, AuthenticationError) and self._login.another_try:
            self._refused(error)
            self._login.start_over()
        else:
            self._refused(error)
            self._core.close(error)

    def _deliver(self, reply: dict[str, Any] | None) -> None:
        self._speculating = False
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier(reply)

    def _identified(self, proved: Proved) -> None:
        core = self._core
        identified = Identified(proved.context, proved.principal, proved.token, proved.expires_at)
        core.effects += [identified, SetDeadline(None)]
        self._phase = Phase.OPENING
        self._proved = proved
        if not core.settings.resolve_resource(proved.resource):
            raise UnknownResource(f"the client asked for the resource {proved.resource!r}, which does not exist")
        core.put(AskOpen(proved.context, proved.principal, proved.resource, None))

    def _refused(self, error: GatewayError) -> None:
        """The session will not begin: for the audit and, if it waits for a reply, the client."""
        kind = SessionEventKind.REFUSED
        if isinstance(error, AuthenticationError) and self._phase is Phase.STRANGER:
            kind = SessionEventKind.LOGIN_FAILED
        if self._phase is not Phase.STRANGER or isinstance(error, AuthenticationError):
            self._core.effects.append(RecordSession(kind, str(error)))
        document = error_document(error, reference=self._core.settings.session_id)
        if not self._speculating:
            self._deliver(document)
        elif self._phase is Phase.STRANGER or self._speculated is None:
            self._deliver(None)
        else:
            # Who it is was proved, and to begin again would not help: the hello itself is what fails.
            self._speculating, self._carrier = False, None
            self._core.say(self._speculated, document)

    # --- the database -------------------------------------------------------------------------------------------

    def _connected(self, opened: Opened) -> None:
        core = self._core
        core.opened = opened
        core.resource = opened.resource.name
        core.owner = opened.principal.key()
        core.deployment = core.shared.deployment(core.resource)
        self._begin_handshake(opened.handle)

    def _begin_handshake(self, handle: UpstreamHandle) -> None:
        self._commands.start_over()
        self._handshake.begin(handle, self._hellos.client)

    def _from_database(self, data: bytes) -> None:
        if self._handshake.under_way:
            self._shake(data)
        else:
            self._commands.receive(data)
        self._advance()

    def _shake(self, data: bytes) -> None:
        core = self._core
        try:
            max_message = self._handshake.receive(data)
        except UpstreamUnavailable:
            # A member that was the primary a moment ago, and is none any more, or gone.
            core.deployment.moved(core.generation)
            self._logins_failed += 1
            if self._logins_failed == MAX_LOGINS:
                raise
            core.put(AskReconnect())
            return
        if max_message is None:
            return
        self._logins_failed = 0
        self._buffer.max_message = min(max_message + OVERHEAD, core.settings.limits.max_message)
        self._commands.ready(self._buffer.max_message)
        if self._phase is Phase.OPEN:
            self._commands.resume()  # after a change of primary
            return
        self._phase = Phase.OPEN
        if self._proved is not None:
            self._deliver(self._proved.document)

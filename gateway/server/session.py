"""One session: two sockets and a relay between them. Interprets the relay's effects and nothing else.

All that one read produced is written with one call per side. A side is not read from while the relay waits for an
answer about it, or while the other side does not take what it is sent, so a slow peer costs a bounded amount of memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

import structlog
from typing_extensions import override

from gateway.chain import Scope
from gateway.domain.audit import Outcome, SessionEventKind, StatementRecord
from gateway.domain.decision import SessionContext
from gateway.domain.identity import AccessToken
from gateway.domain.principal import Principal
from gateway.domain.recorded import Shared
from gateway.domain.resource import Resource
from gateway.errors import (
    AuditError,
    AuthenticationError,
    GatewayError,
    LocalProtocolError,
    PolicyEvaluationError,
    UpstreamTimeout,
)
from gateway.policy.snapshot import Snapshot
from gateway.protocol.adapter import Relay
from gateway.protocol.effects import (
    Ask,
    AskCommit,
    BeginAgain,
    CatalogChanged,
    Close,
    Effect,
    GoOn,
    Identified,
    Record,
    RecordSession,
    Reidentified,
    SendDownstream,
    SendUpstream,
    SetDeadline,
    Watching,
    WithdrawApproval,
)
from gateway.server.send import Bytes, send_now

_log = structlog.get_logger("querygate.session")

WRITE_BUFFER: Final = 256 * 1024
"""Bytes that may wait for a peer before the other side is no longer read, bytes."""
LARGE: Final = 32 * 1024
"""Bytes from which on a piece is written by itself rather than copied."""
ABANDONED_GRACE: Final = 10.0
"""Seconds that the database gets to finish what a vanished client had started."""
CLOSE_GRACE: Final = 10.0
"""Seconds that a peer gets to take the last bytes of a session that is over."""
STRANGER_GRACE: Final = 1.0
"""As ``CLOSE_GRACE``, for clients that never got in: there may be many of them, and each holds a socket."""

_send_now: Final = send_now
_NEVER_RAN: Final = frozenset({Outcome.REFUSED, Outcome.SKIPPED})


class Recording(Protocol):
    """See ``gateway.server.recording.Recorder``."""

    def record(self, session: Session, record: StatementRecord) -> None:
        """A statement is over; raises ``AuditError``."""

    def commit(self, session: Session, ask: AskCommit) -> None:
        """Record what comes with the question, and answer it when that is on disk."""


class SessionHost(Protocol):
    """What a session needs of the gateway around it."""

    def answer(self, session: Session, ask: Ask) -> None:
        """Answer a question with ``Session.answered``, now or later."""

    @property
    def recorder(self) -> Recording:
        """Where the session's statements go."""

    def record_session(self, session: Session, kind: SessionEventKind, detail: str) -> None:
        """Give an event of the session to the audit; never raises."""

    def approval_given_up(self, session: Session) -> None:
        """Nobody waits for the session's held statement any more."""

    def begin_again(self, session: Session, make: Callable[[str], Relay]) -> None:
        """End the session, and put another one in its place at the client."""

    def opened(self, session: Session) -> None:
        """The session can be cancelled from now on."""

    def expires(self, session: Session) -> None:
        """The session's ``expires_at`` is another one now."""

    def closed(self, session: Session) -> None:
        """The session is over."""


class Session:
    """The driver of one session."""

    __slots__ = (
        "_cancel_key",
        "_deadline",
        "_down_linger",
        "_down_paused",
        "_held_up",
        "_host",
        "_more_down",
        "_more_up",
        "_patience",
        "_recorder",
        "_up_linger",
        "_up_paused",
        "active",
        "admitted",
        "asked",
        "audit_context",
        "context",
        "downstream",
        "downstream_fd",
        "downstream_full",
        "ended",
        "expired",
        "expires_at",
        "failure",
        "id",
        "last",
        "loop",
        "open",
        "principal",
        "relay",
        "resource",
        "scope",
        "snapshot",
        "started",
        "statements",
        "token",
        "tokens",
        "upstream",
        "upstream_fd",
        "upstream_full",
    )

    def __init__(self, host: SessionHost, session_id: str, relay: Relay, context: SessionContext) -> None:
        self._host = host
        self._recorder = host.recorder
        self.loop = asyncio.get_running_loop()
        self.id = session_id
        self.relay = relay
        self.context = context
        self.started = self.loop.time()
        self.active = self.started
        """When the client last said something (event loop's clock)."""
        self.principal: Principal | None = None
        self.resource: Resource | None = None
        self.scope: Scope | None = None
        self.snapshot: Snapshot | None = None
        """The snapshot in which the client was asked to prove who it is."""
        self.asked: SessionContext | None = None
        """What was known of the client when the host was asked what may prove it."""
        self.tokens: tuple[AccessToken, ...] = ()
        """The tokens that could have proved it."""
        self.token: AccessToken | None = None
        """The one that did, where the protocol can tell."""
        self.expires_at: float | None = None
        """When what proved it comes to its end, Unix seconds."""
        self.expired = False
        """Whether it has, and the relay knows."""
        self.admitted = False
        """Whether the session takes one of the places that ``max_sessions`` bounds."""
        self.open = False
        """Whether the login is over and statements may flow."""
        self.audit_context = Shared()
        self.downstream: asyncio.Transport | None = None
        self.upstream: asyncio.Transport | None = None
        self.downstream_fd = -1
        """The socket behind ``downstream`` where nothing (no TLS) lies between; only to be used while that is open."""
        self.upstream_fd = -1
        self.downstream_full = False
        """The client does not take what it is sent."""
        self.upstream_full = False
        self._down_paused = False
        self._up_paused = False
        self._deadline: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        """The end of the login's time, or of a vanished client's."""
        self._down_linger: asyncio.TimerHandle | None = None
        self._up_linger: asyncio.TimerHandle | None = None
        self._more_down = False
        """The relay has more of the client's bytes, to be taken when the database takes what comes of it."""
        self._more_up = False
        self._cancel_key: bytes | None = None
        self._held_up: list[Bytes] | None = None
        """For the database, before what waits for the disk."""
        self.statements = 0
        self.last: StatementRecord | None = None
        """What was recorded last."""
        self.failure = ""
        self.ended = False

    # --- events -------------------------------------------------------------------------------------------------

    def from_client(self, data: bytes) -> None:
        """Bytes from the client."""
        if not self.ended:
            self.active = self.loop.time()
            try:
                self.run(self.relay.receive_downstream(data))
            except Exception as error:  # noqa: BLE001 - a bug must not leave a session half alive
                self._crashed(error)

    def from_database(self, data: bytes) -> None:
        """Bytes from the database."""
        if not self.ended:
            try:
                self.run(self.relay.receive_upstream(data))
            except Exception as error:  # noqa: BLE001
                self._crashed(error)

    def answered(self, ask: Ask, result: object) -> None:
        """The answer to one of the relay's questions."""
        if not self.ended:
            try:
                self.run(self.relay.answer(ask, result))
            except Exception as error:  # noqa: BLE001 - as above
                self._crashed(error)

    def terminate(self, error: GatewayError) -> None:
        """End the session with a native error."""
        self._step(lambda: self.relay.terminate(error))
        self.end(error)

    def expire(self, error: GatewayError) -> None:
        """What let the client in is over. The relay says what becomes of the session."""
        self.expired = True
        self._step(lambda: self.relay.expire(error))

    def _expires(self, at: float | None) -> None:
        self.expires_at, self.expired = at, False
        self._host.expires(self)

    def limit_login(self, seconds: float) -> None:
        """End the session unless it is open in this many seconds."""
        if not self.ended and not self.open:
            self._be_patient(seconds, AuthenticationError("the login took too long"))

    def client_gone(self) -> None:
        """The client hung up."""
        self.downstream = None
        _cancel(self._down_linger)
        self._down_linger = None
        if not self.ended:
            self._step(self.relay.eof_downstream)
        if not self.ended:
            # Nobody takes what the database sends, but its last word is still wanted.
            self.downstream_full = False
            self.balance()
            self._be_patient(ABANDONED_GRACE, UpstreamTimeout("the database did not finish for a client that is gone"))

    def database_gone(self) -> None:
        """The database hung up."""
        self.upstream = None
        _cancel(self._up_linger)
        self._up_linger = None
        if not self.ended:
            self._step(self.relay.eof_upstream)
            self.end(None)

    def _be_patient(self, seconds: float, error: GatewayError) -> None:
        _cancel(self._patience)
        self._patience = self.loop.call_later(seconds, self.terminate, error)

    def _step(self, event: Callable[[], list[Effect]]) -> None:
        if not self.ended:
            try:
                self.run(event())
            except Exception as error:  # noqa: BLE001 - as above
                self._crashed(error)

    def _crashed(self, error: Exception) -> None:
        """A relay or the driver failed in a way that nobody foresaw: both sides are closed, the client is told."""
        _log.error("a session failed", session=self.id, exc_info=error)
        failure = LocalProtocolError(f"{type(error).__name__} in the session")
        if not self.ended:
            try:
                self.run(self.relay.terminate(failure))
            except Exception as again:  # noqa: BLE001
                _log.error("a session could not be ended in order", session=self.id, exc_info=again)
        self.end(failure)

    # --- effects ------------------------------------------------------------------------------------------------

    def run(self, effects: list[Effect]) -> None:
        """Carry out what the relay asks for."""
        down: list[Bytes] | None = None
        up: list[Bytes] | None = None
        asks: list[Ask] | None = None
        close: Close | None = None
        again: BeginAgain | None = None
        for effect in effects:
            kind = effect.__class__
            if kind is SendDownstream:
                if down is None:
                    down = []
                down.append(effect.data)  # type: ignore[union-attr]
            elif kind is SendUpstream:
                if up is None:
                    up = []
                up.append(effect.data)  # type: ignore[union-attr]
            elif kind is Record:
                self.statements += 1
                self.last = effect.record  # type: ignore[union-attr]
                try:
                    self._recorder.record(self, effect.record)  # type: ignore[union-attr]
                except AuditError as error:
                    # What was not recorded is not shown. That something did not run may be told all the same.
                    if effect.record.outcome not in _NEVER_RAN:  # type: ignore[union-attr]
                        self._broken(error, effects)
                        return
            elif kind is AskCommit:
                if asks is None:
                    asks = []
                asks.append(effect)  # type: ignore[arg-type]
            else:
                match effect:
                    case Close():
                        close = effect
                    case SetDeadline():
                        self._set_deadline(effect)
                    case Identified():
                        self.context, self.principal, self.token = effect.session, effect.principal, effect.token
                        self._expires(effect.expires_at)
                    case Reidentified():
                        self._expires(effect.expires_at)
                    case RecordSession():
                        self._host.record_session(self, effect.kind, effect.detail)
                    case WithdrawApproval():
                        self._host.approval_given_up(self)
                    case CatalogChanged():
                        if self.scope is not None:
                            self.scope.database.changed()
                    case BeginAgain():
                        again = effect
                    case GoOn():
                        if effect.downstream:
                            self._more_down = True
                        else:
                            self._more_up = True
                    case Watching():
                        if not self.open:
                            _cancel(self._patience)
                            self._patience = None
                    case SendDownstream() | SendUpstream() | Record():
                        pass
                    case _:
                        if asks is None:
                            asks = []
                        asks.append(effect)
        if self._held_up is not None:
            up = self._held_up if up is None else self._held_up + up
            self._held_up = None
        if up is not None:
            if asks is not None and asks[-1].__class__ is AskCommit:
                # The disk answers soon, and the rest then goes with it: a database that gets a Bind now and its Execute
                # later is woken twice.
                self._held_up = up
            else:
                self._write(self.upstream, self.upstream_fd, up)
        if down is not None:
            self._write(self.downstream, self.downstream_fd, down)
        if asks is not None:
            for ask in asks:
                if ask.__class__ is AskCommit:
                    self._recorder.commit(self, ask)
                else:
                    self._host.answer(self, ask)
        if close is not None:
            self.end(close.error)
        elif again is not None:
            self._host.begin_again(self, again.make)
        elif not self.ended:
            self.balance()
            if not self.open:
                self._look_whether_open()

    def _look_whether_open(self) -> None:
        key = self.relay.cancel_key
        if key is not None or self.relay.idle:
            self.open = True
            self._cancel_key = key
            _cancel(self._patience)
            self._patience = None
            self._host.opened(self)

    @staticmethod
    def _write(transport: asyncio.Transport | None, fd: int, pieces: list[Bytes]) -> None:
        if transport is None or transport.is_closing():
            return
        # uvloop writes at the end of its turn, when it has read from everybody who had something to say: whoever was
        # first would wait for all. Without TLS the bytes can go at once.
        at_once = fd >= 0 and not transport.get_write_buffer_size()
        for data in pieces if len(pieces) == 1 else _put_together(pieces):
            if at_once:
                sent = _send_now(fd, data)
                if sent == len(data):
                    continue
                at_once = False
                transport.write(memoryview(data)[sent:])
            else:
                transport.write(data)

    def balance(self) -> None:
        """Read from each side only while what comes of it can go somewhere."""
        if self.ended:
            return
        relay = self.relay
        stop = self.upstream_full or not relay.wants_downstream
        if stop is not self._down_paused and self.downstream is not None and not self.downstream.is_closing():
            self._down_paused = stop
            (self.downstream.pause_reading if stop else self.downstream.resume_reading)()
        stop = self.downstream_full or not relay.wants_upstream
        if stop is not self._up_paused and self.upstream is not None and not self.upstream.is_closing():
            self._up_paused = stop
            (self.upstream.pause_reading if stop else self.upstream.resume_reading)()
        if self._more_down and not self.upstream_full:
            self._more_down = False
            self.loop.call_soon(self.from_client, b"")
        if self._more_up and not self.downstream_full:
            self._more_up = False
            self.loop.call_soon(self.from_database, b"")

    def give_client_to(self, successor: Session) -> bool:
        """Hand the client over to a session that has just been made. False where there is no client any more."""
        transport, self.downstream, self.downstream_fd = self.downstream, None, -1
        protocol = None if transport is None else transport.get_protocol()
        if transport is None or transport.is_closing() or not isinstance(protocol, ClientProtocol):
            return False
        protocol.session = successor
        successor.downstream, successor.downstream_fd = transport, plain_socket(transport)
        successor.downstream_full, successor._down_paused = self.downstream_full, self._down_paused
        return True

    def leave_upstream(self) -> None:
        """Give up the connection to the database, in silence: another one is to follow."""
        transport, self.upstream, self.upstream_fd = self.upstream, None, -1
        self.upstream_full = self._up_paused = False
        if transport is not None:
            protocol = transport.get_protocol()
            if isinstance(protocol, DatabaseProtocol):
                protocol.left = True
            transport.abort()

    def _set_deadline(self, effect: SetDeadline) -> None:
        _cancel(self._deadline)
        self._deadline = None
        if effect.seconds is not None:
            self._deadline = self.loop.call_later(effect.seconds, self._expired, effect.token)

    def _expired(self, token: int) -> None:
        self._deadline = None
        self._step(lambda: self.relay.deadline_expired(token))

    # --- ends ---------------------------------------------------------------------------------------------------

    def _broken(self, error: GatewayError, unseen: list[Effect]) -> None:
        """The audit failed in the middle of things. The relay's own records of the end may fail too: let them."""
        if self.scope is not None and any(isinstance(effect, CatalogChanged) for effect in unseen):
            self.scope.database.changed()
        effects = self.relay.terminate(error)
        sends = [effect for effect in effects if isinstance(effect, SendDownstream | SendUpstream)]
        for transport, fd, kind in (
            (self.upstream, self.upstream_fd, SendUpstream),
            (self.downstream, self.downstream_fd, SendDownstream),
        ):
            pieces = [effect.data for effect in sends if isinstance(effect, kind)]
            if pieces:
                self._write(transport, fd, pieces)
        self.end(error)

    def end(self, error: Exception | None) -> None:
        """Close both sides once what was sent has gone out."""
        if self.ended:
            return
        self.ended = True
        _cancel(self._deadline)
        self._deadline = None
        _cancel(self._patience)
        self._patience = None
        if error is not None:
            self.failure = f"{type(error).__name__}: {error}"
        try:
            if self.downstream is not None:
                grace = CLOSE_GRACE if self.open else STRANGER_GRACE
                self._down_linger = self.loop.call_later(grace, self.downstream.abort)
                _finish(self.downstream)
            if self.upstream is not None:
                self._up_linger = self.loop.call_later(CLOSE_GRACE, self.upstream.abort)
                self.upstream.close()
        finally:
            self._host.closed(self)


def _put_together(pieces: list[Bytes]) -> list[Bytes]:
    """The same bytes in fewer pieces, as far as that is worth a copy."""
    found: list[Bytes] = []
    small: list[Bytes] = []
    for piece in pieces:
        if len(piece) < LARGE:
            small.append(piece)
            continue
        if small:
            found.append(b"".join(small))
            small = []
        found.append(piece)
    if small:
        found.append(b"".join(small))
    return found


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    """Cancel a timer: it would keep the session in memory until its time comes."""
    if timer is not None:
        timer.cancel()


def _finish(client: asyncio.Transport) -> None:
    """Hang up on a client so that it gets the last message.

    Closing a socket with bytes unread resets the connection, and a reset may overtake the message. So only our
    direction is closed, and what the client still sends is read and dropped until it hangs up too. TLS does as much by
    itself.
    """
    if client.is_closing() or not client.can_write_eof():
        client.close()
        return
    try:
        client.write_eof()
        client.resume_reading()
    except (OSError, RuntimeError):
        client.abort()  # the socket is closed already, though the transport has not been told


class ClientProtocol(asyncio.Protocol):
    """The client's socket."""

    def __init__(self, session: Session, on_connected: Callable[[], None]) -> None:
        self.session = session
        """Whose client it is."""
        self._on_connected = on_connected

    @override
    def data_received(self, data: bytes) -> None:
        self.session.from_client(data)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's transports do not derive from asyncio's
        if self.session.ended:
            transport.abort()  # given up between the handshake and now
            return
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self.session.downstream = transport
        self.session.downstream_fd = plain_socket(transport)
        self._on_connected()

    @override
    def eof_received(self) -> bool:
        return False

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.session.client_gone()

    @override
    def pause_writing(self) -> None:
        self.session.downstream_full = True
        self.session.balance()

    @override
    def resume_writing(self) -> None:
        self.session.downstream_full = False
        self.session.balance()


class DatabaseProtocol(asyncio.Protocol):
    """The database's socket."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.left = False
        """The session has another connection now."""

    @override
    def data_received(self, data: bytes) -> None:
        if not self.left:
            self._session.from_database(data)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's transports do not derive from asyncio's
        transport.set_write_buffer_limits(high=WRITE_BUFFER)

    @override
    def eof_received(self) -> bool:
        return False

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.left:
            self._session.database_gone()

    @override
    def pause_writing(self) -> None:
        if not self.left:
            self._session.upstream_full = True
            self._session.balance()

    @override
    def resume_writing(self) -> None:
        if not self.left:
            self._session.upstream_full = False
            self._session.balance()


def plain_socket(transport: asyncio.Transport) -> int:
    """The file descriptor behind a transport without TLS, -1 where there is none to be had."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("ssl_object") is not None:
        return -1
    return int(sock.fileno())


def refusal(error: BaseException) -> GatewayError:
    """Whatever went wrong, as something that may be told."""
    if isinstance(error, GatewayError):
        return error
    _log.error("a question could not be answered", exc_info=error)
    return PolicyEvaluationError(f"{type(error).__name__} while answering")

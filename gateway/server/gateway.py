"""The data plane as a whole: listeners, sessions, questions and their answers, and coming to an end."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from gateway.audit.event import encode_session_context
from gateway.chain import Chain, Scope
from gateway.domain.approval import ApprovalNote
from gateway.domain.audit import SessionEventKind, SessionRecord, StatementRecord
from gateway.domain.decision import SessionContext
from gateway.domain.masking import MaskingFunction, MaskSpec
from gateway.errors import AuditError, GatewayError, GatewayShutdown, LimitExceeded, LocalProtocolError
from gateway.policy.snapshot import Snapshot
from gateway.protocol.adapter import (
    Limits,
    Opened,
    ProtocolAdapter,
    Relay,
    RelaySettings,
    StatementAnalyser,
    UpstreamHandle,
)
from gateway.protocol.effects import (
    ApprovalPending,
    Ask,
    AskApproval,
    AskAuthenticate,
    AskCancel,
    AskCancelUpstream,
    AskCommit,
    AskKill,
    AskLogin,
    AskOpen,
    AskPlan,
    AskReconnect,
    AskRuling,
)
from gateway.protocol.optional import HasThreads
from gateway.server.expiry import Expiries
from gateway.server.listener import Endpoint, Listener, ServerTls
from gateway.server.recording import Audit, Recorder
from gateway.server.session import DatabaseProtocol, Session, plain_socket, refusal
from gateway.server.standing import end_without_token, lost_by_change, with_granted
from gateway.server.tasks import Tasks
from gateway.server.upstream import Upstreams

_log = structlog.get_logger("querygate.server")

REVIEW_INTERVAL = 5.0
"""Seconds between looks at whether the tokens of running sessions are still good."""
DRAIN_STEP = 0.1
"""Seconds between looks for sessions that have become idle while the gateway stops."""


class TooManySessions(LimitExceeded):
    """All places that the configuration allows are taken."""

    client_message = "the gateway has too many sessions; try again later"


class NotReady(GatewayShutdown):
    """The gateway has nothing to decide by yet."""

    client_message = "this gateway has not got its policies yet; try again in a moment"


@dataclass(slots=True)
class Counts:
    """What happened since the start, for the control plane."""

    opened: int = 0
    refused: int = 0
    terminated: int = 0
    statements: int = 0
    """Of sessions that are over."""


class Approvals(Protocol):
    """What the data plane needs of the approvals (``gateway.approvals.holding.Holder``)."""

    async def obtain(self, scope: Scope, ask: AskApproval, tell: Callable[[ApprovalPending], None]) -> ApprovalNote:
        """Return when the execution may go on; raises ``GatewayError`` where it may not."""

    def cancel(self, session_id: str) -> bool:
        """The client takes back what waits; False where nothing does."""

    def given_up(self, session_id: str) -> None:
        """Nobody waits for the session's statement any more."""

    def session_ended(self, session_id: str) -> None:
        """A session is over."""

    def ran(self, session_id: str, record: StatementRecord) -> None:
        """A session has run a statement."""

    def granted_groups(self, principal: str, resource: str) -> frozenset[str]:
        """Groups that a principal belongs to on a resource for the time being."""


class MakeMask(Protocol):
    """Makes a masking function ready."""

    def __call__(self, spec: MaskSpec) -> MaskingFunction:
        """Raises ``ConfigurationError`` for a function or argument that does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the data plane behaves. Times in seconds."""

    gateway_name: str
    max_sessions: int = 1000
    idle_timeout: float | None = None
    drain_timeout: float = 30.0
    tls_required: bool = True


class Gateway:
    """Implements ``SessionHost`` for every session, and owns the listeners."""

    def __init__(
        self,
        *,
        settings: ServerSettings,
        limits: Limits,
        chain: Chain,
        audit: Audit,
        adapters: Mapping[str, ProtocolAdapter],
        snapshot: Snapshot,
        masking_function: MakeMask,
        upstreams: Upstreams,
        tls: Mapping[str, ServerTls],
        approvals: Approvals | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._chain = chain
        self._audit = audit
        self._adapters = adapters
        self.snapshot = snapshot
        self._masking_function = masking_function
        self._upstreams = upstreams
        self._tls = tls
        self._approvals = approvals
        self.recorder = Recorder(audit)
        self._remember_statements()
        self._analysers: dict[str, StatementAnalyser] = {}
        self._listeners: list[Listener] = []
        self.tasks = Tasks()
        self.sessions: dict[str, Session] = {}
        self.unready = ""
        """Why nobody may come in, where there is nothing to decide by; empty where there is."""
        self.counts = Counts()
        self.token_uses: dict[str, float] = {}
        """When access tokens were last used to log in, by id, Unix seconds; whoever reads it empties it."""
        self._admitted = 0
        self._clock = clock
        self._expiries = Expiries(self.sessions, clock)
        self._strangers: dict[str, Session] = {}
        """Sessions whose login is not over, the oldest first."""
        self._by_cancel_key: dict[bytes, Session] = {}
        self._draining = False
        self._hurry = False
        self._all_closed = asyncio.Event()
        self._all_closed.set()

    # --- listening ----------------------------------------------------------------------------------------------

    async def listen(self, endpoints: Mapping[Endpoint, ProtocolAdapter]) -> None:
        """Open all listeners, or none: raises ``OSError`` naming the address that cannot be had."""
        for endpoint, adapter in endpoints.items():
            listener = Listener(
                endpoint,
                adapter,
                self._tls.get(adapter.name),
                self,
                self.tasks,
                login_timeout=self._limits.login_timeout,
                max_greetings=self._settings.max_sessions,
            )
            listener.open()
            self._listeners.append(listener)
        for listener in self._listeners:
            self.tasks.start(listener.serve(), name=f"listener {listener.endpoint}")
        self.tasks.start(self._review_for_ever(), name="review of sessions")
        if self._settings.idle_timeout is not None:
            self.tasks.start(self._end_idle_sessions(self._settings.idle_timeout), name="idle sessions")

    def create_session(self, listener: Listener, client: str, *, tls: bool) -> Session:
        """A session for a client that has just connected."""
        session_id = secrets.token_hex(8)
        adapter = listener.adapter
        settings = RelaySettings(
            session_id=session_id,
            client_address=client,
            tls=tls,
            tls_required=self._settings.tls_required,
            tls_certificate=listener.certificate if tls else None,
            fixed_resource=listener.endpoint.resource,
            resolve_resource=lambda name: self._resolves(name, adapter),
            now=time.time_ns,
            random=secrets.token_bytes,
            masking_function=self._masking_function,
            limits=self._limits,
        )
        context = SessionContext(id=session_id, protocol=adapter.name, client_address=client, tls=tls)
        return Session(self, session_id, adapter.create_relay(settings), context)

    def admit(self, session: Session) -> None:
        """The client is connected. Who has not proved anything yet takes no place from those who have."""
        self.sessions[session.id] = session
        self._all_closed.clear()
        if self._draining:
            session.terminate(GatewayShutdown("the gateway is stopping"))
            return
        if len(self._strangers) >= self._settings.max_sessions:
            # A login takes milliseconds: the oldest is the likeliest to be nobody.
            oldest = next(iter(self._strangers.values()))
            oldest.terminate(TooManySessions("too many logins are under way, and this one takes the longest"))
        self._strangers[session.id] = session

    def begin_again(self, session: Session, make: Callable[[str], Relay]) -> None:
        """End the session, and put another one in its place at the client: it is let in as if it had just come."""
        session_id = secrets.token_hex(8)
        before = session.context
        context = SessionContext(
            id=session_id, protocol=before.protocol, client_address=before.client_address, tls=before.tls
        )
        successor = Session(self, session_id, make(session_id), context)
        present = session.give_client_to(successor)
        session.end(None)
        if not present:
            return
        self.admit(successor)
        successor.from_client(b"")
        successor.limit_login(self._limits.login_timeout)

    def _resolves(self, name: str, adapter: ProtocolAdapter) -> bool:
        resource = self.snapshot.resources.get(name)
        return resource is not None and resource.protocol == adapter.name

    # --- the session's host -------------------------------------------------------------------------------------

    def answer(self, session: Session, ask: Ask) -> None:
        """Answer a relay's question in a task of its own."""
        self.tasks.start(self._answer(session, ask), name=f"{type(ask).__name__} {session.id}")

    async def _answer(self, session: Session, ask: Ask) -> None:
        result: object
        try:
            result = await self._work_out(session, ask)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong becomes a refusal, never silence
            result = refusal(error)
        session.answered(ask, result)
        if isinstance(ask, AskOpen) and session.ended and session.upstream is not None:
            session.upstream.abort()  # the client left while the database was being connected
        if isinstance(ask, AskOpen) and isinstance(result, GatewayError):
            self.counts.refused += 1
            _log.warning(
                "a session was refused",
                session=session.id,
                user=ask.session.user,
                resource=ask.resource,
                client=ask.session.client_address,
                reason=f"{type(result).__name__}: {result}",
            )

    async def _work_out(self, session: Session, ask: Ask) -> object:
        match ask:
            case AskRuling():
                if session.scope is None:
                    raise LocalProtocolError("a statement came before the session was open")
                return await self._chain.rule(session.scope, ask)
            case AskPlan():
                if session.scope is None:
                    raise LocalProtocolError("a result came before the session was open")
                return await self._chain.plan(session.scope, ask)
            case AskCommit():
                raise LocalProtocolError("only the disk is waited for, and not here")
            case AskApproval():
                if session.scope is None or self._approvals is None:
                    raise LocalProtocolError("an approval was asked for where none can be had")
                return await self._approvals.obtain(session.scope, ask, lambda pending: session.answered(ask, pending))
            case AskLogin():
                self._begin_login(session, ask.session)
                login = await self._chain.login(ask.session)
                session.tokens = login.tokens
                return login
            case AskAuthenticate():
                if session.asked != ask.session:  # some protocols have clients say who they are and prove it at once
                    self._begin_login(session, ask.session)
                    # Where the token alone says who it is, there is no name that other tokens could prove.
                    session.tokens = (await self._chain.login(ask.session)).tokens if ask.session.user else ()
                proof = await self._chain.authenticate(ask.session, ask.credentials)
                if proof.token is not None or proof.expires_at is not None:
                    # It is known what proved the client: no other token has a say in how long the session lasts.
                    session.token = proof.token
                    session.tokens = () if proof.token is None else (proof.token,)
                return proof
            case AskOpen():
                return await self._open(session, ask)
            case AskCancelUpstream():
                await self._cancel(session)
                return None
            case AskKill():
                return await self._kill(session, ask)
            case AskReconnect():
                return await self._reconnect(session)
            case AskCancel():
                target = self._by_cancel_key.get(ask.key)
                if target is not None:
                    self.record_session(target, SessionEventKind.CANCEL, f"from {session.context.client_address}")
                    if self._approvals is None or not self._approvals.cancel(target.id):
                        await self._cancel(target)
                return None

    def _begin_login(self, session: Session, context: SessionContext) -> None:
        """Refuse where nobody may log in now. The session will end when what lets it in is gone."""
        session.context = context  # a login that fails is on record with the name that was tried
        if self.unready:
            raise NotReady(self.unready)
        session.snapshot = self.snapshot
        session.asked = context

    async def _open(self, session: Session, ask: AskOpen) -> Opened:
        if session.ended:
            raise GatewayShutdown("the client left before the session was open")
        if self._admitted >= self._settings.max_sessions:
            raise TooManySessions(f"all {self._settings.max_sessions} places are taken")
        session.admitted = True
        self._admitted += 1
        principal = ask.principal
        if self._approvals is not None:
            principal = with_granted(principal, ask.resource, self._approvals.granted_groups)
            session.principal = principal
        resource, database_name, decision = await self._chain.admit(ask.session, principal, ask.resource, ask.database)
        session.resource = resource
        adapter = self._adapters[resource.protocol]
        credentials = await self._chain.credentials(resource, principal)
        analyser = self._analysers.get(adapter.name)
        if analyser is None:
            analyser = self._analysers[adapter.name] = adapter.create_analyser()
        scope = await self._chain.scope(ask.session, principal, resource, database_name, decision, analyser)
        if session.ended:
            raise GatewayShutdown("the client left before the database was connected")
        transport, _, handle = await self._upstreams.connect(
            resource, adapter, lambda: DatabaseProtocol(session), ask.options
        )
        session.upstream = transport
        session.upstream_fd = plain_socket(transport)
        if session.ended:
            raise GatewayShutdown("the client left while the database was being connected")
        if reason := lost_by_change(session, self.snapshot):
            raise GatewayShutdown(reason)
        session.scope = scope
        session.audit_context = encode_session_context(
            replace(ask.session, database=database_name), principal, resource, self._settings.gateway_name
        )
        try:
            # A session whose beginning is not on record does not begin.
            self._audit.record_session(self._session_record(session, SessionEventKind.LOGIN, ""))
        except AuditError:
            transport.abort()
            raise
        return Opened(
            resource=resource,
            principal=principal,
            credentials=credentials,
            database=database_name,
            handle=handle,
            catalog=lambda: scope.database.catalog,
            rulings=scope.book,
        )

    async def _reconnect(self, session: Session) -> UpstreamHandle:
        resource = session.resource
        if resource is None:
            raise LocalProtocolError("there is no database to connect to again")
        session.leave_upstream()
        adapter = self._adapters[resource.protocol]
        self._upstreams.moved(resource)
        transport, _, handle = await self._upstreams.connect(resource, adapter, lambda: DatabaseProtocol(session))
        session.upstream = transport
        session.upstream_fd = plain_socket(transport)
        if session.ended:
            transport.abort()
            raise GatewayShutdown("the client left while the database was being connected")
        return handle

    async def _cancel(self, session: Session) -> None:
        key, resource = session.relay.upstream_cancel_key, session.resource
        if key is not None and resource is not None and session.principal is not None:
            credentials = await self._chain.credentials(resource, session.principal)
            await self._upstreams.cancel(resource, self._adapters[resource.protocol], key, credentials)

    async def _kill(self, session: Session, ask: AskKill) -> bool:
        """One's own sessions only, and nobody is told whether a number is somebody else's."""
        principal, resource = session.principal, session.resource
        for target in list(self.sessions.values()):
            relay = target.relay
            if not isinstance(relay, HasThreads) or ask.thread not in relay.threads:
                continue
            if principal is None or target.principal is None or target.principal.name != principal.name:
                continue
            if resource is None or target.resource is None or target.resource.name != resource.name:
                continue
            self.record_session(target, SessionEventKind.CANCEL, f"from {session.context.client_address}")
            if ask.hard:
                target.terminate(GatewayShutdown("killed from another session of its owner"))
            elif self._approvals is None or not self._approvals.cancel(target.id):
                await self._cancel(target)
            return True
        return False

    def expires(self, session: Session) -> None:
        """What proved the client has an end, or another one than before."""
        if session.expires_at is not None:
            self._expiries.await_(session.expires_at)

    def opened(self, session: Session) -> None:
        """The session is open, and can be cancelled from now on."""
        self._strangers.pop(session.id, None)
        self.counts.opened += 1
        if session.token is not None:
            self.token_uses[session.token.id] = time.time()
        key = session.relay.cancel_key
        if key is not None:
            self._by_cancel_key[key] = session

    def approval_given_up(self, session: Session) -> None:
        """Nobody waits for the session's held statement any more."""
        if self._approvals is not None:
            self._approvals.given_up(session.id)

    def record_session(self, session: Session, kind: SessionEventKind, detail: str) -> None:
        """Give an event of the session to the audit. What cannot be recorded is at least logged."""
        try:
            self._audit.record_session(self._session_record(session, kind, detail))
        except AuditError as error:
            _log.error("a session event could not be recorded", session=session.id, kind=kind.value, error=str(error))

    @staticmethod
    def _session_record(session: Session, kind: SessionEventKind, detail: str) -> SessionRecord:
        return SessionRecord(
            kind=kind,
            context=session.context,
            time=time.time_ns(),
            principal=session.principal,
            resource=session.resource,
            detail=detail,
            duration=int((asyncio.get_running_loop().time() - session.started) * 1e9),
            statements=session.statements,
        )

    def closed(self, session: Session) -> None:
        """The session is over."""
        if self._approvals is not None:
            self._approvals.session_ended(session.id)
        self.sessions.pop(session.id, None)
        self.counts.statements += session.statements
        self._strangers.pop(session.id, None)
        if session.admitted:
            session.admitted = False
            self._admitted -= 1
        key = session.relay.cancel_key
        if key is not None:
            self._by_cancel_key.pop(key, None)
        if session.principal is not None and session.scope is not None:
            self.record_session(session, SessionEventKind.CLOSED, session.failure)
        if not self.sessions:
            self._all_closed.set()

    def _remember_statements(self) -> None:
        """For approvers of later ones, as long as a policy asks for any."""
        approvals = self._approvals if self.snapshot.policies.holds else None
        self.recorder.remember = None if approvals is None else approvals.ran

    # --- changes and the end ------------------------------------------------------------------------------------

    def use_snapshot(self, snapshot: Snapshot) -> None:
        """Decide by another snapshot from the next statement on, and end the sessions that it leaves no ground for."""
        self.snapshot = snapshot
        self._remember_statements()
        self._chain.forget()
        self._upstreams.forget()
        for session in list(self.sessions.values()):
            if reason := lost_by_change(session, snapshot):
                self.terminate(session, reason)
            elif session.principal is not None:
                session.snapshot = snapshot
        self.review_soon()

    def terminate(self, session: Session, reason: str) -> None:
        """End one session with a native error."""
        self.counts.terminated += 1
        session.terminate(GatewayShutdown(reason))

    def review_soon(self) -> None:
        """Look at once whether the tokens of running sessions are still good."""
        self.tasks.start(self._review(), name="review of sessions after a change")

    def access_ended(self, principal: str, resource: str, group: str) -> None:
        """Membership of a group that was granted for some time is over: so are the sessions that began with it."""
        for session in list(self.sessions.values()):
            if session.resource is not None and session.resource.name == resource and session.principal is not None:
                for member in session.principal.chain():
                    own = self.snapshot.principals.get(member.name)
                    if member.name == principal and group in member.groups and (own is None or group not in own.groups):
                        session.terminate(GatewayShutdown("the access that was granted for some time is over"))
                        break

    async def _review(self) -> None:
        await end_without_token(list(self.sessions.values()), self._chain.login, self._clock())

    async def _review_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REVIEW_INTERVAL)
            try:
                await self._review()
            except Exception as error:  # noqa: BLE001 - the next look may succeed
                _log.error("running sessions could not be reviewed", exc_info=error)

    async def _end_idle_sessions(self, after: float) -> None:
        while True:
            await asyncio.sleep(min(after / 4, 5))
            now = asyncio.get_running_loop().time()
            for session in list(self.sessions.values()):
                if session.open and not session.relay.idle:
                    session.active = now  # something runs, or a transaction is open: idleness begins after it
                elif session.open and now - session.active > after:
                    session.terminate(GatewayShutdown("idle for too long"))

    def hurry(self) -> None:
        """Wait for nobody any more while draining."""
        self._hurry = True
        self._all_closed.set()

    async def drain(self) -> None:
        """Take no more sessions, end the idle ones, and give the others their time."""
        self._draining = True
        for listener in self._listeners:
            listener.close()
        stopping = GatewayShutdown("the gateway is stopping")
        deadline = asyncio.get_running_loop().time() + self._settings.drain_timeout
        while self.sessions and not self._hurry and asyncio.get_running_loop().time() < deadline:
            for session in list(self.sessions.values()):
                if session.relay.idle or not session.open:
                    session.terminate(stopping)
            try:
                async with asyncio.timeout(DRAIN_STEP):
                    await self._all_closed.wait()
            except TimeoutError:
                pass
        for session in list(self.sessions.values()):
            session.terminate(stopping)
        self._expiries.stop()
        await self.tasks.cancel()
        for analyser in self._analysers.values():
            analyser.close()

"""The data plane as a whole: listeners, sessions, questions and their answers, and coming to an end."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from gateway.audit.event import encode_session_context
from gateway.chain import Chain
from gateway.domain.audit import SessionEventKind, SessionRecord, StatementRecord
from gateway.domain.decision import SessionContext
from gateway.domain.masking import MaskingFunction, MaskSpec
from gateway.errors import AuditError, GatewayError, GatewayShutdown, LimitExceeded, LocalProtocolError
from gateway.policy.snapshot import Snapshot
from gateway.protocol.adapter import Limits, Opened, ProtocolAdapter, RelaySettings, StatementAnalyser
from gateway.protocol.effects import (
    Ask,
    AskAuthenticate,
    AskCancel,
    AskCancelUpstream,
    AskCommit,
    AskLogin,
    AskOpen,
    AskPlan,
    AskRuling,
)
from gateway.server.listener import Endpoint, Listener, ServerTls
from gateway.server.session import DatabaseProtocol, Session, refusal
from gateway.server.tasks import Tasks
from gateway.server.upstream import Upstreams

_log = structlog.get_logger("querygate.server")


class Audit(Protocol):
    """What the data plane needs of the audit."""

    def record(self, record: StatementRecord, context: bytes) -> None:
        """Take a statement; raises ``AuditError`` where it cannot be kept."""

    def record_session(self, record: SessionRecord) -> None:
        """Take an event of a session; raises ``AuditError``."""

    async def commit(self) -> None:
        """Return when everything recorded so far is on disk; raises ``AuditError``."""


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
        self._analysers: dict[str, StatementAnalyser] = {}
        self._listeners: list[Listener] = []
        self.tasks = Tasks()
        self.sessions: dict[str, Session] = {}
        self._by_cancel_key: dict[bytes, Session] = {}
        self._draining = False
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
            )
            listener.open()
            self._listeners.append(listener)
        for listener in self._listeners:
            self.tasks.start(listener.serve(), name=f"listener {listener.endpoint}")
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
        """The client is connected: count it, or send it away."""
        if self._draining or len(self.sessions) >= self._settings.max_sessions:
            error: GatewayError = GatewayShutdown("the gateway is stopping")
            if not self._draining:
                error = LimitExceeded("too many sessions")
            self.sessions[session.id] = session
            session.terminate(error)
            return
        self.sessions[session.id] = session
        self._all_closed.clear()

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
                for record in ask.records:
                    self._audit.record(record, session.audit_context)
                await self._audit.commit()
                return None
            case AskLogin():
                return await self._chain.login(ask.session)
            case AskAuthenticate():
                return await self._chain.authenticate(ask.session, ask.credentials)
            case AskOpen():
                return await self._open(session, ask)
            case AskCancelUpstream():
                await self._cancel(session)
                return None
            case AskCancel():
                target = self._by_cancel_key.get(ask.key)
                if target is not None:
                    self.record_session(target, SessionEventKind.CANCEL, f"from {session.context.client_address}")
                    await self._cancel(target)
                return None

    async def _open(self, session: Session, ask: AskOpen) -> Opened:
        resource, database_name, decision = await self._chain.admit(
            ask.session, ask.principal, ask.resource, ask.database
        )
        session.resource = resource
        adapter = self._adapters[resource.protocol]
        credentials = await self._chain.credentials(resource, ask.principal)
        analyser = self._analysers.get(adapter.name)
        if analyser is None:
            analyser = self._analysers[adapter.name] = adapter.create_analyser()
        scope = await self._chain.scope(ask.session, ask.principal, resource, database_name, decision, analyser)
        transport, _, handle = await self._upstreams.connect(resource, adapter, lambda: DatabaseProtocol(session))
        session.upstream = transport
        session.scope = scope
        session.audit_context = encode_session_context(
            replace(ask.session, database=database_name), ask.principal, resource, self._settings.gateway_name
        )
        try:
            # A session whose beginning is not on record does not begin.
            self._audit.record_session(self._session_record(session, SessionEventKind.LOGIN, ""))
        except AuditError:
            transport.abort()
            raise
        return Opened(
            resource=resource,
            principal=ask.principal,
            credentials=credentials,
            database=database_name,
            handle=handle,
            catalog=lambda: scope.database.catalog,
            rulings=scope.book,
        )

    async def _cancel(self, session: Session) -> None:
        key, resource = session.relay.upstream_cancel_key, session.resource
        if key is not None and resource is not None:
            await self._upstreams.cancel(resource, self._adapters[resource.protocol], key)

    def opened(self, session: Session) -> None:
        """The session can be cancelled from now on."""
        key = session.relay.cancel_key
        if key is not None:
            self._by_cancel_key[key] = session

    def record_statement(self, session: Session, record: StatementRecord) -> None:
        """Give a statement to the audit; raises ``AuditError``."""
        self._audit.record(record, session.audit_context)

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
        self.sessions.pop(session.id, None)
        key = session.relay.cancel_key
        if key is not None:
            self._by_cancel_key.pop(key, None)
        if session.principal is not None and session.scope is not None:
            self.record_session(session, SessionEventKind.CLOSED, session.failure)
        if not self.sessions:
            self._all_closed.set()

    # --- changes and the end ------------------------------------------------------------------------------------

    def use_snapshot(self, snapshot: Snapshot) -> None:
        """Decide by another snapshot from the next statement on; sessions whose resource is gone are ended."""
        self.snapshot = snapshot
        self._chain.forget()
        for session in list(self.sessions.values()):
            resource = session.resource
            if resource is not None and snapshot.resources.get(resource.name) != resource:
                session.terminate(GatewayShutdown("the resource was changed or removed"))

    async def _end_idle_sessions(self, after: float) -> None:
        while True:
            await asyncio.sleep(min(after / 4, 5))
            now = asyncio.get_running_loop().time()
            for session in list(self.sessions.values()):
                if session.relay.idle and now - session.active > after:
                    session.terminate(GatewayShutdown("idle for too long"))

    async def drain(self) -> None:
        """Take no more sessions, end the idle ones, and give the others their time."""
        self._draining = True
        for listener in self._listeners:
            listener.close()
        deadline = asyncio.get_running_loop().time() + self._settings.drain_timeout
        while self.sessions and asyncio.get_running_loop().time() < deadline:
            for session in list(self.sessions.values()):
                if session.relay.idle or session.scope is None:
                    session.terminate(GatewayShutdown("the gateway is stopping"))
            try:
                async with asyncio.timeout(0.2):
                    await self._all_closed.wait()
            except TimeoutError:
                pass
        for session in list(self.sessions.values()):
            session.terminate(GatewayShutdown("the gateway is stopping"))
        await self.tasks.cancel()
        for analyser in self._analysers.values():
            analyser.close()

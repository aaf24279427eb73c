"""From a statement on the wire to a request on the desk, and back.

The driver asks for every execution whose ruling needs an approval. What a client is told holds nothing of the policy
but its message, and the request's id.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from typing import Final

import structlog

from gateway.approvals.binding import binding, meaning, requester_reason, shape
from gateway.approvals.errors import ApprovalRefused
from gateway.approvals.grants import Demand
from gateway.approvals.seam import SessionDesk
from gateway.approvals.session_settings import SessionSettings, sets
from gateway.approvals.shown import parameters_shown, whole_or_cut
from gateway.chain import Chain, Scope
from gateway.domain.approval import (
    ApprovalNote,
    ApprovalRequest,
    ApprovalRule,
    ApprovalState,
    RequestKind,
    StatementSummary,
    Subject,
)
from gateway.domain.audit import StatementRecord
from gateway.domain.statement import ObjectRef, Predicate, StatementFacts
from gateway.errors import StatementCancelled
from gateway.protocol.adapter import Exchange, ProtocolAdapter, UpstreamHandle
from gateway.protocol.effects import ApprovalPending, AskApproval
from gateway.protocol.optional import Estimator
from gateway.server.upstream import Upstreams
from gateway.sql.credentials import readable

_log = structlog.get_logger("querygate.approvals")

_ESTIMATE_TIMEOUT: Final = 2.0
"""Seconds that the database gets to say how many rows a statement is about."""
_STATEMENTS_BEFORE: Final = 5
_SHOWN_BEFORE: Final = 500
"""How many earlier statements of a session an approver sees, and how many characters of each."""

Estimate = Callable[[Scope, StatementRecord, StatementFacts, Hashable], Awaitable[int | None]]
"""How many rows a statement is about, by the database's own word; None where it is not safe to ask or not known."""


class Estimates:
    """Asks the database, where its protocol plugin can, on a connection of the gateway's own."""

    def __init__(self, upstreams: Upstreams, adapters: Mapping[str, ProtocolAdapter], chain: Chain) -> None:
        self._upstreams = upstreams
        self._adapters = adapters
        self._chain = chain

    async def __call__(
        self, scope: Scope, record: StatementRecord, facts: StatementFacts, state: Hashable
    ) -> int | None:
        """The database's number of rows. Raises ``UpstreamError``."""
        resource = scope.resource
        adapter = self._adapters[resource.protocol]
        if not isinstance(adapter, Estimator) or not adapter.may_estimate(facts, record.text, state):
            return None
        credentials = await self._chain.credentials(resource, scope.principal)

        def begin(handle: UpstreamHandle) -> Exchange:
            return adapter.estimate(
                resource, credentials, scope.database.name, handle, record.text, state, record.bound
            )

        rows: int | None = await self._upstreams.exchange(resource, adapter, begin, doing="estimating rows")
        return rows


class Holder:
    """Obtains approvals for the sessions of one gateway."""

    def __init__(
        self,
        desk: SessionDesk,
        chain: Chain,
        *,
        clock: Callable[[], float],
        snapshot: Callable[[], str],
        estimate: Estimate,
    ) -> None:
        self._desk = desk
        self._chain = chain
        self._clock = clock
        self._snapshot = snapshot
        self._estimate = estimate
        self._waiting: dict[str, str] = {}
        """The request that a session waits for."""
        self._cancelled: set[str] = set()
        self._before: dict[str, deque[str]] = {}
        self._settings: dict[str, SessionSettings] = {}
        """What sessions that have set anything have set."""

    def granted_groups(self, principal: str, resource: str) -> frozenset[str]:
        """Groups that a principal belongs to on a resource for the time being."""
        return self._desk.granted_groups(principal, resource)

    def ran(self, session_id: str, record: StatementRecord) -> None:
        """A session has run a statement: an approver of a later one may want to know."""
        if sets(record):
            self._settings.setdefault(session_id, SessionSettings()).note(record)
        before = self._before.get(session_id)
        if before is None:
            before = self._before[session_id] = deque(maxlen=_STATEMENTS_BEFORE)
        # At once, since a text that was cut no longer shows what its values are for.
        before.append(readable(record.text, record.ruling.analysis)[0][:_SHOWN_BEFORE])

    async def obtain(self, scope: Scope, ask: AskApproval, tell: Callable[[ApprovalPending], None]) -> ApprovalNote:
        """Return when the execution may go on. Raises ``GatewayError`` where it may not."""
        record = ask.record
        ruling = record.ruling
        rules = tuple(sorted(ruling.approvals, key=lambda rule: rule.policy))
        reason = requester_reason(record.text)
        if not reason and any(rule.reason for rule in rules):
            raise ApprovalRefused(
                "a policy asks for a reason and the statement has none",
                message="say why in a comment of the statement, like /* reason: INC-42 */, and run it again",
            )
        principal, resource = scope.principal, scope.resource
        names = tuple(person.name for person in principal.chain())
        database = scope.database.name
        read = meaning(ask.state, scope.session.id)
        settings = self._settings.get(scope.session.id, SessionSettings()).then(ask.ahead).digest()
        under = f"{read} after {settings}" if settings else read
        digest = binding(principal, resource.name, database, record.text, ask.parameters, under)
        alike = shape(ruling.analysis.fingerprint, read)
        demand = Demand(names, resource.name, database, scope.session.id, digest, alike, rules)
        note = await self._desk.use_grant(demand)
        if note is None:
            note = await self._ask(scope, ask, rules, (digest, alike), reason, tell)
        record.approval = note
        if (error := await self._chain.still_holds(scope, record.text, ask.state, ruling)) is not None:
            raise error
        return note

    def cancel(self, session_id: str) -> bool:
        """The client takes back what waits; False where nothing does."""
        return self._give_up(session_id, "the client cancelled the statement")

    def given_up(self, session_id: str) -> None:
        """Nobody waits for the session's statement any more, though the session is not over yet."""
        self._give_up(session_id, "the client is gone")

    def session_ended(self, session_id: str) -> None:
        """A session is over."""
        self._before.pop(session_id, None)
        self._settings.pop(session_id, None)
        self._give_up(session_id, "the client is gone")
        self._desk.session_ended(session_id)

    def _give_up(self, session_id: str, reason: str) -> bool:
        identifier = self._waiting.get(session_id)
        if identifier is None:
            return False
        self._cancelled.add(session_id)
        self._desk.withdraw(identifier, reason)
        return True

    async def _ask(
        self,
        scope: Scope,
        ask: AskApproval,
        rules: tuple[ApprovalRule, ...],
        exactly: tuple[str, str],
        reason: str,
        tell: Callable[[ApprovalPending], None],
    ) -> ApprovalNote:
        session = scope.session
        identifier = self._waiting[session.id] = self._desk.new_id()
        try:
            request = await self._desk.submit(await self._request(identifier, scope, ask, rules, exactly, reason))
            if session.id in self._cancelled:  # while the request was being put together
                self._desk.withdraw(request.id, "the client gave it up")
            where = self._where(request.id)
            if not all(rule.hold for rule in rules):
                raise ApprovalRefused(
                    f"approval request {request.id} was made; the policy does not let the session wait",
                    message=f"this statement needs an approval: request {request.id}{where}; "
                    "run it again once it is approved",
                )
            seconds = request.expires - request.created
            longest = f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
            text = f"waiting for an approval, at most {longest}: request {request.id}{where}"
            tell(ApprovalPending(request.id, text))
            return await self._desk.wait(request.id)
        except ApprovalRefused:
            if session.id in self._cancelled:
                raise StatementCancelled(f"approval request {identifier} was withdrawn by the client") from None
            raise
        finally:
            self._waiting.pop(session.id, None)
            self._cancelled.discard(session.id)

    async def _request(
        self,
        identifier: str,
        scope: Scope,
        ask: AskApproval,
        rules: tuple[ApprovalRule, ...],
        exactly: tuple[str, str],
        reason: str,
    ) -> ApprovalRequest:
        """``exactly`` is what it is bound to, and what it has in common with those of a window."""
        session, now = scope.session, self._clock()
        return ApprovalRequest(
            id=identifier,
            kind=RequestKind.STATEMENT,
            state=ApprovalState.PENDING,
            created=now,
            expires=now + min(rule.timeout for rule in rules),
            subject=Subject(
                scope.principal.name,
                scope.principal.kind.value,
                tuple(person.name for person in scope.principal.chain()[1:]),
                session.id,
                session.client_address,
                session.application,
            ),
            resource=scope.resource.name,
            environment=scope.resource.environment,
            protocol=scope.resource.protocol,
            database=scope.database.name,
            rules=rules,
            binding=exactly[0],
            shape=exactly[1],
            snapshot=self._snapshot(),
            statement=await self._summary(scope, ask),
            reason=reason,
        )

    async def _summary(self, scope: Scope, ask: AskApproval) -> StatementSummary:
        record = ask.record
        analysis = record.ruling.analysis
        statements = analysis.statements
        labels = frozenset[str]()
        for facts in statements:
            for column in facts.columns_read | facts.columns_written:
                labels |= scope.database.labels_of(column)
        text, normalised = readable(record.text, analysis)
        return StatementSummary(
            text=whole_or_cut(text),
            fingerprint=analysis.fingerprint,
            normalised=whole_or_cut(normalised),
            actions=tuple(sorted(action.value for action in analysis.actions)),
            reads=_names(facts.objects_read for facts in statements),
            writes=_names(facts.objects_written for facts in statements),
            labels=tuple(sorted(labels)),
            predicate=_predicate(statements).value,
            opaque=tuple(dict.fromkeys(why for facts in statements for why in facts.opaque)),
            parameters=parameters_shown(record),
            estimated_rows=await self._estimated(scope, statements, ask),
            before=tuple(self._before.get(scope.session.id, ())),
        )

    async def _estimated(self, scope: Scope, statements: tuple[StatementFacts, ...], ask: AskApproval) -> int | None:
        if len(statements) != 1 or statements[0].opaque or (ask.record.parameters and ask.record.bound is None):
            return None  # without its parameters the database would only write an error into its log
        try:
            async with asyncio.timeout(_ESTIMATE_TIMEOUT):
                return await self._estimate(scope, ask.record, statements[0], ask.state)
        except Exception as error:  # noqa: BLE001 - an approver can do without; the statement waits all the same
            _log.info("the rows of a held statement could not be estimated", error=f"{type(error).__name__}: {error}")
            return None

    def _where(self, identifier: str) -> str:
        return f" ({self._desk.url}/{identifier})" if self._desk.url else ""


def _names(groups: Iterable[frozenset[ObjectRef]]) -> tuple[str, ...]:
    return tuple(sorted({str(name) for group in groups for name in group}))


_WEAKNESS: Final = (Predicate.ABSENT, Predicate.CONSTANT, Predicate.PRESENT, Predicate.NOT_APPLICABLE)


def _predicate(statements: tuple[StatementFacts, ...]) -> Predicate:
    """The weakest predicate of all statements of a text."""
    return min((facts.predicate for facts in statements), key=_WEAKNESS.index, default=Predicate.NOT_APPLICABLE)

"""The life of a statement, once for every protocol and every way in: identity, guardrails, masking, audit.

Nothing here knows a wire protocol or does network I/O. Every method either gives an answer or raises a
``GatewayError``, and a failure of any part is a refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.audit.event import encode_ruling
from gateway.databases import Database, Databases
from gateway.domain.decision import AccessRequest, Decision, Effect, SessionContext
from gateway.domain.identity import Login, PasswordCredentials
from gateway.domain.masking import MaskingPlan, ResultColumn
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, Analysis
from gateway.errors import (
    AccessDenied,
    AuditError,
    AuthenticationError,
    GatewayError,
    MaskingError,
    PolicyEvaluationError,
    UnknownResource,
)
from gateway.masking.guard import guard
from gateway.plugin.dispatch import Dispatcher
from gateway.policy.snapshot import Snapshot
from gateway.protocol.adapter import StatementAnalyser
from gateway.protocol.effects import AskPlan, AskRuling
from gateway.rulings import AuditHealth, RulingBook

_READING: Final = frozenset(
    {
        Action.READ,
        Action.SHOW,
        Action.SET,
        Action.TRANSACTION,
        Action.EXPLAIN,
        Action.CURSOR,
        Action.PREPARE,
        Action.COPY_OUT,
        Action.LOCK,
        Action.NOTIFY,
    }
)
"""What the audit's durability for reads covers; everything else counts as a write."""

_SPEAKS_OF_ITSELF: Final = frozenset(
    {
        *(Action.READ, Action.SHOW, Action.SET, Action.EXPLAIN, Action.COPY_OUT),
        *(Action.CURSOR, Action.PREPARE, Action.LOCK, Action.NOTIFY, Action.TRANSACTION),
    }
)
"""Actions about which the database's messages speak of nothing but what the statement reads. Everything else may run
triggers, build indexes or check constraints, whose messages quote what is stored."""


MAX_BOOKS: Final = 4096
"""Books of rulings kept for sessions to come."""


@dataclass(frozen=True, slots=True)
class Durability:
    """Which statements must be on disk before the database sees them."""

    reads: bool
    writes: bool

    def demands(self, analysis: Analysis) -> bool:
        """Whether the statement must be on disk first."""
        return self.reads if analysis.actions <= _READING else self.writes


@dataclass(slots=True, eq=False)
class Scope:
    """What an open session is: who, where, and the rulings made so far."""

    session: SessionContext
    principal: Principal
    resource: Resource
    database: Database
    book: RulingBook
    analyser: StatementAnalyser


class Chain:
    """Asks the hooks in the order of a statement's life."""

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        databases: Databases,
        snapshot: Callable[[], Snapshot],
        durability: Callable[[Resource], Durability],
        audit: AuditHealth,
    ) -> None:
        self._dispatcher = dispatcher
        self._databases = databases
        self._snapshot = snapshot
        self._durability = durability
        self._audit = audit
        self._books: dict[Hashable, RulingBook] = {}

    # --- sessions -----------------------------------------------------------------------------------------------

    async def login(self, session: SessionContext) -> Login:
        """What may prove the user, limited to tokens that are good for the resource."""
        login = await self._dispatcher.find_login(session)
        if login is None:
            raise AuthenticationError("no identity provider knows the user")
        tokens = tuple(t for t in login.tokens if not t.resources or session.resource in t.resources)
        return Login(login.salt, login.iterations, tokens, login.password)

    async def authenticate(self, session: SessionContext, credentials: PasswordCredentials) -> Principal:
        """The principal that a clear password proves."""
        return await self._dispatcher.authenticate(session, credentials)

    async def admit(
        self, session: SessionContext, principal: Principal, resource_name: str, database_name: str | None
    ) -> tuple[Resource, str, Decision]:
        """Whether the principal may open a session; the resource, the upstream's database and the decision."""
        if not self._audit.healthy:
            raise AuditError(self._audit.reason)
        resource = self._snapshot().resources.get(resource_name)
        if resource is None:
            raise UnknownResource("the client asked for a resource that does not exist")
        request = AccessRequest(principal, resource, session, resource_labels=self._labels(resource))
        decision = await self._dispatcher.authorize_session(request)
        if decision.effect is not Effect.ALLOW:
            raise AccessDenied(decision.reason, message=decision.message)
        return resource, database_name or resource.database or resource.name, decision

    async def credentials(self, resource: Resource, principal: Principal) -> UpstreamCredentials:
        """What the gateway logs in to the database with."""
        return await self._dispatcher.provide_upstream_credentials(resource, principal)

    async def scope(
        self,
        session: SessionContext,
        principal: Principal,
        resource: Resource,
        database_name: str,
        admitted: Decision,
        analyser: StatementAnalyser,
    ) -> Scope:
        """The open session's scope. The catalog is read if nobody has yet."""
        database = self._databases.get(resource, database_name)
        masked = bool(admitted.obligations.masks)
        if database.catalog is None or (masked and database.stale):
            await self._databases.try_refresh(database)
        # Rulings are shared by a principal's sessions that agree in what policies look at.
        looked_at = sorted(self._snapshot().policies.session_variables)
        seen = tuple(getattr(session, name.removeprefix("session.")) for name in looked_at)
        key = (principal.key(), database, seen)
        book = self._books.get(key)
        if book is None:
            if len(self._books) >= MAX_BOOKS:
                self._books.clear()
            book = RulingBook(database, self._audit)
            self._books[key] = book
        book.masked = book.masked or masked
        return Scope(session, principal, resource, database, book, analyser)

    def forget(self) -> None:
        """The snapshot changed: everything decided so far is void."""
        self._books.clear()
        self._databases.renew()

    # --- statements ---------------------------------------------------------------------------------------------

    async def rule(self, scope: Scope, ask: AskRuling) -> Ruling:
        """The ruling for a text. Never raises: what goes wrong becomes the ruling's refusal."""
        try:
            return await self._rule(scope, ask)
        except GatewayError as error:
            analysis = ask.facts or Analysis(())
            decision = Decision(Effect.DENY, str(error), cacheable=False)
            return _refused(decision, analysis, error)

    async def _rule(self, scope: Scope, ask: AskRuling) -> Ruling:
        if not self._audit.healthy:
            raise AuditError(self._audit.reason)
        database = scope.database
        if database.stale:
            if scope.book.masked:
                await self._databases.refresh(database)
            else:
                # Nobody else waits: a new catalog can only add to what an old one proves about them.
                self._databases.want(database)
        epoch = database.epoch
        analysis = ask.facts
        if analysis is None:
            analyser, catalog = scope.analyser, database.catalog
            analysis = analyser.analyse_now(ask.text, ask.state, catalog)
            if analysis is None:
                analysis = await analyser.analyse(ask.text, ask.state, catalog)
        request = self._request(scope, ask.text, analysis)
        decision = await self._dispatcher.authorize_statement(request)
        refusal = self._refusal(scope, decision, analysis)
        masks = decision.obligations.masks
        if masks:
            scope.book.masked = True
        ruling = Ruling(
            decision=decision,
            analysis=analysis,
            refusal=refusal,
            masked=bool(masks),
            redact_messages=bool(masks) and _may_speak_of_masked(analysis, request.labels, masks),
            intent=refusal is None and self._durability(scope.resource).demands(analysis),
            epoch=epoch,
            audit=encode_ruling(analysis, _as_touched(decision, request.labels), refusal=refusal),
            warnings=decision.warnings,
        )
        if ask.key is not None and decision.cacheable:
            by_template = not analysis.literals_matter and not self._snapshot().policies.uses_text
            scope.book.store(ask.state, ask.key, ruling, by_template=by_template)
        return ruling

    def _request(self, scope: Scope, text: str, analysis: Analysis) -> AccessRequest:
        database = scope.database
        resource_labels = self._labels(scope.resource) | database.all_labels()
        touched: set[str] = set()
        for facts in analysis.statements:
            if facts.reads_everything or facts.opaque:
                touched |= resource_labels
            for column in facts.columns_read | facts.columns_written:
                touched |= database.labels_of(column)
        return AccessRequest(
            scope.principal,
            scope.resource,
            scope.session,
            analysis,
            text,
            labels=frozenset(touched),
            resource_labels=resource_labels,
        )

    @staticmethod
    def _refusal(scope: Scope, decision: Decision, analysis: Analysis) -> GatewayError | None:
        match decision.effect:
            case Effect.ALLOW:
                pass
            case Effect.REQUIRE_APPROVAL:
                message = decision.message or "this statement needs an approval, which this gateway cannot obtain"
                return AccessDenied(decision.reason, message=message)
            case _:
                return AccessDenied(decision.reason, message=decision.message)
        obligations = decision.obligations
        if obligations.masks:
            masked = frozenset(obligations.masks)
            database = scope.database
            for facts in analysis.statements:
                reason = guard(
                    facts,
                    labels_of=database.labels_of,
                    masked=masked,
                    inference=obligations.inference,
                    has_masked_columns=lambda target: database.has_columns_labelled(target, masked),
                )
                if reason is not None:
                    return MaskingRefusal(reason)
        return None

    async def plan(self, scope: Scope, ask: AskPlan) -> MaskingPlan:
        """How a result is masked; raises ``GatewayError``."""
        masks = ask.ruling.decision.obligations.masks
        request = self._request(scope, "", ask.ruling.analysis)
        plan = await self._dispatcher.plan_masking(request, ask.columns, masks)
        _check_plan(plan, ask.columns)
        return plan

    def _labels(self, resource: Resource) -> frozenset[str]:
        return self._snapshot().label_index(resource.name).all_labels


class MaskingRefusal(AccessDenied):
    """A statement through which a value under a mask could get around it."""

    client_message = "access denied: the statement could reveal or copy masked data"


def _as_touched(decision: Decision, labels: frozenset[str]) -> Decision:
    """The decision as the audit tells it: with the masks of labels that the statement touches, not of all there are."""
    masks = {label: specs for label, specs in decision.obligations.masks.items() if label in labels}
    return replace(decision, obligations=replace(decision.obligations, masks=masks))


def _check_plan(plan: MaskingPlan, columns: Sequence[ResultColumn]) -> None:
    if len(plan.columns) != len(columns):
        raise MaskingError("the masking plan has another number of columns than the result")


def _may_speak_of_masked(analysis: Analysis, labels: frozenset[str], masks: Mapping[str, object]) -> bool:
    """Whether the database's messages about the statement could hold a masked value."""
    if not labels.isdisjoint(masks):
        return True
    return any(
        facts.opaque or facts.reads_everything or not facts.actions <= _SPEAKS_OF_ITSELF
        for facts in analysis.statements
    )


def _refused(decision: Decision, analysis: Analysis, error: GatewayError) -> Ruling:
    if not isinstance(error, AccessDenied | AuditError | MaskingError):
        error = PolicyEvaluationError(f"{type(error).__name__}: {error}")
    return Ruling(
        decision=decision,
        analysis=analysis,
        refusal=error,
        masked=True,
        redact_messages=True,
        intent=False,
        audit=encode_ruling(analysis, decision, refusal=error),
    )

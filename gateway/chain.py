"""The life of a statement, once for every protocol and every way in: identity, guardrails, masking, audit.

Nothing here knows a wire protocol or does network I/O. Every method either gives an answer or raises a
``GatewayError``, and a failure of any part is a refusal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.audit.event import encode_ruling
from gateway.databases import Database, Databases
from gateway.domain.approval import ApprovalRule
from gateway.domain.decision import AccessRequest, Decision, Effect, SessionContext
from gateway.domain.identity import Login, PasswordCredentials, Proof
from gateway.domain.literals import Literals
from gateway.domain.masking import MaskingFunction, MaskingPlan, MaskSpec, ResultColumn
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, Analysis, SessionEffect, StatementFacts
from gateway.errors import (
    AccessDenied,
    AuditError,
    AuthenticationError,
    GatewayError,
    MaskedValueWrittenBack,
    MaskingError,
    PolicyEvaluationError,
    TooManyChanges,
    UnknownResource,
    UpstreamError,
)
from gateway.guardrails.budgets import Budgets
from gateway.guardrails.changes import uncountable
from gateway.masking.guard import copies_masked, guard
from gateway.masking.plan import REDACT
from gateway.masking.sentinels import MaskSentinels
from gateway.plugin.dispatch import Dispatcher
from gateway.policy.snapshot import Snapshot
from gateway.protocol.adapter import StatementAnalyser
from gateway.protocol.effects import AskPlan, AskRuling
from gateway.rulings import AuditHealth, RulingBook
from gateway.sql.template import template_of

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

_NO_CATALOG: Final = "access denied: the database's catalog could not be read, and masks cannot be applied without it"

_SPEAKS_OF_ITSELF: Final = frozenset(
    {
        *(Action.READ, Action.SHOW, Action.SET, Action.EXPLAIN, Action.COPY_OUT),
        *(Action.CURSOR, Action.PREPARE, Action.LOCK, Action.NOTIFY, Action.TRANSACTION),
    }
)
"""Actions about which the database's messages speak of nothing but what the statement reads. Everything else may run
triggers, build indexes or check constraints, whose messages quote what is stored."""


_NAMES_ITS_COLUMNS: Final = frozenset(
    {
        *(Action.READ, Action.INSERT, Action.UPDATE, Action.DELETE, Action.MERGE, Action.COPY_OUT),
        *(Action.EXPLAIN, Action.CURSOR, Action.LOCK, Action.SHOW, Action.TRANSACTION, Action.TRUNCATE, Action.DROP),
    }
)
"""Actions whose values meet no columns but those that the facts name. A value in anything else (SET, EXECUTE, a
schema change, a call) may be compared with, or become, anything."""

_CARRIES_VALUES: Final = frozenset({SessionEffect.NAME_RESOLUTION, SessionEffect.LANGUAGE})
"""What a statement does to the session where it may set a variable that a later one compares with a column."""


CHANGED_MEANWHILE: Final = "policies or schema changed while the statement waited; run it again"

NOBODY_DECIDES: Final = (
    "this statement needs an approval, and nobody can decide about it here: the gateway has no control_plane of its "
    "own, and it is not linked to one (control)"
)

_REASONS_TOLD: Final = 3
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
        can_hold: bool = False,
        masking_function: Callable[[MaskSpec], MaskingFunction] | None = None,
        budgets: Budgets | None = None,
        literals: Callable[[Resource, frozenset[str] | None], Literals] | None = None,
    ) -> None:
        """``literals`` says what the audit keeps of the values in a statement that touches these labels of a resource,
        None where nobody knows which; without it the log decides.
        """
        self._literals = literals
        self._masking_function = masking_function
        self._budgets = Budgets(time.time) if budgets is None else budgets
        self._dispatcher = dispatcher
        self._databases = databases
        self._snapshot = snapshot
        self._durability = durability
        self._audit = audit
        self._can_hold = can_hold
        self._books: dict[Hashable, RulingBook] = {}

    # --- sessions -----------------------------------------------------------------------------------------------

    async def login(self, session: SessionContext) -> Login:
        """What may prove the user, limited to tokens that are good for the resource."""
        login = await self._dispatcher.find_login(session)
        if login is None:
            raise AuthenticationError("no identity provider knows the user")
        tokens = tuple(t for t in login.tokens if not t.resources or session.resource in t.resources)
        return replace(login, tokens=tokens)

    async def authenticate(self, session: SessionContext, credentials: PasswordCredentials) -> Proof:
        """Who a clear password proves its bearer to be."""
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
        masked = bool(admitted.obligations.guarded)
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
            book = RulingBook(database, self._audit, template_of(resource.protocol))
            self._books[key] = book
        book.masked = book.masked or masked
        return Scope(session, principal, resource, database, book, analyser)

    def forget(self) -> None:
        """The snapshot changed: everything decided so far is void."""
        self._books.clear()
        self._databases.renew()

    # --- statements ---------------------------------------------------------------------------------------------

    async def still_holds(self, scope: Scope, text: str, state: Hashable, ruling: Ruling) -> GatewayError | None:
        """Whether a statement that waited may still run on its ruling: None, or why not.

        Policies and schema may have changed meanwhile. It has to be ruled the same in every respect, so that nothing
        of what was prepared for it (masks, limits) is out of date.
        """
        if ruling.epoch is scope.database.epoch:
            return None
        now = await self.rule(scope, AskRuling(text, state, None))
        if now.refusal is not None:
            return now.refusal
        if now.decision.obligations != ruling.decision.obligations or now.analysis != ruling.analysis:
            return AccessDenied("policies or schema changed while the statement waited", message=CHANGED_MEANWHILE)
        return None

    async def rule(self, scope: Scope, ask: AskRuling) -> Ruling:
        """The ruling for a text. Never raises: what goes wrong becomes the ruling's refusal."""
        try:
            return await self._rule(scope, ask)
        except GatewayError as error:
            analysis = ask.facts or Analysis(())
            decision = Decision(Effect.DENY, str(error), cacheable=False)
            return _refused(decision, analysis, error, self._kept(scope, analysis, None))

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
        obligations = decision.obligations
        guarded = obligations.guarded
        sentinels = self._sentinels(scope, decision, analysis)
        refusal = self._refusal(scope, decision, analysis, guarded)
        if refusal is None and sentinels is not None and any(sentinels.hold_any(f.texts) for f in analysis.statements):
            refusal = MaskedValueWrittenBack("a text constant is what a mask shows")
        if guarded:
            scope.book.masked = True
        ruling = Ruling(
            decision=decision,
            analysis=analysis,
            refusal=refusal,
            masked=bool(guarded),
            redact_messages=bool(guarded) and _may_speak_of_masked(analysis, request.labels, guarded),
            intent=refusal is None and self._durability(scope.resource).demands(analysis),
            epoch=epoch,
            audit=encode_ruling(analysis, _as_touched(decision, request.labels), refusal=refusal),
            warnings=decision.warnings,
            approvals=_approvals(decision) if refusal is None else frozenset(),
            allowance=self._budgets.allowance(obligations.budgets) if obligations.budgets else None,
            sentinels=sentinels,
            literals=self._kept(scope, analysis, request.labels),
            as_rows=bool(guarded) and copies_masked(analysis, scope.database.labels_of, guarded),
        )
        # What a mask has shown meanwhile may be among the constants next time.
        checked = sentinels is not None and any(facts.texts for facts in analysis.statements)
        uses_text = self._snapshot().policies.uses_text
        if ask.key is not None and decision.cacheable and not checked and not (ask.template and uses_text):
            by_template = not analysis.literals_matter and sentinels is None and not uses_text
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

    def _kept(self, scope: Scope, analysis: Analysis, labels: frozenset[str] | None) -> Literals | None:
        """What the audit keeps of a statement's values, by the labels that it touches (None: not known)."""
        if self._literals is None:
            return None
        database = scope.database
        proven = (
            bool(analysis.statements)
            and database.catalog is not None
            and not database.stale
            and analysis.actions <= _NAMES_ITS_COLUMNS
            and analysis.session_effects.isdisjoint(_CARRIES_VALUES)
        )
        return self._literals(scope.resource, labels if proven else None)

    def _sentinels(self, scope: Scope, decision: Decision, analysis: Analysis) -> MaskSentinels | None:
        """What must not be written back; None where the statement writes nothing that the principal sees masked."""
        masks = decision.obligations.masks
        if not masks or self._masking_function is None:
            return None
        labels_of = scope.database.labels_of
        written = (column for facts in analysis.statements for column in facts.columns_written)
        if all(labels_of(column).isdisjoint(masks) for column in written):
            return None
        specs = frozenset[MaskSpec]({REDACT}).union(*masks.values())
        return MaskSentinels(tuple(self._masking_function(spec) for spec in specs))

    def _refusal(
        self, scope: Scope, decision: Decision, analysis: Analysis, guarded: frozenset[str]
    ) -> GatewayError | None:
        match decision.effect:
            case Effect.ALLOW:
                pass
            case Effect.REQUIRE_APPROVAL if self._can_hold and decision.obligations.approvals:
                pass  # each execution is put before a human, if nothing else speaks against it
            case Effect.REQUIRE_APPROVAL:
                message = f"{decision.message}; {NOBODY_DECIDES}" if decision.message else NOBODY_DECIDES
                return AccessDenied(f"{decision.reason}; {NOBODY_DECIDES}", message=message)
            case _:
                return AccessDenied(decision.reason, message=decision.message)
        obligations = decision.obligations
        if guarded:
            database = scope.database
            for facts in analysis.statements:
                reason = guard(
                    facts,
                    labels_of=database.labels_of,
                    masked=guarded,
                    inference=obligations.inference,
                    has_masked_columns=lambda target: database.has_columns_labelled(target, guarded),
                )
                if reason is not None:
                    return MaskingRefusal(reason, message=_told(reason, facts))
        if obligations.changes is not None and (reason := uncountable(analysis)) is not None:
            return TooManyChanges(f"the number of changed rows cannot be limited: {reason}")
        return None

    async def plan(self, scope: Scope, ask: AskPlan) -> MaskingPlan:
        """How a result is masked; raises ``GatewayError``."""
        obligations = ask.ruling.decision.obligations
        request = self._request(scope, "", ask.ruling.analysis)
        plan = await self._dispatcher.plan_masking(request, ask.columns, obligations.masks)
        _check_plan(plan, ask.columns)
        if obligations.budgets:
            database = scope.database
            plan = self._budgets.metered(plan, obligations.budgets, ask.columns, database.labels_of, database.paths_of)
        return plan

    def _labels(self, resource: Resource) -> frozenset[str]:
        return self._snapshot().label_index(resource.name).all_labels


class MaskingRefusal(AccessDenied):
    """A statement through which a value under a mask could get around it."""

    client_message = "access denied: the statement could reveal or copy masked data"


def _approvals(decision: Decision) -> frozenset[ApprovalRule]:
    return decision.obligations.approvals if decision.effect is Effect.REQUIRE_APPROVAL else frozenset()


def _told(reason: str, facts: StatementFacts) -> str:
    """What the client reads: which construct it is, so that it can write another one, or see what it has misspelt.

    Reasons are fixed texts and names out of the client's own statement; they say nothing of policies or values.
    """
    why = "; ".join(facts.opaque[:_REASONS_TOLD]) if facts.opaque else reason
    return f"{MaskingRefusal.client_message}: {why}"


def _as_touched(decision: Decision, labels: frozenset[str]) -> Decision:
    """The decision as the audit tells it: with the masks of labels that the statement touches, not of all there are."""
    masks = {label: specs for label, specs in decision.obligations.masks.items() if label in labels}
    return replace(decision, obligations=replace(decision.obligations, masks=masks))


def _check_plan(plan: MaskingPlan, columns: Sequence[ResultColumn]) -> None:
    if len(plan.columns) != len(columns):
        raise MaskingError("the masking plan has another number of columns than the result")


def _may_speak_of_masked(analysis: Analysis, labels: frozenset[str], guarded: frozenset[str]) -> bool:
    """Whether the database's messages about the statement could hold a masked value."""
    if not labels.isdisjoint(guarded):
        return True
    return any(
        facts.opaque or facts.reads_everything or not facts.actions <= _SPEAKS_OF_ITSELF
        for facts in analysis.statements
    )


def _refused(decision: Decision, analysis: Analysis, error: GatewayError, literals: Literals | None) -> Ruling:
    if not isinstance(error, AccessDenied | AuditError | MaskingError):
        message = _NO_CATALOG if isinstance(error, UpstreamError) else None
        error = PolicyEvaluationError(f"{type(error).__name__}: {error}", message=message)
    return Ruling(
        decision=decision,
        analysis=analysis,
        refusal=error,
        masked=True,
        redact_messages=True,
        intent=False,
        audit=encode_ruling(analysis, decision, refusal=error),
        literals=literals,
    )

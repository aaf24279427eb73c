"""The life of a statement, with parts that a test controls: every failure is a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.chain import Chain, Durability, Scope
from gateway.databases import Databases
from gateway.domain.decision import AccessRequest, Decision, Effect, Obligations, SessionContext
from gateway.domain.identity import AccessToken, Login, ScramVerifier
from gateway.domain.literals import Literals
from gateway.domain.masking import MaskingPlan, MaskSpec, ResultColumn
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, Analysis, ColumnRef, SessionEffect, StatementFacts
from gateway.errors import (
    AccessDenied,
    AuditError,
    AuthenticationError,
    MaskingError,
    PolicyEvaluationError,
    UnknownResource,
    UpstreamUnavailable,
)
from gateway.policy.compile import compile_policies
from gateway.policy.labels import Classification
from gateway.policy.snapshot import Snapshot
from gateway.protocol.adapter import CatalogView
from gateway.protocol.effects import AskPlan, AskRuling

SHOP = Resource("shop", "postgres", "127.0.0.1", 5432, database="shopdb")
ANA = Principal("ana@example.com")
SESSION = SessionContext("s1", "postgres", "127.0.0.1:1", tls=True, user=ANA.name, resource="shop")
ALLOW, DENY = Decision(Effect.ALLOW, "yes"), Decision(Effect.DENY, "no", message="not today")
MASKS: Mapping[str, frozenset[MaskSpec]] = {"pii": frozenset({MaskSpec("redact")})}
MASKED = Decision(Effect.ALLOW, "yes", obligations=Obligations(masks=MASKS))


def facts(*actions: Action) -> Analysis:
    return Analysis((StatementFacts("test", frozenset(actions)),))


@dataclass
class Parts:
    """The dispatcher, the analyser and the database server in one."""

    decision: Decision = ALLOW
    session_decision: Decision = ALLOW
    found: Login | None = None
    analysis: Analysis | Exception = field(default_factory=lambda: facts(Action.READ))
    trouble: str | None = None
    down: bool = False
    planned: MaskingPlan = field(default_factory=lambda: MaskingPlan(()))
    asked: int = 0

    def __post_init__(self) -> None:
        self.snapshot = Snapshot.build(
            resources=[SHOP], principals=[ANA], classifications=[], policies=compile_policies([])
        )
        self.databases = Databases(self._read, self._classify, lambda: self.snapshot)
        self.chain = Chain(
            dispatcher=self,  # type: ignore[arg-type]
            databases=self.databases,
            snapshot=lambda: self.snapshot,
            durability=lambda resource: Durability(reads=False, writes=True),
            audit=self,
            literals=lambda resource, labels: Literals.DROP if labels is None or "pii" in labels else Literals.KEEP,
        )

    @property
    def healthy(self) -> bool:
        return self.trouble is None

    @property
    def reason(self) -> str:
        return self.trouble or ""

    async def _read(self, resource: Resource, name: str) -> CatalogView:
        if self.down:
            raise UpstreamUnavailable("down")
        return self

    async def _classify(self, resource: Resource, catalog: object) -> Mapping[ColumnRef, frozenset[str]]:
        return {}

    version = "1"

    def columns(self) -> Sequence[ColumnRef]:
        return ()

    def related_columns(self, column: ColumnRef) -> frozenset[ColumnRef]:
        return frozenset()

    async def find_login(self, session: SessionContext) -> Login | None:
        return self.found

    async def authorize_session(self, request: AccessRequest) -> Decision:
        return self.session_decision

    async def authorize_statement(self, request: AccessRequest) -> Decision:
        self.asked += 1
        return self.decision

    async def plan_masking(self, request: AccessRequest, columns: Sequence[ResultColumn], masks: object) -> MaskingPlan:
        return self.planned

    async def provide_upstream_credentials(self, resource: Resource, principal: Principal) -> UpstreamCredentials:
        return UpstreamCredentials("gateway", "secret")

    def analyse_now(self, text: str, state: object, catalog: object) -> Analysis | None:
        if isinstance(self.analysis, Exception):
            raise self.analysis
        return self.analysis

    async def analyse(self, text: str, state: object, catalog: object) -> Analysis:
        raise AssertionError("short texts are analysed at once")

    def close(self) -> None: ...

    def label(self) -> None:
        """Put a label on somebody's name."""
        self.snapshot = Snapshot.build(
            resources=[SHOP],
            principals=[ANA],
            classifications=[Classification.parse(resource="shop", label="pii", pattern="public.people.name")],
            policies=compile_policies([]),
        )

    async def scope(self) -> Scope:
        return await self.chain.scope(SESSION, ANA, SHOP, "shopdb", self.session_decision, self)

    async def rule(self, scope: Scope | None = None, text: str = "SELECT 1") -> Ruling:
        return await self.chain.rule(scope or await self.scope(), AskRuling(text, None, text.encode()))


def run(story: Any) -> Any:
    return asyncio.run(story)


def test_tokens_for_other_resources_prove_nothing_here() -> None:
    scram = ScramVerifier(b"salt", 4096, b"stored", b"server")
    here = AccessToken("a", ANA, scram, frozenset({"shop"}))
    there = AccessToken("b", ANA, scram, frozenset({"crm"}))
    everywhere = AccessToken("c", ANA, scram)
    parts = Parts(found=Login(b"salt", 4096, (here, there, everywhere)))
    assert run(parts.chain.login(SESSION)).tokens == (here, everywhere)


def test_a_user_that_nobody_knows_is_refused() -> None:
    with pytest.raises(AuthenticationError):
        run(Parts().chain.login(SESSION))


@pytest.mark.parametrize(
    ("parts", "resource", "error"),
    [
        (Parts(trouble="disk full"), "shop", AuditError),
        (Parts(), "no-such", UnknownResource),
        (Parts(session_decision=DENY), "shop", AccessDenied),
        (Parts(session_decision=Decision(Effect.REQUIRE_APPROVAL, "ask")), "shop", AccessDenied),
    ],
)
def test_sessions_that_are_not_let_in(parts: Parts, resource: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(parts.chain.admit(SESSION, ANA, resource, None))


def test_the_database_is_the_clients_or_else_the_resources() -> None:
    assert run(Parts().chain.admit(SESSION, ANA, "shop", None))[1] == "shopdb"
    assert run(Parts().chain.admit(SESSION, ANA, "shop", "other"))[1] == "other"


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        (Parts(decision=DENY), AccessDenied, "not today"),
        (Parts(decision=Decision(Effect.REQUIRE_APPROVAL, "ask")), AccessDenied, "needs an approval"),
        (Parts(analysis=PolicyEvaluationError("a plugin")), PolicyEvaluationError, None),
        (Parts(trouble="disk full"), AuditError, None),
    ],
)
def test_whatever_goes_wrong_is_the_rulings_refusal(parts: Parts, error: type[Exception], message: str | None) -> None:
    ruling = run(parts.rule())
    assert isinstance(ruling.refusal, error)
    assert not ruling.intent, "what does not run needs no intent"
    if message is not None:
        assert isinstance(ruling.refusal, AccessDenied)
        assert message in (ruling.refusal.message or "")


@pytest.mark.parametrize(
    ("actions", "intent"),
    [
        ({Action.READ}, False),
        ({Action.READ, Action.UPDATE}, True),
        ({Action.DROP}, True),
        ({Action.UNKNOWN}, True),
        ({Action.CALL}, True),
        ({Action.TRANSACTION}, False),
    ],
)
def test_what_must_be_on_disk_first(actions: set[Action], intent: bool) -> None:
    assert run(Parts(analysis=facts(*actions)).rule()).intent is intent


NAME, CITY = ColumnRef("public", "people", "name"), ColumnRef("public", "people", "city")


def about(*columns: ColumnRef, **changes: Any) -> Analysis:
    wanted: dict[str, Any] = {"actions": frozenset({Action.READ}), "columns_read": frozenset(columns), **changes}
    return Analysis((StatementFacts("test", **wanted),))


@pytest.mark.parametrize(
    ("analysis", "kept"),
    [
        (about(CITY), "keep"),
        (about(CITY, NAME), "drop"),
        (about(CITY, actions=frozenset({Action.UPDATE}), columns_written=frozenset({NAME})), "drop"),
        (about(CITY, opaque=("a function",)), "drop"),
        (about(CITY, reads_everything=True), "drop"),
        (about(actions=frozenset({Action.SET})), "drop"),
        (about(actions=frozenset({Action.ALTER})), "drop"),
        (about(actions=frozenset({Action.PREPARE})), "drop"),
        (about(actions=frozenset({Action.UNKNOWN})), "drop"),
        (about(session_effects=frozenset({SessionEffect.NAME_RESOLUTION})), "drop"),
        (Analysis(()), "drop"),
        (PolicyEvaluationError("a plugin"), "drop"),
    ],
)
def test_values_are_kept_only_where_they_meet_no_label(analysis: Analysis | Exception, kept: str) -> None:
    parts = Parts(analysis=analysis)
    parts.label()
    assert run(parts.rule()).literals == kept


def test_values_are_not_kept_while_the_catalog_is_not_known() -> None:
    async def story(parts: Parts) -> Ruling:
        scope = await parts.scope()
        if not parts.down:
            scope.database.changed()
        return await parts.rule(scope)

    for parts in (Parts(analysis=about(CITY), down=True), Parts(analysis=about(CITY))):
        parts.label()
        assert run(story(parts)).literals is Literals.DROP


def test_a_ruling_is_kept_until_the_snapshot_or_the_schema_changes() -> None:
    async def story() -> None:
        parts = Parts()
        scope = await parts.scope()
        ruling = await parts.rule(scope)
        assert scope.book.find(None, b"SELECT 1") is ruling
        parts.trouble = "disk full"
        assert scope.book.find(None, b"SELECT 1") is None, "nothing decided before runs without the audit"
        parts.trouble = None
        scope.database.changed()
        assert scope.book.find(None, b"SELECT 1") is None
        await parts.rule(scope)
        parts.chain.forget()
        assert scope.book.find(None, b"SELECT 1") is None
        assert (await parts.scope()).book is not scope.book

    run(story())


def test_what_is_decided_while_the_snapshot_changes_is_not_kept() -> None:
    async def story() -> None:
        parts = Parts()
        scope = await parts.scope()

        async def meanwhile(request: AccessRequest) -> Decision:
            parts.chain.forget()
            return ALLOW

        parts.authorize_statement = meanwhile  # type: ignore[method-assign]
        await parts.rule(scope)
        assert scope.book.find(None, b"SELECT 1") is None

    run(story())


def test_a_decision_that_may_change_is_not_kept() -> None:
    async def story() -> None:
        parts = Parts(decision=Decision(Effect.ALLOW, "only today", cacheable=False))
        scope = await parts.scope()
        await parts.rule(scope)
        assert scope.book.find(None, b"SELECT 1") is None

    run(story())


def test_without_a_catalog_people_under_a_mask_are_refused_and_others_go_on() -> None:
    async def story() -> None:
        others = Parts(down=True)
        assert (await others.rule()).refusal is None
        masked = Parts(down=True, session_decision=MASKED, decision=MASKED)
        assert isinstance((await masked.rule()).refusal, PolicyEvaluationError)

    run(story())


def test_a_plan_for_another_number_of_columns_is_refused() -> None:
    async def story() -> None:
        parts = Parts(planned=MaskingPlan((None, None)))
        scope = await parts.scope()
        ruling = await parts.rule(scope)
        column = ResultColumn("a", frozenset(), origin_known=True, origin_exact=True, lineage=None)
        with pytest.raises(MaskingError):
            await parts.chain.plan(scope, AskPlan(ruling, (column,)))

    run(story())


def test_the_gateways_password_is_not_shown_by_accident() -> None:
    credentials = run(Parts().chain.credentials(SHOP, ANA))
    assert credentials.password == "secret"
    assert "secret" not in repr(credentials)


def test_a_refusal_for_a_masks_sake_says_what_the_trouble_is() -> None:
    unknown = StatementFacts(
        "select", frozenset({Action.READ}), reads_everything=True, opaque=("relation not in the catalog",)
    )
    refusal = run(Parts(decision=MASKED, analysis=Analysis((unknown,))).rule()).refusal
    assert isinstance(refusal, AccessDenied)
    assert refusal.message is not None
    assert refusal.message.endswith("masked data: relation not in the catalog")

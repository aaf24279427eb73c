"""Decision hooks: how answers combine, and that every failure refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pluggy
import pytest

from gateway import PROJECT_NAME, hookimpl, hookspecs
from gateway.domain.decision import AccessRequest, Decision, Effect, Obligations, SessionContext
from gateway.domain.identity import PasswordCredentials, Proof
from gateway.domain.masking import ColumnMask, MaskingFunction, MaskingPlan, MaskSpec, ResultColumn
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.resource import Resource
from gateway.domain.statement import ColumnRef
from gateway.errors import AuthenticationError, MaskingError, PolicyEvaluationError
from gateway.plugin.dispatch import Dispatcher

SESSION = SessionContext(id="s", protocol="postgres", client_address="127.0.0.1:1", tls=True, user="ana@example.com")
RESOURCE = Resource(name="shop", protocol="postgres", host="db", port=5432)
ANA = Principal("ana@example.com")
COPILOT = Principal("copilot", PrincipalKind.AGENT, acts_for=ANA)
COLUMNS = [ResultColumn("a", frozenset(), True, False, None), ResultColumn("b", frozenset(), True, False, None)]

ALLOW = Decision(Effect.ALLOW, "yes")
DENY = Decision(Effect.DENY, "no")


def function(spec: MaskSpec) -> MaskingFunction:
    strictness = {"redact": 100, "partial": 30}[spec.function]
    return MaskingFunction(spec, strictness, False, lambda _: None, lambda value, _, __: value)


def dispatcher(*plugins: object, deadline: float = 5) -> Dispatcher:
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    for index, plugin in enumerate(plugins):
        manager.register(plugin, f"plugin-{index}")
    return Dispatcher(manager, function, deadline=deadline)


def request(principal: Principal = ANA) -> AccessRequest:
    return AccessRequest(principal, RESOURCE, SESSION)


def guardrail(answer: Any) -> object:
    class Guardrail:
        @hookimpl
        def authorize_statement(self, request: AccessRequest) -> Decision | None:
            found = answer(request) if callable(answer) else answer
            if isinstance(found, Exception):
                raise found
            return found

    return Guardrail()


def decide(*answers: Any, principal: Principal = ANA) -> Decision:
    return asyncio.run(dispatcher(*map(guardrail, answers)).authorize_statement(request(principal)))


def test_denies_when_nobody_has_an_opinion() -> None:
    assert decide().effect is Effect.DENY
    assert decide(None, None).effect is Effect.DENY


def test_denies_when_only_obligations_were_given() -> None:
    assert decide(Decision(Effect.LIMIT, "short", obligations=Obligations(row_limit=1))).effect is Effect.DENY


def test_deny_beats_approval_beats_allow() -> None:
    approval = Decision(Effect.REQUIRE_APPROVAL, "ask")
    assert decide(ALLOW, None, ALLOW).effect is Effect.ALLOW
    assert decide(ALLOW, approval).effect is Effect.REQUIRE_APPROVAL
    assert decide(DENY, approval, ALLOW).effect is Effect.DENY


def test_obligations_of_all_answers_are_joined() -> None:
    few = Decision(Effect.ALLOW, "few", obligations=Obligations(row_limit=10, timeout=60))
    fast = Decision(Effect.ALLOW, "fast", obligations=Obligations(row_limit=100, timeout=1))
    joined = decide(few, fast).obligations
    assert (joined.row_limit, joined.timeout) == (10, 1)


def test_denies_when_a_guardrail_raises() -> None:
    with pytest.raises(PolicyEvaluationError, match="plugin-1: authorize_statement raised ZeroDivisionError"):
        decide(ALLOW, ZeroDivisionError("secret value"))


def test_denies_when_a_guardrail_answers_nonsense() -> None:
    with pytest.raises(PolicyEvaluationError, match="answered bool"):
        decide(True)


def test_denies_when_a_guardrail_hangs() -> None:
    class Hanging:
        @hookimpl
        async def authorize_statement(self, request: AccessRequest) -> Decision:
            await asyncio.sleep(60)
            return ALLOW

    with pytest.raises(PolicyEvaluationError, match="took too long"):
        asyncio.run(dispatcher(Hanging(), deadline=0.01).authorize_statement(request()))


def test_awaits_asynchronous_guardrails() -> None:
    class Slow:
        @hookimpl
        async def authorize_statement(self, request: AccessRequest) -> Decision:
            await asyncio.sleep(0)
            return DENY

    assert asyncio.run(dispatcher(guardrail(ALLOW), Slow()).authorize_statement(request())).effect is Effect.DENY


def test_an_agent_may_only_what_its_human_may_too() -> None:
    def only(name: str) -> Any:
        return lambda request: ALLOW if request.principal.name == name else DENY

    assert decide(only("copilot"), principal=COPILOT).effect is Effect.DENY
    assert decide(only("ana@example.com"), principal=COPILOT).effect is Effect.DENY
    assert decide(ALLOW, principal=COPILOT).effect is Effect.ALLOW


def test_an_agent_is_under_its_humans_obligations() -> None:
    def limits(request: AccessRequest) -> Decision:
        rows = 5 if request.principal.name == "ana@example.com" else None
        return Decision(Effect.ALLOW, "yes", obligations=Obligations(row_limit=rows))

    assert decide(limits, principal=COPILOT).obligations.row_limit == 5


def test_the_first_identity_provider_that_recognises_credentials_wins() -> None:
    class Knows:
        def __init__(self, principal: Principal | None) -> None:
            self.principal = principal

        @hookimpl
        def authenticate(self, credentials: PasswordCredentials) -> Principal | None:
            return self.principal

    found = dispatcher(Knows(None), Knows(ANA), Knows(COPILOT)).authenticate(SESSION, PasswordCredentials("ana", "x"))
    assert asyncio.run(found) == Proof(ANA)


def test_mine_and_bad_stops_the_search() -> None:
    class Bad:
        @hookimpl
        def authenticate(self) -> Principal:
            raise AuthenticationError("expired")

    class Good:
        @hookimpl
        def authenticate(self) -> Principal:
            return ANA

    with pytest.raises(AuthenticationError, match="expired"):
        asyncio.run(dispatcher(Bad(), Good()).authenticate(SESSION, PasswordCredentials("ana", "x")))


def test_refuses_credentials_that_nobody_recognises() -> None:
    with pytest.raises(AuthenticationError):
        asyncio.run(dispatcher().authenticate(SESSION, PasswordCredentials("ana", "x")))


def test_refuses_a_resource_without_credentials() -> None:
    with pytest.raises(PolicyEvaluationError, match="no credentials provider"):
        asyncio.run(dispatcher().provide_upstream_credentials(RESOURCE, ANA))


def planner(*masks: ColumnMask | None) -> object:
    class Planner:
        @hookimpl
        def plan_masking(self, columns: Sequence[ResultColumn]) -> MaskingPlan:
            return MaskingPlan(masks)

    return Planner()


def plan(*plugins: object) -> MaskingPlan:
    return asyncio.run(dispatcher(*plugins).plan_masking(request(), COLUMNS, {}))


PARTIAL = ColumnMask(MaskSpec("partial"), frozenset({"pii.email"}))
REDACT = ColumnMask(MaskSpec("redact"), frozenset({"pii.phone"}))


def test_the_strictest_mask_of_each_column_wins_and_labels_are_united() -> None:
    joined = plan(planner(PARTIAL, None), planner(REDACT, None), planner(None, PARTIAL)).columns
    assert joined[0] == ColumnMask(MaskSpec("redact"), frozenset({"pii.email", "pii.phone"}))
    assert joined[1] == PARTIAL


def test_refuses_a_result_that_nobody_planned() -> None:
    with pytest.raises(MaskingError):
        plan()


def test_refuses_a_plan_of_another_width() -> None:
    with pytest.raises(MaskingError, match="another number of columns"):
        plan(planner(None))


def test_labels_of_all_classifiers_are_united() -> None:
    column = ColumnRef("public", "customers", "email")

    class Classifier:
        def __init__(self, label: str) -> None:
            self.label = label

        @hookimpl
        def classify_columns(self, columns: Sequence[ColumnRef]) -> Mapping[ColumnRef, frozenset[str]]:
            return {column: frozenset({self.label})}

    found = asyncio.run(dispatcher(Classifier("pii"), Classifier("gdpr")).classify_columns(RESOURCE, [column]))
    assert found == {column: frozenset({"pii", "gdpr"})}

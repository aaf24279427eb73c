"""The built-in guardrail as the dispatcher sees it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pluggy
import pytest

from gateway import PROJECT_NAME, hookspecs
from gateway.domain.decision import Effect
from gateway.guardrails.policies import PolicyGuardrail
from gateway.policy.snapshot import Snapshot
from tests.gateway.policy.builders import ANA, NOON, SHOP, agent, allow, deny, facts, policy_set, request

READ = facts("read", reads=["public.orders"])


def snapshot(*documents: dict[str, object]) -> Snapshot:
    return Snapshot.build(resources=[SHOP], principals=[ANA], classifications=[], policies=policy_set(*documents))


def test_is_a_plugin_with_the_hooks_it_claims() -> None:
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(PolicyGuardrail(lambda: snapshot(allow())))
    manager.check_pending()
    (decision,) = manager.hook.authorize_statement(request=request(READ))
    assert decision.effect is Effect.ALLOW
    (decision,) = manager.hook.authorize_session(request=replace(request(), analysis=None))
    assert decision.effect is Effect.ALLOW


def test_follows_the_snapshot_and_the_clock() -> None:
    current = snapshot(allow(when="now.getHours('UTC') < 18"))
    time = NOON
    guardrail = PolicyGuardrail(lambda: current, clock=lambda: time)
    assert guardrail.authorize_statement(request(READ)).effect is Effect.ALLOW
    time = datetime(2026, 1, 7, 20, 0, tzinfo=UTC)
    assert guardrail.authorize_statement(request(READ)).effect is Effect.DENY
    current = snapshot(allow())
    assert guardrail.authorize_statement(request(READ)).effect is Effect.ALLOW


def test_an_agent_is_never_decided_without_its_human() -> None:
    guardrail = PolicyGuardrail(lambda: snapshot(allow(), deny(kinds=["human"])))
    assert guardrail.authorize_statement(request(READ, principal=agent())).effect is Effect.DENY
    assert guardrail.authorize_session(request(READ, principal=agent())).effect is Effect.DENY
    assert guardrail.authorize_statement(request(READ, principal=agent(None))).effect is Effect.ALLOW


def test_without_a_snapshot_or_an_analysis_there_is_no_answer() -> None:
    def missing() -> Snapshot:
        raise LookupError("no snapshot yet")

    with pytest.raises(LookupError):
        PolicyGuardrail(missing).authorize_statement(request(READ))
    with pytest.raises(ValueError, match="analysis"):
        PolicyGuardrail(lambda: snapshot(allow())).authorize_statement(replace(request(), analysis=None))

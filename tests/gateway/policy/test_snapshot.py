"""The snapshot, and what is checked before one is used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.decision import Effect
from gateway.domain.statement import ColumnRef
from gateway.errors import ConfigurationError
from gateway.policy.classify import ConfiguredClassifier
from gateway.policy.enforceability import check_enforceable
from gateway.policy.labels import Classification
from gateway.policy.snapshot import Snapshot
from tests.gateway.policy.builders import ALLOW_ALL, ANA, SHOP, hold, mask, policy_set

EMAIL = Classification.parse(resource="shop-prod", label="pii.email", pattern="public.customers.email")
ALL = frozenset(Effect)


def snapshot(
    *documents: dict[str, Any], labels: Iterable[Classification] = (EMAIL,), resources: Iterable[Any] = (SHOP,)
) -> Snapshot:
    return Snapshot.build(
        resources=resources, principals=[ANA], classifications=labels, policies=policy_set(*documents)
    )


def test_the_version_changes_with_every_part() -> None:
    base = snapshot(ALLOW_ALL)
    assert base.version == snapshot(ALLOW_ALL).version
    others = [
        snapshot(ALLOW_ALL, mask(labels=["pii.*"])),
        snapshot(ALLOW_ALL, labels=()),
        snapshot(ALLOW_ALL, resources=[replace(SHOP, port=5433)]),
        Snapshot.build(
            resources=[SHOP],
            principals=[replace(ANA, groups=frozenset({"support"}))],
            classifications=[EMAIL],
            policies=policy_set(ALLOW_ALL),
        ),
    ]
    assert len({base.version, *(other.version for other in others)}) == 5


def test_labels_are_per_resource() -> None:
    other = replace(SHOP, name="crm")
    found = snapshot(ALLOW_ALL, resources=[SHOP, other])
    column = ColumnRef("public", "customers", "email")
    assert found.label_index("shop-prod").labels_of(column) == {"pii.email"}
    assert found.label_index("crm").labels_of(column) == frozenset()
    with pytest.raises(KeyError):
        found.label_index("elsewhere")


def test_the_classifier_answers_from_the_current_snapshot() -> None:
    current = [snapshot(ALLOW_ALL)]
    classifier = ConfiguredClassifier(lambda: current[0])
    columns = [ColumnRef("public", "customers", "email"), ColumnRef("public", "customers", "id")]
    assert dict(classifier.classify_columns(SHOP, columns)) == {columns[0]: frozenset({"pii.email"})}
    current[0] = snapshot(ALLOW_ALL, labels=())
    assert not classifier.classify_columns(SHOP, columns)


def test_an_effect_that_a_protocol_cannot_enforce_stops_the_start() -> None:
    policies = snapshot(ALLOW_ALL, hold("wait", actions=["ddl"]), mask(labels=["pii.*"]))
    check_enforceable(policies, {"postgres": ALL}, known_functions=["redact"])
    with pytest.raises(ConfigurationError, match=r"policy\.wait.*require_approval.*postgres.*shop-prod"):
        check_enforceable(policies, {"postgres": ALL - {Effect.REQUIRE_APPROVAL}})


def test_only_resources_that_a_policy_can_match_count() -> None:
    elsewhere = snapshot(ALLOW_ALL, hold(environments=["staging"]), {**hold("d"), "mode": "draft"})
    check_enforceable(elsewhere, {"postgres": frozenset({Effect.ALLOW})})
    check_enforceable(snapshot(ALLOW_ALL, hold()), {"mysql": frozenset()})


def test_an_unknown_masking_function_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match='unknown masking function "redcat"; did you mean "redact"'):
        check_enforceable(
            snapshot(ALLOW_ALL, mask(function="redcat", labels=["pii.*"])), {}, known_functions=["redact", "null"]
        )

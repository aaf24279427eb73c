"""The ready policies do what they say: each has samples of both kinds, and each sample comes out as it should."""

from __future__ import annotations

import pytest

from gateway.domain.decision import Effect
from gateway.domain.resource import Resource
from gateway.domain.statement import Analysis
from gateway.policy.assumed import assumed_analysis
from gateway.policy.compile import compile_policies
from gateway.policy.library import library_names, load_library, read_library
from gateway.policy.verify import verify_samples
from gateway.sql.analyse import analyse
from gateway.sql.catalog import Catalog, CatalogContents, Column, Relation
from gateway.sql.state import NameResolution
from gateway.sql.views import build


def test_the_library_is_there() -> None:
    assert {
        "business-hours",
        "mask-pii",
        "no-dangerous-functions",
        "no-destruction-in-production",
        "no-privilege-changes",
        "no-session-weakening",
        "no-write-without-predicate",
        "read-only-agents",
        "schema-change-needs-a-human",
    } <= set(library_names())


@pytest.mark.parametrize("name", library_names())
def test_every_sample_comes_out_as_it_should(name: str) -> None:
    failed = [
        f"{result.policy} {'refused' if result.refused else 'allowed'}[{result.index}] {result.detail}"
        for result in verify_samples(load_library(name))
        if result.passed is not True
    ]
    assert not failed


@pytest.mark.parametrize("name", library_names())
def test_every_policy_explains_itself_and_has_samples_of_both_kinds(name: str) -> None:
    file = read_library(name)
    assert file.title
    assert file.description
    for policy in file.policies:
        assert policy.samples.allowed, policy.name
        assert policy.samples.refused, policy.name
        if policy.effect in (Effect.DENY, Effect.REQUIRE_APPROVAL):
            assert policy.message, policy.name


@pytest.mark.parametrize("name", library_names())
def test_every_restriction_meets_a_statement_that_nobody_understands(name: str) -> None:
    for policy in load_library(name):
        unknown = [sample for sample in policy.samples.refused if sample.statement and sample.statement.opaque]
        assert unknown or "server-files" in policy.name, policy.name


def test_all_of_them_can_be_loaded_together() -> None:
    policies = compile_policies([policy for name in library_names() for policy in load_library(name)])
    assert not policies.uses_text


def shop_catalog() -> Catalog:
    columns = {
        "orders": ["id", "customer_id", "status"],
        "customers": ["id", "name", "email"],
    }
    relations = [
        Relation("public", table, oid, "r", tuple(Column(name, number) for number, name in enumerate(names, 1)))
        for oid, (table, names) in enumerate(columns.items(), 16_384)
    ]
    return build(CatalogContents(relations=tuple(relations), schemas=frozenset({"public"})))


@pytest.mark.parametrize("name", library_names())
def test_the_sql_of_every_sample_is_understood_as_the_sample_says(name: str) -> None:
    catalog = shop_catalog()

    def understand(text: str, resource: Resource) -> Analysis:
        if resource.protocol == "mysql":
            return assumed_analysis(text, resource.protocol)
        return analyse(text, NameResolution(), catalog, dialect=resource.protocol)

    failed = [
        f"{result.policy} {'refused' if result.refused else 'allowed'}[{result.index}] {result.detail}"
        for result in verify_samples(load_library(name), analyse=understand)
        if result.passed is not True
    ]
    assert not failed

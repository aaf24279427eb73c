"""Short ways to make requests and policies for the tests of this folder and its neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.domain.decision import AccessRequest, Decision, SessionContext
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.resource import Resource
from gateway.domain.statement import Action, Analysis, ColumnRef, ObjectRef, Predicate, StatementFacts
from gateway.policy.compile import CompiledPolicySet, compile_policies
from gateway.policy.documents import PolicyDocument
from gateway.policy.evaluate import evaluate

NOON = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
ANA = Principal("ana@example.com", groups=frozenset({"analysts"}))
SHOP = Resource(
    "shop-prod", "postgres", "192.0.2.1", 5432, database="shop", environment="production", labels={"team": "shop"}
)
SESSION = SessionContext("s1", "postgres", "10.1.2.3", tls=True, user="ana@example.com", database="shop")
ALLOW_ALL = {"name": "everything", "effect": "allow", "match": {}}


def policy_set(*documents: Mapping[str, Any]) -> CompiledPolicySet:
    return compile_policies([PolicyDocument.model_validate(document) for document in documents])


def deny(name: str = "no", *, mode: str = "enforce", message: str | None = None, **match: Any) -> dict[str, Any]:
    return {"name": name, "effect": "deny", "mode": mode, "message": message, "match": match}


def allow(name: str = "yes", *, mode: str = "enforce", **match: Any) -> dict[str, Any]:
    return {"name": name, "effect": "allow", "mode": mode, "match": match}


def hold(name: str = "hold", **match: Any) -> dict[str, Any]:
    return {"name": name, "effect": "require_approval", "match": match, "approval": {"approvers": ["dba"]}}


def mask(name: str = "mask", function: str = "redact", *, mode: str = "enforce", **match: Any) -> dict[str, Any]:
    return {"name": name, "effect": "mask", "mode": mode, "match": match, "mask": {"function": function}}


def limit(name: str = "limit", *, rows: int | None = None, timeout: str | None = None, **match: Any) -> dict[str, Any]:
    return {"name": name, "effect": "limit", "match": match, "limit": {"rows": rows, "timeout": timeout}}


def refs(names: Iterable[str], kind: str = "table") -> frozenset[ObjectRef]:
    parts = [name.rpartition(".") for name in names]
    return frozenset(ObjectRef(schema, name, kind) for schema, _, name in parts)


def facts(
    *actions: str,
    reads: Iterable[str] = (),
    writes: Iterable[str] = (),
    functions: Iterable[str] = (),
    columns: Iterable[str] = (),
    predicate: Predicate = Predicate.NOT_APPLICABLE,
    opaque: bool = False,
    detail: str = "",
    reads_everything: bool = False,
    kind: str = "statement",
) -> StatementFacts:
    return StatementFacts(
        kind=kind,
        actions=frozenset(map(Action, actions)),
        objects_read=refs(reads),
        objects_written=refs(writes),
        functions=refs(functions, "function"),
        columns_read=frozenset(ColumnRef(*column.split(".")) for column in columns),
        predicate=predicate,
        opaque=("not traced",) if opaque else (),
        detail=detail,
        reads_everything=reads_everything,
    )


def request(
    *statements: StatementFacts,
    principal: Principal = ANA,
    resource: Resource = SHOP,
    session: SessionContext = SESSION,
    labels: Iterable[str] = (),
    resource_labels: Iterable[str] = (),
    text: str = "",
) -> AccessRequest:
    return AccessRequest(
        principal=principal,
        resource=resource,
        session=session,
        analysis=Analysis(statements),
        text=text,
        labels=frozenset(labels),
        resource_labels=frozenset(resource_labels) | frozenset(labels),
    )


def decide(policies: CompiledPolicySet, *statements: StatementFacts, now: datetime = NOON, **options: Any) -> Decision:
    return evaluate(policies, request(*statements, **options), now=now)


def agent(acts_for: Principal | None = ANA, *groups: str) -> Principal:
    return Principal("copilot", kind=PrincipalKind.AGENT, groups=frozenset(groups or ("agents",)), acts_for=acts_for)

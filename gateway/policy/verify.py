"""Runs the samples that come with policies: does each policy act on what it should, and leave alone what it should?

Every policy is tried on its own and as if it were enforced, beside one that allows everything (unless it is itself an
``allow``), so that a sample says something of this policy and of no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from gateway.domain.decision import AccessRequest, Decision, Effect, Mode, SessionContext
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource
from gateway.domain.statement import Action, Analysis, ObjectRef, StatementFacts
from gateway.policy.compile import CompiledPolicySet, compile_policies
from gateway.policy.conditions import CelEngine, ConditionEngine
from gateway.policy.documents import Match, PolicyDocument, Sample, SampleStatement
from gateway.policy.evaluate import evaluate

Analyse = Callable[[str, Resource], Analysis]
"""Gives the facts of a text in the language of a resource's protocol."""

_NOON: Final = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
"""A Wednesday, for samples that do not say when."""


@dataclass(frozen=True, slots=True)
class SampleResult:
    """How one sample went. ``passed`` None means that it was not run, for the reason in ``detail``."""

    policy: str
    refused: bool
    """Whether the policy must act on the sample."""
    index: int
    passed: bool | None
    detail: str


def verify_samples(
    documents: Sequence[PolicyDocument], *, analyse: Analyse | None = None, engine: ConditionEngine | None = None
) -> tuple[SampleResult, ...]:
    """Run the samples of all documents. Raises ``PolicyProblems`` where a document cannot be compiled."""
    used_engine = CelEngine() if engine is None else engine
    return tuple(result for document in documents for result in _verify(document, analyse, used_engine))


def _verify(document: PolicyDocument, analyse: Analyse | None, engine: ConditionEngine) -> Iterator[SampleResult]:
    alone = [document.model_copy(update={"mode": Mode.ENFORCE})]
    if document.effect is not Effect.ALLOW:
        everything = Match(actions=("*", Action.FUNCTION_CALL.value, Action.REPLICATE.value))
        alone.append(PolicyDocument(name=_companion(document.name), effect=Effect.ALLOW, match=everything))
    policies = compile_policies(alone, engine=engine)
    for refused, samples in ((False, document.samples.allowed), (True, document.samples.refused)):
        for index, sample in enumerate(samples):
            ways = list(_analyses(sample, analyse))
            if not ways:
                missing = "no analyser for its SQL" if sample.sql is not None else "neither sql nor statement"
                yield SampleResult(document.name, refused, index, None, missing)
            for way, analysis in ways:
                decision = evaluate_sample(policies, sample, analysis)
                acts = _acts(document, decision)
                detail = f"by its {way}: {decision.reason}"
                yield SampleResult(document.name, refused, index, acts is refused, detail)


def evaluate_sample(policies: CompiledPolicySet, sample: Sample, analysis: Analysis) -> Decision:
    """The decision for a sample whose facts are known."""
    principal = Principal(
        name=sample.principal.name,
        kind=sample.principal.kind,
        groups=frozenset(sample.principal.groups),
        attributes=MappingProxyType(dict(sample.principal.attributes)),
    )
    resource = sample_resource(sample)
    session = SessionContext(
        id="sample",
        protocol=resource.protocol,
        client_address=sample.session.client_address,
        tls=sample.session.tls,
        user=sample.session.user,
        database=sample.session.database,
        application=sample.session.application,
    )
    touched = frozenset(sample.statement.labels if sample.statement is not None else ())
    request = AccessRequest(
        principal=principal,
        resource=resource,
        session=session,
        analysis=analysis,
        text=sample.sql or "",
        labels=touched,
        resource_labels=touched | frozenset(sample.labels),
    )
    moment = sample.now or _NOON
    return evaluate(policies, request, now=moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def sample_resource(sample: Sample) -> Resource:
    """The resource of a sample as a domain value."""
    given = sample.resource
    return Resource(
        name=given.name,
        protocol=given.protocol,
        host="192.0.2.1",
        port=1,
        environment=given.environment,
        labels=MappingProxyType(dict(given.labels)),
    )


def sample_facts(statement: SampleStatement) -> StatementFacts:
    """Facts from their short form."""
    return StatementFacts(
        kind=statement.kind or "_".join(statement.actions),
        actions=frozenset(statement.actions),
        objects_read=frozenset(_object(name) for name in statement.reads),
        objects_written=frozenset(_object(name) for name in statement.writes),
        functions=frozenset(_object(name, kind="function") for name in statement.functions),
        predicate=statement.predicate,
        opaque=("stated by the sample",) if statement.opaque else (),
        detail=statement.detail,
    )


def _analyses(sample: Sample, analyse: Analyse | None) -> Iterator[tuple[str, Analysis]]:
    if sample.statement is not None:
        yield "facts", Analysis(statements=(sample_facts(sample.statement),))
    if sample.sql is not None and analyse is not None:
        yield "sql", analyse(sample.sql, sample_resource(sample))


def _acts(document: PolicyDocument, decision: Decision) -> bool:
    """Whether the policy did to the sample what "refused" means for its effect."""
    match document.effect:
        case Effect.ALLOW:
            return decision.effect is not Effect.ALLOW
        case Effect.DENY | Effect.REQUIRE_APPROVAL:
            return decision.effect is document.effect and any(hit.policy == document.name for hit in decision.hits)
        case Effect.MASK:
            return bool(decision.obligations.masks)
        case Effect.LIMIT:
            given = decision.obligations
            limits = (given.row_limit, given.timeout, given.changes)
            return bool(given.budgets) or any(limit is not None for limit in limits)


def _object(name: str, *, kind: str = "table") -> ObjectRef:
    schema, dot, rest = name.partition(".")
    return ObjectRef(schema, rest, kind) if dot else ObjectRef("", name, kind)


def _companion(name: str) -> str:
    return "allow-everything" if name != "allow-everything" else "allow-everything-else"

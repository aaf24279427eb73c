"""The answer to "may this principal do this?", and what comes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from gateway.domain.approval import ApprovalRule
from gateway.domain.budget import Budget
from gateway.domain.masking import MaskSpec
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource
from gateway.domain.statement import Analysis


class Effect(StrEnum):
    """What a policy, or all policies together, say. ``deny`` beats ``require_approval`` beats ``allow``."""

    ALLOW = "allow"
    DENY = "deny"
    REQUIRE_APPROVAL = "require_approval"
    MASK = "mask"
    LIMIT = "limit"


class Mode(StrEnum):
    """Whether a policy decides: ``warn`` and ``draft`` decide nothing; ``warn`` also tells the client."""

    ENFORCE = "enforce"
    WARN = "warn"
    DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class PolicyHit:
    """A policy that matched, for the audit."""

    policy: str
    effect: Effect
    mode: Mode = Mode.ENFORCE


@dataclass(frozen=True, slots=True)
class Obligations:
    """What must be done to the statement's execution if it is allowed. Joins of several take the strictest of each.

    ``masks`` maps a label to the functions that policies ask for (for all principals in the chain).
    """

    masks: Mapping[str, frozenset[MaskSpec]] = field(default_factory=lambda: MappingProxyType({}))
    row_limit: int | None = None
    timeout: float | None = None
    """Seconds."""
    inference: bool = True
    """Whether labelled columns under a mask may be used in predicates, joins, ordering and grouping."""
    approvals: frozenset[ApprovalRule] = frozenset()
    """What each policy that holds the statement asks for; all of it."""
    changes: int | None = None
    """Rows that the statement may insert, change or delete; more are undone before they are committed."""
    budgets: frozenset[Budget] = frozenset()

    @property
    def guarded(self) -> frozenset[str]:
        """Labels whose values must not get around a mask or the counting of a budget."""
        labels = frozenset(self.masks)
        return labels.union(*(b.labels for b in self.budgets if b.cells is not None)) if self.budgets else labels


@dataclass(frozen=True, slots=True)
class Decision:
    """One implementation's answer, or the combined one. ``reason`` is for the log, ``message`` for the client."""

    effect: Effect
    reason: str
    message: str | None = None
    hits: tuple[PolicyHit, ...] = ()
    obligations: Obligations = Obligations()
    cacheable: bool = True
    """False where the answer depends on something that can change between two equal requests, such as the time."""
    warnings: tuple[str, ...] = ()
    """Messages of ``warn`` policies that matched, for the client."""


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What is known of a session before anybody has proved anything, and afterwards."""

    id: str
    protocol: str
    client_address: str
    tls: bool
    user: str = ""
    """The user name as the client gave it, without a resource suffix."""
    database: str | None = None
    application: str = ""
    resource: str = ""
    """The resource that the client asked for, as routed; it need not exist."""


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """Everything that a guardrail may look at. ``labels`` are those of all columns that the statement touches.

    ``resource_labels`` are all labels of the resource: masks are decided for these, since what a statement touches is a
    claim and what the resource holds is not.
    ``analysis`` None asks for the session itself: may this principal use this resource at all?
    """

    principal: Principal
    resource: Resource
    session: SessionContext
    analysis: Analysis | None = None
    text: str = ""
    labels: frozenset[str] = frozenset()
    resource_labels: frozenset[str] = frozenset()

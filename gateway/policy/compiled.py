"""One policy made ready for evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.approval import ApprovalRule
from gateway.domain.decision import Effect, Mode
from gateway.domain.masking import MaskSpec
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.resource import Resource
from gateway.domain.statement import Action
from gateway.policy.conditions import Condition
from gateway.policy.documents import Limit
from gateway.policy.globs import Globs, ObjectGlobs


@dataclass(frozen=True, slots=True, eq=False)
class CompiledPolicy:
    """One policy. None in a matcher means that everything matches."""

    name: str
    effect: Effect
    mode: Mode
    message: str | None
    principals: frozenset[str] | None
    except_principals: frozenset[str]
    kinds: frozenset[PrincipalKind] | None
    groups: frozenset[str] | None
    except_groups: frozenset[str]
    resources: frozenset[str] | None
    environments: frozenset[str] | None
    resource_labels: Mapping[str, frozenset[str]] | None
    protocols: frozenset[str] | None
    actions: frozenset[Action]
    objects: ObjectGlobs | None
    functions: ObjectGlobs | None
    labels: Globs | None
    settings: Globs | None
    condition: Condition | None
    whole_session: bool
    """Whether it speaks of the session as a whole: nothing in it looks at a statement."""
    mask: MaskSpec | None
    limit: Limit | None
    approval: ApprovalRule | None
    inference: bool
    """False where a mask policy forbids to infer from labelled columns."""

    @property
    def volatile(self) -> bool:
        """Whether the answer may differ between two equal requests."""
        return self.condition is not None and "now" in self.condition.reads

    @property
    def counts_cells(self) -> bool:
        """Whether it has a budget of labelled cells."""
        return self.limit is not None and self.limit.budget is not None and self.limit.budget.cells is not None

    def covers_principal(self, principal: Principal) -> bool:
        """Whether who asks is matched, conditions aside."""
        return (
            (self.principals is None or principal.name in self.principals)
            and (self.kinds is None or principal.kind in self.kinds)
            and (self.groups is None or not self.groups.isdisjoint(principal.groups))
            and principal.name not in self.except_principals
            and self.except_groups.isdisjoint(principal.groups)
        )

    def covers_resource(self, resource: Resource) -> bool:
        """Whether what is asked is matched, conditions aside."""
        return (
            (self.resources is None or resource.name in self.resources)
            and (self.environments is None or resource.environment in self.environments)
            and (self.protocols is None or resource.protocol in self.protocols)
            and (
                self.resource_labels is None
                or all(resource.labels.get(key) in wanted for key, wanted in self.resource_labels.items())
            )
        )

"""What ``querygate policy explain`` found out: plain values, and their form as one JSON document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.domain.budget import Budget
from gateway.domain.decision import Decision
from gateway.domain.masking import ColumnMask, MaskSpec
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource
from gateway.domain.statement import OutputColumn, StatementFacts

BY_LINEAGE = "by lineage alone: the server's own word on each column is added when the statement runs"


@dataclass(frozen=True, slots=True)
class ExplainedColumn:
    """One result column: where it comes from, which labels that carries, and how it would be masked.

    ``labels`` None means that it may carry every label of the resource.
    """

    lineage: OutputColumn
    labels: frozenset[str] | None
    mask: ColumnMask | None


@dataclass(frozen=True, slots=True)
class ExplainedStatement:
    """One statement of the text. ``labels`` are those of every column that it touches.

    ``columns`` None means that the text tells nothing of a result: there is none, or only the server knows it.
    """

    facts: StatementFacts
    labels: frozenset[str]
    columns: tuple[ExplainedColumn, ...] | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to "what would happen?". ``session`` is the decision about coming in at all.

    ``decision`` None means that no session would be opened, so that no statement would be looked at. ``refusal`` is why
    the database would not see the text, ``masking_refusal`` whether that is the masking guard's word.
    """

    principal: Principal
    resource: Resource
    database: str
    session: Decision
    statements: tuple[ExplainedStatement, ...] = ()
    decision: Decision | None = None
    refusal: str | None = None
    client_message: str | None = None
    masking_refusal: bool = False
    redacts_messages: bool = False

    @property
    def allowed(self) -> bool:
        """Whether the database would see the text."""
        return self.decision is not None and self.refusal is None


def as_document(explanation: Explanation) -> dict[str, object]:
    """The JSON form. Sets are sorted lists; what is not known is null."""
    resource, principal = explanation.resource, explanation.principal
    return {
        "principal": {
            "name": principal.name,
            "kind": principal.kind.value,
            "groups": sorted(principal.groups),
            "acts_for": None if principal.acts_for is None else principal.acts_for.name,
        },
        "resource": resource.name,
        "database": explanation.database,
        "allowed": explanation.allowed,
        "session": _decision(explanation.session),
        "statements": [_statement(item) for item in explanation.statements],
        "decision": None if explanation.decision is None else _decision(explanation.decision),
        "refusal": explanation.refusal,
        "refused_by": _refused_by(explanation),
        "client_message": explanation.client_message,
        "redacts_messages": explanation.redacts_messages,
        "masks_are": BY_LINEAGE,
    }


def _refused_by(explanation: Explanation) -> str | None:
    if explanation.allowed:
        return None
    if explanation.decision is None:
        return "session"
    return "masking guard" if explanation.masking_refusal else "policy"


def _statement(item: ExplainedStatement) -> dict[str, object]:
    facts = item.facts
    return {
        "kind": facts.kind,
        "actions": sorted(action.value for action in facts.actions),
        "objects_read": _names(facts.objects_read),
        "objects_written": _names(facts.objects_written),
        "functions": _names(facts.functions),
        "columns_read": _names(facts.columns_read),
        "columns_written": _names(facts.columns_written),
        "columns_filtered": _names(facts.columns_filtered),
        "predicate": facts.predicate.value,
        "reads_everything": facts.reads_everything,
        "copies_data": facts.copies_data,
        "opaque": list(facts.opaque),
        "session_effects": sorted(effect.value for effect in facts.session_effects),
        "detail": facts.detail,
        "labels": sorted(item.labels),
        "columns": None if item.columns is None else [_column(column) for column in item.columns],
    }


def _column(column: ExplainedColumn) -> dict[str, object]:
    lineage, mask = column.lineage, column.mask
    return {
        "name": lineage.name,
        "sources": _names(lineage.sources),
        "proven": lineage.proven,
        "bare": lineage.bare,
        "labels": None if column.labels is None else sorted(column.labels),
        "mask": None if mask is None else {"function": show_mask(mask.spec), "for_labels": sorted(mask.labels)},
    }


def _decision(decision: Decision) -> dict[str, object]:
    obligations = decision.obligations
    return {
        "effect": decision.effect.value,
        "reason": decision.reason,
        "message": decision.message,
        "policies": [{"name": hit.policy, "effect": hit.effect.value, "mode": hit.mode.value} for hit in decision.hits],
        "warnings": list(decision.warnings),
        "depends_on_time": not decision.cacheable,
        "obligations": {
            "masks": show_masks(obligations.masks),
            "inference": obligations.inference,
            "row_limit": obligations.row_limit,
            "timeout": obligations.timeout,
            "changes": obligations.changes,
            "budgets": show_budgets(obligations.budgets),
        },
    }


def show_masks(masks: Mapping[str, frozenset[MaskSpec]]) -> dict[str, list[str]]:
    """The functions by label, in order."""
    return {label: sorted(map(show_mask, masks[label])) for label in sorted(masks)}


def show_budgets(budgets: Iterable[Budget]) -> list[str]:
    """Budgets in words: ``30 cells (pii.email) in 3600 s, of sam@example.com by few-emails``."""
    shown: list[str] = []
    for budget in budgets:
        kinds = (("statements", budget.statements), ("rows", budget.rows), ("cells", budget.cells))
        amounts = ", ".join(f"{amount} {kind}" for kind, amount in kinds if amount is not None)
        labels = f" ({', '.join(sorted(budget.labels))})" if budget.labels else ""
        shown.append(f"{amounts}{labels} in {budget.window:g} s, of {budget.owner} by {budget.policy}")
    return sorted(shown)


def show_mask(spec: MaskSpec) -> str:
    """A masking function as a policy would call it: ``partial(last=4)``."""
    arguments = ", ".join(f"{name}={value}" for name, value in spec.arguments)
    return f"{spec.function}({arguments})" if arguments else spec.function


def _names(items: Iterable[object]) -> list[str]:
    return sorted(map(str, items))

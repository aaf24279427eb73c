"""How several answers become one: the strictest effect wins, obligations join, everything that matched is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Final, TypeVar

from gateway.domain.approval import ApprovalRule
from gateway.domain.budget import Budget
from gateway.domain.decision import Decision, Effect, Obligations
from gateway.domain.masking import MaskSpec

N = TypeVar("N", int, float)
H = TypeVar("H")

_STRICTNESS: Final = {Effect.ALLOW: 0, Effect.REQUIRE_APPROVAL: 1, Effect.DENY: 2}


def strictest(decisions: Sequence[Decision]) -> Decision:
    """The join of several decisions, none of which may be missing. Raises ``ValueError`` for none at all."""
    if not decisions:
        raise ValueError("no decision to combine")
    if len(decisions) == 1:
        return decisions[0]
    leading = max(decisions, key=lambda decision: _STRICTNESS.get(decision.effect, 2))
    return Decision(
        effect=leading.effect,
        reason=leading.reason,
        message=leading.message,
        hits=unique(hit for decision in decisions for hit in decision.hits),
        obligations=join_obligations([decision.obligations for decision in decisions]),
        cacheable=all(decision.cacheable for decision in decisions),
        warnings=unique(warning for decision in decisions for warning in decision.warnings),
    )


def join_obligations(parts: Iterable[Obligations]) -> Obligations:
    """The strictest of each: all masks, the smallest limits, inference only where everybody allows it."""
    masks: dict[str, frozenset[MaskSpec]] = {}
    row_limit: int | None = None
    timeout: float | None = None
    inference = True
    approvals: frozenset[ApprovalRule] = frozenset()
    changes: int | None = None
    budgets: frozenset[Budget] = frozenset()
    for part in parts:
        approvals |= part.approvals
        for label, specs in part.masks.items():
            masks[label] = masks.get(label, frozenset()) | specs
        row_limit = smaller(row_limit, part.row_limit)
        timeout = smaller(timeout, part.timeout)
        inference = inference and part.inference
        changes = smaller(changes, part.changes)
        budgets |= part.budgets
    return Obligations(
        masks=MappingProxyType(masks),
        row_limit=row_limit,
        timeout=timeout,
        inference=inference,
        approvals=approvals,
        changes=changes,
        budgets=budgets,
    )


def smaller(left: N | None, right: N | None) -> N | None:
    """The smaller of two limits, where None is no limit."""
    if left is None or right is None:
        return right if left is None else left
    return min(left, right)


def unique(items: Iterable[H]) -> tuple[H, ...]:
    """The items in order, each once."""
    return tuple(dict.fromkeys(items))

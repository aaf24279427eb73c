"""Whether the number of rows that a statement changes can be known before it is committed.

Databases report it for the statement as a whole. What they do not report (a change inside WITH, TRUNCATE, code that is
called) cannot be held to a limit, and is refused where there is one.
"""

from __future__ import annotations

from typing import Final

from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, Analysis, StatementFacts

REPORTED: Final = frozenset({Action.INSERT, Action.UPDATE, Action.DELETE, Action.MERGE, Action.COPY_IN})
"""Changes whose number of rows the database reports at their end."""
_CHANGES: Final = REPORTED | {Action.TRUNCATE, Action.CALL, Action.FUNCTION_CALL, Action.UNKNOWN, Action.REPLICATE}


def limit_of(ruling: Ruling) -> int | None:
    """How many rows the statements of a ruling may change; None where they change none, or any number."""
    if ruling.plain:
        return None
    limit = ruling.decision.obligations.changes
    if limit is None or ruling.analysis.actions.isdisjoint(REPORTED):
        return None
    return limit


def changes(facts: StatementFacts) -> bool:
    """Whether the statement changes rows, or may."""
    return not facts.actions.isdisjoint(_CHANGES)


def uncountable(analysis: Analysis) -> str | None:
    """Why the rows that a text changes cannot be counted; None where they can, or where there are none."""
    statements = analysis.statements
    for facts in statements:
        if not changes(facts):
            continue
        if not facts.actions.isdisjoint(_CHANGES - REPORTED):
            return "what it changes is not reported by the database"
        if facts.changes_inside or Action.PREPARE in facts.actions:
            return "it changes rows in a part of it of which the database reports no number"
        if len(statements) > 1 and any(Action.TRANSACTION in other.actions for other in statements):
            return "it ends transactions itself"
    return None

"""A decision made ready for the wire."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.domain.approval import ApprovalRule
from gateway.domain.budget import Allowance
from gateway.domain.decision import Decision
from gateway.domain.literals import Literals
from gateway.domain.masking import Sentinels
from gateway.domain.recorded import Shared
from gateway.domain.statement import Action, Analysis
from gateway.errors import GatewayError

_ROWS: Final = frozenset({Action.READ, Action.INSERT, Action.UPDATE, Action.DELETE, Action.MERGE})


@dataclass(slots=True, eq=False)
class Ruling:
    """The chain's answer for one statement text of one session scope, reused while it stays in the scope's cache.

    ``refusal`` None means: forward. ``masked`` True means that results must go through a masking plan: the principal
    is under a mask on this resource, or labelled cells are counted. ``redact_messages`` True means that error and
    notice texts are reduced. ``allowance`` is what executions spend from, None where nobody has a budget. ``sentinels``
    is set where bound parameters must not hold what a mask has shown.
    ``intent`` True means that the audit must hold the statement before the database sees it.
    ``approvals`` not empty means that every execution has to be approved, under all of these rules, before it runs.
    ``literals`` is what the audit keeps of its values; None leaves it to the log.
    ``audit`` is the part of the audit event that every execution shares, already encoded.
    ``epoch`` is the snapshot-and-catalog epoch that it was made in; in another epoch it has to be made anew.
    ``plans`` is for the protocol plugin: what it compiled for a result description, by that description's bytes.
    ``as_rows`` True means that it holds a COPY of what has to be masked: it may run as its query only.
    ``plain`` True means that an execution, unless refused, needs nothing but its record (and intent) and its mask: it
    only reads or changes rows, leaves the session as it is, and nobody has to be asked, warned, timed or counted.
    """

    decision: Decision
    analysis: Analysis
    refusal: GatewayError | None
    masked: bool
    redact_messages: bool
    intent: bool
    epoch: Hashable = None
    audit: Shared = field(default_factory=Shared)
    warnings: tuple[str, ...] = ()
    approvals: frozenset[ApprovalRule] = frozenset()
    allowance: Allowance | None = None
    sentinels: Sentinels | None = None
    literals: Literals | None = None
    plans: dict[Any, Any] = field(default_factory=dict)
    as_rows: bool = False
    plain: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        obligations = self.decision.obligations
        self.plain = (
            not (self.warnings or self.approvals or self.analysis.session_effects)
            and self.allowance is None
            and self.sentinels is None
            and obligations.row_limit is None
            and obligations.timeout is None
            and obligations.changes is None
            and self.analysis.actions <= _ROWS
        )

"""A decision made ready for the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.domain.decision import Decision
from gateway.domain.statement import Analysis
from gateway.errors import GatewayError


@dataclass(slots=True, eq=False)
class Ruling:
    """The chain's answer for one statement text of one session scope, reused while it stays in the scope's cache.

    ``refusal`` None means: forward. ``masked`` True means that results must go through a masking plan: the principal
    is under a mask on this resource. ``redact_messages`` True means that error and notice texts are reduced.
    ``intent`` True means that the audit must hold the statement before the database sees it.
    ``audit`` is the part of the audit event that every execution shares, already encoded.
    ``epoch`` is the snapshot-and-catalog epoch that it was made in; in another epoch it has to be made anew.
    ``plans`` is for the protocol plugin: what it compiled for a result description, by that description's bytes.
    """

    decision: Decision
    analysis: Analysis
    refusal: GatewayError | None
    masked: bool
    redact_messages: bool
    intent: bool
    epoch: object = None
    audit: bytes = b"{}"
    warnings: tuple[str, ...] = ()
    plans: dict[Any, Any] = field(default_factory=dict)

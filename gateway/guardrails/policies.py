"""The guardrail that answers from the policies of the current snapshot."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from gateway import hookimpl
from gateway.domain.decision import AccessRequest, Decision
from gateway.policy.evaluate import evaluate_chain, evaluate_session
from gateway.policy.snapshot import Snapshot


def utc_now() -> datetime:
    """The time of day, aware of its zone."""
    return datetime.now(UTC)


class PolicyGuardrail:
    """Decides sessions and statements by policy documents.

    An agent is always decided together with whom it acts for. The dispatcher asks for each of them on its own as well;
    asking twice changes nothing, and no caller can forget it. ``snapshot`` raises where there is none, which refuses.
    """

    def __init__(self, snapshot: Callable[[], Snapshot], *, clock: Callable[[], datetime] = utc_now) -> None:
        self._snapshot = snapshot
        self._clock = clock

    @hookimpl
    def authorize_session(self, request: AccessRequest) -> Decision:
        """Whether the principal may use the resource at all; whatever statement the request holds is not looked at."""
        return evaluate_session(self._snapshot().policies, request)

    @hookimpl
    def authorize_statement(self, request: AccessRequest) -> Decision:
        """Whether the statement may run, and with which obligations. Raises ``ValueError`` without an analysis."""
        if request.analysis is None:
            raise ValueError("a statement cannot be decided without its analysis")
        return evaluate_chain(self._snapshot().policies, request, now=self._clock())

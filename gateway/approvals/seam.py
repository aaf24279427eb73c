"""What the sessions of a gateway need of a desk, be it here or at a control plane on another machine."""

from __future__ import annotations

from typing import Protocol

from gateway.approvals.grants import Demand
from gateway.domain.approval import ApprovalNote, ApprovalRequest


class SessionDesk(Protocol):
    """``gateway.approvals.desk.Desk`` here, ``gateway.control.desk.LinkedDesk`` on a linked gateway."""

    @property
    def url(self) -> str:
        """Where people decide, without a slash at its end: a request's id is put behind it. Empty: nowhere known."""

    async def use_grant(self, demand: Demand) -> ApprovalNote | None:
        """Let a statement run on an approval that was given before; None where there is none.

        Raises ``GatewayError`` where it cannot be known or recorded.
        """

    def new_id(self) -> str:
        """An id for a request about to be submitted."""

    async def submit(self, request: ApprovalRequest) -> ApprovalRequest:
        """Put a new request on the desk, or find the one that it repeats. Raises ``GatewayError``."""

    async def wait(self, identifier: str) -> ApprovalNote:
        """Return when the statement may run. Raises ``GatewayError`` in any other case."""

    def withdraw(self, identifier: str, reason: str) -> None:
        """Nobody wants it any more."""

    def session_ended(self, session_id: str) -> None:
        """A session is over: what it waited for is withdrawn, what was granted for it is void."""

    def granted_groups(self, principal: str, resource: str) -> frozenset[str]:
        """Groups that the principal belongs to on the resource for the time being."""

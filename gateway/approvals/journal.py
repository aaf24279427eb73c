"""Every change of a request for approval as an event of the audit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from itertools import count

from gateway.control.port import AdminAudit
from gateway.domain.approval import ApprovalRequest
from gateway.domain.audit import AdminOutcome, AdminRecord


class ApprovalJournal:
    """Implements ``gateway.approvals.desk.Journal`` over the audit log. ``clock`` gives Unix nanoseconds.

    ``key`` (at most 64 bytes) hides what a request is bound to: its digest alone could be used to try out values.
    """

    def __init__(self, audit: AdminAudit, *, clock: Callable[[], int], key: bytes) -> None:
        self._audit = audit
        self._clock = clock
        self._key = key
        self._numbers = count(1)

    async def record(self, event: str, request: ApprovalRequest, actor: str, *, loud: bool = False) -> None:
        """Return when it is on disk; raises ``AuditError``."""
        self._audit.record_admin(
            AdminRecord(
                id=f"approval-{request.id}-{event}-{next(self._numbers)}",
                time=self._clock(),
                admin=actor,
                client_address="",
                operation=f"approval.{event}",
                kind="approval",
                name=request.id,
                after=_shown(request, self._key),
                outcome=AdminOutcome.SUCCESS,
                detail="BREAK GLASS: a statement was approved by its own author" if loud else request.note,
            )
        )
        await self._audit.commit()


def _shown(request: ApprovalRequest, key: bytes) -> Mapping[str, object]:
    """What the event holds of a request. The statement's text is in the statement's own event, under its rules."""
    subject = request.subject
    shown: dict[str, object] = {
        "state": request.state.value,
        "request": request.kind.value,
        "principal": subject.principal,
        "acts_for": list(subject.acts_for),
        "session": subject.session_id,
        "resource": request.resource,
        "database": request.database,
        "policies": [rule.policy for rule in request.rules],
        "binding": hashlib.blake2b(request.binding.encode(), digest_size=16, key=key).hexdigest(),
        "snapshot": request.snapshot,
        "scope": request.scope.value,
        "verdicts": [
            {
                "approver": verdict.approver,
                "approve": verdict.approve,
                "reason": verdict.reason,
                "break_glass": verdict.break_glass,
                **({"lapsed": True} if verdict.lapsed else {}),
            }
            for verdict in request.verdicts
        ],
    }
    if request.statement is not None:
        shown["fingerprint"] = request.statement.fingerprint
        shown["actions"] = list(request.statement.actions)
    if request.gateway:
        shown["gateway"] = request.gateway
    if request.group:
        shown["group"] = request.group
        shown["duration"] = request.duration
    if request.reason:
        shown["reason"] = request.reason
    return shown

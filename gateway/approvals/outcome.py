"""What a request's state means for the statement that asked."""

from __future__ import annotations

from gateway.approvals.errors import ApprovalRefused
from gateway.domain.approval import ApprovalNote, ApprovalRequest, ApprovalState, GrantScope, RequestKind


def note(request: ApprovalRequest) -> ApprovalNote:
    """What the statement's audit event says of its approval."""
    yes = [verdict for verdict in request.verdicts if verdict.approve and not verdict.lapsed]
    return ApprovalNote(
        request=request.id,
        scope=request.scope,
        approvers=tuple(verdict.approver for verdict in yes),
        break_glass=any(verdict.break_glass for verdict in yes),
    )


def refused(request: ApprovalRequest) -> ApprovalRefused:
    """Why a statement that waited may not run, for its client and the log."""
    match request.state:
        case ApprovalState.REJECTED:
            reasons = [verdict.reason for verdict in request.verdicts if not verdict.approve and verdict.reason]
            text = "the statement was rejected by an approver" + (f": {reasons[-1]}" if reasons else "")
        case ApprovalState.EXPIRED:
            text = "nobody approved the statement in time; run it again to ask once more"
        case ApprovalState.WITHDRAWN:
            text = "the request for approval was withdrawn"
        case ApprovalState.REVOKED:
            text = "the approval was revoked before the statement ran; run it again to ask once more"
        case _:
            text = "the statement was not approved"
    return ApprovalRefused(f"approval request {request.id} is {request.state}: {request.note}", message=text)


def held(request: ApprovalRequest) -> bool:
    """Whether a session waits for it, if it is pending."""
    return request.kind is RequestKind.STATEMENT and all(rule.hold for rule in request.rules)


def good_for(request: ApprovalRequest, window: float | None) -> float:
    """Seconds for which the grant can be used."""
    if request.kind is RequestKind.ACCESS:
        return request.duration
    match request.scope:
        case GrantScope.ONCE:
            return min(rule.valid_for for rule in request.rules)
        case GrantScope.WINDOW:
            return window or min(rule.max_window for rule in request.rules)
        case GrantScope.SESSION:
            return max(rule.max_window for rule in request.rules)

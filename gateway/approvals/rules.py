"""Who may decide a request, and when enough have. Pure.

Nobody decides a request made in their own name, be it their own or their agent's, and an agent does not decide for the
person it acts for. One word per person. A single rejection by somebody who may decide ends the request. With several
rules (several policies hold the statement) each must be satisfied; one person may count for more than one of them.

Names are compared without regard to case and to how a character is written: issuers and accounts spell an address as
somebody typed it, and it is one person all the same. A word that has lapsed (``gateway.approvals.standing``) does not
count, and its author may decide anew.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from gateway.approvals.errors import AlreadyDecided, InvalidDecision, NotEligible
from gateway.domain.approval import (
    ApprovalRequest,
    ApprovalRule,
    ApprovalState,
    Approver,
    GrantScope,
    Verdict,
)


def check_eligible(request: ApprovalRequest, approver: Approver, *, approve: bool, reason: str) -> bool:
    """Raise ``ApprovalError`` where the approver may not decide; whether it would be breaking the glass."""
    if request.state is not ApprovalState.PENDING:
        raise AlreadyDecided(f"request {request.id} is {request.state}{_by(request)}; nothing is left to decide")
    if any(_folded(verdict.approver) == _folded(approver.name) and not verdict.lapsed for verdict in request.verdicts):
        raise AlreadyDecided(f"{approver.name} has decided request {request.id} already")
    own = {_folded(name) for name in request.subject.names()}
    if not own.isdisjoint(map(_folded, (approver.name, *approver.acts_for))):
        if not approve:
            raise NotEligible("nobody decides a request made in their own name; cancel the statement instead")
        if not may_break_glass(request.rules, approver.groups):
            raise NotEligible("nobody approves a request made in their own name")
        if not reason:
            raise InvalidDecision("approving your own request in an emergency needs a reason")
        return True
    if not any(rule.approvers & approver.groups for rule in request.rules):
        raise NotEligible(f"request {request.id} is decided by members of {_wanted(request)}")
    return False


def may_break_glass(rules: Sequence[ApprovalRule], groups: frozenset[str]) -> bool:
    """Whether every rule lets these groups approve their own statement in an emergency."""
    return bool(rules) and all(rule.break_glass & groups for rule in rules)


def satisfied(rules: Sequence[ApprovalRule], verdicts: Iterable[Verdict]) -> bool:
    """Whether every rule has its number of approvals, or somebody broke the glass."""
    yes = [verdict for verdict in verdicts if verdict.approve and not verdict.lapsed]
    if any(verdict.break_glass for verdict in yes):
        return True
    return all(sum(1 for verdict in yes if verdict.groups & rule.approvers) >= rule.count for rule in rules)


def check_may_revoke(request: ApprovalRequest, approver: Approver, *, anyway: bool) -> None:
    """Raise ``ApprovalError`` where the approver may not take a grant back. ``anyway`` True: of whatever groups."""
    if request.state is ApprovalState.PENDING:
        raise AlreadyDecided(f"request {request.id} is pending: there is nothing to revoke; reject it instead")
    if request.state is not ApprovalState.APPROVED:
        raise AlreadyDecided(f"request {request.id} is {request.state}{_by(request)}; nothing is left to revoke")
    own = approver.name in request.subject.names()
    if not (anyway or own or any(rule.approvers & approver.groups for rule in request.rules)):
        raise NotEligible(f"request {request.id} is decided, and revoked, by members of {_wanted(request)}")


def missing(rules: Sequence[ApprovalRule], verdicts: Sequence[Verdict]) -> tuple[tuple[str, int], ...]:
    """What is still wanted: (policy, number of approvals) for each rule that is not satisfied."""
    found = []
    for rule in rules:
        yes = (verdict for verdict in verdicts if verdict.approve and not verdict.lapsed)
        have = sum(1 for verdict in yes if verdict.groups & rule.approvers)
        if have < rule.count:
            found.append((rule.policy, rule.count - have))
    return tuple(found)


def check_scope(rules: Sequence[ApprovalRule], scope: GrantScope, window: float | None) -> float | None:
    """The window in seconds that a grant gets (None: not for this scope). Raises ``InvalidDecision``."""
    if not all(scope in rule.scopes for rule in rules):
        offered = sorted(frozenset(GrantScope).intersection(*(rule.scopes for rule in rules)))
        raise InvalidDecision(f'the policy does not offer scope "{scope}"; it offers {", ".join(offered)}')
    if scope is not GrantScope.WINDOW:
        if window is not None:
            raise InvalidDecision('only scope "window" has a window')
        return None
    longest = min(rule.max_window for rule in rules)
    if window is None:
        return longest
    if not 0 < window <= longest:
        raise InvalidDecision(f"the window must be between 1 and {longest:.0f} seconds")
    return window


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _wanted(request: ApprovalRequest) -> str:
    return ", ".join(sorted(frozenset[str]().union(*(rule.approvers for rule in request.rules))))


def _by(request: ApprovalRequest) -> str:
    names = [verdict.approver for verdict in request.verdicts]
    return f" by {', '.join(names)}" if names else ""

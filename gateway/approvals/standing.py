"""Whether those who approved may still decide.

A word counts while its author is in the group by which it was given. What somebody joined later adds nothing to what
was said before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from gateway.approvals.rules import may_break_glass, satisfied
from gateway.domain.approval import ApprovalRule, Verdict


class Standing(Protocol):
    """Who approvers are now."""

    async def __call__(self, verdicts: Sequence[Verdict]) -> Sequence[frozenset[str]]:
        """The groups of each verdict's author; none for who is disabled, gone, or must not decide.

        Raises ``StandingUnknown`` where it cannot be known.
        """


async def as_they_were(verdicts: Sequence[Verdict]) -> Sequence[frozenset[str]]:
    """For a desk that nobody tells more about approvers than who decides: they stay who they were."""
    return [verdict.groups for verdict in verdicts]


def look_again(
    rules: Sequence[ApprovalRule], verdicts: Sequence[Verdict], groups: Sequence[frozenset[str]]
) -> tuple[tuple[Verdict, ...], bool]:
    """Verdicts as they are to be kept, and whether they are enough, now that their authors are in these ``groups``."""
    kept, counted = list[Verdict](), list[Verdict]()
    for verdict, now in zip(verdicts, groups, strict=True):
        still = verdict.groups & now
        may = may_break_glass(rules, still) if verdict.break_glass else any(rule.approvers & still for rule in rules)
        lapsed = verdict.lapsed or (verdict.approve and not may)
        kept.append(replace(verdict, lapsed=lapsed))
        counted.append(replace(verdict, lapsed=lapsed, groups=still))
    return tuple(kept), satisfied(rules, counted)


def lapsed(verdicts: Iterable[Verdict]) -> str:
    """Whose word does not count any more, for the log and the audit; empty where there is nobody."""
    names = [verdict.approver for verdict in verdicts if verdict.lapsed]
    return f"{', '.join(names)} may not decide any more" if names else ""

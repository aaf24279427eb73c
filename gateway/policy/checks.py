"""What a policy document must make sense of beyond its shape."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.decision import Effect
from gateway.domain.statement import Action
from gateway.policy.documents import Match, PolicyDocument
from gateway.policy.problems import Problem

_SECTIONS = {"mask": Effect.MASK, "limit": Effect.LIMIT, "approval": Effect.REQUIRE_APPROVAL}
_STATEMENT_KEYS = ("actions", "objects", "functions", "settings")


def check_document(document: PolicyDocument) -> Iterator[Problem]:
    """Every problem of one document, with locations below the document."""
    yield from _check_sections(document)
    yield from _check_match(document)


def _check_sections(document: PolicyDocument) -> Iterator[Problem]:
    for section, effect in _SECTIONS.items():
        present = getattr(document, section) is not None
        if present and document.effect is not effect:
            yield Problem((section,), f'only a policy with effect "{effect}" has a "{section}" section')
        if not present and document.effect is effect:
            yield Problem(("effect",), f'a policy with effect "{effect}" needs a "{section}" section')
    if document.inference is not None and document.effect is not Effect.MASK:
        yield Problem(("inference",), 'only a policy with effect "mask" says whether inference is allowed')
    if document.mask is not None and "inference" in (document.mask.__pydantic_extra__ or {}):
        yield Problem(("mask", "inference"), '"inference" belongs beside "mask", not inside it')
    if document.limit is not None:
        if document.limit.rows is None and document.limit.timeout is None:
            yield Problem(("limit",), 'a limit needs "rows" or "timeout"')
        if document.limit.timeout == 0:
            yield Problem(("limit", "timeout"), "a timeout of zero would stop every statement; use a deny policy")
    if document.approval is not None and document.approval.timeout == 0:
        yield Problem(("approval", "timeout"), "nobody can approve within no time")


def _check_match(document: PolicyDocument) -> Iterator[Problem]:
    match, effect = document.match, document.effect
    if effect is Effect.MASK:
        if match.labels is None:
            yield Problem(("match",), 'a mask policy needs "labels": it says what is to be masked')
        for key in _STATEMENT_KEYS:
            if getattr(match, key) is not None:
                # If a mask depended on what a statement claims to do, a statement could talk its way out of it.
                yield Problem(("match", key), f'a mask holds for every statement; it cannot depend on "{key}"')
    if effect is Effect.ALLOW and match.actions is not None and Action.UNKNOWN.value in match.actions:
        yield Problem(
            ("match", "actions"), 'an unknown statement could do anything; only "*" (or no "actions") can allow it'
        )
    if match.settings is not None and not _names_set(match):
        yield Problem(("match", "settings"), 'settings belong to the action "set", which "actions" does not name')


def _names_set(match: Match) -> bool:
    return match.actions is None or not {"set", "session", "*"}.isdisjoint(match.actions)

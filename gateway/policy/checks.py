"""What a policy document must make sense of beyond its shape."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.decision import Effect
from gateway.domain.statement import Action
from gateway.policy.documents import Limit, Match, PolicyDocument
from gateway.policy.problems import Problem

_SECTIONS = {"mask": Effect.MASK, "limit": Effect.LIMIT, "approval": Effect.REQUIRE_APPROVAL}
MIN_WINDOW, MAX_WINDOW = 1.0, 31 * 86400.0
"""Seconds that a budget may be for."""
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
        yield from _check_limit(document, document.limit)
    if document.approval is not None:
        for key, why in (
            ("timeout", "nobody can approve within no time"),
            ("valid_for", "an approval that is good for no time is none"),
            ("max_window", "a window of no time is none"),
        ):
            if getattr(document.approval, key) == 0:
                yield Problem(("approval", key), why)


def _check_limit(document: PolicyDocument, limit: Limit) -> Iterator[Problem]:
    if limit == Limit():
        yield Problem(("limit",), 'a limit needs "rows", "timeout", "changes" or "budget"')
    if limit.timeout == 0:
        yield Problem(("limit", "timeout"), "a timeout of zero would stop every statement; use a deny policy")
    budget = limit.budget
    if budget is None:
        return
    if budget.statements is None and budget.rows is None and budget.cells is None:
        yield Problem(("limit", "budget"), 'a budget needs "statements", "rows" or "cells"')
    if not MIN_WINDOW <= budget.per <= MAX_WINDOW:
        yield Problem(("limit", "budget", "per"), "a budget is for a span of 1s to 31d")
    if budget.cells is not None:
        if document.match.labels is None:
            yield Problem(("match",), 'a budget of cells needs "labels": it says which cells are counted')
        for key in (*_STATEMENT_KEYS, "when"):
            if getattr(document.match, key) is not None:
                # As with masks: a statement must not be able to talk its way out of being counted.
                yield Problem(
                    ("match", key), f'a budget of cells holds for every statement; it cannot depend on "{key}"'
                )


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

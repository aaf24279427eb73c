"""Projections: of find, of findAndModify and of the stages that share their language.

MongoDB manual, "Project Fields to Return" and "$project". An inclusion keeps nothing but what it names; an exclusion,
and a projection of operators alone, keeps everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway_mongodb.abstract import (
    NOTHING,
    AbstractValue,
    Document,
    assign,
    computed,
    follow,
    guarded,
)
from gateway_mongodb.expressions import evaluate
from gateway_mongodb.filters import read_element
from gateway_mongodb.reach import Scope

_OF_FIND: Final = frozenset({"$slice", "$elemMatch"})

Entry = tuple[tuple[str, ...], Any]


def project(specification: Any, scope: Scope, *, find: bool = False) -> AbstractValue:
    """What is left of the current document. ``find`` True: with what only find has (``$slice``, ``$elemMatch``)."""
    if not isinstance(specification, Mapping):
        return scope.reach.unknown("a projection is not understood")
    entries = list(_entries(specification, (), find=find))
    base = scope.current
    if not entries:
        return base
    included = [(path, value) for path, value in entries if _is_inclusion(value, find=find)]
    others = [(path, value) for path, value in entries if not _is_number(value)]
    excluded = [path for path, value in entries if _is_number(value) and not value]
    inclusive = any(path != ("_id",) for path, _ in included) or (
        bool(included) and not any(path != ("_id",) for path in excluded)
    )
    if not inclusive and others and not find:
        inclusive = True
    if find and not inclusive:
        inclusive = any(not _keeps_the_rest(value) for _, value in others)
    result: AbstractValue
    if inclusive:
        result = Document({})
        if ("_id",) not in excluded:
            result = assign(result, ("_id",), follow(base, ("_id",)))
        for path, _ in included:
            steps = tuple(step for step in path if step != "$") if find else path
            result = assign(result, steps, follow(base, steps))
    else:
        result = base
        for path in excluded:
            # What is excluded may stay where the path does not fit the document, so nothing is known to be gone from
            # documents that are not stored as such; but a field that is there is left out.
            result = assign(result, path, NOTHING)
    for path, value in others:
        if not _is_inclusion(value, find=find) or _is_find_operator(value):
            result = assign(result, path, _value(path, value, scope, result, find=find))
    return result


def add_fields(specification: Any, scope: Scope) -> AbstractValue:
    """``$addFields``, ``$set``: the current document with fields set; a document among the values sets its fields."""
    if not isinstance(specification, Mapping):
        return scope.reach.unknown("a stage is not understood")
    result = scope.current
    for path, value in _entries(specification, (), find=False):
        found = evaluate(value, scope)
        result = assign(result, path, found)
    return result


def unset(specification: Any, scope: Scope) -> AbstractValue:
    """``$unset``: one path or several."""
    paths = [specification] if isinstance(specification, str) else specification
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str) for path in paths):
        return scope.reach.unknown("a stage is not understood")
    result = scope.current
    for path in paths:
        result = assign(result, tuple(path.split(".")), NOTHING)
    return result


def _entries(specification: Mapping[str, Any], prefix: tuple[str, ...], *, find: bool) -> Iterator[Entry]:
    """The paths that a projection names, nested documents flattened."""
    for key, value in specification.items():
        path = (*prefix, *str(key).split("."))
        if isinstance(value, Mapping) and value and not str(next(iter(value))).startswith("$") and len(path) < 100:
            yield from _entries(value, path, find=find)
        else:
            yield path, value


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float) or type(value).__name__ in ("Int64", "Decimal128")


def _is_inclusion(value: Any, *, find: bool) -> bool:
    if _is_number(value):
        return bool(value) and str(value) not in ("0", "0.0")
    return find and _is_find_operator(value) and "$elemMatch" in value


def _is_find_operator(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in _OF_FIND


def _keeps_the_rest(value: Any) -> bool:
    """What does not make a projection of find an inclusion by itself: ``$slice`` and ``$meta``."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in ("$slice", "$meta")


def _value(path: tuple[str, ...], value: Any, scope: Scope, result: AbstractValue, *, find: bool) -> AbstractValue:
    if find and _is_find_operator(value):
        name, operand = next(iter(value.items()))
        stored = follow(scope.current, path)
        if name == "$elemMatch":
            read_element(stored, operand, scope)
            return scope.reach.reads(stored)
        if not isinstance(operand, list | tuple) or all(map(_is_number, operand)):
            return scope.reach.reads(stored)
        return guarded(evaluate(operand[0], scope), computed(*(evaluate(item, scope) for item in operand[1:])))
    return evaluate(value, scope)

"""The match language: which paths a filter looks at, and whether it can exclude a document at all.

MongoDB manual, "Query and Projection Operators". Truth is three-valued: a filter that is certainly true restricts
nothing (``{}``, ``{_id: {$exists: true}}``, ``{$expr: true}``, ``{$or: [{}]}``). A condition that a missing field
fulfils is certainly true on a field that no document is known to have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final

from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.regex import Regex

from gateway.domain.statement import Predicate
from gateway_mongodb.abstract import AbstractValue, Sources, follow, sources
from gateway_mongodb.expressions import evaluate
from gateway_mongodb.reach import Scope


class Truth(Enum):
    """What a condition is over all documents."""

    ALWAYS = "always"
    NEVER = "never"
    DEPENDS = "depends"


_OF_A_VALUE: Final = frozenset(
    """$eq $gt $gte $lt $lte $ne $in $nin $regex $options $mod $size $type $exists $all $bitsAllClear $bitsAllSet
    $bitsAnyClear $bitsAnySet $geoIntersects $geoWithin $near $nearSphere $maxDistance $minDistance $within $center
    $_internalEqHash $comment $uniqueDocs""".split()
)
_HAS_ABSENT: Final = frozenset({"$ne", "$nin"})
"""What a missing field fulfils, unless null is among the operands."""
_LITERAL_KEYS: Final = frozenset({"$ref", "$id", "$db"})
"""A DBRef is a value, though its fields look like operators."""
_ALL_TEXTS: Final = frozenset({"", ".*", "^", "$", "^.*$", "^.*", ".*$", ".", ".+", "^.", "(.*)", "[\\s\\S]*", "(?:)"})
"""Regular expressions that hardly exclude a text."""
FILTER_OPERATORS: Final = _OF_A_VALUE | frozenset(
    """$and $or $nor $not $elemMatch $expr $where $text $jsonSchema $sampleRate $alwaysTrue $alwaysFalse""".split()
)


def read_filter(condition: Any, scope: Scope) -> Predicate:
    """Count what a filter looks at; say whether it restricts anything."""
    if condition is None or (isinstance(condition, Mapping) and not condition):
        return Predicate.ABSENT
    truth = _document(condition, scope)
    return Predicate.CONSTANT if truth is Truth.ALWAYS else Predicate.PRESENT


def weakest(predicates: Iterable[Predicate]) -> Predicate:
    """Of several statements in one command, the one that restricts least."""
    order = (Predicate.ABSENT, Predicate.CONSTANT, Predicate.PRESENT)
    found = set(predicates)
    return next((predicate for predicate in order if predicate in found), Predicate.NOT_APPLICABLE)


def _document(condition: Any, scope: Scope) -> Truth:
    scope = scope.deeper()
    if scope.depth > 100 or not isinstance(condition, Mapping):
        scope.reach.unknown("a filter is not understood")
        return Truth.ALWAYS
    return _and([_entry(str(key), value, scope) for key, value in condition.items() if key != "$comment"])


def _entry(key: str, value: Any, scope: Scope) -> Truth:
    if not key.startswith("$"):
        path = key.split(".")
        return _field(scope.reach.filters(follow(scope.current, path)), value, scope, path)
    if (handler := _TOP.get(key)) is not None:
        return handler(value, scope)
    scope.reach.unknown(f"the filter operator {key[:40]} is not known")
    return Truth.ALWAYS


# --- at the top -------------------------------------------------------------------------------------------------------


def _clauses(value: Any, scope: Scope) -> list[Truth]:
    if not isinstance(value, list | tuple):
        scope.reach.unknown("a filter is not understood")
        return []
    return [_document(item, scope) for item in value]


def _all_of(value: Any, scope: Scope) -> Truth:
    return _and(_clauses(value, scope))


def _any_of(value: Any, scope: Scope) -> Truth:
    truths = _clauses(value, scope)
    return Truth.ALWAYS if _complementary(value) else _or(truths)


def _none_of(value: Any, scope: Scope) -> Truth:
    return _not(_or(_clauses(value, scope)))


def _expression(value: Any, scope: Scope) -> Truth:
    found = scope.reach.filters(evaluate(value, scope))
    if sources(found) == frozenset():
        # A literal, as far as can be seen: it is the same for every document.
        return Truth.NEVER if value in (False, 0, None) else Truth.ALWAYS
    if isinstance(value, Mapping) and len(value) == 1:
        name, operands = next(iter(value.items()))
        if isinstance(operands, list | tuple) and len(operands) == 2:
            one, other = operands
            if name in ("$eq", "$gte", "$lte") and one == other:
                return Truth.ALWAYS
            if name in ("$ne", "$gt", "$gte") and one == "$_id" and (other is None or isinstance(other, MinKey)):
                return Truth.ALWAYS
        if name in ("$and", "$or") and isinstance(operands, list | tuple):
            truths = [_expression(item, scope) for item in operands]
            return _and(truths) if name == "$and" else _or(truths)
    return Truth.DEPENDS


def _code(value: Any, scope: Scope) -> Truth:
    scope.reach.runs_code("where")
    return Truth.ALWAYS


def _text(value: Any, scope: Scope) -> Truth:
    # Which fields the text index covers is the server's business.
    scope.reach.filters(scope.current)
    return Truth.DEPENDS


def _schema(value: Any, scope: Scope) -> Truth:
    # A schema restricts what is there; whether it excludes anything cannot be told.
    scope.reach.filters(scope.current)
    return Truth.ALWAYS


def _always(value: Any, scope: Scope) -> Truth:
    return Truth.ALWAYS


def _never(value: Any, scope: Scope) -> Truth:
    return Truth.NEVER


_TOP: Final[Mapping[str, Callable[[Any, Scope], Truth]]] = {
    "$and": _all_of,
    "$or": _any_of,
    "$nor": _none_of,
    "$expr": _expression,
    "$where": _code,
    "$text": _text,
    "$jsonSchema": _schema,
    "$sampleRate": _always,
    "$alwaysTrue": _always,
    "$alwaysFalse": _never,
}


# --- on a field -------------------------------------------------------------------------------------------------------


def _field(found: AbstractValue, value: Any, scope: Scope, path: list[str]) -> Truth:
    """What a condition on a field is. ``found`` is the field's value, already counted."""
    known = _is_known(found, scope)
    if not _has_operators(value):
        return _equality(value, known)
    truths = []
    for name, operand in value.items():
        if name == "$not":
            inner = (
                _field(found, operand, scope, path)
                if _has_operators(operand)
                else _atom("$regex", operand, known, path)
            )
            truths.append(_not(inner))
        elif name == "$elemMatch":
            truths.append(read_element(found, operand, scope))
        elif name in _OF_A_VALUE:
            truths.append(_atom(str(name), operand, known, path))
        else:
            scope.reach.unknown(f"the filter operator {str(name)[:40]} is not known")
            truths.append(Truth.ALWAYS)
    return _and(truths)


def _has_operators(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value:
        return False
    first = str(next(iter(value)))
    return first.startswith("$") and first not in _LITERAL_KEYS


def read_element(found: AbstractValue, operand: Any, scope: Scope) -> Truth:
    """Count what ``$elemMatch`` looks at in the elements of ``found``."""
    if _has_operators(operand) and next(iter(operand)) not in _TOP:
        _field(found, operand, scope, [])
    else:
        _document(operand, scope.on(found))
    return Truth.DEPENDS


def _equality(value: Any, known: bool) -> Truth:
    if value is None:
        return Truth.DEPENDS if known else Truth.ALWAYS
    if isinstance(value, Regex) or hasattr(value, "pattern"):
        return Truth.ALWAYS if str(value.pattern) in _ALL_TEXTS else Truth.DEPENDS
    return Truth.DEPENDS if known else Truth.NEVER


def _atom(name: str, operand: Any, known: bool, path: list[str]) -> Truth:
    if name in ("$options", "$comment", "$maxDistance", "$minDistance", "$uniqueDocs"):
        return Truth.ALWAYS
    if name == "$exists":
        if known and path != ["_id"]:
            return Truth.DEPENDS
        return Truth.ALWAYS if bool(operand) is known else Truth.NEVER
    if name in _HAS_ABSENT:
        operands = list(operand) if name == "$nin" and isinstance(operand, list | tuple) else [operand]
        if not operands or (path == ["_id"] and all(item is None for item in operands)):
            return Truth.ALWAYS
        if None in operands:
            return Truth.DEPENDS if known else Truth.NEVER
        return Truth.DEPENDS if known else Truth.ALWAYS
    if name == "$in" and isinstance(operand, list | tuple):
        if not operand:
            return Truth.NEVER
        return _or([_equality(item, known) for item in operand])
    if name in ("$eq", "$gte", "$lte") and operand is None:
        return Truth.DEPENDS if known else Truth.ALWAYS
    if name in ("$gt", "$gte") and isinstance(operand, MinKey):
        return Truth.ALWAYS
    if name in ("$lt", "$lte") and isinstance(operand, MaxKey):
        return Truth.ALWAYS
    if name == "$regex":
        pattern = getattr(operand, "pattern", operand)
        if isinstance(pattern, str) and pattern in _ALL_TEXTS:
            return Truth.ALWAYS
    return Truth.DEPENDS if known else Truth.NEVER


def _is_known(found: AbstractValue, scope: Scope) -> bool:
    """Whether any document is known to have the field."""
    stored: Sources | None = sources(found)
    if stored is None:
        return False
    if scope.catalog is None:
        return all(ref.column == "_id" for ref in stored) and bool(stored)
    return any(scope.catalog.has_path(ref) for ref in stored)


# --- three-valued logic -----------------------------------------------------------------------------------------------


def _and(truths: Iterable[Truth]) -> Truth:
    found = set(truths)
    if Truth.NEVER in found:
        return Truth.NEVER
    return Truth.DEPENDS if Truth.DEPENDS in found else Truth.ALWAYS


def _or(truths: Iterable[Truth]) -> Truth:
    found = set(truths)
    if Truth.ALWAYS in found:
        return Truth.ALWAYS
    return Truth.DEPENDS if Truth.DEPENDS in found else Truth.NEVER


def _not(truth: Truth) -> Truth:
    if truth is Truth.DEPENDS:
        return truth
    return Truth.NEVER if truth is Truth.ALWAYS else Truth.ALWAYS


_OPPOSITES: Final = {"$eq": "$ne", "$gt": "$lte", "$gte": "$lt", "$in": "$nin", "$exists": "$exists"}


def _complementary(clauses: Any) -> bool:
    """Whether two alternatives are each other's opposite: ``{$or: [{a: 1}, {a: {$ne: 1}}]}``."""
    seen = []
    for clause in clauses if isinstance(clauses, list | tuple) else ():
        if not isinstance(clause, Mapping) or len(clause) != 1:
            continue
        path, condition = next(iter(clause.items()))
        if not _has_operators(condition):
            condition = {"$eq": condition}
        if len(condition) == 1:
            seen.append((path, *next(iter(condition.items()))))
    return any(
        one[0] == other[0]
        and _OPPOSITES.get(one[1]) == other[1]
        and (bool(one[2]) != bool(other[2]) if one[1] == "$exists" else one[2] == other[2])
        for one in seen
        for other in seen
    )

"""Aggregation expressions, interpreted over abstract values (MongoDB manual, "Aggregation Operators").

Every operator of the server's versions 6.0 to 8.0 is in one of the tables below or has a function of its own. One that
is in none makes the statement opaque and its value unknown. What is evaluated is counted as read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway_mongodb.abstract import (
    CONSTANT,
    MAX_DEPTH,
    NOTHING,
    UNKNOWN,
    AbstractValue,
    Computed,
    Document,
    Guarded,
    Stored,
    Unknown,
    assign,
    computed,
    follow,
    get,
    guarded,
    join,
    join_all,
    sources,
)
from gateway_mongodb.reach import Scope

_PURE: Final = frozenset(
    # arithmetic, trigonometry, bits
    """abs acos acosh add asin asinh atan atan2 atanh avg bitAnd bitNot bitOr bitXor ceil cos cosh degreesToRadians
    divide exp floor ln log log10 mod multiply pow radiansToDegrees round sigmoid sin sinh sqrt subtract sum tan tanh
    trunc stdDevPop stdDevSamp median percentile rand"""
    # comparison, booleans, sets
    """ cmp eq gt gte lt lte ne and or not allElementsTrue anyElementTrue in setDifference setEquals setIntersection
    setIsSubset setUnion"""
    # strings
    """ concat indexOfBytes indexOfCP ltrim regexFind regexFindAll regexMatch replaceAll replaceOne rtrim split
    strLenBytes strLenCP strcasecmp substr substrBytes substrCP toLower toUpper trim"""
    # dates and timestamps
    """ dateAdd dateDiff dateFromParts dateFromString dateSubtract dateToParts dateToString dateTrunc dayOfMonth
    dayOfWeek dayOfYear hour isoDayOfWeek isoWeek isoWeekYear millisecond minute month second tsIncrement tsSecond week
    year"""
    # types
    """ convert isNumber toBool toDate toDecimal toDouble toInt toLong toObjectId toString toUUID toHashedIndexKey type
    binarySize bsonSize"""
    # arrays and objects
    """ arrayToObject indexOfArray isArray max maxN min minN objectToArray range size zip ifNull""".split()
)
"""Operators whose value is made of all their arguments, whatever these are."""

_OF_CODE: Final = frozenset({"function", "accumulator", "_internalJsEmit", "_internalJsReduce"})

Handler = Callable[[Any, Scope], AbstractValue]


def evaluate(expression: Any, scope: Scope) -> AbstractValue:
    """The abstract value of an expression; what it reads goes to ``scope.reach``."""
    if scope.depth > MAX_DEPTH:
        scope.reach.doubt("an expression is nested too deeply")
        return UNKNOWN
    match expression:
        case str():
            return _path(expression, scope) if expression.startswith("$") else CONSTANT
        case Mapping():
            return _object(expression, scope.deeper())
        case list() | tuple():
            inner = scope.deeper()
            return join_all(_element(item, inner) for item in expression) if expression else CONSTANT
        case _:
            return CONSTANT


def evaluate_all(expressions: Any, scope: Scope) -> list[AbstractValue]:
    """The values of an operator's arguments, whether they come alone, in an array or by name."""
    match expressions:
        case list() | tuple():
            return [evaluate(item, scope) for item in expressions]
        case Mapping() if not any(str(key).startswith("$") for key in expressions):
            return [evaluate(item, scope) for item in expressions.values()]
        case _:
            return [evaluate(expressions, scope)]


def _element(expression: Any, scope: Scope) -> AbstractValue:
    value = evaluate(expression, scope)
    # A null among others in an array is told from them by its place only.
    return CONSTANT if value == NOTHING else value


def _path(text: str, scope: Scope) -> AbstractValue:
    if not text.startswith("$$"):
        return scope.reach.reads(follow(scope.current, text[1:].split(".")))
    name, *steps = text[2:].split(".")
    if name == "ROOT":
        value = scope.root
    elif name == "CURRENT":
        value = scope.variables.get(name, scope.current)
    elif name in scope.variables:
        value = scope.variables[name]
    elif name == "REMOVE":
        return NOTHING
    elif name in ("NOW", "CLUSTER_TIME", "DESCEND", "PRUNE", "KEEP", "USER_ROLES"):
        return CONSTANT
    elif name in ("SEARCH_META", "JS_SCOPE", "IS_MR"):
        return scope.reach.unknown(f"the variable {name} is not known")
    else:
        return scope.reach.unknown("a variable is not defined")
    return scope.reach.reads(follow(value, steps))


def _object(expression: Mapping[str, Any], scope: Scope) -> AbstractValue:
    names = [str(key) for key in expression]
    if not any(name.startswith("$") for name in names):
        fields: dict[str, AbstractValue] = {}
        document: AbstractValue = Document(fields)
        for name in names:
            value = evaluate(expression[name], scope)
            if "." in name:  # the server refuses it in most places
                document = assign(document, tuple(name.split(".")), value)
            else:
                document = assign(document, (name,), value)
        return document
    if len(names) != 1:
        return scope.reach.unknown("an expression has several operators")
    return _operator(names[0][1:], expression[names[0]], scope)


def _operator(name: str, argument: Any, scope: Scope) -> AbstractValue:
    handler = _HANDLERS.get(name)
    if handler is not None:
        return handler(argument, scope)
    if name in _PURE:
        return computed(*evaluate_all(argument, scope))
    if name in _OF_CODE:
        scope.reach.runs_code(name)
        return UNKNOWN
    return scope.reach.unknown(f"the operator ${name[:40]} is not known")


# --- operators that hand values on ------------------------------------------------------------------------------------


def _literal(argument: Any, scope: Scope) -> AbstractValue:
    return CONSTANT


def _alone(argument: Any) -> Any:
    """An operator's only argument: ``{$first: x}`` is ``{$first: [x]}``."""
    return argument[0] if isinstance(argument, list | tuple) and len(argument) == 1 else argument


def _same(argument: Any, scope: Scope) -> AbstractValue:
    """One of the elements, or all of them in another order."""
    return evaluate(_alone(argument), scope)


def _picked(argument: Any, scope: Scope) -> AbstractValue:
    """``[array, position …]``: which elements depends on the positions."""
    if not isinstance(argument, list | tuple) or not argument:
        return computed(*evaluate_all(argument, scope))
    array, *positions = argument
    return guarded(evaluate(array, scope), computed(*(evaluate(item, scope) for item in positions)))


def _n_of(argument: Any, scope: Scope) -> AbstractValue:
    """``{input, n}``."""
    named = _named(argument, scope, {"input", "n"})
    return UNKNOWN if named is None else guarded(evaluate(named.get("input"), scope), evaluate(named.get("n"), scope))


def _named(argument: Any, scope: Scope, known: set[str]) -> Mapping[str, Any] | None:
    """An operator's named arguments; None, and the statement is opaque, where there are others."""
    if not isinstance(argument, Mapping) or not set(argument) <= known:
        scope.reach.unknown("an operator has arguments that are not known")
        return None
    return argument


def _sort_array(argument: Any, scope: Scope) -> AbstractValue:
    named = _named(argument, scope, {"input", "sortBy"})
    if named is None:
        return UNKNOWN
    value = evaluate(named.get("input"), scope)
    order = named.get("sortBy")
    keys = [follow(value, str(key).split(".")) for key in order] if isinstance(order, Mapping) else [value]
    for key in keys:
        scope.reach.filters(key)
    return value


def _concat_arrays(argument: Any, scope: Scope) -> AbstractValue:
    return join_all(evaluate_all(argument, scope))


def _merge_objects(argument: Any, scope: Scope) -> AbstractValue:
    return join_all(evaluate_all(argument, scope))


def _condition(argument: Any, scope: Scope) -> AbstractValue:
    if isinstance(argument, Mapping) and _named(argument, scope, {"if", "then", "else"}) is None:
        return UNKNOWN
    return computed(*evaluate_all(argument, scope))


def _switch(argument: Any, scope: Scope) -> AbstractValue:
    named = _named(argument, scope, {"branches", "default"})
    if named is None:
        return UNKNOWN
    values = [evaluate(named.get("default"), scope)]
    for branch in named.get("branches") or ():
        if _named(branch, scope, {"case", "then"}) is None:
            return UNKNOWN
        values += evaluate_all(branch, scope)
    return computed(*values)


def _let(argument: Any, scope: Scope) -> AbstractValue:
    named = _named(argument, scope, {"vars", "in"})
    if named is None or not isinstance(named.get("vars"), Mapping):
        return UNKNOWN
    variables = {str(name): evaluate(item, scope) for name, item in named["vars"].items()}
    return evaluate(named.get("in"), scope.with_variables(variables))


def _map(argument: Any, scope: Scope) -> AbstractValue:
    named = _named(argument, scope, {"input", "as", "in", "arrayIndexAs"})
    if named is None:
        return UNKNOWN
    array = evaluate(named.get("input"), scope)
    inner = scope.with_variables(
        {
            str(named.get("as", "this")): _elements(array),
            **({str(named["arrayIndexAs"]): CONSTANT} if "arrayIndexAs" in named else {}),
        }
    )
    return guarded(evaluate(named.get("in"), inner), _length(array))


def _elements(array: AbstractValue) -> AbstractValue:
    return array.value if isinstance(array, Guarded) else array


def _length(array: AbstractValue) -> AbstractValue:
    """What the number of an array's elements tells: nothing where it is stored so."""
    match array:
        case Computed():
            return array
        case Guarded(_, control):
            return Computed(control)
        case Unknown():
            return array
        case _:
            return CONSTANT


def _filter(argument: Any, scope: Scope) -> AbstractValue:
    named = _named(argument, scope, {"input", "as", "cond", "limit", "arrayIndexAs"})
    if named is None:
        return UNKNOWN
    array = evaluate(named.get("input"), scope)
    inner = scope.with_variables(
        {
            str(named.get("as", "this")): _elements(array),
            **({str(named["arrayIndexAs"]): CONSTANT} if "arrayIndexAs" in named else {}),
        }
    )
    condition = scope.reach.filters(evaluate(named.get("cond"), inner))
    depends = computed(_outside(condition, array), evaluate(named.get("limit"), scope))
    return guarded(array, depends)


def _outside(condition: AbstractValue, array: AbstractValue) -> AbstractValue:
    """What a condition looks at outside the elements that it is about: that is what the result could tell of."""
    looked_at = sources(condition)
    if looked_at is None:
        return UNKNOWN
    inside = array.value if isinstance(array, Guarded) else array
    if not isinstance(inside, Stored):
        return Computed(looked_at)
    return Computed(frozenset(ref for ref in looked_at if not any(_at_or_below(ref, own) for own in inside.refs)))


def _at_or_below(ref: Any, own: Any) -> bool:
    if (ref.schema, ref.table) != (own.schema, own.table):
        return False
    return bool(ref.column == own.column or ref.column.startswith(own.column + "."))


def _reduce(argument: Any, scope: Scope) -> AbstractValue:
    named = _named(argument, scope, {"input", "initialValue", "in", "arrayIndexAs"})
    if named is None:
        return UNKNOWN
    array = evaluate(named.get("input"), scope)
    start = evaluate(named.get("initialValue"), scope)
    made = computed(array, start)
    for _ in range(3):
        # What one step makes is what the next one begins with.
        inner = scope.with_variables({"this": _elements(array), "value": made, "index": CONSTANT})
        if "arrayIndexAs" in named:
            inner = inner.with_variables({str(named["arrayIndexAs"]): CONSTANT})
        after = computed(made, evaluate(named.get("in"), inner))
        if after == made:
            return made
        made = after
    return UNKNOWN


def _get_field(argument: Any, scope: Scope) -> AbstractValue:
    if isinstance(argument, Mapping) and "field" in argument:
        named = _named(argument, scope, {"field", "input"})
        if named is None:
            return UNKNOWN
        field, base = named["field"], evaluate(named.get("input", "$$CURRENT"), scope)
    else:
        field, base = argument, scope.current
    name = _constant_name(field)
    if name is None:
        return scope.reach.reads(computed(base, evaluate(field, scope)))
    if isinstance(base, Document) and "." in name:
        return scope.reach.reads(computed(base))
    return scope.reach.reads(get(base, name))


def _constant_name(field: Any) -> str | None:
    if isinstance(field, Mapping) and len(field) == 1 and next(iter(field)) in ("$literal", "$const"):
        field = next(iter(field.values()))
        return field if isinstance(field, str) else None
    return field if isinstance(field, str) and not field.startswith("$") else None


def _set_field(argument: Any, scope: Scope) -> AbstractValue:
    named = _named(argument, scope, {"field", "input", "value"})
    if named is None:
        return UNKNOWN
    base = evaluate(named.get("input"), scope)
    value = evaluate(named.get("value"), scope)
    name = _constant_name(named.get("field"))
    if name is None or "." in name or name.startswith("$"):
        return join(Document({}, computed(base, value, evaluate(named.get("field"), scope))), base)
    return assign(base, (name,), value)


def _unset_field(argument: Any, scope: Scope) -> AbstractValue:
    named = _named(argument, scope, {"field", "input"})
    if named is None:
        return UNKNOWN
    base = evaluate(named.get("input"), scope)
    name = _constant_name(named.get("field"))
    if name is None:
        return guarded(base, evaluate(named.get("field"), scope))
    return base if "." in name or name.startswith("$") else assign(base, (name,), NOTHING)


def _meta(argument: Any, scope: Scope) -> AbstractValue:
    # Scores and index keys tell of the document what nobody can see from here.
    if argument == "randVal":
        return CONSTANT
    return scope.reach.reads(computed(scope.root))


_HANDLERS: Final[Mapping[str, Handler]] = {
    "literal": _literal,
    "const": _literal,
    "first": _same,
    "last": _same,
    "reverseArray": _same,
    "arrayElemAt": _picked,
    "slice": _picked,
    "firstN": _n_of,
    "lastN": _n_of,
    "sortArray": _sort_array,
    "concatArrays": _concat_arrays,
    "mergeObjects": _merge_objects,
    "cond": _condition,
    "switch": _switch,
    "let": _let,
    "map": _map,
    "filter": _filter,
    "reduce": _reduce,
    "getField": _get_field,
    "setField": _set_field,
    "unsetField": _unset_field,
    "meta": _meta,
}

OPERATORS: Final = frozenset(_PURE | _OF_CODE | _HANDLERS.keys())
"""Every expression operator that is understood (or known to run code), without the dollar sign."""

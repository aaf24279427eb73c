"""Accumulators of ``$group`` and ``$bucket``, and the operators of ``$setWindowFields``.

MongoDB manual, "$group: Accumulator Operator" and "$setWindowFields: Operators".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway_mongodb.abstract import CONSTANT, UNKNOWN, AbstractValue, computed, guarded
from gateway_mongodb.expressions import evaluate
from gateway_mongodb.reach import Scope

_COMPUTED: Final = frozenset("sum avg max min stdDevPop stdDevSamp median percentile setUnion".split())
_HANDED_ON: Final = frozenset("push addToSet first last mergeObjects concatArrays".split())
_N: Final = frozenset("firstN lastN".split())
_COMPUTED_N: Final = frozenset("maxN minN".split())
_SORTED: Final = frozenset("top bottom topN bottomN".split())
_OF_THE_ORDER: Final = frozenset("rank denseRank documentNumber".split())
_OF_A_WINDOW: Final = frozenset(
    "covariancePop covarianceSamp derivative integral expMovingAvg linearFill locf shift minMaxScaler".split()
)
ACCUMULATORS: Final = _COMPUTED | _HANDED_ON | _N | _COMPUTED_N | _SORTED | {"count", "accumulator"}
WINDOW_OPERATORS: Final = (ACCUMULATORS - {"accumulator", "mergeObjects"}) | _OF_THE_ORDER | _OF_A_WINDOW


def accumulate(value: Any, scope: Scope) -> AbstractValue:
    """The value of one accumulator: ``{$sum: "$total"}``."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return scope.reach.unknown("an accumulator is not understood")
    name, argument = next(iter(value.items()))
    return _one(str(name).removeprefix("$"), argument, scope)


def window(value: Any, order: AbstractValue, scope: Scope) -> AbstractValue:
    """The value of one field of ``$setWindowFields``; ``order`` is what ``sortBy`` looks at."""
    if not isinstance(value, Mapping):
        return scope.reach.unknown("a window is not understood")
    operators = [str(name) for name in value if name != "window"]
    if len(operators) != 1:
        return scope.reach.unknown("a window is not understood")
    name, argument = operators[0].removeprefix("$"), value[operators[0]]
    if name in _OF_THE_ORDER:
        return computed(order)
    if name in _OF_A_WINDOW:
        return computed(_arguments(argument, scope), order)
    # A window by range looks at the values of the order.
    return guarded(_one(name, argument, scope), order if "range" in (value.get("window") or {}) else CONSTANT)


def _one(name: str, argument: Any, scope: Scope) -> AbstractValue:
    if name == "accumulator":
        scope.reach.runs_code("accumulator")
        return UNKNOWN
    if name == "count":
        return CONSTANT
    if name in _COMPUTED or name in _COMPUTED_N:
        return computed(_arguments(argument, scope))
    if name in _HANDED_ON:
        return evaluate(argument, scope)
    if name in _N and isinstance(argument, Mapping) and set(argument) <= {"input", "n"}:
        return guarded(evaluate(argument.get("input"), scope), evaluate(argument.get("n"), scope))
    if name in _SORTED and isinstance(argument, Mapping) and set(argument) <= {"output", "sortBy", "n"}:
        order = argument.get("sortBy")
        for key in order if isinstance(order, Mapping) else ():
            scope.reach.filters(evaluate(f"${key}", scope))
        return guarded(evaluate(argument.get("output"), scope), evaluate(argument.get("n"), scope))
    return scope.reach.unknown(f"the accumulator ${name[:40]} is not known")


def _arguments(argument: Any, scope: Scope) -> AbstractValue:
    """What an operator is computed from: an expression, several, or arguments by name."""
    return computed(evaluate(argument, scope))

"""Functions that make a value coarser. What is left is true, so they are for bare columns only: scaled up by an
expression (``salary * 1000``) a coarse value is a fine one again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from types import MappingProxyType

from gateway.domain.masking import MaskingFunction, MaskSpec, Value, ValueKind
from gateway.masking.arguments import Arguments
from gateway.masking.keys import MaskingKeys

STRICTNESS = 50

UNITS = MappingProxyType({"month": 0, "quarter": 1, "year": 2, "decade": 3})
"""The units of ``truncate_date``, coarser ones with a higher rank."""

# PostgreSQL's numeric has up to 147455 digits; beyond this many the value becomes NULL, not approximate.
_DECIMALS = Context(prec=1000, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class _TruncateDate:
    unit: str

    def constant(self, kind: ValueKind) -> Value | None:
        if kind in (ValueKind.DATE, ValueKind.TIMESTAMP):
            raise LookupError(kind)
        return None

    def apply(self, value: Value, kind: ValueKind, domain: str) -> Value | None:
        match kind, value:
            case ValueKind.TIMESTAMP, datetime():
                start = self._start(value)
                return datetime(start.year, start.month, start.day, tzinfo=value.tzinfo)
            case ValueKind.DATE, date():
                return self._start(value)
            case _:
                return None

    def _start(self, value: date) -> date:
        """The first day of the unit that holds ``value``. The decade of the years 1 to 9 begins with year 1."""
        match self.unit:
            case "month":
                return date(value.year, value.month, 1)
            case "quarter":
                return date(value.year, value.month - (value.month - 1) % 3, 1)
            case "year":
                return date(value.year, 1, 1)
            case _:
                return date(max(value.year - value.year % 10, 1), 1, 1)


@dataclass(frozen=True, slots=True)
class _Round:
    to: Decimal

    def constant(self, kind: ValueKind) -> Value | None:
        match kind:
            case ValueKind.DECIMAL | ValueKind.FLOAT:
                raise LookupError(kind)
            case ValueKind.INTEGER if self.to == self.to.to_integral_value():
                raise LookupError(kind)
            case _:
                return None

    def apply(self, value: Value, kind: ValueKind, domain: str) -> Value | None:
        match kind, value:
            case ValueKind.INTEGER, int() if self.to == self.to.to_integral_value():
                return int(self._nearest(Decimal(value)))
            case ValueKind.DECIMAL, Decimal():
                if not value.is_finite() or len(value.as_tuple().digits) > _DECIMALS.prec // 2:
                    return None
                return self._nearest(value)
            case ValueKind.FLOAT, float():
                return float(self._nearest(Decimal(value))) if math.isfinite(value) else None
            case _:
                return None

    def _nearest(self, value: Decimal) -> Decimal:
        """The nearest multiple, a half to the even one."""
        steps = _DECIMALS.divide(value, self.to).to_integral_value(ROUND_HALF_EVEN)
        return _DECIMALS.multiply(steps, self.to)


def truncate_date(spec: MaskSpec, keys: MaskingKeys) -> MaskingFunction:
    """``truncate_date``: the first day of the ``unit`` (month, quarter, year, decade) for dates and timestamps.

    Other kinds become NULL. A timestamp becomes that day's midnight in the zone that it came in.
    """
    arguments = Arguments(spec)
    unit = arguments.choice("unit", tuple(UNITS))
    arguments.done()
    function = _TruncateDate(unit)
    return MaskingFunction(spec, STRICTNESS + UNITS[unit], True, function.constant, function.apply)


def round_(spec: MaskSpec, keys: MaskingKeys) -> MaskingFunction:
    """``round``: the nearest multiple of ``to`` (a half goes to the even multiple) for numbers, else NULL.

    Integers need a whole ``to``, else they become NULL. Infinity and NaN become NULL.
    """
    arguments = Arguments(spec)
    to = arguments.positive("to")
    arguments.done()
    function = _Round(to)
    # Of two the coarser is the stricter.
    strictness = STRICTNESS + min(9, max(0, to.adjusted()))
    return MaskingFunction(spec, strictness, True, function.constant, function.apply)

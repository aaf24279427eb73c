"""A statement's text and bound parameters as an approver reads them: what is left out is said to be."""

from __future__ import annotations

import json
from typing import Final

from gateway.domain.audit import BoundValue, StatementRecord
from gateway.sql.credentials import HIDDEN, conceal, holds_login

MAX_SHOWN: Final = 64 * 1024
"""Characters of a statement that an approver is shown; what is approved is the whole, by its digest."""
_VALUES: Final = 100
_CHARACTERS: Final = 500
"""How many parameters, and characters of each."""


def whole_or_cut(text: str, most: int = MAX_SHOWN) -> str:
    """A text that is not all there says so: what stands behind its end would run, too."""
    return text if len(text) <= most else f"{text[:most]} […: cut, {len(text)} characters in all]"


def parameters_shown(record: StatementRecord) -> tuple[str, ...]:
    """The values in order, under the same rule as the literals of the text, which the approver reads."""
    count = record.parameters
    if not count:
        return ()
    if record.bound is None or conceal(record.text, record.ruling.analysis) is not None:
        return (f"{count} not shown",)
    values = record.bound.values()[:_VALUES]
    left = count - len(values)
    return (*map(_value, values), *((f"{left} more not shown",) if left > 0 else ()))


def _value(value: BoundValue) -> str:
    if value is None:
        return "NULL"
    if holds_login(value):
        return HIDDEN
    return whole_or_cut(json.dumps(value, ensure_ascii=False), _CHARACTERS)

"""Functions that hide a value wholly: what comes out does not depend on what went in."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import NoReturn, assert_never
from uuid import UUID

from gateway.domain.masking import MaskingFunction, MaskSpec, Value, ValueKind
from gateway.masking.arguments import Arguments
from gateway.masking.keys import MaskingKeys

STRICTNESS = 100
REDACTED = "****"


def redact(spec: MaskSpec, keys: MaskingKeys) -> MaskingFunction:
    """``redact``: ``****`` for text, NULL for everything else. No arguments."""
    Arguments(spec).done()
    return _whole(spec, _redacted, REDACTED.__eq__)


def null(spec: MaskSpec, keys: MaskingKeys) -> MaskingFunction:
    """``null``: NULL for everything. No arguments."""
    Arguments(spec).done()
    return _whole(spec, _nothing, _nothing_known)


def constant(spec: MaskSpec, keys: MaskingKeys) -> MaskingFunction:
    """``constant``: the argument ``value`` wherever the column's kind can hold it, else NULL."""
    arguments = Arguments(spec)
    value = arguments.scalar("value")
    arguments.done()
    # Texts only: 0 or true is what anybody might write.
    shown = value.__eq__ if isinstance(value, str) and value else _nothing_known
    return _whole(spec, partial(_as_kind, value), shown)


def _whole(
    spec: MaskSpec, replacement: Callable[[ValueKind], Value | None], shows: Callable[[str], bool]
) -> MaskingFunction:
    def apply(value: Value, kind: ValueKind, domain: str) -> Value | None:
        return replacement(kind)

    return MaskingFunction(spec, STRICTNESS, partial=False, constant=replacement, apply=apply, recognises=shows)


def _nothing_known(text: str) -> bool:
    return False


def _redacted(kind: ValueKind) -> Value | None:
    return REDACTED if kind is ValueKind.TEXT else None


def _nothing(kind: ValueKind) -> Value | None:
    return None


def _as_kind(value: str | int | float | bool, kind: ValueKind) -> Value | None:
    """The configured value as a value of the kind, or None where it is none."""
    try:
        return _convert(value, kind)
    except (ValueError, InvalidOperation):
        return None


def _convert(value: str | int | float | bool, kind: ValueKind) -> Value | None:
    if isinstance(value, bool):
        return value if kind is ValueKind.BOOLEAN else None
    text = str(value)
    match kind:
        case ValueKind.TEXT:
            return text
        case ValueKind.INTEGER:
            return int(text)
        case ValueKind.DECIMAL:
            return Decimal(text)
        case ValueKind.FLOAT:
            return float(text)
        case ValueKind.DATE:
            return date.fromisoformat(text)
        case ValueKind.TIME:
            return time.fromisoformat(text)
        case ValueKind.TIMESTAMP:
            return datetime.fromisoformat(text)
        case ValueKind.UUID:
            return UUID(text)
        case ValueKind.JSON:
            json.loads(text, parse_constant=_no_json)
            return text
        case ValueKind.BOOLEAN | ValueKind.BYTES | ValueKind.OTHER:
            return None
        case _:
            assert_never(kind)


def _no_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

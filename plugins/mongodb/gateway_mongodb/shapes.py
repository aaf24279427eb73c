"""The abstract output of a command: which stored paths each part of its reply may carry, and where in it they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from gateway.domain.masking import ResultColumn
from gateway.domain.statement import ColumnRef, OutputColumn
from gateway_mongodb.abstract import (
    NOTHING,
    UNKNOWN,
    WHOLE,
    AbstractValue,
    Computed,
    Document,
    Dotted,
    Guarded,
    Nothing,
    Stored,
    Unknown,
)


class Place(Enum):
    """Where in a reply the values are."""

    NONE = "none"
    """The reply holds no stored value."""
    CURSOR = "cursor"
    """Documents in ``cursor.firstBatch`` or ``cursor.nextBatch``."""
    VALUES = "values"
    """Values in the array ``values`` (distinct)."""
    VALUE = "value"
    """One document in ``value`` (findAndModify)."""
    REFUSED = "refused"
    """Nothing is known of the reply: it must not pass for somebody under a mask."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the replies to a command hold, and where.

    ``token`` are the paths that the resume tokens of a change stream show: they cannot be masked.
    """

    place: Place = Place.REFUSED
    value: AbstractValue = UNKNOWN
    token: AbstractValue = NOTHING


def result_columns(shape: Shape) -> tuple[ResultColumn, ...]:
    """The parts of the result, for ``AskPlan``; the plan's entries are in the same order.

    Names are dotted paths in the output; ``*`` stands for the fields that have no name of their own.
    """
    if shape.place is Place.NONE:
        return ()
    value = UNKNOWN if shape.place is Place.REFUSED else shape.value
    return tuple(_column(part) for part in (*parts(value, ()), *parts(shape.token, ("<resume token>",))))


def outputs(shape: Shape) -> tuple[OutputColumn, ...] | None:
    """The same as lineage, for the facts; None where nothing is known."""
    if shape.place is Place.REFUSED:
        return None
    return tuple(column.lineage for column in result_columns(shape) if column.lineage is not None)


@dataclass(frozen=True, slots=True)
class Part:
    """One entry of the masking plan: a value's own sources (None: unknown) at a path of the output."""

    path: tuple[str, ...]
    sources: frozenset[ColumnRef] | None
    stored: bool
    """What is there is stored at exactly these paths, so that labels below them hold for what is below the value."""


def parts(value: AbstractValue, path: tuple[str, ...]) -> Iterator[Part]:
    """The parts of a value, in the order in which a mask is compiled from them."""
    match value:
        case Stored(refs) | Dotted(Stored(refs)):
            for ref in sorted(refs):
                yield Part(path, frozenset({ref}), stored=True)
        case Computed(found):
            if found:
                yield Part(path, found, stored=False)
        case Unknown():
            yield Part(path, None, stored=False)
        case Guarded(inner, control):
            yield Part(path, control, stored=False)
            yield from parts(inner, path)
        case Document(fields, rest):
            for name, own in fields.items():
                yield from parts(own, (*path, name))
            if rest is not None:
                yield from parts(rest, (*path, WHOLE))
        case Nothing():
            pass
        case _:
            assert_never(value)


def _column(part: Part) -> ResultColumn:
    name = ".".join(part.path) or WHOLE
    found = frozenset[ColumnRef]() if part.sources is None else part.sources
    lineage = OutputColumn(name, found, proven=part.sources is not None, bare=part.stored, document=part.stored)
    return ResultColumn(name, frozenset(), origin_known=True, origin_exact=False, lineage=lineage, document=part.stored)

"""The values that lineage computes with.

They are named tuples, since catalogs go to worker processes, and compiled frozen classes cannot be unpickled.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gateway.domain.statement import ColumnRef

NO_COLUMNS: frozenset[ColumnRef] = frozenset()


class Value(NamedTuple):
    """Where a value comes from. ``proven`` False: from anywhere the statement can reach, ``sources`` included.

    ``bare``: it is one stored column's value as stored. ``outer``: it names a column of an enclosing query's row or of
    the row that is written, as far as a predicate cares; see ``Source.target``.
    """

    sources: frozenset[ColumnRef] = NO_COLUMNS
    proven: bool = True
    bare: bool = False


CONSTANT = Value()
"""A value that no stored column flows into."""
UNPROVEN = Value(proven=False)
"""A value of which nothing is known."""


def union(values: Iterable[Value]) -> Value:
    """A value computed from ``values`` in some way."""
    sources = NO_COLUMNS
    proven = True
    for value in values:
        if value.sources:
            sources = sources | value.sources if sources else value.sources
        if not value.proven:
            proven = False
    if not sources and proven:
        return CONSTANT
    return Value(sources, proven)


def same_column(values: Iterable[Value]) -> Value:
    """One of ``values``, unchanged: what a set operation or a USING column gives."""
    every = tuple(values)
    joined = union(every)
    if joined.sources and all(value.bare for value in every):
        return Value(joined.sources, joined.proven, bare=True)
    return joined


class NamedValue(NamedTuple):
    """One column of a row."""

    name: str
    value: Value

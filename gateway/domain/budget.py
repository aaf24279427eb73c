"""How much somebody may have in a span of time, and how relays count it.

A policy grants a ``Budget``; whoever it matches has one account for it, which all of that principal's sessions (and
those of agents that act for it) spend from. The chain gives each ruling an ``Allowance`` over the accounts that its
statements spend from, and each masking plan the meters for the cells that leave it in the clear. Relays count.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from gateway.errors import LimitExceeded


@dataclass(frozen=True, slots=True)
class Budget:
    """What ``owner`` may have by policy ``policy`` in any ``window`` seconds; None is no limit.

    ``cells`` are values of columns with a label in ``labels`` that leave unmasked; NULL does not count.
    """

    policy: str
    owner: str
    window: float
    statements: int | None = None
    rows: int | None = None
    cells: int | None = None
    labels: frozenset[str] = frozenset()


class Weight(IntEnum):
    """How much a value of a result column counts against a budget of cells."""

    NONE = 0
    CELL = 1
    """A stored value as it is: one cell."""
    COMPUTED = 2
    """Made from stored values, so it may hold many of them (``string_agg``): 1 cell and 1 for each 16 bytes."""


COMPUTED_BYTES = 16
"""Bytes of a computed value that count as one more cell."""


class CellMeter(Protocol):
    """Counts the cells of one result against one budget. ``columns`` holds a ``Weight`` for each result column.

    ``below`` has an entry for each, too: the labelled paths in a column that is a document (steps as in a
    ``PathMask``; none for the column itself), so that each value there can be counted by itself; None for any other.
    """

    columns: bytes
    below: tuple[frozenset[tuple[str, ...]] | None, ...]

    def left(self) -> int:
        """Cells that may still go out."""

    def spend(self, cells: int) -> None:
        """That many have gone out."""

    def exhausted(self) -> LimitExceeded:
        """What to tell the client."""


class Allowance(Protocol):
    """What the statements of one ruling may still spend. Shared: other sessions may spend at any time."""

    def begin(self, statements: int = 1) -> LimitExceeded | None:
        """Count an execution that is about to go to the database; an error refuses it, and nothing is counted."""

    def rows_left(self) -> int | None:
        """Rows that may still go out, None for any number."""

    def spend_rows(self, rows: int) -> None:
        """That many rows have gone out."""

    def exhausted(self) -> LimitExceeded:
        """What to tell the client when rows are held back."""

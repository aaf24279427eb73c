"""How values are hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from gateway.domain.budget import CellMeter
from gateway.domain.statement import ColumnRef, OutputColumn


class ValueKind(StrEnum):
    """What a wire value means, whatever its encoding. A masking function gets and returns values of one kind."""

    TEXT = "text"  # str
    INTEGER = "integer"  # int
    DECIMAL = "decimal"  # Decimal
    FLOAT = "float"  # float
    BOOLEAN = "boolean"  # bool
    DATE = "date"  # datetime.date
    TIME = "time"  # datetime.time
    TIMESTAMP = "timestamp"  # datetime.datetime
    UUID = "uuid"  # uuid.UUID
    BYTES = "bytes"  # bytes
    JSON = "json"  # str that holds a JSON document
    OTHER = "other"  # nothing is known: only NULL is safe


Value = str | int | float | Decimal | bool | date | time | datetime | UUID | bytes
"""A decoded value. NULL is never given to a masking function: NULL stays NULL."""


@dataclass(frozen=True, slots=True)
class MaskSpec:
    """A masking function by name, with its arguments, as a policy states it (sorted, so that equal specs are equal)."""

    function: str
    arguments: tuple[tuple[str, str | int | bool], ...] = ()


def _recognises_nothing(text: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class MaskingFunction:
    """A masking function made ready: arguments checked.

    ``strictness`` orders functions: where several apply to one column, the highest wins (0 shows most, 100 nothing).
    ``constant(kind)`` gives the replacement where it does not depend on the value (None: SQL NULL), or raises
    ``LookupError`` where it does; ``apply(value, kind, domain)`` computes it. ``domain`` names the column's key domain
    for keyed functions, so that equal values of one label mask alike. ``partial`` says that part of the value stays
    readable, which is right only for a bare column. ``recognises(text)`` says whether a text is what the function
    shows, as far as that can be told; it is asked when such a text is about to be stored.
    """

    spec: MaskSpec
    strictness: int
    partial: bool
    constant: Callable[[ValueKind], Value | None]
    apply: Callable[[Value, ValueKind, str], Value | None]
    recognises: Callable[[str], bool] = _recognises_nothing


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """One column of a result as the server describes it, with the lineage's opinion beside it.

    ``origins`` are the stored columns behind what the server names (several for a view's column, with the view's own
    column among them); empty for an expression. ``origin_known`` is False where the server names an object that the
    catalog does not know or cannot trace. ``origin_exact`` is True where the server's word is proof of the whole value
    (PostgreSQL, a column of a table in a plain SELECT), False where it may only add sensitivity.
    ``lineage`` None means that the analysis knows nothing of this column.
    """

    name: str
    origins: frozenset[ColumnRef]
    origin_known: bool
    origin_exact: bool
    lineage: OutputColumn | None
    document: bool = False
    """Whether the value may be a document, stored as it is at the lineage's one source: then labels of paths below that
    source hold for what is below the value (``MaskingPlan.below``)."""


@dataclass(frozen=True, slots=True)
class ColumnMask:
    """The mask for one result column: the function and the labels that called for it."""

    spec: MaskSpec
    labels: frozenset[str]


class Sentinels(Protocol):
    """What masks put in the place of values, as far as that can be told from a value."""

    def holds(self, text: str) -> bool:
        """Whether a text is what a mask shows and not a value."""


@dataclass(frozen=True, slots=True)
class PathMask:
    """The mask for everything at and below a path inside a document. Steps are patterns over field names (``*``, ``?``,
    whatever the case); arrays, and positions in them, are no steps."""

    steps: tuple[str, ...]
    mask: ColumnMask


@dataclass(frozen=True, slots=True)
class MaskingPlan:
    """One entry per result column; None passes the column untouched.

    ``below`` is empty or has one entry per result column, too: the masks inside a column that is a document.
    ``meters`` count what passes in the clear.
    """

    columns: tuple[ColumnMask | None, ...]
    below: tuple[tuple[PathMask, ...], ...] = ()
    meters: tuple[CellMeter, ...] = ()

    def __bool__(self) -> bool:
        return any(column is not None for column in self.columns) or any(self.below)

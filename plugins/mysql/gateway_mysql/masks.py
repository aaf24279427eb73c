"""What is known of a result's columns, and a masking plan compiled for their wire types.

Two witnesses: the lineage over the statement's text, by position, and the server's org_table and org_name. The second
can be spoofed by aliases of derived tables, so it only adds sensitivity and never clears anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from gateway.domain.masking import MaskingFunction, MaskingPlan, MaskSpec, ResultColumn
from gateway.domain.statement import ColumnRef, StatementFacts
from gateway.errors import MaskingError
from gateway.masking.cells import CellMask
from gateway.sql.outputs import lineage
from gateway_mysql.rows import RowMask
from gateway_mysql.values import compile_column, width_of
from gateway_mysql.wire.messages import ColumnDefinition


@runtime_checkable
class OriginsByName(Protocol):
    """A catalog that knows columns by the names in a column definition."""

    def origin_by_name(self, schema: str, table: str, column: str) -> frozenset[ColumnRef]:
        """The stored columns behind a name; empty where it is not known."""


def result_columns(
    fields: Sequence[ColumnDefinition], facts: StatementFacts | None, catalog: object
) -> list[ResultColumn]:
    """What is known of each result column."""
    names = [field.name.decode("utf-8", "replace") for field in fields]
    columns = []
    for field, name, output in zip(fields, names, lineage(facts, names), strict=True):
        origins: frozenset[ColumnRef] = frozenset()
        if field.org_name and isinstance(catalog, OriginsByName):
            schema, table, column = (
                part.decode("utf-8", "replace") for part in (field.schema, field.org_table, field.org_name)
            )
            origins = catalog.origin_by_name(schema, table, column)
        columns.append(ResultColumn(name, origins, catalog is not None, False, output))
    return columns


def compile_row_mask(
    plan: MaskingPlan,
    fields: Sequence[ColumnDefinition],
    masking_function: Callable[[MaskSpec], MaskingFunction],
    *,
    binary: bool,
) -> RowMask | None:
    """The plan for these wire types; None where it hides nothing.

    Raises ``MaskingError`` where the plan does not fit the description.
    """
    if len(plan.columns) != len(fields):
        raise MaskingError("the masking plan has another number of columns than the result")
    if not plan:
        return None
    maskers: list[CellMask | None] = []
    labels: list[tuple[str, ...]] = []
    for mask, field in zip(plan.columns, fields, strict=True):
        if mask is None:
            maskers.append(None)
            labels.append(())
        else:
            labels.append(tuple(sorted(mask.labels)))
            domain = ",".join(labels[-1])
            maskers.append(compile_column(masking_function(mask.spec), field, domain, binary=binary))
    return RowMask(maskers, [width_of(field.type) for field in fields] if binary else None, labels)

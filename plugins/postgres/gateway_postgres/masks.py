"""From the server's result description to row masks.

The server names a table OID and an attribute number for every result column that is a bare column (PostgreSQL
documentation 55.7, RowDescription); the lineage of the statement names sources by position. Both go to the masking
plan as ``ResultColumn``; the plan comes back and is compiled for the wire types and formats at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.domain.masking import MaskingFunction, MaskingPlan, MaskSpec, ResultColumn
from gateway.domain.statement import Action, StatementFacts
from gateway.errors import MaskingError
from gateway.masking.cells import CellMask
from gateway.sql.catalog import Catalog
from gateway_postgres.rows import RowMask
from gateway_postgres.values import compile_column
from gateway_postgres.wire.backend import FieldDescription

_READS_ONLY = (frozenset({Action.READ}), frozenset({Action.READ, Action.COPY_OUT}))


def result_columns(
    fields: Sequence[FieldDescription], facts: StatementFacts | None, catalog: Catalog | None
) -> list[ResultColumn]:
    """What is known of each result column.

    The lineage counts only if it has exactly as many columns as the server reports. The server's word is exact only for
    a statement that does nothing but read: after ``UPDATE t SET a = b RETURNING a`` it says ``a`` for what was ``b``.
    """
    outputs = facts.outputs if facts is not None else None
    if outputs is not None and len(outputs) != len(fields):
        outputs = None
    reads_only = facts is not None and facts.actions in _READS_ONLY
    columns = []
    for index, field in enumerate(fields):
        lineage = None if outputs is None else outputs[index]
        name = field.name.decode("utf-8", "replace")
        if not field.table_oid:
            columns.append(ResultColumn(name, frozenset(), origin_known=True, origin_exact=False, lineage=lineage))
            continue
        origin = None if catalog is None else catalog.origin(field.table_oid, field.attnum)
        if origin is None:
            columns.append(ResultColumn(name, frozenset(), origin_known=False, origin_exact=False, lineage=lineage))
        else:
            exact = origin.table and origin.known and reads_only
            columns.append(ResultColumn(name, origin.columns, origin.known, exact, lineage))
    return columns


def compile_row_mask(
    plan: MaskingPlan,
    fields: Sequence[FieldDescription],
    formats: tuple[int, ...] | None,
    masking_function: Callable[[MaskSpec], MaskingFunction],
    codec: str | None,
) -> RowMask | None:
    """The plan for these wire types; None where it hides nothing.

    ``formats`` are Bind's result format codes, None where the description itself states them. ``codec`` is Python's
    name of the session's client_encoding, None where there is none that is safe to use: then only ASCII is decoded.
    Raises ``MaskingError`` where the plan does not fit the description.
    """
    if len(plan.columns) != len(fields):
        raise MaskingError("the masking plan has another number of columns than the result")
    if not plan:
        # Rows without columns are rare, and checking that they have none costs nothing.
        return None if fields else RowMask(0, ())
    if formats is not None and len(formats) > 1 and len(formats) != len(fields):
        raise MaskingError("the result format codes do not fit the result")
    maskers: list[CellMask | None] = []
    labels: list[tuple[str, ...]] = [()] * len(fields)
    for index, (mask, field) in enumerate(zip(plan.columns, fields, strict=True)):
        if mask is None:
            maskers.append(None)
            continue
        if formats is None:
            code = field.format
        else:
            code = 0 if not formats else formats[0] if len(formats) == 1 else formats[index]
        labels[index] = names = tuple(sorted(mask.labels))
        domain = ",".join(names)
        maskers.append(
            compile_column(masking_function(mask.spec), field.type_oid, code, domain, encoding=codec or "ascii")
        )
    return RowMask(len(fields), maskers, labels)

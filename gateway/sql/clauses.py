"""What every clause of a query needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from gateway.sql.names import name_of
from gateway.sql.scope import Rows
from gateway.sql.values import NamedValue

if TYPE_CHECKING:
    from gateway.sql.walk import Walk


def refuse_others(walk: Walk, node: exp.Expr, known: frozenset[str]) -> None:
    """Note the parts of ``node`` that the walk does not look at."""
    for part, value in node.args.items():
        if value and part not in known:
            walk.unknown(f"unsupported clause {part.rstrip('_')}")


def rename(rows: Rows, alias: exp.Expr | None) -> Rows:
    """Apply a column-alias list: names by position."""
    listed = alias.args.get("columns") if alias is not None else None
    if not listed:
        return rows
    names = [name_of(item.this if isinstance(item, exp.ColumnDef) else item) for item in listed]
    columns = [
        NamedValue(names[i] if i < len(names) else column.name, column.value) for i, column in enumerate(rows.columns)
    ]
    if not rows.complete:
        value = rows.everything()
        columns.extend(NamedValue(name, value) for name in names[len(columns) :])
    return Rows(columns, rows.complete)

"""FROM: what rows a query's expressions can name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gateway.sql.clauses import refuse_others, rename
from gateway.sql.functions import (
    FUNCTION_COLUMNS,
    SCALAR_ARRAYS,
    SCALAR_SET_FUNCTIONS,
    SYSTEM_SCHEMAS,
    TRUSTED_EXTENSIONS,
)
from gateway.sql.names import name_of
from gateway.sql.scope import Item, Rows, Scope, Source
from gateway.sql.values import NamedValue, union

if TYPE_CHECKING:
    from gateway.sql.walk import Walk

_TABLE_PARTS = frozenset("this db catalog alias joins ordinality".split())
_JOIN_PARTS = frozenset("this on using method side kind".split())


def from_clause(walk: Walk, clause: exp.Expr | None, joins: Sequence[exp.Expr] | None, scope: Scope) -> None:
    """Add the items of a FROM clause to ``scope``."""
    if clause is not None:
        from_item(walk, clause.this, scope)
    elif joins:
        walk.unknown("join without FROM")
    for join in joins or ():
        _join(walk, join, scope)


def from_item(walk: Walk, node: exp.Expr, scope: Scope) -> None:
    """Add one item of FROM, with what is joined to it."""
    scope.items.append(_item(walk, node, scope))
    for join in node.args.get("joins") or ():
        _join(walk, join, scope)


def _join(walk: Walk, node: exp.Expr, scope: Scope) -> None:
    refuse_others(walk, node, _JOIN_PARTS)
    args = node.args
    method, using, on = args.get("method"), args.get("using"), args.get("on")
    if not (method or using or on or args.get("kind") or args.get("side")):
        from_item(walk, node.this, scope)
        return
    right = _item(walk, node.this, scope)
    for inner in node.this.args.get("joins") or ():
        # ``a JOIN b JOIN c ON … ON …``: the inner join is the right side of the outer one.
        scope.items.append(right)
        _join(walk, inner, scope)
        scope.items.pop()
    left = scope.items[-1]
    turned = walk.right_joins_turn and bool(using or method) and str(args.get("side") or "").upper() == "RIGHT"
    names: list[str] = []
    if using:
        names = [name_of(column.this if isinstance(column, exp.Column) else column) for column in using]
    elif method:
        if str(method).upper() != "NATURAL":
            walk.unknown("unsupported join")
        if not (left.named and right.named):
            left.sure = False
            walk.unknown("natural join of an unknown relation")
        first, second = (right, left) if turned else (left, right)
        theirs = {column.name for column in second.columns()}
        names = [column.name for column in first.columns() if column.name in theirs]
    for name in names:
        for item in (left, right):
            walk.use_as_filter(union(item.find(name)))
            walk.read |= union(item.find(name)).sources
    if not left.join(right, names, turned=turned):
        walk.unknown("join by a column that is not certain")
    if on is not None:
        walk.use_as_filter(walk.expression(on, scope))


def _item(walk: Walk, node: exp.Expr, scope: Scope) -> Item:
    if isinstance(node, exp.Subquery) and _is_join(node):
        return _joined(walk, node, node.args.get("alias"), scope)
    return Item([_source(walk, node, scope)])


def _is_join(node: exp.Expr) -> bool:
    """Whether parentheses hold relations, not a query."""
    inner = node.this
    if isinstance(inner, exp.Subquery):
        return bool(inner.args.get("joins") or inner.args.get("alias")) or _is_join(inner)
    return isinstance(inner, (exp.Table, exp.Lateral))


def _source(walk: Walk, node: exp.Expr, scope: Scope) -> Source:
    alias = node.args.get("alias")
    if isinstance(node, exp.Table):
        refuse_others(walk, node, _TABLE_PARTS)
        if isinstance(node.this, exp.Identifier):
            return _table(walk, node, alias, scope)
        return _function(walk, node, node.this, alias, scope)
    if isinstance(node, exp.Subquery):
        rows = rename(walk.query(node, scope.outer, scope.ctes), alias)
        return Source(_alias(alias), rows.columns, complete=rows.complete)
    if isinstance(node, exp.Values):
        rows = rename(walk.query(node, scope.outer, scope.ctes), alias)
        return Source(_alias(alias), rows.columns, complete=rows.complete)
    if isinstance(node, exp.Lateral):
        return _lateral(walk, node, alias, scope)
    walk.unknown(f"unsupported FROM item {type(node).__name__}")
    return Source("", (), complete=False)


def _table(walk: Walk, node: exp.Table, alias: exp.Expr | None, scope: Scope) -> Source:
    name = name_of(node.this)
    shown = name_of(alias.this) if alias is not None and alias.this is not None else name
    rows = scope.ctes.get(name) if node.args.get("db") is None else None
    if rows is not None:
        rows = rename(rows, alias)
        if not rows.complete:
            walk.unknown("common table expression of unknown width")
        return Source(shown, rows.columns, complete=rows.complete)
    _relation, source = walk.table(node)
    listed = rename(Rows(source.columns, source.complete), alias)
    key = source.key if shown == name else None
    return Source(shown, listed.columns, complete=source.complete, stored=source.stored, key=key, hidden=source.hidden)


def _joined(walk: Walk, node: exp.Expr, alias: exp.Expr | None, scope: Scope) -> Item:
    """A join in parentheses. With an alias its tables are hidden; without one they stay visible."""
    inner = Scope(scope, scope.ctes, joined_in=scope)
    refuse_others(walk, node, frozenset({"this", "alias", "joins"}))
    from_item(walk, node.this, inner)
    if alias is None and len(inner.items) == 1:
        return inner.items[0]
    columns, complete = inner.star()
    rows = rename(Rows(columns, complete), alias)
    return Item([Source(_alias(alias), rows.columns, complete=rows.complete)])


def _alias(alias: exp.Expr | None) -> str:
    return name_of(alias.this) if alias is not None else ""


def _function(walk: Walk, node: exp.Expr, function: exp.Expr, alias: exp.Expr | None, scope: Scope) -> Source:
    """A function in FROM; its arguments see the items before it."""
    if not isinstance(function, exp.Anonymous):
        walk.unknown(f"unsupported FROM item {type(function).__name__}")
        return Source(_alias(alias), (), complete=False)
    schema = name_of(node.args.get("db"))
    name = name_of(function.this)
    dotted = exp.Dot(this=exp.Identifier(this=schema), expression=function) if schema else function
    value = walk.expression(dotted, scope)
    value = union((value,))
    walk.use_as_filter(value)  # how many rows there are tells something of it
    shown = name_of(alias.this) if alias is not None and alias.this is not None else name
    listed = alias.args.get("columns") if alias is not None else None
    known = (
        schema in ("", *SYSTEM_SCHEMAS)
        and walk.catalog is not None
        and all(theirs.extension in TRUSTED_EXTENSIONS for theirs in walk.catalog.functions(name))
    )
    if listed and isinstance(listed[0], exp.ColumnDef):
        names: tuple[str, ...] = tuple(name_of(item.this) for item in listed)
        complete = True
    elif known and name in FUNCTION_COLUMNS:
        names, complete = FUNCTION_COLUMNS[name], True
    elif known and name == "unnest":
        arguments = function.expressions
        names = (shown,) if len(arguments) == 1 else ("unnest",) * len(arguments)
        complete = all(_holds_scalars(walk, argument, scope) for argument in arguments)
    elif known and name in SCALAR_SET_FUNCTIONS:
        names, complete = (shown,), True
    else:
        names, complete = (shown,), False
    if node.args.get("ordinality"):
        names = (*names, "ordinality")
    columns = [NamedValue(column, value) for column in names]
    if complete or not listed or isinstance(listed[0], exp.ColumnDef):
        rows = Rows(columns, complete)
        if listed and not isinstance(listed[0], exp.ColumnDef):
            rows = rename(rows, alias)
    else:
        rows = Rows([NamedValue(name_of(item), value) for item in listed], complete=False)
    return Source(shown, rows.columns, complete=rows.complete)


def _holds_scalars(walk: Walk, argument: exp.Expr, scope: Scope) -> bool:
    """Whether an array's elements are surely no rows, which unnest would take apart into columns, or into none."""
    if isinstance(argument, exp.Array):
        return all(isinstance(element, (exp.Literal, exp.Null)) for element in argument.expressions)
    if not isinstance(argument, exp.Column) or walk.catalog is None:
        return False
    value = walk.expression(argument, scope)
    if not value.bare or not value.proven or len(value.sources) != 1:
        return False
    (source,) = value.sources
    relation = walk.catalog.relation(source.schema, source.table)
    types = {column.name: column.type_name for column in relation.columns} if relation is not None else {}
    return types.get(source.column, "") in SCALAR_ARRAYS


def _lateral(walk: Walk, node: exp.Expr, alias: exp.Expr | None, scope: Scope) -> Source:
    """LATERAL: the query sees the items before it."""
    refuse_others(walk, node, frozenset({"this", "alias", "ordinality"}))
    inner = node.this
    if isinstance(inner, (exp.Anonymous, exp.Dot)):
        if isinstance(inner, exp.Dot):
            walk.unknown("unsupported FROM item")
            return Source(_alias(alias), (), complete=False)
        return _function(walk, node, inner, alias, scope)
    rows = rename(walk.query(inner, scope, scope.ctes), alias)
    return Source(_alias(alias), rows.columns, complete=rows.complete)

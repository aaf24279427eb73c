"""Where the columns of a query's result come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gateway.domain.statement import Predicate
from gateway.sql import predicates
from gateway.sql.clauses import refuse_others, rename
from gateway.sql.names import UNCERTAIN, name_of
from gateway.sql.scope import Item, Rows, Scope, Source
from gateway.sql.sources import from_clause
from gateway.sql.values import NamedValue, Value, same_column, union

if TYPE_CHECKING:
    from gateway.sql.walk import Walk

_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
_NOTHING = Rows((), complete=False)
_SELECT_PARTS = frozenset(
    "with_ expressions from_ joins where group having order limit offset distinct windows into kind".split()
)
_SET_PARTS = frozenset("with_ this expression distinct order limit offset".split())
_MOST_ROUNDS = 64


def query(walk: Walk, node: exp.Expr, parent: Scope | None, ctes: Mapping[str, Rows]) -> Rows:
    """The rows that a SELECT, VALUES, set operation or parenthesised query returns."""
    match node:
        case exp.Select():
            return select(walk, node, parent, ctes)
        case exp.SetOperation():
            return _set_operation(walk, node, parent, ctes)
        case exp.Subquery():
            return _parenthesised(walk, node, parent, ctes)
        case exp.Values():
            return _values(walk, node, Scope(parent, ctes))
        case exp.Paren():
            return query(walk, node.this, parent, ctes)
        case _:
            walk.unknown(f"unsupported query {type(node).__name__}")
            return _NOTHING


def with_ctes(walk: Walk, node: exp.Expr, parent: Scope | None, ctes: Mapping[str, Rows]) -> Mapping[str, Rows]:
    """The common table expressions that are visible inside ``node``."""
    clause = node.args.get("with_")
    if clause is None:
        return ctes
    visible = dict(ctes)
    recursive = bool(clause.args.get("recursive"))
    if recursive:
        # Any of them may refer to any other; until it is computed, nothing is known of it.
        visible.update((name_of(cte.args["alias"].this), _NOTHING) for cte in clause.expressions)
    for cte in clause.expressions:
        alias = cte.args["alias"]
        name = name_of(alias.this)
        walk.note_cte(name)
        rows = _recursive(walk, name, cte, parent, visible) if recursive else _cte(walk, cte, parent, visible)
        visible[name] = rename(rows, alias)
    return visible


def _cte(walk: Walk, cte: exp.Expr, parent: Scope | None, visible: Mapping[str, Rows]) -> Rows:
    body = cte.this
    if isinstance(body, _WRITES):
        return walk.write(body, parent, visible) or Rows(())
    return query(walk, body, parent, visible)


def _recursive(walk: Walk, name: str, cte: exp.Expr, parent: Scope | None, visible: dict[str, Rows]) -> Rows:
    """Starts from the first branch and repeats the rest until no column gains a source."""
    body = cte.this
    if not isinstance(body, exp.SetOperation):
        return _cte(walk, cte, parent, visible)
    if body.args.get("with_") is not None:
        visible = dict(with_ctes(walk, body, parent, visible))
    rows = query(walk, body.this, parent, visible)
    for _ in range(_MOST_ROUNDS):
        visible[name] = rename(rows, cte.args["alias"])
        following = _union_rows(walk, rows, query(walk, body.expression, parent, visible))
        if [c.value for c in following.columns] == [c.value for c in rows.columns]:
            if _compares(body):
                walk.use_as_filter(following.everything())
            _set_clauses(walk, body, following, parent, visible)
            return following
        rows = following
    walk.unknown("recursive query")
    return Rows(tuple(NamedValue(c.name, Value(c.value.sources, proven=False)) for c in rows.columns), complete=False)


# --- set operations, VALUES ---------------------------------------------------------------------------------------


def _union_rows(walk: Walk, left: Rows, right: Rows) -> Rows:
    if not (left.complete and right.complete) or len(left.columns) != len(right.columns):
        if left.complete and right.complete:
            walk.unknown("set operation of different widths")
        value = union((left.everything(), right.everything()))
        return Rows([NamedValue(c.name, Value(value.sources, proven=False)) for c in left.columns], complete=False)
    return Rows(
        [
            NamedValue(ours.name, same_column((ours.value, theirs.value)))
            for ours, theirs in zip(left.columns, right.columns, strict=True)
        ]
    )


def _set_operation(walk: Walk, node: exp.SetOperation, parent: Scope | None, ctes: Mapping[str, Rows]) -> Rows:
    refuse_others(walk, node, _SET_PARTS)
    ctes = with_ctes(walk, node, parent, ctes)
    left = query(walk, node.this, parent, ctes)
    predicate = walk.query_predicate
    right = query(walk, node.expression, parent, ctes)
    predicate = predicates.weaker(predicate, walk.query_predicate)
    rows = _union_rows(walk, left, right)
    if _compares(node):
        walk.use_as_filter(rows.everything())
    _set_clauses(walk, node, rows, parent, ctes)
    return rows


def _compares(node: exp.SetOperation) -> bool:
    """Whether rows are compared: every set operation does but UNION ALL."""
    return not isinstance(node, exp.Union) or bool(node.args.get("distinct"))


def _set_clauses(walk: Walk, node: exp.Expr, rows: Rows, parent: Scope | None, ctes: Mapping[str, Rows]) -> None:
    """ORDER BY and LIMIT of a whole set operation or parenthesised query: they see only its output."""
    scope = Scope(parent, ctes)
    scope.items.append(Item([Source("", rows.columns, complete=rows.complete)]))
    order = node.args.get("order")
    if order is not None:
        _order_items(walk, order.expressions, rows, scope)
    _limits(walk, node, scope)


def _parenthesised(walk: Walk, node: exp.Expr, parent: Scope | None, ctes: Mapping[str, Rows]) -> Rows:
    refuse_others(walk, node, frozenset({"with_", "this", "alias", "joins", "order", "limit", "offset"}))
    ctes = with_ctes(walk, node, parent, ctes)
    rows = query(walk, node.this, parent, ctes)
    _set_clauses(walk, node, rows, parent, ctes)
    return rows


def _values(walk: Walk, node: exp.Expr, scope: Scope) -> Rows:
    refuse_others(walk, node, frozenset({"expressions", "alias", "order", "limit", "offset", "with_"}))
    scope = Scope(scope.parent, with_ctes(walk, node, scope.parent, scope.ctes))
    cells: list[list[Value]] = []
    for row in node.expressions:
        values = [walk.expression(cell, scope) for cell in (row.expressions if isinstance(row, exp.Tuple) else [row])]
        if cells and len(cells) != len(values):
            walk.unknown("rows of different widths")
            return _NOTHING
        if not cells:
            cells = [[] for _ in values]
        for column, value in zip(cells, values, strict=True):
            column.append(value)
    rows = Rows([NamedValue(walk.values_name(i), union(column)) for i, column in enumerate(cells, 1)])
    _set_clauses(walk, node, rows, scope.parent, scope.ctes)
    return rows


# --- SELECT -----------------------------------------------------------------------------------------------------------


def select(walk: Walk, node: exp.Select, parent: Scope | None, ctes: Mapping[str, Rows]) -> Rows:
    refuse_others(walk, node, _SELECT_PARTS)
    args = node.args
    scope = Scope(parent, with_ctes(walk, node, parent, ctes))
    from_clause(walk, args.get("from_"), args.get("joins"), scope)
    where = args.get("where")
    if where is not None:
        predicate = predicates.restriction(walk, where.this, scope)
    else:
        predicate = Predicate.ABSENT if scope.items else Predicate.NOT_APPLICABLE
    rows = projection(walk, node.expressions, scope)
    group = args.get("group")
    if group is not None:
        refuse_others(walk, group, frozenset({"expressions", "all"}))
        for item in group.expressions:
            _group_item(walk, item, rows, scope)
    having = args.get("having")
    if having is not None:
        _condition(walk, having.this, rows, scope)
    for window in args.get("windows") or ():
        _named_window(walk, window, scope)
    distinct = args.get("distinct")
    if distinct is not None and distinct.args.get("on") is None:
        walk.use_as_filter(rows.everything())
    elif distinct is not None:
        on = distinct.args["on"]
        _order_items(walk, on.expressions if isinstance(on, exp.Tuple) else [on], rows, scope)
    order_and_limit(walk, node, rows, scope)
    walk.query_predicate = predicate
    return rows


def order_and_limit(walk: Walk, node: exp.Expr, rows: Rows, scope: Scope) -> None:
    """ORDER BY, LIMIT and OFFSET of a query with these output columns."""
    order = node.args.get("order")
    if order is not None:
        _order_items(walk, order.expressions, rows, scope)
    _limits(walk, node, scope)


def projection(walk: Walk, items: Sequence[exp.Expr], scope: Scope) -> Rows:
    """The select list, stars expanded."""
    columns: list[NamedValue] = []
    complete = True
    for item in items:
        if isinstance(item, exp.Star):
            refuse_others(walk, item, frozenset())
            found, whole = scope.star()
            columns.extend(found)
            complete = complete and whole
            for column in found:
                walk.note(column.value)
            for source in scope.sources():
                source.hits += 1
        elif isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            alias, schema = name_of(item.args.get("table")), item.args.get("db")
            starred = scope.find(alias)
            if starred is not None and schema is not None and starred.key != (name_of(schema), alias):
                starred = None
            if starred is None:
                walk.unknown("relation of a star not found")
                complete = False
                continue
            starred.hits += 1
            columns.extend(starred.columns)
            complete = complete and starred.complete
            for column in starred.columns:
                walk.note(column.value)
        elif isinstance(item, exp.Dot) and isinstance(item.expression, exp.Star):
            row = _named_row(item.this, scope)
            if row is not None:
                row.hits += 1
                columns.extend(row.columns)
                for column in row.columns:
                    walk.note(column.value)
                continue
            value = walk.expression(item, scope)
            columns.append(NamedValue(UNCERTAIN, Value(value.sources, proven=False)))
            walk.unknown("expanded composite")
            complete = False
        else:
            value = walk.expression(item.this if isinstance(item, exp.Alias) else item, scope)
            columns.append(NamedValue(walk.output_name(item), value))
    if not complete:
        walk.unknown("number of result columns")
    return Rows(columns, complete)


def _named_row(node: exp.Expr, scope: Scope) -> Source | None:
    """The source in ``(u).*``, where all its columns are known."""
    inner = node.unnest()
    if not isinstance(inner, exp.Column) or inner.args.get("table") is not None:
        return None
    name = name_of(inner.this)
    if scope.column(name) is not None:
        return None
    source = scope.find(name)
    return source if source is not None and source.complete else None


def _limits(walk: Walk, node: exp.Expr, scope: Scope) -> None:
    for name in ("limit", "offset"):
        clause = node.args.get(name)
        if clause is None:
            continue
        count = clause.args.get("expression")
        if count is None:
            walk.unknown(f"unsupported {name}")
        elif not isinstance(count, (exp.Literal, exp.Parameter, exp.Var)):
            walk.use_as_filter(walk.expression(count, scope))


def _named_window(walk: Walk, node: exp.Expr, scope: Scope) -> None:
    for part in (*(node.args.get("partition_by") or ()), node.args.get("order")):
        if part is not None:
            items = part.expressions if isinstance(part, exp.Order) else [part]
            for item in items:
                walk.use_as_filter(walk.expression(item.this if isinstance(item, exp.Ordered) else item, scope))


def _group_item(walk: Walk, item: exp.Expr, rows: Rows, scope: Scope) -> None:
    if isinstance(item, (exp.Rollup, exp.Cube, exp.GroupingSets, exp.Tuple)):
        for inner in item.expressions:
            _group_item(walk, inner, rows, scope)
    elif isinstance(item, exp.Paren):
        _group_item(walk, item.this, rows, scope)
    elif isinstance(item, exp.Column) and item.args.get("table") is None and scope.column(name_of(item.this)) is None:
        _output_item(walk, item, rows, scope)
    else:
        _ordinal_or_expression(walk, item, rows, scope)


def _order_items(walk: Walk, items: Sequence[exp.Expr], rows: Rows, scope: Scope) -> None:
    for item in items:
        inner = item.this if isinstance(item, exp.Ordered) else item
        if isinstance(inner, exp.Column) and inner.args.get("table") is None:
            _output_item(walk, inner, rows, scope)
        else:
            _ordinal_or_expression(walk, inner, rows, scope)


def _output_item(walk: Walk, item: exp.Expr, rows: Rows, scope: Scope) -> None:
    """A bare name that may be an output column's, or else an input column's."""
    name = name_of(item.this)
    found = [column.value for column in rows.columns if column.name == name]
    if found:
        walk.use_as_filter(union(found))
    if not found or not rows.complete:
        walk.use_as_filter(walk.expression(item, scope))


def _ordinal_or_expression(walk: Walk, item: exp.Expr, rows: Rows, scope: Scope) -> None:
    if isinstance(item, exp.Literal):
        walk.literals_matter = True
        position = int(item.this) - 1 if not item.is_string and item.this.isdigit() else -1
        if rows.complete and 0 <= position < len(rows.columns):
            walk.use_as_filter(rows.columns[position].value)
        else:
            walk.use_as_filter(rows.everything())
        return
    _condition(walk, item, rows, scope)


def _condition(walk: Walk, node: exp.Expr, rows: Rows, scope: Scope) -> None:
    """Walk an expression that only filters or orders. Where it may name an output column, both it and what else the
    name may mean are looked at."""
    if not walk.outputs_in_conditions:
        walk.use_as_filter(walk.expression(node, scope))
        return
    named = [column for column in rows.columns if column.name != UNCERTAIN]
    behind = Scope(scope.parent, scope.ctes)
    behind.items.append(Item([Source("", named)]))
    seen = Scope(behind, scope.ctes, joined_in=scope)
    seen.items = scope.items
    walk.use_as_filter(walk.expression(node, seen))
    bare = {name_of(found.this) for found in node.find_all(exp.Column) if found.args.get("table") is None}
    walk.use_as_filter(union(column.value for column in named if column.name in bare))

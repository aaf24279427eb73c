"""Where the columns of a query's result come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gateway.domain.statement import Predicate
from gateway.sql import predicates
from gateway.sql.functions import FUNCTION_COLUMNS, SCALAR_SET_FUNCTIONS, SYSTEM_SCHEMAS
from gateway.sql.names import UNCERTAIN, name_of, output_name
from gateway.sql.scope import Item, Rows, Scope, Source
from gateway.sql.values import NamedValue, Value, same_column, union

if TYPE_CHECKING:
    from gateway.sql.walk import Walk

_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
_NOTHING = Rows((), complete=False)
_SELECT_PARTS = frozenset(
    "with_ expressions from_ joins where group having order limit offset distinct windows into kind".split()
)
_SET_PARTS = frozenset("with_ this expression distinct order limit offset".split())
_TABLE_PARTS = frozenset("this db catalog alias joins ordinality".split())
_JOIN_PARTS = frozenset("this on using method side kind".split())
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


def refuse_others(walk: Walk, node: exp.Expr, known: frozenset[str]) -> None:
    """Note the parts of ``node`` that the walk does not look at."""
    for part, value in node.args.items():
        if value and part not in known:
            walk.unknown(f"unsupported clause {part.rstrip('_')}")


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
            _set_clauses(walk, body, following, parent, visible)
            return following
        rows = following
    walk.unknown("recursive query")
    return Rows(tuple(NamedValue(c.name, Value(c.value.sources, proven=False)) for c in rows.columns), complete=False)


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
    _set_clauses(walk, node, rows, parent, ctes)
    return rows


def _set_clauses(walk: Walk, node: exp.Expr, rows: Rows, parent: Scope | None, ctes: Mapping[str, Rows]) -> None:
    """ORDER BY and LIMIT of a whole set operation or parenthesised query: they see only its output."""
    scope = Scope(parent, ctes)
    scope.items.append(Item([Source("", rows.columns, complete=rows.complete)]))
    order = node.args.get("order")
    if order is not None:
        _order_items(walk, order.expressions, rows, scope)
    _limits(walk, node, scope)


def _parenthesised(walk: Walk, node: exp.Expr, parent: Scope | None, ctes: Mapping[str, Rows]) -> Rows:
    refuse_others(walk, node, frozenset({"with_", "this", "alias", "order", "limit", "offset"}))
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
    rows = Rows([NamedValue(f"column{i}", union(column)) for i, column in enumerate(cells, 1)])
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
        walk.use_as_filter(walk.expression(having.this, scope))
    for window in args.get("windows") or ():
        _named_window(walk, window, scope)
    distinct = args.get("distinct")
    if distinct is not None and distinct.args.get("on") is not None:
        on = distinct.args["on"]
        _order_items(walk, on.expressions if isinstance(on, exp.Tuple) else [on], rows, scope)
    order = args.get("order")
    if order is not None:
        _order_items(walk, order.expressions, rows, scope)
    _limits(walk, node, scope)
    walk.query_predicate = predicate
    return rows


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
            starred = scope.find(name_of(item.args.get("table"))) if item.args.get("db") is None else None
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
            columns.append(NamedValue(output_name(item), value))
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
    walk.use_as_filter(walk.expression(item, scope))


# --- FROM -------------------------------------------------------------------------------------------------------------


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
    names: list[str] = []
    if using:
        names = [name_of(column.this if isinstance(column, exp.Column) else column) for column in using]
    elif method:
        if str(method).upper() != "NATURAL":
            walk.unknown("unsupported join")
        if not (left.named and right.named):
            left.sure = False
            walk.unknown("natural join of an unknown relation")
        theirs = {column.name for column in right.columns()}
        names = [column.name for column in left.columns() if column.name in theirs]
    for name in names:
        for item in (left, right):
            walk.use_as_filter(union(item.find(name)))
            walk.read |= union(item.find(name)).sources
    if not left.join(right, names):
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
        rows = rename(query(walk, node.this, scope.outer, scope.ctes), alias)
        _subquery_clauses(walk, node, rows, scope)
        return Source(_alias(alias), rows.columns, complete=rows.complete)
    if isinstance(node, exp.Values):
        rows = rename(_values(walk, node, Scope(scope.outer, scope.ctes)), alias)
        return Source(_alias(alias), rows.columns, complete=rows.complete)
    if isinstance(node, exp.Lateral):
        return _lateral(walk, node, alias, scope)
    walk.unknown(f"unsupported FROM item {type(node).__name__}")
    return Source("", (), complete=False)


def _subquery_clauses(walk: Walk, node: exp.Expr, rows: Rows, scope: Scope) -> None:
    refuse_others(walk, node, frozenset({"this", "alias", "joins", "order", "limit", "offset"}))
    _set_clauses(walk, node, rows, scope.outer, scope.ctes)


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
    return Source(shown, listed.columns, complete=source.complete, stored=source.stored, key=key)


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
    shown = name_of(alias.this) if alias is not None and alias.this is not None else name
    listed = alias.args.get("columns") if alias is not None else None
    known = schema in ("", *SYSTEM_SCHEMAS) and walk.catalog is not None and not walk.catalog.functions(name)
    if listed and isinstance(listed[0], exp.ColumnDef):
        names: tuple[str, ...] = tuple(name_of(item.this) for item in listed)
        complete = True
    elif known and name in FUNCTION_COLUMNS:
        names, complete = FUNCTION_COLUMNS[name], True
    elif known and name in SCALAR_SET_FUNCTIONS:
        names, complete = (shown,), name != "unnest"
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


def _lateral(walk: Walk, node: exp.Expr, alias: exp.Expr | None, scope: Scope) -> Source:
    """LATERAL: the query sees the items before it."""
    refuse_others(walk, node, frozenset({"this", "alias", "ordinality"}))
    inner = node.this
    if isinstance(inner, (exp.Anonymous, exp.Dot)):
        if isinstance(inner, exp.Dot):
            walk.unknown("unsupported FROM item")
            return Source(_alias(alias), (), complete=False)
        return _function(walk, node, inner, alias, scope)
    rows = rename(query(walk, inner, scope, scope.ctes), alias)
    return Source(_alias(alias), rows.columns, complete=rows.complete)

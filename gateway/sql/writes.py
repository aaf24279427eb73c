"""INSERT, UPDATE, DELETE and MERGE: what is written, what flows into it, what RETURNING shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gateway.domain.statement import Action, ColumnRef, ObjectRef, Predicate
from gateway.sql import predicates, queries, sources
from gateway.sql.clauses import refuse_others
from gateway.sql.names import name_of
from gateway.sql.scope import Item, Rows, Scope, Source
from gateway.sql.values import NO_COLUMNS, NamedValue, Value, union

if TYPE_CHECKING:
    from gateway.sql.catalog import Relation
    from gateway.sql.walk import Walk

_INSERT_PARTS = frozenset("this expression conflict returning with_ default".split())
_UPDATE_PARTS = frozenset("this expressions from_ where returning with_".split())
_DELETE_PARTS = frozenset("this using where returning with_".split())
_MERGE_PARTS = frozenset("this using on whens returning with_".split())
_WHEN_PARTS = frozenset("matched source condition then".split())


class _Target:
    """The table that is written, and what is assigned to its columns."""

    def __init__(self, walk: Walk, node: exp.Expr) -> None:
        self.walk = walk
        self.schema, self.name = name_of(node.args.get("db")), name_of(node.this)
        self.relation: Relation | None = walk.resolve(self.schema, self.name)
        alias = node.args.get("alias")
        self.alias = name_of(alias.this) if alias is not None else self.name
        self.source = walk.source(self.relation, self.alias)
        self.assigned: dict[str, Value] = {}
        self.unlisted = False
        """Whether columns that could not be named are assigned."""
        reference = walk.reference(self.schema, self.name, self.relation)
        walk.objects_written.add(ObjectRef(reference.schema, reference.name, reference.kind))
        if self.relation is not None and self.relation.rewritten:
            walk.unknown("rewrite rule")

    def column_names(self) -> list[str]:
        return [column.name for column in self.source.columns]

    def assign(self, name: str, value: Value) -> None:
        """Note that ``value`` is stored in the column."""
        walk = self.walk
        own = self.source.by_name.get(name)
        if own is None:
            self.unlisted = True
            if self.relation is not None:
                walk.unknown("column not found")
        if self.relation is not None:
            walk.written.add(walk.column_of(self.relation, name))
        foreign = value.sources - (own[0].sources if own else NO_COLUMNS)
        if foreign or not value.proven:
            walk.copies_data = True
        self.assigned[name] = union((self.assigned[name], value)) if name in self.assigned else value

    def returning(self, alias: str) -> Source:
        """The row as RETURNING sees it: what was assigned shows through, also in columns generated from it."""
        columns: list[NamedValue] = []
        everything = union(self.assigned.values())
        for column in self.source.columns:
            value = column.value
            arrived = [
                new for name, new in self.assigned.items() if name == column.name or self._feeds(name, value.sources)
            ]
            if self.unlisted:
                arrived.append(everything)
            if any(new.sources or not new.proven for new in arrived):
                value = union((value, *arrived))
            columns.append(NamedValue(column.name, value))
        key = self.relation.key if self.relation is not None and alias == self.relation.name else None
        return Source(alias, columns, complete=self.source.complete, stored=True, key=key)

    def _feeds(self, name: str, sources: frozenset[ColumnRef]) -> bool:
        return self.relation is not None and self.walk.column_of(self.relation, name) in sources


def write(walk: Walk, node: exp.Expr, parent: Scope | None, ctes: Mapping[str, Rows]) -> Rows | None:
    """Walk a data-modifying statement. Returns what RETURNING shows, None where there is no RETURNING."""
    walk.writes += 1
    ctes = queries.with_ctes(walk, node, parent, ctes)
    target = node.args.get("this")
    if not isinstance(target.this if isinstance(target, exp.Schema) else target, exp.Table):
        # `DELETE SELECT` and the like: the parser lets it through, no server does.
        walk.actions.add(Action.UNKNOWN)
        walk.unknown("a write without a table")
        return Rows((), complete=False)
    match node:
        case exp.Insert():
            return _insert(walk, node, Scope(parent, ctes))
        case exp.Update():
            return _update(walk, node, Scope(parent, ctes))
        case exp.Delete():
            return _delete(walk, node, Scope(parent, ctes))
        case exp.Merge():
            return _merge(walk, node, Scope(parent, ctes))
        case _:
            walk.unknown(f"unsupported statement {type(node).__name__}")
            return Rows((), complete=False)


def _returning(walk: Walk, node: exp.Expr, target: _Target, scope: Scope) -> Rows | None:
    clause = node.args.get("returning")
    if clause is None:
        return None
    refuse_others(walk, clause, frozenset({"expressions"}))
    seen = Scope(scope.parent, scope.ctes)
    seen.items = [Item([target.returning(target.alias)]), *scope.items]
    rows = queries.projection(walk, clause.expressions, seen)
    if any(_mentions_old_or_new(item) for item in clause.expressions):
        walk.unknown("old or new row in RETURNING")
    return rows


def _mentions_old_or_new(node: exp.Expr) -> bool:
    return any(name_of(column.args.get("table")) in ("old", "new") for column in node.find_all(exp.Column))


def _restrict(walk: Walk, predicate: Predicate) -> None:
    walk.predicate = predicates.weaker(walk.predicate, predicate)


# --- INSERT -----------------------------------------------------------------------------------------------------------


def _insert(walk: Walk, node: exp.Expr, scope: Scope) -> Rows | None:
    refuse_others(walk, node, _INSERT_PARTS)
    walk.actions.add(Action.INSERT)
    named = node.this
    target = _Target(walk, named.this if isinstance(named, exp.Schema) else named)
    names = (
        [_target_name(item) for item in named.expressions] if isinstance(named, exp.Schema) else target.column_names()
    )
    body = node.args.get("expression")
    if body is not None:
        rows = walk.query(body, scope.parent, scope.ctes)
        for index, column in enumerate(rows.columns):
            target.assign(names[index] if index < len(names) else "", column.value)
        if not rows.complete:
            everything = rows.everything()
            for name in names:
                target.assign(name, everything)
    conflict = node.args.get("conflict")
    if conflict is not None:
        _conflict(walk, conflict, target, scope)
    return _returning(walk, node, target, scope)


def _target_name(node: exp.Expr) -> str:
    """The column that an element of a column list or of SET writes: ``c``, ``c[1]``, ``c.field``."""
    while isinstance(node, (exp.Bracket, exp.Paren)):
        node = node.this
    if isinstance(node, exp.Column):
        for part in ("catalog", "db", "table"):
            if node.args.get(part) is not None:
                return name_of(node.args[part])
        return name_of(node.this)
    if isinstance(node, exp.Dot):
        return _target_name(node.this)
    return name_of(node)


def _conflict(walk: Walk, node: exp.Expr, target: _Target, scope: Scope) -> None:
    refuse_others(
        walk, node, frozenset({"expressions", "action", "conflict_keys", "where", "index_predicate", "constraint"})
    )
    # An unqualified name means the row that is there; what could not be added has to be named.
    behind = Scope(scope.parent, scope.ctes)
    behind.items = [Item([target.returning("excluded")])]
    seen = Scope(behind, scope.ctes)
    seen.items = [Item([target.source])]
    for key in node.args.get("conflict_keys") or ():
        inner = key.this if isinstance(key, exp.Ordered) else key
        alone = Scope(None, scope.ctes)
        alone.items = [Item([target.source])]
        walk.use_as_filter(walk.expression(inner, alone))
    for part in ("where", "index_predicate"):
        where = node.args.get(part)
        if where is not None:
            walk.use_as_filter(walk.expression(where.this if isinstance(where, exp.Where) else where, seen))
    if node.expressions:
        walk.actions.add(Action.UPDATE)
        _assignments(walk, node.expressions, target, seen)


# --- UPDATE, DELETE ---------------------------------------------------------------------------------------------------


def _assignments(walk: Walk, items: Sequence[exp.Expr], target: _Target, scope: Scope) -> None:
    """SET: ``a = 1``, ``(a, b) = (1, 2)``, ``(a, b) = (SELECT …)``, ``(a, b) = ROW(…)``."""
    for item in items:
        if not isinstance(item, exp.EQ):
            walk.unknown("unsupported assignment")
            continue
        left, right = item.this, item.expression
        if not isinstance(left, exp.Tuple) and not (isinstance(left, exp.Paren) and isinstance(right, exp.Subquery)):
            target.assign(_target_name(left), walk.expression(right, scope))
            continue
        names = [_target_name(name) for name in (left.expressions if isinstance(left, exp.Tuple) else [left])]
        if isinstance(right, exp.Subquery):
            rows = walk.query(right, scope, scope.ctes)
            values = [column.value for column in rows.columns] if rows.complete else []
        elif isinstance(right, exp.Tuple) or (isinstance(right, exp.Anonymous) and name_of(right.this) == "row"):
            values = [walk.expression(value, scope) for value in right.expressions]
        else:
            values = []
        if len(values) != len(names):
            walk.unknown("unsupported assignment")
            values = [Value(proven=False)] * len(names)
        for name, value in zip(names, values, strict=True):
            target.assign(name, value)


def _update(walk: Walk, node: exp.Expr, scope: Scope) -> Rows | None:
    refuse_others(walk, node, _UPDATE_PARTS)
    walk.actions.add(Action.UPDATE)
    target = _Target(walk, node.this)
    clause = node.args.get("from_")
    sources.from_clause(walk, clause, None, scope)
    seen = Scope(scope.parent, scope.ctes)
    seen.items = [Item([target.source]), *scope.items]
    _assignments(walk, node.expressions, target, seen)
    _where(walk, node, target, seen)
    return _returning(walk, node, target, scope)


def _where(walk: Walk, node: exp.Expr, target: _Target, scope: Scope) -> None:
    where = node.args.get("where")
    if where is None:
        _restrict(walk, Predicate.ABSENT)
    else:
        _restrict(walk, predicates.restriction(walk, where.this, scope, target.source))


def _delete(walk: Walk, node: exp.Expr, scope: Scope) -> Rows | None:
    refuse_others(walk, node, _DELETE_PARTS)
    walk.actions.add(Action.DELETE)
    target = _Target(walk, node.this)
    for used in node.args.get("using") or ():
        sources.from_item(walk, used, scope)
    seen = Scope(scope.parent, scope.ctes)
    seen.items = [Item([target.source]), *scope.items]
    _where(walk, node, target, seen)
    return _returning(walk, node, target, scope)


# --- MERGE ------------------------------------------------------------------------------------------------------------


def _merge(walk: Walk, node: exp.Expr, scope: Scope) -> Rows | None:
    refuse_others(walk, node, _MERGE_PARTS)
    walk.actions.add(Action.MERGE)
    target = _Target(walk, node.this)
    sources.from_item(walk, node.args["using"], scope)
    seen = Scope(scope.parent, scope.ctes)
    seen.items = [Item([target.source]), *scope.items]
    _restrict(walk, predicates.restriction(walk, node.args["on"], seen, target.source))
    whens = node.args.get("whens")
    for when in whens.expressions if whens is not None else ():
        refuse_others(walk, when, _WHEN_PARTS)
        condition = when.args.get("condition")
        if condition is not None:
            walk.use_as_filter(walk.expression(condition, seen))
        _merge_action(walk, when.args.get("then"), target, seen)
    return _returning(walk, node, target, scope)


def _merge_action(walk: Walk, action: object, target: _Target, scope: Scope) -> None:
    match action:
        case exp.Update():
            walk.actions.add(Action.UPDATE)
            _assignments(walk, action.expressions, target, scope)
        case exp.Insert():
            walk.actions.add(Action.INSERT)
            listed = action.this
            names = (
                [_target_name(item) for item in listed.expressions]
                if isinstance(listed, exp.Tuple)
                else target.column_names()
            )
            body = action.args.get("expression")
            cells = body.expressions if isinstance(body, exp.Tuple) else []
            for index, cell in enumerate(cells):
                target.assign(names[index] if index < len(names) else "", walk.expression(cell, scope))
            if body is not None and not isinstance(body, exp.Tuple):
                walk.unknown("unsupported merge action")
        case exp.Var():
            if str(action.this).lower() == "delete":
                walk.actions.add(Action.DELETE)
            elif str(action.this).lower() != "do nothing":
                walk.unknown("unsupported merge action")
        case _:
            walk.unknown("unsupported merge action")

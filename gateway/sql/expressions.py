"""Where an expression's value comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from gateway.domain.statement import Action, ObjectRef
from gateway.sql.functions import COMPOSITE_FIELDS, Purity
from gateway.sql.names import name_of
from gateway.sql.scope import SYSTEM_COLUMNS, Rows, Scope
from gateway.sql.settings import setting_effects
from gateway.sql.values import CONSTANT, UNPROVEN, Value, union

if TYPE_CHECKING:
    from gateway.sql.walk import Walk

_CONSTANTS = frozenset({exp.Literal, exp.Null, exp.Boolean, exp.Parameter})
_COMPUTED = frozenset(
    {
        *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Pow, exp.DPipe, exp.Neg, exp.Not, exp.And, exp.Or),
        *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.ILike, exp.Is, exp.In, exp.Between),
        *(exp.NullSafeEQ, exp.NullSafeNEQ, exp.Case, exp.If, exp.Array, exp.Tuple, exp.Bracket, exp.Slice),
        *(exp.Any, exp.All, exp.Distinct),
    }
)
"""Nodes whose value is computed from their operands and nothing else."""
_NAMED_ARGUMENTS = frozenset({"xmlforest", "xmlattributes"})
"""Keyword functions whose arguments are written like ``value AS name``."""
_QUERIES = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)


def evaluate(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    """The value of ``node``; what cannot be told is unproven and noted."""
    kind = type(node)
    if kind is exp.Column:
        return _column(walk, node, scope)
    if kind in _CONSTANTS:
        return CONSTANT
    if kind in _COMPUTED:
        return union([evaluate(walk, child, scope) for child in node.iter_expressions()])
    if kind is exp.Paren:
        return evaluate(walk, node.this, scope)
    if kind is exp.Cast:
        return union((evaluate(walk, node.this, scope),))
    if kind is exp.Anonymous:
        return call(walk, "", node, scope)
    if isinstance(node, _QUERIES):
        return _subquery(walk.query(node, scope, scope.ctes))
    if kind is exp.Exists:
        walk.query(node.this, scope, scope.ctes)
        return CONSTANT
    if kind is exp.Dot:
        return _dot(walk, node, scope)
    if kind is exp.Window:
        for part in (*(node.args.get("partition_by") or ()), node.args.get("order")):
            if part is not None:
                walk.use_as_filter(ordering(walk, part, scope))
        return evaluate(walk, node.this, scope)
    if kind is exp.Filter:
        walk.use_as_filter(evaluate(walk, node.expression.this, scope))
        return evaluate(walk, node.this, scope)
    if kind is exp.WithinGroup:
        ordered = ordering(walk, node.expression, scope)
        walk.use_as_filter(ordered)
        return union((evaluate(walk, node.this, scope), ordered))
    if kind is exp.Order:
        walk.use_as_filter(ordering(walk, node, scope))
        return evaluate(walk, node.this, scope) if node.this is not None else CONSTANT
    walk.unknown(f"unsupported expression {kind.__name__}")
    return UNPROVEN


def ordering(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    """The values that an ORDER BY or PARTITION BY item looks at."""
    if isinstance(node, exp.Order):
        return union([ordering(walk, item, scope) for item in node.expressions])
    if isinstance(node, exp.Ordered):
        return evaluate(walk, node.this, scope)
    return evaluate(walk, node, scope)


def _subquery(rows: Rows) -> Value:
    if rows.complete and len(rows.columns) == 1:
        return rows.columns[0].value
    return rows.everything()


# --- names ------------------------------------------------------------------------------------------------------------


def _column(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    value = _resolve_column(walk, node, scope)
    if value is None:
        walk.unknown("column not found")
        return UNPROVEN
    walk.note(value)
    return value


def _resolve_column(walk: Walk, node: exp.Expr, scope: Scope) -> Value | None:
    table, schema = node.args.get("table"), node.args.get("db")
    if isinstance(node.this, exp.Star):
        if table is None or schema is not None:
            return None
        source = scope.find(name_of(table))
        if source is None:
            return None
        source.hits += 1
        return source.everything()
    name = name_of(node.this)
    if table is not None:
        alias = name_of(table)
        source = scope.find(alias)
        if source is None or (schema is not None and source.key != (name_of(schema), alias)):
            return None
        source.hits += 1
        values = source.by_name.get(name)
        if values is not None:
            return values[0] if len(values) == 1 else Value(union(values).sources, proven=False)
        # Not a column: an attribute-style call of a function on the row, or a column that is not known.
        return CONSTANT if source.stored and source.complete and name in SYSTEM_COLUMNS else None
    found = scope.column(name)
    if found is not None:
        value, sure = found
        if not sure:
            walk.unknown("ambiguous name")
            return Value(value.sources, proven=False)
        return value
    if name in SYSTEM_COLUMNS and scope.has_stored():
        return CONSTANT
    source = scope.find(name) if walk.whole_rows else None
    if source is None:
        return None
    source.hits += 1
    return source.everything()


def _dot(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    """``schema.function(…)``, ``(row).column``, ``(composite).field``."""
    left, right = node.this, node.expression
    if isinstance(right, exp.Anonymous):
        if isinstance(left, exp.Identifier):
            return call(walk, name_of(left), right, scope)
        walk.unknown("unsupported name")
        return UNPROVEN
    inner = left.unnest() if isinstance(left, exp.Paren) else left
    if isinstance(right, exp.Star):
        return evaluate(walk, inner, scope)
    field = name_of(right)
    if isinstance(inner, exp.Column) and inner.args.get("table") is None and scope.column(name_of(inner.this)) is None:
        source = scope.find(name_of(inner.this))
        values = source.by_name.get(field) if source is not None else None
        if source is not None and values is not None and len(values) == 1:
            source.hits += 1
            walk.note(values[0])
            return values[0]
    value = evaluate(walk, inner, scope)
    known = walk.catalog is not None and (walk.catalog.has_field(field) or field in COMPOSITE_FIELDS)
    if walk.catalog is None or not known or walk.catalog.functions(field):
        # ``(x).f`` also means ``f(x)``.
        walk.unknown("unsupported name")
        return Value(value.sources, proven=False)
    return union((value,))


# --- calls ------------------------------------------------------------------------------------------------------------


def call(walk: Walk, schema: str, node: exp.Expr, scope: Scope) -> Value:
    """The value of a function call."""
    name = name_of(node.this)
    arguments = node.expressions
    if not schema and isinstance(node.this, str) and name.lower() in ("all", "some", "any"):
        return union([evaluate(walk, argument, scope) for argument in arguments])
    if name == "current of" and not schema:
        return CONSTANT
    special = walk.special_call(schema, name, arguments, scope)
    if special is not None:
        return special
    purity = walk.purity(schema, name)
    if name in _NAMED_ARGUMENTS:
        arguments = [argument.unalias() for argument in arguments]
    values = [evaluate(walk, argument, scope) for argument in arguments if not isinstance(argument, exp.Star)]
    if purity is Purity.COUNT:
        for value in values:
            walk.use_as_filter(value)
        return CONSTANT
    joined = union(values)
    if name in walk.set_returning:
        walk.use_as_filter(joined)  # how many rows there are tells something of it
    if name in walk.keepers and (joined.sources or not joined.proven):
        walk.copies_data = True
    if purity is Purity.UNKNOWN:
        walk.literals_matter = True
        return Value(joined.sources, proven=False)
    return joined


def special_call(walk: Walk, schema: str, name: str, arguments: list[exp.Expr], scope: Scope) -> Value | None:
    """The value of PostgreSQL's functions that read and write settings; None for any other."""
    if name == "set_config" and schema in ("", "pg_catalog"):
        return _set_config(walk, arguments, scope)
    if name == "current_setting" and schema in ("", "pg_catalog"):
        return _current_setting(walk, arguments, scope)
    return None


def _current_setting(walk: Walk, arguments: list[exp.Expr], scope: Scope) -> Value:
    """A setting with a dot in its name is somebody's own, and may hold anything."""
    walk.literals_matter = True
    for argument in arguments:
        evaluate(walk, argument, scope)
    first = arguments[0] if arguments else None
    plain = isinstance(first, exp.Literal) and first.is_string and "." not in first.this
    if plain and walk.catalog is not None and not walk.catalog.functions("current_setting"):
        walk.functions.add(ObjectRef("pg_catalog", "current_setting", "function"))
        return CONSTANT
    walk.unknown("function current_setting")
    return UNPROVEN


def _set_config(walk: Walk, arguments: list[exp.Expr], scope: Scope) -> Value:
    """SET as a function: fine where it is plain which setting gets a value that nothing stored goes into."""
    walk.literals_matter = True
    value = union([evaluate(walk, argument, scope) for argument in arguments])
    first = arguments[0] if arguments else None
    plain = isinstance(first, exp.Literal) and first.is_string and not value.sources and value.proven
    if not plain or walk.catalog is None or walk.catalog.functions("set_config"):
        walk.unknown("function set_config")
        walk.effects |= setting_effects("all")
        walk.actions.add(Action.CALL)
        walk.copies_data = True
        return Value(value.sources, proven=False)
    setting = str(first.this).lower() if first is not None else ""
    walk.functions.add(ObjectRef("pg_catalog", "set_config", "function"))
    walk.actions.add(Action.SET)
    walk.settings.add(setting)
    walk.effects |= setting_effects(setting)
    return CONSTANT

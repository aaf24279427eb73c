"""Names in the parsed text."""

from __future__ import annotations

from sqlglot import exp

from gateway.sql.rebuilt import FUNCTION_MARK


def name_of(node: object) -> str:
    """The name that an Identifier holds, without the mark of the rebuilt text; "" for anything else."""
    text = node.this if isinstance(node, exp.Identifier) else node
    return text.removeprefix(FUNCTION_MARK) if isinstance(text, str) else ""


UNCERTAIN = "\x02"
"""Stands for an output column's name that the rebuilt text no longer tells."""

_PLAIN = "?column?"
_UNNAMED = (
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Pow, exp.Not, exp.And, exp.Or, exp.NEQ, exp.GT, exp.GTE),
    *(exp.LT, exp.LTE, exp.Like, exp.ILike, exp.Is, exp.In, exp.Between, exp.Null, exp.Parameter),
)
_RENAMED_CALLS = frozenset({"extract", "trim"})


def _subquery_name(node: exp.Expr) -> str:
    """A scalar subquery is called like its column."""
    inner = node.unnest()
    while isinstance(inner, exp.SetOperation):
        inner = inner.this.unnest()
    if not isinstance(inner, exp.Select) or len(inner.expressions) != 1:
        return UNCERTAIN
    item = inner.expressions[0]
    return UNCERTAIN if isinstance(item, exp.Star) or isinstance(item.this, exp.Star) else output_name(item)


def output_name(node: exp.Expr) -> str:
    """The name the server gives to an output column without an alias, or ``UNCERTAIN``."""
    match node:
        case exp.Alias():
            return name_of(node.args.get("alias"))
        case exp.Column():
            return name_of(node.this)
        case exp.Dot():
            return (
                name_of(node.expression.this)
                if isinstance(node.expression, exp.Anonymous)
                else name_of(node.expression)
            )
        case exp.Anonymous():
            name = name_of(node.this).lstrip(FUNCTION_MARK)
            return UNCERTAIN if name in _RENAMED_CALLS else name
        case exp.Window() | exp.Filter() | exp.WithinGroup() | exp.Bracket() | exp.Paren():
            return output_name(node.this)
        case exp.Array():
            return "array"
        case exp.Subquery():
            return _subquery_name(node)
        case exp.Tuple():
            return "row"
        case exp.Exists():
            return "exists"
        case exp.Literal():
            return UNCERTAIN if node.is_string else _PLAIN
        case exp.Cast():
            inner = node.this
            while isinstance(inner, (exp.Cast, exp.Paren)):
                inner = inner.this
            return output_name(inner) if isinstance(inner, (exp.Column, exp.Anonymous, exp.Dot)) else UNCERTAIN
        case exp.Case():
            default = node.args.get("default")
            if isinstance(default, (exp.Column, exp.Anonymous, exp.Dot)):
                return output_name(default)
            return "case" if default is None or isinstance(default, (exp.Literal, exp.Null)) else UNCERTAIN
        case _:
            return _PLAIN if isinstance(node, _UNNAMED) else UNCERTAIN

"""Whether a predicate can exclude a row.

``WHERE 1=1``, ``WHERE id = id`` and ``WHERE id = 5 OR true`` are there to satisfy a rule that asks for a WHERE, not to
restrict anything. A predicate counts only if it looks at the rows it restricts and is not true of all of them.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from sqlglot import exp

from gateway.domain.statement import Predicate
from gateway.sql.names import name_of
from gateway.sql.scope import Scope, Source

if TYPE_CHECKING:
    from gateway.sql.walk import Walk


class Truth(Enum):
    """What is known of a condition without looking at a row."""

    TRUE = "true"
    FALSE = "false"
    CONSTANT = "constant"
    """The same for every row."""
    VARIES = "varies"


_ORDER = (Predicate.ABSENT, Predicate.CONSTANT, Predicate.PRESENT, Predicate.NOT_APPLICABLE)
_REFLEXIVE = (exp.EQ, exp.GTE, exp.LTE, exp.NullSafeEQ, exp.Like, exp.ILike)
_IRREFLEXIVE = (exp.NEQ, exp.GT, exp.LT, exp.NullSafeNEQ)
_OPPOSITE: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.NEQ,
    exp.NEQ: exp.EQ,
    exp.GT: exp.LTE,
    exp.LTE: exp.GT,
    exp.LT: exp.GTE,
    exp.GTE: exp.LT,
    exp.NullSafeEQ: exp.NullSafeNEQ,
    exp.NullSafeNEQ: exp.NullSafeEQ,
}
_NEUTRAL: dict[type[exp.Expr], str] = {exp.Add: "0", exp.Sub: "0", exp.Mul: "1", exp.Div: "1", exp.DPipe: ""}
"""Operators, and the right operand that leaves the left one as it is."""
_COMPARED = (exp.Literal, exp.Parameter, exp.Null, exp.Boolean)


def strength(predicate: Predicate) -> int:
    """How much a predicate restricts, for comparison."""
    return _ORDER.index(predicate)


def weaker(left: Predicate, right: Predicate) -> Predicate:
    """The one that restricts less."""
    return min(left, right, key=strength)


def restriction(walk: Walk, node: exp.Expr, scope: Scope, target: Source | None = None) -> Predicate:
    """Walk a WHERE condition and say whether it restricts. ``target``: the table whose rows it has to look at."""
    match _truth(walk, node, scope, target):
        case Truth.VARIES:
            return Predicate.PRESENT
        case _:
            return Predicate.CONSTANT


def _truth(walk: Walk, node: exp.Expr, scope: Scope, target: Source | None) -> Truth:
    kind = type(node)
    if kind is exp.Paren:
        return _truth(walk, node.this, scope, target)
    if kind is exp.Not:
        inner = _truth(walk, node.this, scope, target)
        return {Truth.TRUE: Truth.FALSE, Truth.FALSE: Truth.TRUE}.get(inner, inner)
    if kind is exp.And:
        # A chain of a thousand ANDs leans to the left: no recursion along it.
        found = {_truth(walk, part, scope, target) for part in _chain(node, exp.And)}
        for truth in (Truth.FALSE, Truth.VARIES, Truth.CONSTANT):
            if truth in found:
                return truth
        return Truth.TRUE
    if kind is exp.Or:
        parts = _chain(node, exp.Or)
        found = {_truth(walk, part, scope, target) for part in parts}
        if Truth.TRUE in found or _covers_everything(walk, parts):
            return Truth.TRUE
        for truth in (Truth.CONSTANT, Truth.VARIES):
            if truth in found:
                return truth
        return Truth.FALSE
    before = _hits(scope, target)
    walk.use_as_filter(walk.expression(node, scope))
    looked = _hits(scope, target) > before
    known = _fold(walk, node)
    if known is not None:
        return Truth.TRUE if known else Truth.FALSE
    if isinstance(node, exp.Anonymous) and name_of(node.this) == "current of":
        return Truth.VARIES
    return Truth.VARIES if looked else Truth.CONSTANT


def _chain(node: exp.Expr, kind: type[exp.Expr]) -> list[exp.Expr]:
    parts: list[exp.Expr] = []
    while isinstance(node, (kind, exp.Paren)):
        if isinstance(node, exp.Paren):
            inner = node.unnest()
            if not isinstance(inner, kind):
                break
            node = inner
            continue
        parts.append(node.expression)
        node = node.this
    parts.append(node)
    parts.reverse()
    return parts


def _hits(scope: Scope, target: Source | None) -> int:
    if target is not None:
        return target.hits
    return sum(source.hits for item in scope.items for source in item.sources)


def _covers_everything(walk: Walk, parts: list[exp.Expr]) -> bool:
    """``x OR NOT x``, ``x IS NULL OR x IS NOT NULL``, ``x = 1 OR x <> 1``."""
    bare = [part.unnest() for part in parts]
    for index, part in enumerate(bare):
        for other in bare[index + 1 :]:
            if _negates(part, other) or _negates(other, part):
                walk.literals_matter = True
                return True
            if type(part) in _OPPOSITE and type(other) in _OPPOSITE and part.this == other.this:
                # With other literals they could be opposites.
                walk.literals_matter = True
    return False


def _negates(part: exp.Expr, other: exp.Expr) -> bool:
    if isinstance(part, exp.Not) and part.this.unnest() == other:
        return True
    if isinstance(part, exp.Is) and isinstance(other, exp.Is) and part.this == other.this:
        differ = bool(part.args.get("negate")) != bool(other.args.get("negate"))
        return differ and bool(part.expression == other.expression)
    opposite = _OPPOSITE.get(type(part))
    return (
        opposite is not None
        and type(other) is opposite
        and part.this == other.this
        and part.expression == other.expression
    )


# --- constant folding -------------------------------------------------------------------------------------------------


def _fold(walk: Walk, node: exp.Expr) -> bool | None:
    """Whether a condition without AND, OR and NOT is true (or false) whatever the row holds; None: cannot tell.

    NULLs are left aside: ``id = id`` is called true although it excludes rows without an id.
    """
    node = node.unnest()
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Literal):
        return _fold_number(walk, node)
    if isinstance(node, exp.Cast):
        return _fold_text(walk, node.this)
    if isinstance(node, (exp.Like, exp.ILike)):
        pattern = _plain(walk, node.expression)
        if isinstance(pattern, exp.Literal):
            # A pattern of wildcards alone matches everything, so what the literal says matters.
            walk.literals_matter = True
            if set(pattern.this) == {"%"}:
                return True
    if isinstance(node, (*_REFLEXIVE, *_IRREFLEXIVE)):
        return _compare(walk, node)
    if isinstance(node, exp.Between):
        subject = _plain(walk, node.this)
        low, high = _plain(walk, node.args["low"]), _plain(walk, node.args["high"])
        if subject == low == high and not isinstance(subject, _COMPARED):
            return True
        return None
    if isinstance(node, exp.In):
        return _fold_in(walk, node)
    if isinstance(node, exp.Is):
        return _fold_is(walk, node)
    if isinstance(node, exp.Exists):
        return _fold_exists(node)
    if isinstance(node, exp.Anonymous) and name_of(node.this) == "coalesce" and node.expressions:
        return _fold(walk, node.expressions[0])
    if isinstance(node, exp.Case):
        return _fold_case(walk, node)
    return None


def _fold_text(walk: Walk, node: exp.Expr) -> bool | None:
    """``'true'::boolean`` and the like."""
    node = _plain(walk, node)
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Literal):
        walk.literals_matter = True
        word = node.this.strip().lower()
        if word in ("t", "true", "y", "yes", "on", "1"):
            return True
        return False if word in ("f", "false", "n", "no", "off", "0") else None
    return None


def _fold_number(walk: Walk, node: exp.Literal) -> bool | None:
    """``WHERE 1`` and ``WHERE '1'``, which are conditions to MySQL."""
    walk.literals_matter = True
    try:
        return float(node.this) != 0
    except ValueError:
        return None


def _compare(walk: Walk, node: exp.Expr) -> bool | None:
    left, right = _plain(walk, node.this), _plain(walk, node.expression)
    if isinstance(left, exp.Literal) and isinstance(right, exp.Literal):
        walk.literals_matter = True
        same = bool(left.this == right.this)
        if isinstance(node, (exp.EQ, exp.NullSafeEQ)):
            return same
        if isinstance(node, (exp.NEQ, exp.NullSafeNEQ)):
            return not same
        return None
    if left == right and not isinstance(left, exp.Null):
        return isinstance(node, _REFLEXIVE)
    return None


def _plain(walk: Walk, node: exp.Expr) -> exp.Expr:
    """Without what leaves a value as it is: parentheses, casts, ``+ 0``, ``- 0``, ``* 1``, ``/ 1``, ``|| ''``."""
    while True:
        neutral = _NEUTRAL.get(type(node))
        if neutral is not None and (isinstance(node.expression, exp.Literal) or isinstance(node.this, exp.Literal)):
            # Another literal could be the one that changes nothing, or no longer be it.
            walk.literals_matter = True
        if isinstance(node, (exp.Paren, exp.Cast)) or (neutral is not None and _is_literal(node.expression, neutral)):
            node = node.this
        elif isinstance(node, exp.Add) and _is_literal(node.this, "0"):
            node = node.expression
        else:
            return node


def _is_literal(node: exp.Expr, text: str) -> bool:
    return isinstance(node, exp.Literal) and node.this == text


def _fold_in(walk: Walk, node: exp.Expr) -> bool | None:
    subject = _plain(walk, node.this)
    if not isinstance(subject, _COMPARED) and any(_plain(walk, item) == subject for item in node.expressions):
        return True
    found = node.args.get("query")
    select = found.unnest() if isinstance(found, exp.Subquery) else found
    if not isinstance(select, exp.Select) or len(select.expressions) != 1 or not isinstance(subject, exp.Column):
        return None
    # ``id IN (SELECT id FROM the_table)``: no row can be missing from it.
    item = select.expressions[0].unalias()
    unrestricted = not any(select.args.get(part) for part in ("where", "having", "limit", "offset", "joins", "group"))
    if unrestricted and isinstance(item, exp.Column) and name_of(item.this) == name_of(subject.this):
        return True
    return None


def _fold_is(walk: Walk, node: exp.Expr) -> bool | None:
    subject = _plain(walk, node.this)
    negated = bool(node.args.get("negate"))
    if isinstance(node.expression, exp.Null):
        if isinstance(subject, exp.Null):
            return not negated
        if isinstance(subject, (exp.Literal, exp.Boolean)):
            return negated
    if isinstance(node.expression, exp.Boolean) and isinstance(subject, exp.Boolean):
        return bool(subject.this == node.expression.this) != negated
    return None


def _fold_exists(node: exp.Expr) -> bool | None:
    select = node.this.unnest() if isinstance(node.this, exp.Subquery) else node.this
    if isinstance(select, exp.Values):
        return True
    if isinstance(select, exp.Select):
        plain = not any(select.args.get(part) for part in ("from_", "where", "having", "limit", "offset"))
        return True if plain else None
    return None


def _fold_case(walk: Walk, node: exp.Expr) -> bool | None:
    branches = [branch.args["true"] for branch in node.args.get("ifs") or ()]
    branches.append(node.args.get("default") or exp.Null())
    found = {_fold(walk, branch) for branch in branches}
    return found.pop() if len(found) == 1 else None

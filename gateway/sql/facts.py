"""Facts of one query or data-modifying statement, from its tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sqlglot import Dialect, exp
from sqlglot.errors import SqlglotError

from gateway.domain.statement import (
    Action,
    ObjectRef,
    OutputColumn,
    Predicate,
    SessionEffect,
    StatementFacts,
)
from gateway.sql.canonical import canonicalise
from gateway.sql.catalog import Catalog
from gateway.sql.lexer import Token
from gateway.sql.names import UNCERTAIN, name_of
from gateway.sql.rebuilt import Canonical, Unsupported
from gateway.sql.scope import Rows
from gateway.sql.splitting import without_like_rows
from gateway.sql.state import NameResolution
from gateway.sql.walk import NO_CTES, Walk

QUERY_WORDS = frozenset({"select", "with", "values", "table"})
WRITE_WORDS = frozenset({"insert", "update", "delete", "merge"})
_QUERIES = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)
_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
_MOST_OPEN_JOINS = 8
_JOINING = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()]|\b(?:join|cross|on|using|select)\b""")
_PARSER = Dialect.get_or_raise("postgres")
"""Looked up once, and not for each statement anew. Parsing leaves it as it is."""


def unknown(reason: str, kind: str = "unknown") -> StatementFacts:
    """Facts of a statement that could be anything."""
    return StatementFacts(
        kind=kind,
        actions=frozenset({Action.UNKNOWN}),
        reads_everything=True,
        copies_data=True,
        opaque=(reason,),
        session_effects=frozenset(SessionEffect),
    )


def query_facts(
    tokens: Sequence[Token], kind: str, state: NameResolution, catalog: Catalog | None
) -> tuple[StatementFacts, bool]:
    """The facts of a SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES or TABLE, and whether its literals matter."""
    try:
        tree, canonical = parse(tokens)
    except Unsupported as error:
        return unknown(str(error), kind), True
    walk = Walk(state, catalog)
    walk.note_operators(canonical)
    return walked(walk, tree, kind, canonical)


def parse(tokens: Sequence[Token]) -> tuple[exp.Expr, Canonical]:
    """The parsed form of a query or data-modifying statement. Raises ``Unsupported``."""
    canonical = canonicalise(without_like_rows(tokens))
    return parse_rebuilt(canonical), canonical


def parse_rebuilt(canonical: Canonical) -> exp.Expr:
    """The parsed form of a rebuilt text. Raises ``Unsupported``."""
    # Each join that may still get its condition has the parser go over all behind it once more, in vain.
    if canonical.text.count(" join ") > _MOST_OPEN_JOINS and open_joins(canonical.text) > _MOST_OPEN_JOINS:
        raise Unsupported("too many joins without a condition")
    try:
        trees = _PARSER.parse(canonical.text)
    except SqlglotError:
        raise Unsupported("syntax not understood") from None
    if len(trees) != 1 or not isinstance(trees[0], _QUERIES + _WRITES):
        raise Unsupported("syntax not understood")
    return trees[0]


def open_joins(text: str) -> int:
    """The most joins of one clause of a rebuilt text that have no condition of their own."""
    most, levels, before = 0, [0], ""
    for word in _JOINING.findall(text):
        if word == "(":
            levels.append(0)
        elif word == ")":
            if len(levels) > 1:
                levels.pop()
        elif word == "join":
            levels[-1] += before != "cross"
            most = max(most, levels[-1])
        elif word in ("on", "using"):
            levels[-1] = max(0, levels[-1] - 1)
        elif word == "select":
            levels[-1] = 0
        before = word
    return most


def walked(walk: Walk, tree: exp.Expr, kind: str, canonical: Canonical) -> tuple[StatementFacts, bool]:
    """The facts of a parsed statement, and whether its literals matter."""
    rows: Rows | None
    into = tree.args.get("into") if isinstance(tree, exp.Select) else None
    if isinstance(tree, _QUERIES):
        rows = walk.query(tree, None, NO_CTES)
        walk.actions.add(Action.READ)
        predicate = walk.query_predicate
        kind = "select" if kind == "with" else kind
    else:
        rows = walk.write(tree, None, NO_CTES)
        predicate = walk.predicate
        kind = type(tree).__name__.lower() if kind == "with" else kind
        if walk.objects_read:
            walk.actions.add(Action.READ)
    if walk.predicate is not Predicate.NOT_APPLICABLE:
        predicate = walk.predicate
    if canonical.locks:
        walk.actions.add(Action.LOCK)
    # Without the word there is no such clause; most statements need not be searched for it.
    if " into " in canonical.text and any(
        isinstance(node.args.get("into"), exp.Into) for node in tree.find_all(exp.Select)
    ):
        _into(walk, into)
        rows = None
    facts = collect(walk, kind, rows, predicate)
    if walk.writes:
        facts = replace(facts, changes_inside=walk.writes > isinstance(tree, _WRITES), texts=texts_of(tree))
    return facts, walk.literals_matter or canonical.named_by_literal or bool(walk.opaque)


def texts_of(tree: exp.Expr) -> frozenset[str]:
    """The string constants of a statement."""
    return frozenset(str(literal.this) for literal in tree.find_all(exp.Literal) if literal.is_string)


def _into(walk: Walk, into: exp.Expr | None) -> None:
    """SELECT INTO creates a table from what it reads."""
    walk.actions.add(Action.CREATE)
    walk.effects.add(SessionEffect.CATALOG)
    walk.copies_data = True
    if into is None:
        walk.unknown("INTO inside a query")
        return
    if into.args.get("temporary"):
        walk.effects.add(SessionEffect.TEMPORARY_OBJECTS)
    table = into.this
    walk.objects_written.add(ObjectRef(name_of(table.args.get("db")), name_of(table.this)))


def collect(
    walk: Walk, kind: str, rows: Rows | None, predicate: Predicate = Predicate.NOT_APPLICABLE
) -> StatementFacts:
    """What a walk has found, as facts."""
    outputs = None
    if rows is not None and rows.complete:
        outputs = tuple(
            OutputColumn(
                name="?column?" if column.name == UNCERTAIN else column.name,
                sources=column.value.sources,
                proven=column.value.proven and not walk.nothing_proven,
                bare=column.value.bare and column.value.proven and not walk.nothing_proven,
            )
            for column in rows.columns
        )
    return StatementFacts(
        kind=kind,
        actions=frozenset(walk.actions),
        objects_read=frozenset(walk.objects_read),
        objects_written=frozenset(walk.objects_written),
        functions=frozenset(walk.functions),
        columns_read=frozenset(walk.read),
        columns_written=frozenset(walk.written),
        columns_filtered=frozenset(walk.filtered),
        predicate=predicate,
        outputs=outputs,
        reads_everything=walk.reads_everything,
        copies_data=walk.copies_data,
        opaque=tuple(walk.opaque),
        session_effects=frozenset(walk.effects),
        # Several settings have no one name; "" counts as any.
        detail=next(iter(walk.settings)) if len(walk.settings) == 1 else "",
    )

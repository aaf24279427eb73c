"""Facts of queries, from their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlglot import exp

from gateway.domain.statement import Action
from gateway.sql.dialect import Found
from gateway.sql.facts import parse_rebuilt, unknown, walked
from gateway.sql.lexer import Kind, Token
from gateway.sql.mysql.walk import MySqlWalk
from gateway.sql.mysql.writer import MySqlWriter
from gateway.sql.rebuilt import Canonical, Unsupported
from gateway.sql.scope import Scope
from gateway.sql.values import Value

QUERY_WORDS: Final = frozenset({"select", "with", "values", "table"})


def rebuild(walk: MySqlWalk, tokens: Sequence[Token], *, duplicate: bool = False) -> Canonical:
    """A query's tokens for the parser. Raises ``Unsupported``."""
    return MySqlWriter(tokens, concat=walk.session.pipes_as_concat, duplicate=duplicate).run()


def query_facts(walk: MySqlWalk, tokens: Sequence[Token], kind: str) -> Found:
    """The facts of a SELECT, VALUES or TABLE, and whether its literals matter."""
    try:
        tokens, into = without_into(tokens)
        canonical = rebuild(walk, tokens)
        found, matter = walked(walk, parse_rebuilt(canonical), kind, canonical)
    except Unsupported as error:
        return unknown(str(error), kind), True
    match into[:1]:
        case ["outfile" | "dumpfile"]:
            found = replace(
                found,
                actions=found.actions | {Action.COPY_OUT},
                copies_data=True,
                opaque=(*found.opaque, "server file"),
                outputs=None,
                detail="file",
            )
            matter = True
        case ["@"]:
            found = replace(found, copies_data=found.copies_data or bool(found.columns_read), outputs=None)
        case [_]:
            return unknown("syntax not understood", kind), True
    return found, matter


def without_into(tokens: Sequence[Token]) -> tuple[Sequence[Token], list[str]]:
    """A query without its INTO clause, and the sort of its targets: outfile, dumpfile or ``@`` for variables."""
    depth = 0
    for index, token in enumerate(tokens):
        kind, value, _ = token
        if kind is Kind.PUNCTUATION:
            depth += {"(": 1, ")": -1}.get(value, 0)
        elif kind is Kind.WORD and value == "into" and not depth and index and tokens[index - 1].value != ".":
            return _cut_into(tokens, index)
    return tokens, []


def _cut_into(tokens: Sequence[Token], start: int) -> tuple[Sequence[Token], list[str]]:
    following = tokens[start + 1] if start + 1 < len(tokens) else None
    if following is None:
        raise Unsupported("unexpected into")
    if following.kind is Kind.VARIABLE:
        index = start + 2
        while index + 1 < len(tokens) and tokens[index].value == "," and tokens[index + 1].kind is Kind.VARIABLE:
            index += 2
        return [*tokens[:start], *tokens[index:]], ["@"]
    if following.kind is Kind.WORD and following.value in ("outfile", "dumpfile"):
        # What follows the file's name says how it is written; it may come before FROM.
        index = start + 2
        while index < len(tokens) and not (
            tokens[index].kind is Kind.WORD
            and tokens[index].value in ("from", "where", "limit", "order", "group", "for")
        ):
            index += 1
        return [*tokens[:start], *tokens[index:]], [following.value]
    raise Unsupported("unexpected into")


def evaluate(walk: MySqlWalk, tokens: Sequence[Token]) -> Value:
    """The value of an expression that stands outside a query. Raises ``Unsupported``."""
    canonical = rebuild(walk, [Token(Kind.WORD, "select", 0), *tokens])
    tree = parse_rebuilt(canonical)
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1 or tree.args.get("from_") is not None:
        raise Unsupported("syntax not understood")
    return walk.expression(tree.expressions[0].unalias(), Scope(None, {}))

"""Expressions inside definitions: defaults, checks, index keys. They run later, so they may call nothing unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.sql.functions import Purity
from gateway.sql.lexer import Kind, Token
from gateway.sql.walk import Walk

_NAMES = (Kind.WORD, Kind.QUOTED)
_BEFORE_PARENTHESES = frozenset(
    """and or not in any all some is between like ilike similar case when then else end array exists distinct from as
    using where on with values key unique check exclude references include constraint primary default collate escape
    varying decimal dec bit timestamp time float precision character national nchar interval to for identity""".split()
)
"""Words that may stand before a parenthesis without being a function."""
_OPENING, _CLOSING = frozenset("(["), frozenset(")]")


def note_expressions(walk: Walk, tokens: Sequence[Token]) -> None:
    """Look at the defaults and checks of a table's or domain's definition, or of a part of one."""
    for start, stop in _regions(tokens):
        note_calls(walk, tokens[start:stop])


def note_calls(walk: Walk, tokens: Sequence[Token]) -> None:
    """Note every call in an expression of which it is not known that it only computes.

    The tokens are not parsed: what might be a call counts as one.
    """
    for index, token in enumerate(tokens):
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        if token.kind in _NAMES and following is not None and following.value == "(":
            before = tokens[index - 1] if index else None
            if token.kind is Kind.WORD and token.value in _BEFORE_PARENTHESES:
                continue
            if before is not None and before.kind is Kind.WORD and before.value == "references":
                continue
            qualified = before is not None and before.value == "." and index > 1
            if walk.purity(tokens[index - 2].value if qualified else "", token.value) is Purity.UNKNOWN:
                walk.copies_data = True
    if walk.catalog is None:
        walk.unknown("no catalog")
        return
    contents = walk.catalog.contents
    operators = {token.value for token in tokens if token.kind is Kind.OPERATOR}
    words = {token.value for token in tokens if token.kind in _NAMES}
    if not contents.operators.isdisjoint(operators) or "operator" in words:
        walk.unknown("user-defined operator")
    if not contents.cast_types.isdisjoint(words):
        walk.unknown("user-defined cast")


def _regions(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """Where expressions are: from DEFAULT, CHECK, WHERE and the like to the end of the element."""
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.kind is Kind.WORD and token.value in ("default", "check", "exclude", "where", "using", "as"):
            stop = _element_end(tokens, index + 1)
            yield index + 1, stop
            index = stop
        index += 1


def _element_end(tokens: Sequence[Token], start: int) -> int:
    depth = 0
    for index in range(start, len(tokens)):
        token = tokens[index]
        if token.kind is Kind.PUNCTUATION:
            if token.value in _OPENING:
                depth += 1
            elif token.value in _CLOSING:
                depth -= 1
            if depth < 0 or (not depth and token.value == ","):
                return index
    return len(tokens)

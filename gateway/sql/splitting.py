"""Cuts a text into statements, and makes the form of it that logs may hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from gateway.sql.lexer import Kind, LexError, Token

_LITERAL_KINDS = frozenset({Kind.STRING, Kind.NUMBER, Kind.PARAMETER})
_LITERAL_WORDS = frozenset({"null", "true", "false", "default"})
_LISTS = re.compile(r"\?(?: , \?)+")


def split(tokens: Sequence[Token]) -> list[list[Token]]:
    """The statements of a text, empty ones left out.

    A semicolon inside parentheses does not end one (CREATE RULE), nor does one inside a function's BEGIN ATOMIC body.
    Raises ``LexError`` where it is not certain what such a body ends with.
    """
    statements: list[list[Token]] = []
    current: list[Token] = []
    depth = body = 0
    for token in tokens:
        kind, value, _ = token
        if kind is Kind.PUNCTUATION:
            if value == "(":
                depth += 1
            elif value == ")":
                depth = max(0, depth - 1)
            elif value == ";" and not depth and not body:
                if current:
                    statements.append(current)
                current = []
                continue
        elif kind is Kind.WORD and current and current[0].value == "create":
            body += _nesting(value, current[-1], body)
        current.append(token)
    if body:
        raise LexError("function body without end")
    if current:
        statements.append(current)
    return statements


def _nesting(word: str, previous: Token, body: int) -> int:
    """How much deeper (or less deep) a word leads into a BEGIN ATOMIC body."""
    if word == "atomic" and previous.value == "begin":
        return 1
    if not body or word not in ("begin", "case", "end"):
        return 0
    # ``AS case`` and ``1 case`` are labels; ``1 end`` ends a CASE.
    labelled = previous.value in ("as", ".")
    if labelled or (word != "end" and previous.kind not in (Kind.PUNCTUATION, Kind.WORD)):
        raise LexError("function body not understood")
    return -1 if word == "end" else 1


def normalise(tokens: Sequence[Token], mark: str = '"') -> str:
    """The text with every literal replaced by ``?``, lists of literals shortened, one space between tokens.

    ``mark`` is what stands around quoted names.
    """
    parts: list[str] = []
    for kind, value, _ in tokens:
        if kind is Kind.STRING or kind is Kind.NUMBER:
            parts.append("?")
        elif kind is Kind.QUOTED:
            parts.append(mark + value.replace(mark, mark * 2) + mark)
        else:
            parts.append(value)
    return _LISTS.sub("? , ...", " ".join(parts))


def fingerprint(normalised: str) -> str:
    """Sixteen hexadecimal digits that are equal for equal normalised texts."""
    return hashlib.sha256(normalised.encode(errors="surrogatepass")).hexdigest()[:16]


def without_like_rows(tokens: Sequence[Token]) -> Sequence[Token]:
    """The statement with one row in place of many: ``VALUES (1, 'a'), (2, 'b')`` says no more than ``VALUES (1, 'a')``.

    Only rows that consist of literals, parameters, DEFAULT and NULL are left out, and only behind one of that kind and
    of the same width, so that the facts are the same and a bulk insert costs little more than cutting it into words.
    """
    start = next((i for i, t in enumerate(tokens) if t.kind is Kind.WORD and t.value == "values"), -1)
    if start < 0:
        return tokens
    kept = list(tokens[: start + 1])
    index, first = start + 1, -1
    while index < len(tokens) and tokens[index].value == "(" and tokens[index].kind is Kind.PUNCTUATION:
        end, width = _literal_row(tokens, index)
        if not width or (first >= 0 and width != first):
            break
        if first < 0:
            kept.extend(tokens[index:end])
            first = width
        index = end
        if index < len(tokens) and tokens[index].value == "," and tokens[index].kind is Kind.PUNCTUATION:
            index += 1
        else:
            return [*kept, *tokens[index:]]
    return tokens


def _literal_row(tokens: Sequence[Token], start: int) -> tuple[int, int]:
    """The index behind a row of literals that begins at ``start``, and its width; a width of 0 where it is not one."""
    index, width = start + 1, 0
    while index < len(tokens):
        if tokens[index].kind is Kind.OPERATOR and tokens[index].value == "-":
            index += 1
        if index + 1 >= len(tokens):
            break
        kind, value, _ = tokens[index]
        if kind not in _LITERAL_KINDS and not (kind is Kind.WORD and value in _LITERAL_WORDS):
            break
        width += 1
        closing = tokens[index + 1]
        index += 2
        if closing.kind is Kind.PUNCTUATION and closing.value == ")":
            return index, width
        if closing.kind is not Kind.PUNCTUATION or closing.value != ",":
            break
    return start, 0

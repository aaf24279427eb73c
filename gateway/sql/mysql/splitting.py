"""Cuts a text into statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.sql.lexer import Kind, Token

CODE_WORDS: Final = frozenset({"procedure", "function", "trigger", "event", "package"})
"""Objects with a body that may hold several statements."""
_COMPOUND: Final = frozenset({"if", "case", "loop", "while", "repeat", "for", "declare"})
_NOISE: Final = frozenset({"or", "replace", "aggregate", "temporary", "online", "offline"})


def split(tokens: Sequence[Token]) -> list[list[Token]]:
    """The statements of a text, empty ones left out.

    A statement that may have other statements inside it takes all that follows: where its body ends only a parser that
    knows all of the language could tell.
    """
    statements: list[list[Token]] = []
    start = 0
    for index, token in enumerate(tokens):
        if index == start and is_compound(tokens[start:]):
            statements.append(list(tokens[start:]))
            return statements
        if token.kind is Kind.PUNCTUATION and token.value == ";":
            if index > start:
                statements.append(list(tokens[start:index]))
            start = index + 1
    if start < len(tokens):
        statements.append(list(tokens[start:]))
    return statements


def is_compound(tokens: Sequence[Token]) -> bool:
    """Whether a statement may hold others: BEGIN NOT ATOMIC, IF, a label, CREATE PROCEDURE …."""
    words = [token.value if token.kind is Kind.WORD else "" for token in tokens[:2]] + [""]
    if words[0] in ("create", "alter"):
        return created(tokens)[0] in CODE_WORDS
    if words[0] == "begin":
        return words[1] not in ("", "work")
    labelled = len(tokens) > 1 and tokens[1].kind is Kind.PUNCTUATION and tokens[1].value == ":"
    return words[0] in _COMPOUND or labelled


def created(tokens: Sequence[Token]) -> tuple[str, int]:
    """The sort of object that CREATE or ALTER names, and the index behind that word."""
    index = 1
    while index < len(tokens):
        token = tokens[index]
        if token.kind is not Kind.WORD:
            break
        if token.value in _NOISE:
            index += 1
        elif token.value in ("definer", "algorithm") and index + 2 < len(tokens):
            # DEFINER = 'a'@'b', DEFINER = CURRENT_USER(), ALGORITHM = MERGE
            index += 3
            while index < len(tokens) and (tokens[index].kind is Kind.VARIABLE or tokens[index].value in ("(", ")")):
                index += 1
        elif token.value == "sql" and index + 2 < len(tokens) and tokens[index + 1].value == "security":
            index += 3
        else:
            return token.value, index + 1
    return "", index

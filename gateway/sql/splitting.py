"""Cuts a text into statements, and makes the form of it that logs may hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from gateway.sql.lexer import Kind, Token

_LISTS = re.compile(r"\?(?: , \?)+")


def split(tokens: Sequence[Token]) -> list[list[Token]]:
    """The statements of a text, empty ones left out.

    A semicolon inside parentheses does not end one (CREATE RULE), nor does one inside a function's BEGIN ATOMIC body.
    """
    statements: list[list[Token]] = []
    current: list[Token] = []
    depth = body = 0
    for index, token in enumerate(tokens):
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
        elif kind is Kind.WORD and not depth:
            if value == "atomic" and current and current[-1].value == "begin" and current[0].value == "create":
                body += 1
            elif body and value == "case":
                body += 1
            elif body and value == "end":
                body -= 1
        current.append(token)
    if current:
        statements.append(current)
    return statements


def normalise(tokens: Sequence[Token]) -> str:
    """The text with every literal replaced by ``?``, lists of literals shortened, one space between tokens."""
    parts: list[str] = []
    for kind, value, _ in tokens:
        if kind is Kind.STRING or kind is Kind.NUMBER:
            parts.append("?")
        elif kind is Kind.QUOTED:
            parts.append('"' + value.replace('"', '""') + '"')
        else:
            parts.append(value)
    return _LISTS.sub("? , ...", " ".join(parts))


def fingerprint(normalised: str) -> str:
    """Sixteen hexadecimal digits that are equal for equal normalised texts."""
    return hashlib.sha256(normalised.encode(errors="surrogatepass")).hexdigest()[:16]

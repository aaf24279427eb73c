"""A query rebuilt for the parser, and what was left out of it. See ``gateway.sql.canonical``."""

from __future__ import annotations

from dataclasses import dataclass, field

FUNCTION_MARK = "\x01"
"""Begins every quoted name that is followed by a parenthesis in the rebuilt text."""

PLAIN_OPERATORS = frozenset("+ - * / % ^ < > = <= >= <> !=".split())
"""The operators that the parser reads as PostgreSQL does."""


class Unsupported(ValueError):
    """Syntax that the analysis does not cover; the text of the error is a reason for ``StatementFacts.opaque``."""


@dataclass(slots=True)
class Canonical:
    """The rebuilt text and what was left out of it that matters."""

    text: str = ""
    operators: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    """Folded names of the types in casts."""
    locks: bool = False
    """Whether there is a FOR UPDATE or FOR SHARE clause."""
    named_by_literal: bool = False
    """Whether a string names an output column, so that what the text means depends on a literal."""


def quote(name: str) -> str:
    """A name in double quotes."""
    return '"' + name.replace('"', '""') + '"'

"""Patterns over names: ``*`` is any run of characters, ``?`` is one, everything else is itself.

Dotted names are matched part by part, so that ``hr.*`` never matches a schema called ``hr.old`` by accident of the dot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.domain.statement import ObjectRef

_SEPARATOR = "\0"


def has_wildcard(pattern: str) -> bool:
    """Whether a pattern means more than the one name that it spells."""
    return "*" in pattern or "?" in pattern


def glob_regex(pattern: str) -> str:
    """The regular expression of one part of a name; wildcards do not reach over the part's end."""
    return "".join({"*": "[^\0]*", "?": "[^\0]"}.get(char) or re.escape(char) for char in pattern)


class Globs:
    """Patterns over plain names, such as labels or settings."""

    __slots__ = ("_match", "patterns")

    def __init__(self, patterns: Iterable[str], *, ignore_case: bool = False) -> None:
        self.patterns = tuple(patterns)
        alternatives = "|".join(glob_regex(pattern) for pattern in self.patterns)
        self._match = re.compile(f"(?:{alternatives})", re.IGNORECASE if ignore_case else 0).fullmatch

    def matches(self, name: str) -> bool:
        """Whether any pattern matches the whole name."""
        return self._match(name) is not None

    def select(self, names: Iterable[str]) -> frozenset[str]:
        """The names that match."""
        return frozenset(name for name in names if self._match(name) is not None)


class ObjectGlobs:
    """Patterns over ``schema.name``. ``*`` alone means every object."""

    __slots__ = ("_match", "_name", "patterns")

    def __init__(self, patterns: Iterable[str], *, ignore_case: bool) -> None:
        self.patterns = tuple(patterns)
        flags = re.IGNORECASE if ignore_case else 0
        parts = [split_object_pattern(pattern) for pattern in self.patterns]
        whole = "|".join(glob_regex(schema) + _SEPARATOR + glob_regex(name) for schema, name in parts)
        self._match = re.compile(f"(?:{whole})", flags).fullmatch
        self._name = re.compile("(?:" + "|".join(glob_regex(name) for _, name in parts) + ")", re.IGNORECASE).fullmatch

    def proven(self, ref: ObjectRef) -> bool:
        """Whether the object is certainly among the patterns; never true for one whose schema is not known."""
        return bool(ref.schema) and self._match(ref.schema + _SEPARATOR + ref.name) is not None

    def possible(self, ref: ObjectRef) -> bool:
        """Whether the object may be among the patterns: an unknown schema could be any."""
        if ref.schema:
            return self._match(ref.schema + _SEPARATOR + ref.name) is not None
        return self._name(ref.name) is not None


def split_object_pattern(pattern: str) -> tuple[str, str]:
    """``schema.name`` in two. Raises ``ValueError`` where the schema is left out."""
    if pattern == "*":
        return "*", "*"
    schema, dot, name = pattern.partition(".")
    if not dot or not schema or not name:
        raise ValueError(f'"{pattern}" has no schema; write schema.name, such as *.{pattern.strip(".") or "orders"}')
    return schema, name

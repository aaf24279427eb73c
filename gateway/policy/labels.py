"""Which labels a column carries, by the configuration's classifications.

Patterns are matched whatever the case of a name: to label one column too many hides a value, one too few shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from gateway.domain.statement import ColumnRef
from gateway.policy.globs import glob_regex
from gateway.policy.memo import remember
from gateway.policy.paths import WHOLE, LabelledPath, reached

_ANYTHING: Final = "[^\0]*"
_REMEMBERED: Final = 65_536


@dataclass(frozen=True, slots=True, order=True)
class Classification:
    """One label on the columns of one resource that match ``schema.table.column`` (wildcards in each part).

    ``path`` True means that the last part is a path inside a document: the label then also holds for everything below
    the path and for the documents above it, which contain it.
    """

    resource: str
    label: str
    schema: str
    table: str
    column: str
    path: bool = False

    @classmethod
    def parse(cls, *, resource: str, label: str, pattern: str, path: bool = False) -> Classification:
        """From ``schema.table.column`` or ``database.collection.path``. Raises ``ValueError`` for another shape."""
        schema, _, rest = pattern.partition(".")
        table, _, column = rest.partition(".")
        if not all(pattern.split(".")) or not column or ("." in column and not path):
            shape = "database.collection.path" if path else "schema.table.column"
            raise ValueError(f'"{pattern}" is not of the form {shape}')
        return cls(resource, label, schema, table, column, path)

    @property
    def pattern(self) -> str:
        """The pattern as it was written."""
        return f"{self.schema}.{self.table}.{self.column}"

    @property
    def steps(self) -> tuple[str, ...]:
        """The last part, step by step."""
        return tuple(self.column.split("."))

    def table_regex(self) -> str:
        """Over ``schema NUL table``."""
        return f"{glob_regex(self.schema)}\0{glob_regex(self.table)}"

    def regex(self) -> str:
        """Over ``schema NUL table NUL column``, for a column of a table; for a document, also what is below."""
        return f"{self.table_regex()}\0(?:{glob_regex(self.column)}(?:\\.{_ANYTHING})?|{re.escape(WHOLE)})"

    def covers(self, column: ColumnRef) -> bool:
        """Whether a column or path carries the label."""
        if not self.path:
            return _compiled(self.regex()).fullmatch(_text(column)) is not None
        if _compiled(self.table_regex()).fullmatch(f"{column.schema}\0{column.table}") is None:
            return False
        return column.column == WHOLE or bool(reached(self.steps, column.column))


class LabelIndex:
    """The classifications of one resource, made ready for look-ups. Look-ups are remembered, up to a bound."""

    __slots__ = ("_known", "_paths", "_patterns", "all_labels", "classifications")

    def __init__(self, classifications: Iterable[Classification]) -> None:
        self.classifications = tuple(classifications)
        by_label: dict[str, list[str]] = {}
        for item in self.classifications:
            if not item.path:
                by_label.setdefault(item.label, []).append(item.regex())
        self._paths = tuple(item for item in self.classifications if item.path)
        self._patterns = tuple(
            (label, re.compile("(?:" + "|".join(patterns) + ")", re.IGNORECASE).fullmatch)
            for label, patterns in by_label.items()
        )
        self.all_labels = frozenset(item.label for item in self.classifications)
        self._known: dict[ColumnRef, frozenset[str]] = {}

    def labels_of(self, column: ColumnRef) -> frozenset[str]:
        """The labels of one column; empty for an unclassified one."""
        if (found := self._known.get(column)) is None:
            text = _text(column)
            found = frozenset(label for label, matches in self._patterns if matches(text) is not None)
            found |= frozenset(item.label for item in self._paths if item.covers(column))
            remember(self._known, column, found, limit=_REMEMBERED)
        return found

    def labels_of_all(self, columns: Iterable[ColumnRef]) -> frozenset[str]:
        """The labels of several columns together."""
        return frozenset[str]().union(*map(self.labels_of, columns))

    def spread(self, columns: Iterable[ColumnRef]) -> Mapping[ColumnRef, frozenset[str]]:
        """The labelled ones among the columns of a catalog."""
        if not self.classifications:
            return MappingProxyType({})
        found = ((column, self.labels_of(column)) for column in columns)
        return MappingProxyType({column: labels for column, labels in found if labels})

    def paths(self, schema: str, table: str) -> tuple[LabelledPath, ...]:
        """The labelled paths of a collection, whether it has documents with them or not."""
        name = f"{schema}\0{table}"
        return tuple(
            LabelledPath(item.steps, item.label)
            for item in self.classifications
            if _compiled(item.table_regex()).fullmatch(name) is not None
        )


def _text(column: ColumnRef) -> str:
    return f"{column.schema}\0{column.table}\0{column.column}"


@lru_cache(maxsize=4096)
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex, re.IGNORECASE)

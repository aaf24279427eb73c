"""The names that a query's expressions can use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.sql.names import UNCERTAIN
from gateway.sql.values import NamedValue, Value, same_column, union

SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query returns: named values in order; ``complete`` False where there may be others."""

    columns: Sequence[NamedValue]
    complete: bool = True

    def everything(self) -> Value:
        """All columns as one value."""
        joined = union(column.value for column in self.columns)
        return joined if self.complete else Value(joined.sources, proven=False)


class Source:
    """A row with a name: a table, a subquery or a function in FROM.

    ``complete`` False: the row may have columns that are not listed, so a name not found here may still be one of them.
    ``stored`` says that system columns exist. ``hidden`` are columns that only their names reach, not ``*``. ``hits``
    counts the references; ``key`` is a table's schema and name.
    """

    __slots__ = ("alias", "by_name", "columns", "complete", "hidden", "hits", "key", "stored")

    def __init__(
        self,
        alias: str,
        columns: Sequence[NamedValue],
        *,
        complete: bool = True,
        stored: bool = False,
        key: tuple[str, str] | None = None,
        hidden: Sequence[NamedValue] = (),
    ) -> None:
        self.alias = alias
        self.columns = columns
        self.hidden = hidden
        self.complete = complete
        self.stored = stored
        self.key = key
        self.hits = 0
        self.by_name: dict[str, list[Value]] = {}
        for column in (*columns, *hidden):
            self.by_name.setdefault(column.name, []).append(column.value)

    def everything(self) -> Value:
        """The whole row as one value."""
        joined = union(column.value for column in self.columns)
        return joined if self.complete else Value(joined.sources, proven=False)


class Item:
    """One comma-separated item of FROM: a source, or sources joined to each other."""

    __slots__ = ("merged", "order", "sources", "sure")

    def __init__(self, sources: list[Source]) -> None:
        self.sources = sources
        self.order: list[NamedValue] | None = None
        """The columns that ``*`` shows, where USING or NATURAL has merged some."""
        self.merged: dict[str, Value] = {}
        self.sure = True
        """Whether it is certain which columns were merged."""

    def columns(self) -> list[NamedValue]:
        if self.order is not None:
            return self.order
        return [column for source in self.sources for column in source.columns]

    @property
    def complete(self) -> bool:
        """Whether these are all the columns, in the right order."""
        return self.sure and all(source.complete for source in self.sources)

    @property
    def named(self) -> bool:
        """Whether the names of all columns are certain."""
        return self.complete and not any(UNCERTAIN in source.by_name for source in self.sources)

    def unsure_values(self) -> list[Value]:
        """What a name that is not found may still be."""
        values: list[Value] = []
        for source in self.sources:
            if not source.complete:
                values.append(source.everything())
            elif UNCERTAIN in source.by_name:
                values.extend(source.by_name[UNCERTAIN])
        return values

    def join(self, right: Item, names: Sequence[str], *, turned: bool = False) -> bool:
        """Join with ``right`` by equal columns ``names``. False where a name is not exactly once on each side.

        ``turned``: the right side's other columns come first.
        """
        if not names and self.order is None and right.order is None:
            self.sources.extend(right.sources)
            self.sure = self.sure and right.sure
            return True
        ours, theirs = self.columns(), right.columns()
        sure = True
        merged: list[NamedValue] = []
        for name in names:
            left_values = [column.value for column in ours if column.name == name]
            right_values = [column.value for column in theirs if column.name == name]
            sure = sure and len(left_values) == len(right_values) == 1
            value = same_column([*left_values, *right_values])
            merged.append(NamedValue(name, value))
        taken = frozenset(names)
        self.merged = {**self.merged, **right.merged, **{column.name: column.value for column in merged}}
        first, second = (theirs, ours) if turned else (ours, theirs)
        self.order = [
            *merged,
            *(column for column in first if column.name not in taken),
            *(column for column in second if column.name not in taken),
        ]
        self.sources.extend(right.sources)
        self.sure = self.sure and right.sure and sure
        return sure

    def find(self, name: str) -> list[Value]:
        """The values of an unqualified name; more than one is an ambiguity."""
        for source in self.sources:
            if name in source.by_name:
                source.hits += 1
        if self.order is not None:
            found = [column.value for column in self.order if column.name == name]
            return found if self.sure else [Value(value.sources, proven=False) for value in found]
        return [value for source in self.sources for value in source.by_name.get(name, ())]


class Scope:
    """The items of one query level, inside an enclosing one."""

    __slots__ = ("ctes", "items", "outer", "parent")

    def __init__(self, parent: Scope | None, ctes: Mapping[str, Rows], *, joined_in: Scope | None = None) -> None:
        self.parent = parent
        self.outer: Scope | None = joined_in.outer if joined_in is not None else parent
        """What a subquery in FROM sees without LATERAL; in a join in parentheses that is not the parent."""
        self.ctes = ctes
        self.items: list[Item] = []

    def sources(self) -> list[Source]:
        return [source for item in self.items for source in item.sources]

    def find(self, alias: str) -> Source | None:
        """The source of that name, innermost level first; None also where one level has it twice."""
        scope: Scope | None = self
        while scope is not None:
            found = [source for item in scope.items for source in item.sources if source.alias == alias]
            if found:
                return found[0] if len(found) == 1 else None
            scope = scope.parent
        return None

    def column(self, name: str) -> tuple[Value, bool] | None:
        """The value of an unqualified name, and whether the answer is sure. None: there is no such column."""
        scope: Scope | None = self
        unsure: list[Value] = []
        while scope is not None:
            candidates: list[Value] = []
            for item in scope.items:
                candidates.extend(item.find(name))
            if len(candidates) == 1 and not unsure:
                # An incomplete neighbour may have the name too: then it is ambiguous and the server refuses it.
                return candidates[0], True
            if candidates:
                return union([*candidates, *unsure]), False
            for item in scope.items:
                unsure.extend(item.unsure_values())
            scope = scope.parent
        return (union(unsure), False) if unsure else None

    def has_stored(self) -> bool:
        """Whether a system column can be meant."""
        scope: Scope | None = self
        while scope is not None:
            if any(source.stored for item in scope.items for source in item.sources):
                return True
            scope = scope.parent
        return False

    def star(self) -> tuple[list[NamedValue], bool]:
        """What ``*`` stands for, and whether the list is complete."""
        columns = [column for item in self.items for column in item.columns()]
        return columns, all(item.complete for item in self.items)

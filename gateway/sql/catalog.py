"""What the analysis knows of a database's objects: immutable, versioned, cheap to look things up in."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.domain.statement import ColumnRef
from gateway.sql.functions import SYSTEM_SCHEMAS
from gateway.sql.values import NamedValue

_K = TypeVar("_K")
_V = TypeVar("_V")

TABLE_KINDS = frozenset("rpf")
"""relkind of relations whose columns are stored or fetched as such: ordinary, partitioned and foreign tables."""
VIEW_KINDS = frozenset("vm")


@dataclass(frozen=True, slots=True)
class Column:
    """One attribute. ``generated`` is the expression of a generated column."""

    name: str
    number: int
    type_name: str = ""
    type_oid: int = 0
    generated: str | None = None
    hidden: bool = False
    """Whether ``*`` leaves it out."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view, sequence … ``definition`` is a view's query, every name in it qualified."""

    schema: str
    name: str
    oid: int
    kind: str
    columns: tuple[Column, ...]
    definition: str | None = None
    rewritten: bool = False
    """Whether rewrite rules apply to writes: then a write may do anything."""
    transactional: bool = True
    """Whether a rollback, also one to a savepoint, takes back what was done to its rows."""

    @property
    def key(self) -> tuple[str, str]:
        return self.schema, self.name

    def reference(self, column: str) -> ColumnRef:
        return ColumnRef(self.schema, self.name, column)


@dataclass(frozen=True, slots=True, order=True)
class Function:
    """A function or procedure outside pg_catalog. ``extension`` names the extension that owns it."""

    schema: str
    name: str
    volatility: str = "v"
    language: str = ""
    extension: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What the server's origin of a result column (table OID, attribute number) stands for.

    ``columns``: the column itself, and the base columns behind it where it is a view's. ``known`` False: more columns
    may be behind it. ``table`` True: the relation is a table, so the server's word is exact.
    """

    columns: frozenset[ColumnRef]
    known: bool
    table: bool


@dataclass(frozen=True, slots=True)
class CatalogContents:
    """The raw material of a catalog, as an introspection found it."""

    relations: tuple[Relation, ...] = ()
    functions: tuple[Function, ...] = ()
    schemas: frozenset[str] = frozenset()
    inherits: tuple[tuple[int, int], ...] = ()
    """(child OID, parent OID), one level each."""
    operators: frozenset[str] = frozenset()
    """Symbols of operators that neither the server nor a trusted extension defines."""
    cast_types: frozenset[str] = frozenset()
    """Names of types to which a cast runs a function that neither the server nor a trusted extension defines."""

    system_schemas: frozenset[str] = SYSTEM_SCHEMAS
    """Schemas whose relations are not to be labelled: they are the server's own."""

    def digest(self) -> str:
        """The same for equal contents, in whatever order they were read."""
        parts = (
            sorted(map(repr, self.relations)),
            sorted(map(repr, self.functions)),
            sorted(self.schemas),
            sorted(self.inherits),
            sorted(self.operators),
            sorted(self.cast_types),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()


@dataclass(slots=True, eq=False)
class Catalog:
    """The objects of one database. Never changed once built; equal content has an equal ``version``."""

    contents: CatalogContents
    version: str
    fold: Callable[[str], str] = str
    """How names are compared: the form in which equal ones are equal."""
    _by_key: dict[tuple[str, str], Relation] = field(default_factory=dict)
    _by_oid: dict[int, Relation] = field(default_factory=dict)
    _functions: dict[str, tuple[Function, ...]] = field(default_factory=dict)
    _rows: dict[int, tuple[NamedValue, ...]] = field(default_factory=dict)
    _origins: dict[int, dict[int, Origin]] = field(default_factory=dict)
    _related: dict[ColumnRef, frozenset[ColumnRef]] = field(default_factory=dict)
    _fields: frozenset[str] = frozenset()
    _accented: dict[str, frozenset[str]] = field(default_factory=dict)
    _children: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _parents: dict[int, tuple[int, ...]] = field(default_factory=dict)

    # --- what hosts ask -----------------------------------------------------------------------------------------

    def columns(self) -> Sequence[ColumnRef]:
        """Every column of every relation outside the system schemas."""
        return [
            relation.reference(column.name)
            for relation in self.contents.relations
            if relation.schema not in self.contents.system_schemas
            for column in relation.columns
        ]

    def origin(self, table_oid: int, attnum: int) -> Origin | None:
        """What (table OID, attribute number) stands for; None where the catalog does not know the relation or column.

        Number 0 is the whole row. A negative number is a system column, which holds no data.
        """
        if attnum < 0:
            return Origin(frozenset(), known=True, table=True) if table_oid in self._by_oid else None
        return self._origins.get(table_oid, {}).get(attnum)

    def origin_by_name(self, schema: str, table: str, column: str) -> frozenset[ColumnRef]:
        """What is behind a column that the server names as a result column's origin; empty where it is not known."""
        relation = self._by_key.get((self.fold(schema), self.fold(table)))
        if relation is None:
            return frozenset()
        name = self.fold(column)
        return frozenset[ColumnRef]().union(*(v.value.sources for v in self.row(relation) if v.name == name))

    def related_columns(self, column: ColumnRef) -> frozenset[ColumnRef]:
        """The columns that hold the same data: up and down an inheritance or partition tree, and generated from it.

        A label on one of them holds for all. The column itself is not among them.
        """
        return self._related.get(column, frozenset())

    def children(self, table_oid: int) -> tuple[int, ...]:
        """The OIDs of the tables that inherit from it or are its partitions, one level."""
        return self._children.get(table_oid, ())

    def parents(self, table_oid: int) -> tuple[int, ...]:
        """The OIDs of the tables that it inherits from or is a partition of, one level."""
        return self._parents.get(table_oid, ())

    # --- what the analysis asks ---------------------------------------------------------------------------------

    def relation(self, schema: str, name: str) -> Relation | None:
        return self._by_key.get((schema, name))

    def relation_by_oid(self, oid: int) -> Relation | None:
        return self._by_oid.get(oid)

    def has_schema(self, schema: str) -> bool:
        return schema in self.contents.schemas

    def functions(self, name: str) -> tuple[Function, ...]:
        """The functions of that name outside pg_catalog."""
        return self._functions.get(name, ())

    def has_field(self, name: str) -> bool:
        """Whether any relation or composite type has a column of that name."""
        return name in self._fields

    def confusable(self, name: str) -> bool:
        """Whether a column has a name that differs from this one in accents alone (where ``fold`` is given)."""
        bare = without_accents(name)
        group = self._accented.get(bare)
        return (group is not None and group != {name}) or (bare != name and bare in self._fields)

    def row(self, relation: Relation) -> tuple[NamedValue, ...]:
        """The relation's columns in order, each with everything behind it."""
        return self._rows[relation.oid]


def without_accents(name: str) -> str:
    """The letters of a name without their marks."""
    if name.isascii():
        return name
    return "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))


def family(start: int, edges: Mapping[int, tuple[int, ...]]) -> set[int]:
    """Everything that can be reached from ``start``."""
    found: set[int] = set()
    todo = [start]
    while todo:
        for following in edges.get(todo.pop(), ()):
            if following not in found:
                found.add(following)
                todo.append(following)
    return found


def grouped(pairs: Iterable[tuple[_K, _V]]) -> dict[_K, tuple[_V, ...]]:
    """Pairs, as one tuple of values for each key."""
    collected: dict[_K, list[_V]] = {}
    for key, value in pairs:
        collected.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in collected.items()}

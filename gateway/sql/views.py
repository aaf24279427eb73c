"""Builds a catalog: works out what stored columns stand behind every column of every view."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from gateway.domain.statement import ColumnRef
from gateway.sql.catalog import (
    TABLE_KINDS,
    VIEW_KINDS,
    Catalog,
    CatalogContents,
    Origin,
    Relation,
    family,
    grouped,
    without_accents,
)
from gateway.sql.facts import parse
from gateway.sql.functions import HARMLESS_RELATIONS, LEAKY_SYSTEM_COLUMNS
from gateway.sql.lexer import LexError, tokenize
from gateway.sql.rebuilt import Unsupported, quote
from gateway.sql.scope import Rows
from gateway.sql.state import NameResolution
from gateway.sql.values import NamedValue, Value, union
from gateway.sql.walk import NO_CTES, Walk

# Definitions are printed with an empty search_path, so every name outside pg_catalog is qualified.
_STATE = NameResolution(search_path=())
_EVERYTHING_UNKNOWN = Rows((), complete=False)


class _LazyRows(dict[int, tuple[NamedValue, ...]]):
    """Computes a relation's row when it is asked for, so that views over views come out in the right order."""

    def __init__(self, catalog: Catalog, reading: Definitions) -> None:
        super().__init__()
        self.catalog = catalog
        self.reading = reading
        self.pending: set[int] = set()

    def __missing__(self, oid: int) -> tuple[NamedValue, ...]:
        relation = self.catalog.relation_by_oid(oid)
        if relation is None:
            raise KeyError(oid)
        if oid in self.pending:
            # A view inside itself; or a table, whose generated columns are computed from its stored ones.
            return _plain(relation, self.reading, proven=relation.kind in TABLE_KINDS)
        self.pending.add(oid)
        try:
            row = _row(self.catalog, relation, self.reading)
        except RecursionError:
            row = _plain(relation, self.reading, proven=False)
        finally:
            self.pending.discard(oid)
        self[oid] = row
        return row


class Definitions(Protocol):
    """How the texts in a catalog are read."""

    def fold(self, name: str) -> str:
        """A name in the form in which equal ones are equal."""

    def evaluate(self, catalog: Catalog, definition: str) -> tuple[Rows, frozenset[ColumnRef]]:
        """The columns of a query, and every column it looks at."""

    def select(self, expression: str, relation: Relation) -> str:
        """A query for an expression over a relation's columns."""


class _PostgresDefinitions:
    def fold(self, name: str) -> str:
        return name

    def evaluate(self, catalog: Catalog, definition: str) -> tuple[Rows, frozenset[ColumnRef]]:
        return _evaluate(catalog, definition)

    def select(self, expression: str, relation: Relation) -> str:
        return f"SELECT ({expression}) FROM {quote(relation.schema)}.{quote(relation.name)}"  # noqa: S608 - never run


def build(contents: CatalogContents, definitions: Definitions | None = None) -> Catalog:
    """The catalog of ``contents``. Slow (views are parsed); done once for every change of the schema."""
    reading = definitions or _PostgresDefinitions()
    fold = reading.fold
    catalog = Catalog(contents, contents.digest())
    if definitions is not None:
        catalog.fold = fold
    keys = [(fold(relation.schema), fold(relation.name)) for relation in contents.relations]
    catalog._by_key = dict(zip(keys, contents.relations, strict=True))
    if len(catalog._by_key) < len(keys):
        # Two relations that differ in case alone: which one a name means is not certain.
        for key, count in Counter(keys).items():
            if count > 1:
                del catalog._by_key[key]
    catalog._by_oid = {relation.oid: relation for relation in contents.relations}
    catalog._functions = grouped((function.name, function) for function in contents.functions)
    catalog._fields = frozenset(
        fold(column.name)
        for relation in contents.relations
        if relation.schema not in contents.system_schemas
        for column in relation.columns
    )
    if definitions is not None:
        accented = grouped((without_accents(name), name) for name in catalog._fields if not name.isascii())
        catalog._accented = {bare: frozenset(names) | ({bare} & catalog._fields) for bare, names in accented.items()}
    catalog._parents = grouped(contents.inherits)
    catalog._children = grouped((parent, child) for child, parent in contents.inherits)
    catalog._related = _related(catalog)
    rows = _LazyRows(catalog, reading)
    catalog._rows = rows
    catalog._rows = {relation.oid: rows[relation.oid] for relation in contents.relations}
    catalog._origins = {relation.oid: _origins(relation, catalog.row(relation)) for relation in contents.relations}
    return catalog


def _plain(relation: Relation, reading: Definitions, *, proven: bool = True) -> tuple[NamedValue, ...]:
    """The columns as they are stored."""
    return tuple(
        NamedValue(reading.fold(column.name), Value(frozenset({relation.reference(column.name)}), proven, bare=True))
        for column in relation.columns
    )


def _row(catalog: Catalog, relation: Relation, reading: Definitions) -> tuple[NamedValue, ...]:
    row = _plain(relation, reading)
    if relation.schema in catalog.contents.system_schemas:
        return row
    if relation.kind in VIEW_KINDS:
        rows, reached = reading.evaluate(catalog, relation.definition or "")
        if not rows.complete or len(rows.columns) != len(row):
            return tuple(NamedValue(column.name, Value(column.value.sources | reached, proven=False)) for column in row)
        return tuple(
            NamedValue(column.name, _behind(column.value, base.value, reached))
            for column, base in zip(row, rows.columns, strict=True)
        )
    if any(column.generated is not None for column in relation.columns):
        return tuple(
            _generated(catalog, relation, column.generated, named, reading) if column.generated is not None else named
            for column, named in zip(relation.columns, row, strict=True)
        )
    return row


def _behind(view: Value, base: Value, reached: frozenset[ColumnRef]) -> Value:
    sources = view.sources | base.sources | (frozenset() if base.proven else reached)
    return Value(sources, base.proven, base.bare)


def _generated(
    catalog: Catalog, relation: Relation, expression: str, named: NamedValue, reading: Definitions
) -> NamedValue:
    """A generated column holds what its expression is computed from; that is asked of the table without itself."""
    stored = {column.name for column in relation.columns if column.generated is None}
    rows, reached = reading.evaluate(catalog, reading.select(expression, relation))
    everything = frozenset(relation.reference(name) for name in stored)
    # An empty expression is one that could not be read.
    if not expression or not rows.complete or len(rows.columns) != 1 or not rows.columns[0].value.proven:
        return NamedValue(named.name, Value(named.value.sources | reached | everything))
    return NamedValue(named.name, Value(named.value.sources | rows.columns[0].value.sources))


def _evaluate(catalog: Catalog, definition: str) -> tuple[Rows, frozenset[ColumnRef]]:
    """The columns of a query, and every column it looks at."""
    walk = Walk(_STATE, catalog)
    try:
        tokens = tokenize(definition)
        if tokens and tokens[-1].value == ";":
            tokens.pop()
        tree, canonical = parse(tokens)
        walk.note_operators(canonical)
        rows = walk.query(tree, None, NO_CTES)
    except (LexError, Unsupported):
        return _EVERYTHING_UNKNOWN, frozenset(walk.read)
    if walk.nothing_proven:
        rows = Rows(rows.columns, complete=False)
    return rows, frozenset(walk.read)


def _origins(relation: Relation, row: tuple[NamedValue, ...]) -> dict[int, Origin]:
    table = relation.kind in TABLE_KINDS
    leaky = relation.schema == "pg_catalog" and relation.name not in HARMLESS_RELATIONS
    leaky = leaky or (relation.schema == "information_schema" and relation.name.endswith("_options"))
    origins = {
        column.number: Origin(
            named.value.sources,
            known=named.value.proven and not leaky and (relation.name, column.name) not in LEAKY_SYSTEM_COLUMNS,
            table=table,
        )
        for column, named in zip(relation.columns, row, strict=True)
    }
    whole = union(named.value for named in row)
    origins[0] = Origin(whole.sources, known=all(origin.known for origin in origins.values()), table=table)
    return origins


def _related(catalog: Catalog) -> dict[ColumnRef, frozenset[ColumnRef]]:
    related: dict[ColumnRef, frozenset[ColumnRef]] = {}
    parents, children = catalog._parents, catalog._children
    names: dict[int, frozenset[str]] = {}
    """Column names by relation: a parent with a thousand children is looked at a thousand times."""

    def has(relation: Relation, name: str) -> bool:
        found = names.get(relation.oid)
        if found is None:
            found = names[relation.oid] = frozenset(column.name for column in relation.columns)
        return name in found

    for oid in {*parents, *children}:
        relation = catalog.relation_by_oid(oid)
        if relation is None:
            continue
        relatives = [catalog.relation_by_oid(o) for o in family(oid, parents) | family(oid, children)]
        for column in relation.columns:
            related[relation.reference(column.name)] = frozenset(
                other.reference(column.name)
                for other in relatives
                if other is not None and other.oid != oid and has(other, column.name)
            )
    return related

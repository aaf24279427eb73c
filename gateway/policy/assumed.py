"""A catalog that is assumed from a text: the tables and columns that the text names, as if they existed.

Samples of policies speak of tables that are nowhere, so that their SQL would be opaque. With every table that a sample
names taken to exist, with the columns that it names, the sample is understood as it would be on a database where it
runs at all.
"""

from __future__ import annotations

from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from gateway.domain.statement import Analysis
from gateway.sql.analyse import analyse
from gateway.sql.catalog import Catalog, CatalogContents, Column, Relation
from gateway.sql.mysql.views import MySqlDefinitions
from gateway.sql.state import MySqlResolution, NameResolution
from gateway.sql.views import build

_FIRST_OID: Final = 16_384
_DEFAULT_SCHEMA: Final = "public"
Key = tuple[str, str]


def assumed_analysis(text: str, protocol: str) -> Analysis:
    """The facts of a text in a session that has just begun."""
    if protocol == "mysql":
        return analyse(
            text, MySqlResolution(database=_DEFAULT_SCHEMA), assumed_catalog(text, protocol), dialect=protocol
        )
    return analyse(text, NameResolution(), assumed_catalog(text), dialect=protocol)


def assumed_catalog(text: str, dialect: str = "postgres") -> Catalog:
    """The catalog; one without tables where the text cannot be read, so that nothing in it is resolved."""
    tables: dict[Key, dict[str, None]] = {}
    schemas = {_DEFAULT_SCHEMA}
    try:
        statements = [item for item in sqlglot.parse(text, dialect=dialect) if item is not None]
    except (SqlglotError, RecursionError):
        statements = []
    for statement in statements:
        _collect(statement, tables)
    schemas.update(schema for schema, _ in tables)
    relations = tuple(
        Relation(schema, name, oid, "r", tuple(Column(column, at) for at, column in enumerate(columns or ["id"], 1)))
        for oid, ((schema, name), columns) in enumerate(tables.items(), _FIRST_OID)
    )
    contents = CatalogContents(relations=relations, schemas=frozenset(schemas))
    return build(contents, MySqlDefinitions() if dialect == "mysql" else None)


def _collect(statement: exp.Expr, tables: dict[Key, dict[str, None]]) -> None:
    """Add the tables of a statement. A column without a table's name is taken to be its query's first table's."""
    queries = {cte.alias_or_name for cte in statement.find_all(exp.CTE)}
    aliases: dict[str, Key] = {}
    first: Key | None = None
    for table in statement.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or (not table.db and table.name in queries):
            continue
        key = (_folded(table.args.get("db")) or _DEFAULT_SCHEMA, _folded(table.this))
        first = first or key
        tables.setdefault(key, {})
        aliases[table.alias or key[1]] = key
    for column in statement.find_all(exp.Column):
        owner = aliases.get(column.table or _first_table(column), first)
        if owner is not None and isinstance(column.this, exp.Identifier):
            tables[owner].setdefault(_folded(column.this))
    for target in statement.find_all(exp.Schema):
        # INSERT INTO t (a, b)
        for name in target.expressions:
            if first is not None and isinstance(name, exp.Identifier):
                tables[first].setdefault(_folded(name))


def _first_table(column: exp.Column) -> str:
    query = column.find_ancestor(exp.Select, exp.Update, exp.Delete, exp.Merge)
    table = None if query is None else query.find(exp.Table)
    return "" if table is None else table.alias_or_name


def _folded(identifier: object) -> str:
    """A name as the server understands it: in lower case unless it is quoted."""
    if not isinstance(identifier, exp.Identifier):
        return ""
    return str(identifier.this) if identifier.args.get("quoted") else str(identifier.this).lower()

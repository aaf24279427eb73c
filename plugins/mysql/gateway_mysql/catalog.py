"""Reads the catalog of a MySQL or MariaDB server: every database that the gateway's account can see.

The queries run as text by whoever holds the connection; ``build_catalog`` turns their rows into a ``Catalog``. The
system schemas are read too, so that tools which introspect are understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.sql.catalog import Catalog, CatalogContents, Column, Function, Relation
from gateway.sql.mysql.system import SYSTEM_SCHEMAS
from gateway.sql.mysql.views import MySqlDefinitions
from gateway.sql.views import build

Row = tuple[str | None, ...]

_RELATIONS: Final = """
SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE, t.ENGINE, e.SAVEPOINTS FROM information_schema.TABLES t
LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE ORDER BY t.TABLE_SCHEMA, t.TABLE_NAME
"""
_COLUMNS: Final = """
SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, DATA_TYPE, EXTRA, GENERATION_EXPRESSION
FROM information_schema.COLUMNS ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION
"""
_VIEWS: Final = "SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS"
_ROUTINES: Final = "SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE FROM information_schema.ROUTINES"
_SCHEMATA: Final = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA"

CATALOG_QUERIES: tuple[str, ...] = (_RELATIONS, _COLUMNS, _VIEWS, _ROUTINES, _SCHEMATA)
"""To be run in this order, with utf8mb4 as the connection's character set."""

_FIRST: Final = 1
_FOREIGN_ENGINES: Final = frozenset({"mrg_myisam", "federated", "connect", "spider"})
"""Engines whose tables show the rows of other tables."""


def build_catalog(results: Sequence[Sequence[Row]]) -> Catalog:
    """The catalog from the rows of ``CATALOG_QUERIES``, one sequence for each query, NULL as None.

    Raises ``ValueError`` where the rows are not what the queries return.
    """
    if len(results) != len(CATALOG_QUERIES):
        raise ValueError(f"expected {len(CATALOG_QUERIES)} results, got {len(results)}")
    relations, columns, views, routines, schemata = results
    by_relation: dict[tuple[str, str], list[Column]] = {}
    for row in columns:
        schema, table, name, number, type_name, extra, generated = row
        column = Column(
            _text(name),
            int(_text(number)),
            _text(type_name).lower(),
            generated=generated or None,
            hidden="INVISIBLE" in (extra or "").upper(),
        )
        by_relation.setdefault((_text(schema), _text(table)), []).append(column)
    definitions = {(_text(schema), _text(name)): definition or "" for schema, name, definition in views}
    return build(
        CatalogContents(
            relations=tuple(
                _relation(row, number, by_relation, definitions) for number, row in enumerate(relations, _FIRST)
            ),
            functions=tuple(
                Function(_text(schema), _text(name).lower()) for schema, name, sort in routines if sort == "FUNCTION"
            ),
            schemas=frozenset(_text(row[0]) for row in schemata),
            system_schemas=SYSTEM_SCHEMAS,
        ),
        MySqlDefinitions(),
    )


def _text(value: str | None) -> str:
    if value is None:
        raise ValueError("unexpected NULL in the catalog")
    return value


def _relation(
    row: Row, number: int, columns: dict[tuple[str, str], list[Column]], definitions: dict[tuple[str, str], str]
) -> Relation:
    schema, name, sort, engine, savepoints = row
    key = (_text(schema), _text(name))
    found = tuple(columns.get(key, ()))
    if _text(sort) == "VIEW":
        return Relation(*key, number, "v", found, definitions.get(key, ""))
    if (engine or "").lower() in _FOREIGN_ENGINES:
        # What it shows is not its own, and nobody knows whose it is.
        return Relation(*key, number, "v", found, "", transactional=False)
    kind = "S" if _text(sort) == "SEQUENCE" else "r"
    return Relation(*key, number, kind, found, transactional=savepoints == "YES")

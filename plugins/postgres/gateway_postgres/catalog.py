"""Reads the catalog of a PostgreSQL database, versions 12 to 18.

The queries run over the simple protocol by whoever holds the connection; ``build_catalog`` turns their rows (in text
form) into a ``Catalog``. The system schemas are read too, so that tools which introspect are understood.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.sql.catalog import Catalog, CatalogContents, Column, Function, Relation
from gateway.sql.functions import TRUSTED_EXTENSIONS
from gateway.sql.views import build

Row = tuple[str | None, ...]

# With an empty path the server prints view definitions with every name qualified.
_EMPTY_PATH = "SELECT pg_catalog.set_config('search_path', '', false)"

# Printing an expression locks the relations in it, and would wait for a schema change that is not committed yet. What
# such a change holds is left out: a view or generated column without its text may hold anything.
_LOCKED = """
WITH locked AS MATERIALIZED (
    SELECT k.relation AS oid FROM pg_catalog.pg_locks k
    WHERE k.mode = 'AccessExclusiveLock' AND k.relation IS NOT NULL
), held AS MATERIALIZED (
    SELECT l.oid FROM locked l
    UNION
    SELECT r.ev_class FROM locked l
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = l.oid
         AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
)
"""

_RELATIONS = f"""
{_LOCKED}
SELECT c.oid, n.nspname, c.relname, c.relkind,
       EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1'),
       CASE WHEN c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
                 AND c.oid NOT IN (SELECT h.oid FROM held h)
            THEN pg_catalog.pg_get_viewdef(c.oid) END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 'c')
  AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
"""  # noqa: S608

_COLUMNS = f"""
{_LOCKED}
SELECT a.attrelid, a.attnum, a.attname, t.typname, a.atttypid,
       CASE WHEN a.attgenerated = '' THEN NULL
            WHEN a.attrelid IN (SELECT h.oid FROM held h) THEN ''
            ELSE pg_catalog.pg_get_expr(d.adbin, d.adrelid) END
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated <> ''
WHERE a.attnum > 0 AND NOT a.attisdropped
  AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 'c')
  AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
ORDER BY a.attrelid, a.attnum
"""  # noqa: S608

# What is put into the queries below is this text and nothing else.
_EXTENSION = """
LEFT JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND x.objid = p.oid
     AND x.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid
"""

_FUNCTIONS = f"""
SELECT DISTINCT n.nspname, p.proname, p.provolatile, l.lanname, e.extname
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
{_EXTENSION}
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_temp_'
"""  # noqa: S608

_REST = f"""
SELECT 'schema', n.nspname, NULL FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
UNION ALL
SELECT 'inherits', i.inhrelid::pg_catalog.text, i.inhparent::pg_catalog.text FROM pg_catalog.pg_inherits i
UNION ALL
SELECT DISTINCT 'operator', o.oprname::pg_catalog.text, e.extname::pg_catalog.text
FROM pg_catalog.pg_operator o
JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
{_EXTENSION}
WHERE n.nspname <> 'pg_catalog'
UNION ALL
SELECT DISTINCT 'cast', t.typname::pg_catalog.text, e.extname::pg_catalog.text
FROM pg_catalog.pg_cast k
JOIN pg_catalog.pg_type t ON t.oid = k.casttarget
JOIN pg_catalog.pg_proc p ON p.oid = k.castfunc
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
{_EXTENSION}
WHERE n.nspname <> 'pg_catalog'
"""  # noqa: S608

CATALOG_QUERIES: tuple[str, ...] = (_EMPTY_PATH, _RELATIONS, _COLUMNS, _FUNCTIONS, _REST)
"""To be run in this order in one session that is used for nothing else; the first changes its search_path."""

_SPELLINGS: dict[str, tuple[str, ...]] = {
    "int2": ("smallint",),
    "int4": ("int", "integer"),
    "int8": ("bigint",),
    "float4": ("real",),
    "float8": ("double", "float"),
    "bool": ("boolean",),
    "numeric": ("decimal", "dec"),
    "varchar": ("character", "char", "national", "nchar"),
    "bpchar": ("character", "char", "national", "nchar"),
    "timestamptz": ("timestamp",),
    "timetz": ("time",),
    "varbit": ("bit",),
}
"""Other words for a type, as a cast may spell it."""


def build_catalog(results: Sequence[Sequence[Row]]) -> Catalog:
    """The catalog from the rows of ``CATALOG_QUERIES``, one sequence for each query, NULL as None.

    Raises ``ValueError`` where the rows are not what the queries return.
    """
    if len(results) != len(CATALOG_QUERIES):
        raise ValueError(f"expected {len(CATALOG_QUERIES)} results, got {len(results)}")
    _, relations, columns, functions, rest = results
    by_relation: dict[int, list[Column]] = {}
    for row in columns:
        oid, number, name, type_name, type_oid, generated = row
        column = Column(_text(name), int(_text(number)), _text(type_name), int(_text(type_oid)), generated)
        by_relation.setdefault(int(_text(oid)), []).append(column)
    return build(
        CatalogContents(
            relations=tuple(_relation(row, by_relation) for row in relations),
            functions=tuple(_function(row) for row in functions),
            schemas=frozenset(_text(name) for sort, name, _ in rest if sort == "schema"),
            inherits=tuple((int(_text(a)), int(_text(b))) for sort, a, b in rest if sort == "inherits"),
            operators=frozenset(_untrusted(rest, "operator")),
            cast_types=frozenset(
                spelling for name in _untrusted(rest, "cast") for spelling in (name, *_SPELLINGS.get(name, ()))
            ),
        )
    )


def _text(value: str | None) -> str:
    if value is None:
        raise ValueError("unexpected NULL in the catalog")
    return value


def _relation(row: Row, columns: dict[int, list[Column]]) -> Relation:
    oid, schema, name, kind, rewritten, definition = row
    number = int(_text(oid))
    return Relation(
        schema=_text(schema),
        name=_text(name),
        oid=number,
        kind=_text(kind),
        columns=tuple(columns.get(number, ())),
        definition=definition,
        rewritten=rewritten == "t" and _text(schema) not in ("pg_catalog", "information_schema"),
    )


def _function(row: Row) -> Function:
    schema, name, volatility, language, extension = row
    return Function(_text(schema), _text(name), _text(volatility), _text(language), extension)


def _untrusted(rows: Sequence[Row], wanted: str) -> list[str]:
    return [_text(name) for sort, name, extension in rows if sort == wanted and extension not in TRUSTED_EXTENSIONS]

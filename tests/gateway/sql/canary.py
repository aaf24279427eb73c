"""The differential method: run a statement for real, see where marked values come out, compare with what is claimed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import psycopg
from gateway_postgres.catalog import CATALOG_QUERIES, build_catalog

from gateway.domain.statement import Analysis, ColumnRef
from gateway.sql.analyse import analyse
from gateway.sql.catalog import Catalog
from gateway.sql.state import NameResolution

SCHEMA = Path(__file__).with_name("shop.sql").read_text()
STATE = NameResolution(search_path=("public",), role="postgres")
_MARK = re.compile(r"canary\.([a-z_0-9]+)\.([a-z]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Outcome:
    """``leaks``: columns that came out where the analysis had proven that they cannot. ``error``: the server's."""

    analysis: Analysis
    leaks: tuple[str, ...]
    error: str | None
    columns: int = 0


def read_catalog(connection: psycopg.Connection[tuple[object, ...]]) -> Catalog:
    """The catalog as the gateway reads it, all values as text."""
    results = []
    with connection.cursor() as cursor:
        for query in CATALOG_QUERIES:
            cursor.execute(query)
            result = cursor.pgresult
            assert result is not None
            results.append(
                [
                    tuple(_text(result.get_value(row, column)) for column in range(result.nfields))
                    for row in range(result.ntuples)
                ]
            )
        cursor.execute("RESET search_path")
    return build_catalog(results)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def marked(text: str) -> set[ColumnRef]:
    """The columns whose values are in a text."""
    found = set()
    for table, column in _MARK.findall(text):
        schema, name = ("other", "users") if table.lower() == "other_users" else ("public", table.lower())
        found.add(ColumnRef(schema, name, column.lower()))
    return found


def spread(catalog: Catalog, columns: frozenset[ColumnRef]) -> set[ColumnRef]:
    """The columns, with those that inheritance says hold the same data."""
    return set(columns).union(*(catalog.related_columns(column) for column in columns))


def check(connection: psycopg.Connection[tuple[object, ...]], catalog: Catalog, text: str, state: NameResolution = STATE) -> Outcome:
    """Run ``text`` in a transaction that is rolled back and compare every row with the last statement's outputs."""
    analysis = analyse(text, state, catalog)
    leaks: list[str] = []
    width = 0
    with connection.cursor() as cursor:
        try:
            cursor.execute(text.encode())
            result = cursor.pgresult
            while cursor.nextset():
                result = cursor.pgresult
        except psycopg.Error as error:
            connection.rollback()
            return Outcome(analysis, (), str(error).splitlines()[0])
        assert result is not None
        width = result.nfields
        facts = analysis.statements[-1]
        outputs = facts.outputs
        trusted = outputs is not None and len(outputs) == width
        for column in range(width):
            for row in range(result.ntuples):
                came = marked(_text(result.get_value(row, column)) or "")
                if came and trusted and outputs is not None and outputs[column].proven:
                    missing = came - spread(catalog, outputs[column].sources)
                    leaks += [f"column {column + 1}: {one}" for one in missing]
                    if not missing and outputs[column].bare and not came <= spread(catalog, outputs[column].sources):
                        leaks.append(f"column {column + 1}: not bare")
                if came and not facts.reads_everything:
                    unread = came - spread(catalog, facts.columns_read)
                    leaks += [f"not in columns_read: {one}" for one in unread]
            if facts.kind == "select":
                leaks += _origin_leaks(catalog, result, column)
        connection.rollback()
    return Outcome(analysis, tuple(sorted(set(leaks))), None, width)


def _origin_leaks(catalog: Catalog, result: psycopg.pq.abc.PGresult, column: int) -> list[str]:
    """The server's own word, as the catalog explains it."""
    if not result.ftable(column):
        return []
    origin = catalog.origin(result.ftable(column), result.ftablecol(column))
    if origin is None or not origin.known:
        return []
    came: set[ColumnRef] = set()
    for row in range(result.ntuples):
        came |= marked(_text(result.get_value(row, column)) or "")
    return [f"origin of column {column + 1}: {one}" for one in came - spread(catalog, origin.columns)]

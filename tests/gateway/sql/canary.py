"""The differential method: run a statement for real, see where marked values come out, compare with what is claimed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import pq
from psycopg.pq import ExecStatus

from gateway.domain.statement import ACTION_GROUPS, Analysis, ColumnRef, StatementFacts
from gateway.sql.analyse import analyse
from gateway.sql.catalog import Catalog
from gateway.sql.state import NameResolution
from gateway_postgres.catalog import CATALOG_QUERIES, build_catalog

Connection = psycopg.Connection[tuple[object, ...]]

SCHEMA = Path(__file__).with_name("shop.sql").read_text()
STATE = NameResolution(search_path=("public",), role="postgres")
_MARK = re.compile(r"canary\.([a-z_0-9]+)\.([a-z]+)", re.IGNORECASE)


_WRITES = ACTION_GROUPS["write"]


@dataclass(frozen=True)
class Outcome:
    """``leaks``: columns that came out where the analysis had proven that they cannot. ``error``: the server's."""

    analysis: Analysis
    leaks: tuple[str, ...]
    error: str | None
    columns: int = 0


def read_catalog(connection: Connection) -> Catalog:
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


def check(connection: Connection, catalog: Catalog, text: str, state: NameResolution = STATE) -> Outcome:
    """Run ``text`` in a transaction that is rolled back and compare every row with the last statement's outputs."""
    analysis = analyse(text, state, catalog)
    server = connection.pgconn
    server.exec_(b"BEGIN")
    try:
        result = server.exec_(text.encode())
        if result.status == ExecStatus.COPY_OUT:
            rows, width = _copied(server), result.nfields
        elif result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            rows, width = _rows(result), result.nfields
        else:
            return Outcome(analysis, (), result.error_message.decode().splitlines()[0])
    finally:
        server.exec_(b"ROLLBACK")
    facts = analysis.statements[-1]
    leaks: list[str] = []
    for column in range(width):
        came: set[ColumnRef] = set().union(*(marked(row[column]) for row in rows))
        leaks += _claims(catalog, facts, column, width, came)
        if not facts.actions & _WRITES and result.ftable(column):
            # The server's own word, as the catalog explains it. Behind a write it may be wrong.
            origin = catalog.origin(result.ftable(column), result.ftablecol(column))
            if origin is not None and origin.known:
                leaks += [f"origin of column {column + 1}: {one}" for one in came - spread(catalog, origin.columns)]
    return Outcome(analysis, tuple(sorted(leaks)), None, width)


def _rows(result: pq.abc.PGresult) -> list[list[str]]:
    return [
        [_text(result.get_value(row, column)) or "" for column in range(result.nfields)]
        for row in range(result.ntuples)
    ]


def _copied(server: pq.abc.PGconn) -> list[list[str]]:
    rows: list[list[str]] = []
    while True:
        size, data = server.get_copy_data(0)
        if size < 0:
            server.get_result()
            return rows
        rows.append(bytes(data).decode().rstrip("\n").split("\t"))


def _claims(catalog: Catalog, facts: StatementFacts, column: int, width: int, came: set[ColumnRef]) -> list[str]:
    """The claims about one result column that what came out of it contradicts."""
    wrong = []
    if facts.outputs is not None and len(facts.outputs) == width and facts.outputs[column].proven:
        wrong += [f"column {column + 1}: {one}" for one in came - spread(catalog, facts.outputs[column].sources)]
    if not facts.reads_everything:
        wrong += [f"columns_read: {one}" for one in came - spread(catalog, facts.columns_read)]
    return wrong

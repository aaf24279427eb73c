"""Reads some rows of every table, for classification. MySQL 5.7 and later, MariaDB 10.2 and later.

The session is read-only and short-tempered: it waits for no lock and runs no statement for long. Columns are selected
by name and cut to a bounded length by the server. A table that cannot be read is reported and passed over.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from gateway.protocol.optional import MAX_SAMPLE_CHARACTERS, ColumnSort, SampledColumn, SampledTable, SampleSeen
from gateway.sql.mysql.system import SYSTEM_SCHEMAS
from gateway.sql.mysql.views import quoted
from gateway_mysql.wire.capabilities import Capability
from gateway_mysql.wire.upstream import Row, UpstreamRefused, run_queries

_STATEMENT_SECONDS: Final = 5
_SETTINGS: Final = (
    "SET SESSION TRANSACTION READ ONLY",
    "SET NAMES utf8mb4",
    "SET SESSION sql_mode = '', SESSION lock_wait_timeout = 1, SESSION innodb_lock_wait_timeout = 1",
)
_TIME_LIMITS: Final = (
    f"SET SESSION max_statement_time = {_STATEMENT_SECONDS}",
    f"SET SESSION max_execution_time = {_STATEMENT_SECONDS * 1000}",
)
"""MariaDB's and MySQL's: each knows one of them."""

# Views carry the labels of what they show, and what other engines show is other tables' rows.
_COLUMNS: Final = """
SELECT c.TABLE_SCHEMA, c.TABLE_NAME, c.COLUMN_NAME, c.COLUMN_TYPE, c.DATA_TYPE
FROM information_schema.COLUMNS c
JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME
WHERE t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND {where}
ORDER BY c.TABLE_SCHEMA, c.TABLE_NAME, c.ORDINAL_POSITION
"""
_SORTS: Final = {
    **dict.fromkeys("char varchar tinytext text mediumtext longtext enum set uuid".split(), ColumnSort.TEXT),
    **dict.fromkeys("tinyint smallint mediumint int bigint decimal float double".split(), ColumnSort.NUMBER),
    **dict.fromkeys("date datetime timestamp".split(), ColumnSort.DATE),
    **dict.fromkeys("inet4 inet6".split(), ColumnSort.NETWORK),
    "json": ColumnSort.DOCUMENT,
}


@dataclass(frozen=True, slots=True)
class _Table:
    schema: str
    name: str
    columns: tuple[SampledColumn, ...]


def sample(capabilities: Capability, database: str, *, rows: int, seen: SampleSeen) -> Generator[bytes, bytes, None]:
    """What is said in a session that is logged in (see ``gateway.protocol.optional.SamplesValues``).

    Where the server has no database of that name, all of them are sampled.
    """
    yield from run_queries(_SETTINGS, capabilities)
    for limit in _TIME_LIMITS:
        yield from _ask(limit, capabilities)
    system = ", ".join(f"'{schema}'" for schema in sorted(SYSTEM_SCHEMAS))
    others = f"c.TABLE_SCHEMA NOT IN ({system})"
    one = f"c.TABLE_SCHEMA = CONVERT(0x{database.encode().hex() or '00'} USING utf8mb4)"
    found, _ = yield from _ask(_COLUMNS.format(where=f"{one} AND {others}"), capabilities)
    if not found:
        (found,) = yield from run_queries((_COLUMNS.format(where=others),), capabilities)
    tables = _tables(found)
    for number, table in enumerate(tables, 1):
        seen((yield from _sample(table, rows, capabilities)), number, len(tables))


def _sample(table: _Table, rows: int, capabilities: Capability) -> Generator[bytes, bytes, SampledTable]:
    shown = [column for column in table.columns if column.sort is not ColumnSort.OTHER]
    found: list[Row] = []
    code = 0
    if shown:
        found, code = yield from _ask(_query(table, shown, rows), capabilities)
    by_name = {
        column.name: tuple(value for value in values if value is not None)
        for column, values in zip(shown, zip(*found, strict=True), strict=False)
    }
    return SampledTable(
        table.schema,
        table.name,
        tuple(replace(column, values=by_name.get(column.name, ())) for column in table.columns),
        rows=len(found),
        problem=f"the server answered with error {code}" if code else "",
    )


def _query(table: _Table, shown: Sequence[SampledColumn], rows: int) -> str:
    columns = ", ".join(f"LEFT(CAST({quoted(column.name)} AS CHAR), {MAX_SAMPLE_CHARACTERS})" for column in shown)
    return f"SELECT {columns} FROM {quoted(table.schema)}.{quoted(table.name)} LIMIT {rows}"  # noqa: S608 - quoted


def _tables(rows: Sequence[Row]) -> list[_Table]:
    return [
        _Table(schema or "", name or "", tuple(_column(row[2:]) for row in group))
        for (schema, name), group in groupby(rows, key=lambda row: row[:2])
    ]


def _column(row: Row) -> SampledColumn:
    name, type_name, base = row
    return SampledColumn(name or "", type_name or "", _SORTS.get((base or "").lower(), ColumnSort.OTHER))


def _ask(text: str, capabilities: Capability) -> Generator[bytes, bytes, tuple[list[Row], int]]:
    """The rows of a query that may fail, and the error's number where it did; the session goes on either way."""
    try:
        (rows,) = yield from run_queries((text,), capabilities)
    except UpstreamRefused as error:
        # Not its text, which may quote values.
        return [], error.response.code
    return rows, 0

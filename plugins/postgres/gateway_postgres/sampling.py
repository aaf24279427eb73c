"""Reads some rows of every table, for classification. PostgreSQL 12 to 18.

The session is read-only and short-tempered: it waits for no lock and runs no statement for long. Nothing but columns of
the server's own types is selected, by name, cut to a bounded length by the server. A table that cannot be read (no
privilege, too slow, a foreign server that is down) is reported and passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from gateway.domain.resource import UpstreamCredentials
from gateway.errors import UpstreamError, UpstreamUnavailable
from gateway.protocol.adapter import UpstreamHandle
from gateway.protocol.optional import MAX_SAMPLE_CHARACTERS, ColumnSort, SampledColumn, SampledTable, SampleSeen
from gateway.sql.rebuilt import quote
from gateway_postgres.wire.backend import DataRow, ErrorResponse, ReadyForQuery
from gateway_postgres.wire.framing import FrameBuffer
from gateway_postgres.wire.frontend import Query
from gateway_postgres.wire.upstream import Row, upstream_login

_STATEMENT_SECONDS: Final = 5
_LOCK_SECONDS: Final = 1
_SPARSE: Final = 20
"""A table with more than this many times the wanted rows is sampled block by block instead of read from its start."""
_MARGIN: Final = 4
"""How many times the wanted rows a block sample aims at, since its size is a guess."""
_MAX_TABLE: Final = 64 << 20
"""Bytes of one table's sample; rows beyond it are not kept."""

_SETTINGS: Final = (
    "SET default_transaction_read_only = on",
    "SET search_path = ''",
    "SET DateStyle = 'ISO'",
    f"SET statement_timeout = '{_STATEMENT_SECONDS}s'",
    f"SET lock_timeout = '{_LOCK_SECONDS}s'",
)

# Views, materialised ones too, carry the labels of what they show, and partitions are read through their parent. Tables
# that inherit come last, so that their parents are seen before them.
# "plain": a type of the server's own or a domain, so that showing it as text runs nobody's function.
_COLUMNS: Final = """
SELECT n.nspname, c.relname, c.relkind, c.reltuples, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
       t.typname, t.typcategory, e.typcategory,
       t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace OR t.typtype = 'd' OR t.typname = 'citext' AS plain
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_)'
ORDER BY EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid), n.nspname, c.relname, a.attnum
"""

_SORTS: Final = {
    "S": ColumnSort.TEXT,
    "N": ColumnSort.NUMBER,
    "D": ColumnSort.DATE,
    "I": ColumnSort.NETWORK,
    "A": ColumnSort.LIST,
}
"""By pg_type.typcategory, which a domain has of its base type."""
_DOCUMENTS: Final = frozenset({"json", "jsonb"})
_NO_DATES: Final = frozenset({"time", "timetz"})


@dataclass(frozen=True, slots=True)
class _Table:
    schema: str
    name: str
    kind: str
    estimate: float
    """Rows as the planner believes; not positive where it does not know."""
    columns: tuple[SampledColumn, ...]


def sample(
    credentials: UpstreamCredentials,
    database: str,
    handle: UpstreamHandle,
    *,
    rows: int,
    seen: SampleSeen,
    random: Callable[[int], bytes],
) -> Generator[bytes, bytes, None]:
    """The whole conversation (see ``gateway.protocol.optional.SamplesValues``). ``random`` gives that many bytes."""
    parameters = {
        "user": credentials.username,
        "database": database,
        "application_name": "querygate classify",
        "client_encoding": "UTF8",
    }
    login = yield from upstream_login(parameters, credentials.password, handle, random=random)
    buffer = FrameBuffer(max_message=_MAX_TABLE)
    if login.leftover:
        buffer.feed(login.leftover)
    for setting in _SETTINGS:
        # What this session must not do depends on these.
        yield from _must(buffer, setting)
    tables = _tables((yield from _must(buffer, _COLUMNS)))
    for number, table in enumerate(tables, 1):
        seen((yield from _sample(buffer, table, rows)), number, len(tables))


def _sample(buffer: FrameBuffer, table: _Table, rows: int) -> Generator[bytes, bytes, SampledTable]:
    shown = [column for column in table.columns if column.sort is not ColumnSort.OTHER]
    found: list[Row] = []
    code = ""
    if shown:
        for query in _queries(table, shown, rows):
            found, code = yield from _ask(buffer, query)
            if found or code:
                break
    by_name = {
        column.name: tuple(value for value in values if value is not None)
        for column, values in zip(shown, zip(*found, strict=True), strict=False)
    }
    return SampledTable(
        table.schema,
        table.name,
        tuple(replace(column, values=by_name.get(column.name, ())) for column in table.columns),
        rows=len(found),
        problem=f"the server answered with SQLSTATE {code}" if code else "",
    )


def _queries(table: _Table, shown: Sequence[SampledColumn], rows: int) -> list[str]:
    """What to ask for, in order, until there is an answer with rows."""
    columns = ", ".join(
        f"pg_catalog.left({quote(column.name)}::pg_catalog.text, {MAX_SAMPLE_CHARACTERS})" for column in shown
    )
    # ONLY, since tables that inherit are read on their own; what a partitioned table holds is in its partitions.
    source = f"{'' if table.kind == 'p' else 'ONLY '}{quote(table.schema)}.{quote(table.name)}"
    whole = f"SELECT {columns} FROM {source} LIMIT {rows}"  # noqa: S608 - names of the catalog, quoted
    if table.kind == "f" or table.estimate <= _SPARSE * rows:
        return [whole]
    percent = max(100 * _MARGIN * rows / table.estimate, 1e-6)
    sparse = f"SELECT {columns} FROM {source} TABLESAMPLE SYSTEM ({percent:.6f}) LIMIT {rows}"  # noqa: S608
    return [sparse, whole]


def _tables(rows: Sequence[Row]) -> list[_Table]:
    tables = []
    for (schema, name, kind, estimate), group in groupby(rows, key=lambda row: row[:4]):
        columns = tuple(_column(row[4:]) for row in group)
        tables.append(_Table(schema or "", name or "", kind or "", float(estimate or 0), columns))
    return tables


def _column(row: Row) -> SampledColumn:
    name, type_name, base, category, element, plain = row
    sort = _SORTS.get(category or "", ColumnSort.OTHER)
    if base in _DOCUMENTS:
        sort = ColumnSort.DOCUMENT
    elif base in _NO_DATES or (sort is ColumnSort.LIST and element not in _SORTS):
        sort = ColumnSort.OTHER
    return SampledColumn(name or "", type_name or "", sort if plain == "t" else ColumnSort.OTHER)


# --- queries that may fail ------------------------------------------------------------------------------------------


def _must(buffer: FrameBuffer, sql: str) -> Generator[bytes, bytes, list[Row]]:
    rows, code = yield from _ask(buffer, sql)
    if code:
        raise UpstreamError(f"the server answered with SQLSTATE {code}")
    return rows


def _ask(buffer: FrameBuffer, sql: str) -> Generator[bytes, bytes, tuple[list[Row], str]]:
    """The rows of a simple query, and the SQLSTATE where it failed; the session goes on either way."""
    output = Query(sql.encode()).encode()
    rows: list[Row] = []
    taken, code = 0, ""
    while True:
        while (kind := buffer.next()) is None:
            data = yield output
            output = b""
            if not data:
                raise UpstreamUnavailable("the server hung up")
            buffer.feed(data)
        if kind == DataRow.type:
            taken += buffer.end - buffer.start
            if taken <= _MAX_TABLE:
                rows.append(_text_row(DataRow.decode(buffer.body())))
        elif kind == ErrorResponse.type:
            # Not its text, which may quote values.
            code = ErrorResponse.decode(buffer.body()).code or "unknown"
        elif kind == ReadyForQuery.type:
            return ([] if code else rows), code


def _text_row(row: DataRow) -> Row:
    return tuple(None if value is None else bytes(value).decode("utf-8", "replace") for value in row.values)

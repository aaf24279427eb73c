"""How many rows a statement is about, by the server's optimizer: for whoever has to approve it.

``EXPLAIN`` changes nothing, but it works out what is constant: functions, those in views, too, and subqueries. MariaDB
runs stored functions for that, and commits what these write. A time limit ends neither a function that takes long nor
what MySQL does for a change. So statements are explained that read and write tables alone, with functions of which
each takes next to no time, on a connection that takes one statement in a text and waits for no lock. A read-only
transaction cannot be had: servers refuse to explain a change in one. The optimizer's number is of rows that are looked
at, which a LIMIT or a condition without an index may leave out.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from itertools import groupby
from math import prod
from typing import Final

from gateway.domain.statement import Action, StatementFacts
from gateway.sql.state import MySqlResolution
from gateway_mysql.wire.capabilities import Capability
from gateway_mysql.wire.commands import Parameter
from gateway_mysql.wire.upstream import Row, UpstreamRefused, run_queries

_KINDS: Final = frozenset({"select", "insert", "replace", "update", "delete"})
_ACTIONS: Final = frozenset({Action.READ, Action.INSERT, Action.UPDATE, Action.DELETE})
_CHEAP: Final = frozenset(
    """count sum avg min max coalesce ifnull nullif if isnull now current_timestamp current_date current_time curdate
    curtime date date_add date_sub adddate subdate datediff timestampdiff year quarter month week day hour minute second
    last_day unix_timestamp from_unixtime lower upper lcase ucase trim ltrim rtrim left right length char_length abs
    ceil ceiling floor round sign mod greatest least cast""".split()
)
"""Functions that take next to no time, whatever they are given."""
_DANGEROUS: Final = re.compile(r"/\*m?[!+]|\b(?:regexp|rlike)\b", re.IGNORECASE)
"""What another version of the server could read otherwise, and patterns, which can take for ever."""
_SELECT: Final = re.compile(r"\bselect\b", re.IGNORECASE)
_LONGEST: Final = 16 * 1024
"""Characters of a text, and bytes of its parameters."""
_OUTERMOST: Final = frozenset({"SIMPLE", "PRIMARY", "UNION", "UPDATE", "DELETE", "INSERT", "REPLACE"})
_NO_ROW: Final = ("Impossible ", "no matching row", "No matching rows")
"""How ``Extra`` begins where the optimizer knows that nothing matches."""
_SETTINGS: Final = (
    "SET NAMES utf8mb4",
    "SET SESSION lock_wait_timeout = 1, SESSION innodb_lock_wait_timeout = 1, SESSION autocommit = 0",
    "SET SESSION optimizer_search_depth = 3",  # as many tables as there may be, in no time
)
_MARIADB_LIMIT: Final = "SET SESSION max_statement_time = 1"
_MYSQL_LIMIT: Final = "SET SESSION max_execution_time = 1000"
"""The latter is for SELECT alone."""


def may_be_estimated(facts: StatementFacts, text: str, state: MySqlResolution) -> bool:
    """Whether explaining the statement is sure to run nobody's code, and its names mean what the session means."""
    return (
        facts.kind in _KINDS
        and facts.actions <= _ACTIONS
        and not facts.opaque
        and not facts.reads_everything
        and state.known
        and not state.oracle
        and not state.temporary_objects
        and all(relation.kind == "table" for relation in facts.objects_read | facts.objects_written)
        and all(not function.schema and function.name in _CHEAP for function in facts.functions)
        and len(text) <= _LONGEST
        and not _DANGEROUS.search(text)
        # What subqueries read for a change has no time limit on MySQL.
        and (state.mariadb or len(_SELECT.findall(text)) <= (facts.kind not in ("update", "delete")))
    )


def estimate(
    capabilities: Capability, text: str, state: MySqlResolution, bound: Sequence[Parameter] | None
) -> Generator[bytes, bytes, int | None]:
    """What is said in a session that is logged in. A statement that the server refuses to explain gives None."""
    # Each server has a word that no other sort of EXPLAIN can stand behind.
    explain = f"EXPLAIN {'EXTENDED' if state.mariadb else 'FORMAT=TRADITIONAL'} {text}"
    limit = _MARIADB_LIMIT if state.mariadb else _MYSQL_LIMIT
    settings = (*_SETTINGS, limit, f"SET SESSION sql_mode = '{_modes(state)}'")
    if sum(len(value) for value in bound or () if isinstance(value, str | bytes)) > _LONGEST:
        return None
    yield from run_queries(settings, capabilities)
    try:
        if bound is None:
            (plan,) = yield from run_queries((explain,), capabilities)
        else:
            names = [f"@p{number}" for number in range(len(bound))]
            values = [f"SET {name} = {_literal(value)}" for name, value in zip(names, bound, strict=True)]
            prepare = (f"SET @q = {_literal(explain)}", "PREPARE q FROM @q")
            execute = f"EXECUTE q USING {', '.join(names)}" if names else "EXECUTE q"
            *_, plan = yield from run_queries((*values, *prepare, execute), capabilities)
    except UpstreamRefused:
        return None
    return planned_rows(plan)


def planned_rows(plan: Sequence[Row]) -> int | None:
    """The number of rows in EXPLAIN's table: of each query that is not inside another, and of all of these together.

    The last columns are ``rows``, ``filtered`` (percent) and ``Extra`` on every server.
    """
    total: int | None = None
    for _, group in groupby(plan, key=lambda row: row[0]):
        tables = [row for row in group if row[1] in _OUTERMOST]
        counts = [_looked_at(row) for row in tables]
        known = [count for count in counts if count is not None]
        if known:
            total = (total or 0) + round(prod(known))
    return total


def _looked_at(row: Row) -> float | None:
    rows, filtered, extra = row[-3:]
    if rows is not None:
        return float(rows) * (100 if filtered is None else float(filtered)) / 100
    return 0 if (extra or "").startswith(_NO_ROW) else None


def _modes(state: MySqlResolution) -> str:
    modes = {
        "ANSI_QUOTES": state.ansi_quotes,
        "NO_BACKSLASH_ESCAPES": state.no_backslash_escapes,
        "PIPES_AS_CONCAT": state.pipes_as_concat,
        "IGNORE_SPACE": state.ignore_space,
        "HIGH_NOT_PRECEDENCE": state.high_not_precedence,
    }
    return ",".join(mode for mode, on in modes.items() if on)


def _literal(value: Parameter) -> str:
    match value:
        case None:
            return "NULL"
        case str():
            return f"CONVERT(0x{value.encode().hex()} USING utf8mb4)" if value else "''"
        case bytes():
            return f"0x{value.hex()}" if value else "''"
        case _:
            return repr(value)

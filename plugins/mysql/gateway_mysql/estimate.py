"""How many rows a statement is about, by the server's optimizer: for whoever has to approve it.

``EXPLAIN`` changes nothing, but it may work out what is constant: functions, and subqueries that cost little. So only
statements whose functions compute from their arguments and nothing else are explained, on a connection that takes one
statement in a text and waits for no lock. A read-only transaction cannot be had: servers refuse to explain a change in
one. The optimizer's number is of rows that are looked at, which a LIMIT or a condition without an index may leave out.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import groupby
from math import prod
from typing import Final

from gateway.domain.statement import Action, StatementFacts
from gateway.sql.mysql.functions import ACTING
from gateway.sql.state import MySqlResolution
from gateway_mysql.wire.capabilities import Capability
from gateway_mysql.wire.commands import Parameter
from gateway_mysql.wire.upstream import Row, UpstreamRefused, run_queries

_KINDS: Final = frozenset({"select", "insert", "replace", "update", "delete"})
_ACTIONS: Final = frozenset({Action.READ, Action.INSERT, Action.UPDATE, Action.DELETE})
_OUTERMOST: Final = frozenset({"SIMPLE", "PRIMARY", "UNION", "UPDATE", "DELETE", "INSERT", "REPLACE"})
_NO_ROW: Final = ("Impossible ", "no matching row", "No matching rows")
"""How ``Extra`` begins where the optimizer knows that nothing matches."""
_SETTINGS: Final = (
    "SET NAMES utf8mb4",
    "SET SESSION lock_wait_timeout = 1, SESSION innodb_lock_wait_timeout = 1, SESSION autocommit = 1",
)


def may_be_estimated(facts: StatementFacts, state: MySqlResolution) -> bool:
    """Whether explaining the statement is sure to run nobody's code, and its names mean what the session means."""
    return (
        facts.kind in _KINDS
        and facts.actions <= _ACTIONS
        and not facts.opaque
        and not facts.reads_everything
        and state.known
        and not state.oracle
        and not state.temporary_objects
        and all(not function.schema and function.name not in ACTING for function in facts.functions)
    )


def estimate(
    capabilities: Capability, text: str, state: MySqlResolution, bound: Sequence[Parameter] | None
) -> Generator[bytes, bytes, int | None]:
    """What is said in a session that is logged in. A statement that the server refuses to explain gives None."""
    # MySQL has forgotten the word, and tells the same without it.
    explain = f"EXPLAIN {'EXTENDED ' if state.mariadb else ''}{text}"
    settings = (*_SETTINGS, f"SET SESSION sql_mode = '{_modes(state)}'")
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

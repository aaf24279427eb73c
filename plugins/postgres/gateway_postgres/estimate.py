"""How many rows a statement is about, by PostgreSQL's planner: for whoever has to approve it.

``EXPLAIN`` runs nothing, but the planner evaluates functions that claim to be immutable, those in views, too. So only
statements over tables are explained whose functions are all the server's own, none of which makes much of little, in a
read-only transaction, and by the extended protocol, in which a text cannot hold a second statement. Bound parameters go
along where their types, too, are all the server's own: reading a value of another type is somebody's code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import Final

from gateway.domain.resource import UpstreamCredentials
from gateway.domain.statement import StatementFacts
from gateway.protocol.adapter import Farewell, UpstreamHandle
from gateway.sql.state import NameResolution
from gateway_postgres.parameters import BoundParameters
from gateway_postgres.wire.frontend import Terminate
from gateway_postgres.wire.upstream import run_prepared, run_queries, upstream_login

_KINDS: Final = frozenset({"select", "insert", "update", "delete", "merge"})
_BIG: Final = frozenset("repeat lpad rpad format array_fill".split())
"""Functions that make something big of a short text."""
_SETUP: Final = (
    "SET default_transaction_read_only = on",
    "SET lock_timeout = '200ms'",
    "SET statement_timeout = '1s'",
)


def may_be_estimated(facts: StatementFacts, state: NameResolution) -> bool:
    """Whether planning the statement is sure to run nobody's code, and its names mean what they mean to the session."""
    return (
        facts.kind in _KINDS
        and not facts.opaque
        and not facts.reads_everything
        and not state.temporary_objects
        and state.search_path is not None
        and all(relation.kind == "table" for relation in facts.objects_read | facts.objects_written)
        and all(function.schema == "pg_catalog" and function.name not in _BIG for function in facts.functions)
    )


def estimate(
    credentials: UpstreamCredentials,
    database: str,
    handle: UpstreamHandle,
    text: str,
    state: NameResolution,
    bound: BoundParameters | None,
    *,
    random: Callable[[int], bytes],
) -> Generator[bytes, bytes, Farewell]:
    """The whole conversation. A statement that the planner refuses gives None."""
    parameters = {"user": credentials.username, "database": database, "client_encoding": "UTF8"}
    login = yield from upstream_login(parameters, credentials.password, handle, random=random)
    path = ", ".join(_quoted(state.role if name == "$user" else name, '"') for name in state.search_path or ())
    choose = f"SELECT pg_catalog.set_config('search_path', {_quoted(path, chr(39))}, false)"
    yield from run_queries((*_SETUP, choose), leftover=login.leftover)
    arguments = None if bound is None else bound.arguments()
    rows = None
    if bound is None or arguments is not None:
        rows = yield from run_prepared(f"EXPLAIN (FORMAT JSON) {text}", arguments)
    return Farewell(None if rows is None else planned_rows(rows[0][0] or ""), Terminate().encode())


def planned_rows(plan: str) -> int | None:
    """The number of rows in a plan (EXPLAIN's JSON): of what is read, where the top only writes it."""
    try:
        node = json.loads(plan)[0]["Plan"]
        while node["Node Type"] == "ModifyTable":
            node = node["Plans"][0]
        return int(node["Plan Rows"])
    except (ValueError, LookupError, TypeError):
        return None


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, mark * 2) + mark

"""The differential method on MariaDB: what comes out of a statement that runs is compared with what is claimed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from gateway.domain.statement import ACTION_GROUPS, Analysis, ColumnRef, StatementFacts
from gateway.sql.analyse import analyse
from gateway.sql.catalog import Catalog
from gateway.sql.state import MySqlResolution
from gateway_mysql.catalog import CATALOG_QUERIES, build_catalog

Connection = Any  # of PyMySQL, which says nothing of its types

SCHEMA = Path(__file__).with_name("shop.sql").read_text()
STATE = MySqlResolution(database="canary", version=(10, 11, 6))
_MARK = re.compile(r"canary\.([a-z_0-9]+)\.([a-z]+)", re.IGNORECASE)
_WRITES = ACTION_GROUPS["write"]
_SPELLED = {("mixed", "secretname"): ("Mixed", "SecretName"), ("2024_sales", "backtick"): ("2024_sales", "back`tick")}
_SPELLED[("2024_sales", "grosse")] = ("2024_sales", "größe")


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
            results.append([tuple(None if v is None else str(v) for v in row) for row in cursor.fetchall()])
    return build_catalog(results)


def marked(text: str) -> set[ColumnRef]:
    """The columns whose values are in a text."""
    found = set()
    for table, column in _MARK.findall(text):
        key = (table.lower(), column.lower())
        if key[0] == "other_users":
            found.add(ColumnRef("other", "users", key[1]))
        else:
            found.add(ColumnRef("canary", *_SPELLED.get(key, key)))
    return found


def check(connection: Connection, catalog: Catalog, text: str, state: MySqlResolution = STATE) -> Outcome:
    """Run ``text`` in a transaction that is rolled back and compare every row with the last statement's outputs."""
    analysis = analyse(text, state, catalog, dialect="mysql")
    rows: list[tuple[Any, ...]] = []
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            cursor.execute(text)
            rows = list(cursor.fetchall())
            fields = cursor.description or ()
        except (pymysql.MySQLError, UnicodeError) as error:
            return Outcome(analysis, (), str(error))
        finally:
            cursor.execute("ROLLBACK")
    origins = [(field.db, field.org_table, field.org_name) for field in getattr(cursor._result, "fields", None) or ()]
    facts = analysis.statements[-1]
    leaks: list[str] = []
    for column in range(len(fields)):
        came: set[ColumnRef] = set().union(*(marked(_text(row[column])) for row in rows))
        leaks += _claims(facts, column, len(fields), came)
        if facts.outputs is not None and len(facts.outputs) == len(fields) and facts.outputs[column].bare:
            # What the server names may only be there in addition.
            origin = catalog.origin_by_name(*origins[column]) if column < len(origins) else frozenset()
            if origin and not facts.actions & _WRITES and not came <= origin | facts.outputs[column].sources:
                leaks.append(f"origin of column {column + 1}")
    return Outcome(analysis, tuple(sorted(leaks)), None, len(fields))


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _claims(facts: StatementFacts, column: int, width: int, came: set[ColumnRef]) -> list[str]:
    """The claims about one result column that what came out of it contradicts."""
    wrong = []
    if facts.outputs is not None and len(facts.outputs) == width and facts.outputs[column].proven:
        wrong += [f"column {column + 1}: {one}" for one in came - facts.outputs[column].sources]
    if not facts.reads_everything:
        wrong += [f"columns_read: {one}" for one in came - facts.columns_read]
    return wrong

"""Reads the definitions in a catalog of MySQL's."""

from __future__ import annotations

from gateway.domain.statement import ColumnRef
from gateway.sql.catalog import Catalog, Relation
from gateway.sql.facts import parse_rebuilt
from gateway.sql.lexer import LexError
from gateway.sql.mysql.lexer import tokenize
from gateway.sql.mysql.queries import rebuild
from gateway.sql.mysql.walk import MySqlWalk
from gateway.sql.rebuilt import Unsupported
from gateway.sql.scope import Rows
from gateway.sql.state import MySqlResolution
from gateway.sql.walk import NO_CTES

# The server prints definitions with every name qualified and in backticks.
_STATE = MySqlResolution(lower_case_table_names=1)


def fold(name: str) -> str:
    """Columns have no case; two tables that differ in case alone are both out of reach."""
    return name.lower()


class MySqlDefinitions:
    """Implements ``gateway.sql.views.Definitions``."""

    def fold(self, name: str) -> str:
        """A name in lower case."""
        return fold(name)

    def evaluate(self, catalog: Catalog, definition: str) -> tuple[Rows, frozenset[ColumnRef]]:
        """The columns of a query, and every column it looks at."""
        walk = MySqlWalk(_STATE, catalog, definition=True)
        try:
            rows = walk.query(parse_rebuilt(rebuild(walk, tokenize(definition, _STATE))), None, NO_CTES)
        except (LexError, Unsupported):
            return Rows((), complete=False), frozenset(walk.read)
        if walk.nothing_proven:
            rows = Rows(rows.columns, complete=False)
        return rows, frozenset(walk.read)

    def select(self, expression: str, relation: Relation) -> str:
        """A query for an expression over a relation's columns."""
        return f"SELECT ({expression}) FROM {quoted(relation.schema)}.{quoted(relation.name)}"  # noqa: S608 - never run


def quoted(name: str) -> str:
    """A name in backticks."""
    return "`" + name.replace("`", "``") + "`"

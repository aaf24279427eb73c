"""The optimizer's table of MySQL 8, which has a column more than MariaDB's, as its manual shows it."""

from __future__ import annotations

import pytest

from gateway_mysql.estimate import planned_rows
from gateway_mysql.wire.upstream import Row


def row(query: str, kind: str, rows: str | None, filtered: str | None = "100.00", extra: str | None = None) -> Row:
    table = None if rows is None else "orders"
    return (query, kind, table, None, "ALL", None, None, None, None, rows, filtered, extra)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ([row("1", "DELETE", "5000", "33.33", "Using where")], 1666),
        ([row("1", "INSERT", None, None), row("1", "SIMPLE", "400")], 400),
        ([row("1", "UPDATE", "10"), row("1", "SIMPLE", "25", "50.00")], 125),
        ([row("1", "PRIMARY", "10"), row("2", "DEPENDENT SUBQUERY", "99999")], 10),
        ([row("1", "PRIMARY", "10"), row("2", "UNION", "20"), (None, "UNION RESULT", *row("", "", None)[2:])], 30),
        ([row("1", "SIMPLE", None, None, "no matching row in const table")], 0),
        ([row("1", "SIMPLE", None, None, "No tables used")], None),
        ([], None),
    ],
)
def test_the_rows_of_a_plan_are_those_of_its_outermost_queries(plan: list[Row], expected: int | None) -> None:
    assert planned_rows(plan) == expected

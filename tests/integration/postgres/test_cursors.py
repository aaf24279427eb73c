"""Cursors of SQL for people under a mask: what FETCH shows is masked as the query would be."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.fixtures.gateway import ANALYST, RunningGateway


@pytest.fixture
def analyst(plain_gateway: RunningGateway) -> psycopg.Connection[Any]:
    return psycopg.connect(plain_gateway.conninfo(ANALYST))


def test_a_drivers_named_cursor_reads_masked_rows(analyst: psycopg.Connection[Any]) -> None:
    with analyst, analyst.cursor("report") as cursor:
        cursor.execute("SELECT id, email, city FROM customers WHERE id <= %s ORDER BY id", [30])
        cursor.itersize = 7
        rows = list(cursor)
    assert [row[0] for row in rows] == list(range(1, 31))
    assert {row[1] for row in rows} == {"****"}
    assert len({row[2] for row in rows}) > 1


def test_everything_in_one_text(plain_gateway: RunningGateway) -> None:
    with psycopg.connect(plain_gateway.conninfo(ANALYST), autocommit=True) as connection:
        text = "BEGIN; DECLARE c BINARY CURSOR FOR SELECT email, id FROM customers ORDER BY id; FETCH 2 FROM c; COMMIT"
        cursor = connection.execute(text)
        cursor.nextset()
        cursor.nextset()
        assert [row[0] for row in cursor.fetchall()] == ["****", "****"]


def test_with_hold_lives_on_and_a_name_is_used_again_after_close(plain_gateway: RunningGateway) -> None:
    with psycopg.connect(plain_gateway.conninfo(ANALYST), autocommit=True) as connection:
        connection.execute("DECLARE c CURSOR WITH HOLD FOR SELECT city FROM customers")
        assert connection.execute("FETCH 1 FROM c").fetchone() != ("****",)
        connection.execute("CLOSE c")
        connection.execute("DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customers")
        assert connection.execute("FETCH 1 FROM c").fetchone() == ("****",)
        assert connection.execute("MOVE 2 FROM c").statusmessage == "MOVE 2"
        connection.execute("CLOSE ALL")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("FETCH 1 FROM c")


def test_a_name_that_could_mean_two_queries_is_not_fetched(analyst: psycopg.Connection[Any]) -> None:
    with analyst:
        analyst.execute("DECLARE c CURSOR FOR SELECT email FROM customers")
        analyst.execute("SAVEPOINT a")
        with pytest.raises(errors.DuplicateCursor):
            analyst.execute("DECLARE c CURSOR FOR SELECT city FROM customers")
        analyst.execute("ROLLBACK TO a")
        with pytest.raises(errors.InsufficientPrivilege):
            analyst.execute("FETCH 1 FROM c")


def test_code_that_opens_cursors_is_still_refused(analyst: psycopg.Connection[Any]) -> None:
    with analyst:
        analyst.execute("DECLARE c CURSOR FOR SELECT email FROM customers")
        with pytest.raises(errors.InsufficientPrivilege):
            analyst.execute("SELECT cursor_to_xml('c', 10, true, false, '')")

"""Limits that policies set, as clients meet them: budgets, changed rows, masks that come back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import errors

from gateway.testing.servers.postgres import PostgresServer
from gateway.testing.shop import create_shop
from tests.fixtures.gateway import ADMIN, ANALYST, SUPPORT, RunningGateway, StartGateway

AGENT = "copilot"
CHANGES = 5
CELLS = 30


def _limits(config: dict[str, Any]) -> None:
    config["principals"].append(
        {"name": AGENT, "kind": "agent", "groups": ["support"], "acts_for": SUPPORT, "token": {"env": "TEST_TOKEN"}}
    )
    # A principal for each budget, so that the tests do not spend each other's.
    for name in ("rows", "statements", "computed", "copies"):
        config["principals"].append(
            {"name": name, "kind": "human", "groups": ["support", name], "token": {"env": "TEST_TOKEN"}}
        )
    config["policies"] += [
        {"name": "few-changes", "effect": "limit", "match": {"groups": ["analysts", "support"]},
         "limit": {"changes": CHANGES}},
        {"name": "few-emails", "effect": "limit", "match": {"groups": ["support"], "labels": ["pii.email"]},
         "limit": {"budget": {"cells": CELLS, "per": "1h"}}},
        {"name": "few-rows", "effect": "limit", "match": {"groups": ["rows", "copies"]},
         "limit": {"budget": {"rows": 100, "per": "1h"}}},
        {"name": "few-statements", "effect": "limit", "match": {"groups": ["statements"]},
         "limit": {"budget": {"statements": 10, "per": "1h"}}},
    ]  # fmt: skip


@pytest.fixture(scope="module")
def limited(start_gateway: StartGateway, postgres_server: PostgresServer) -> RunningGateway:
    shop = create_shop(postgres_server, database="limits", user="limits_owner")
    return start_gateway(shop, change=_limits)


def connect(gateway: RunningGateway, user: str, **options: Any) -> psycopg.Connection:
    return psycopg.connect(gateway.conninfo(user), **options)


def _count(gateway: RunningGateway, status: str) -> int:
    with connect(gateway, ADMIN) as connection:
        row = connection.execute("SELECT count(*) FROM orders WHERE ship_to = %s", [status]).fetchone()
    assert row is not None
    return int(row[0])


# --- changed rows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("simple", [True, False])
@pytest.mark.parametrize("autocommit", [True, False])
def test_too_many_changes_are_undone(limited: RunningGateway, simple: bool, autocommit: bool) -> None:
    mark = f"changed {simple} {autocommit}"
    with connect(limited, SUPPORT, autocommit=autocommit) as connection:
        cursor = psycopg.ClientCursor(connection) if simple else connection.cursor()
        cursor.execute("UPDATE orders SET ship_to = %s WHERE id = 1", [mark])
        with pytest.raises(errors.ProgramLimitExceeded, match="more rows than policy allows"):
            cursor.execute("UPDATE orders SET ship_to = %s WHERE id <= %s", [mark, 50])
        connection.commit()  # of a transaction that failed, if there is one: PostgreSQL rolls it back
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert _count(limited, mark) == (1 if autocommit else 0)


@pytest.mark.parametrize("simple", [True, False])
def test_few_changes_are_made(limited: RunningGateway, simple: bool) -> None:
    mark = f"few {simple}"
    with connect(limited, SUPPORT, autocommit=True) as connection:
        cursor = psycopg.ClientCursor(connection) if simple else connection.cursor()
        cursor.execute("UPDATE orders SET ship_to = %s WHERE id IN (1, 2, 3)", [mark])
        assert (cursor.statusmessage, connection.info.transaction_status) == ("UPDATE 3", 0)
        cursor.execute("UPDATE orders SET ship_to = %s WHERE id IN (4, 5) RETURNING id", [mark])
        assert sorted(cursor.fetchall()) == [(4,), (5,)]
    assert _count(limited, mark) == 5


def test_changes_in_a_pipeline(limited: RunningGateway) -> None:
    def run() -> None:
        with connection.pipeline():
            for where in ("id = 1", "id < 60", "id = 2"):
                connection.execute(f"UPDATE orders SET ship_to = 'pipe' WHERE {where}")

    with connect(limited, SUPPORT, autocommit=True) as connection:
        with pytest.raises(errors.ProgramLimitExceeded):
            run()
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert _count(limited, "pipe") == 0


def test_several_statements_in_one_text(limited: RunningGateway) -> None:
    with connect(limited, SUPPORT, autocommit=True) as connection:
        text = "UPDATE orders SET ship_to = 'many' WHERE id = 1; UPDATE orders SET ship_to = 'many' WHERE id < 60"
        with pytest.raises(errors.ProgramLimitExceeded):
            connection.execute(text)
        connection.execute("SELECT 1; UPDATE orders SET ship_to = 'two' WHERE id = 1")
        with pytest.raises(errors.ProgramLimitExceeded):
            connection.execute("BEGIN; UPDATE orders SET ship_to = 'many' WHERE id < 60; COMMIT")
    assert (_count(limited, "many"), _count(limited, "two")) == (0, 1)


def test_what_cannot_be_counted_is_refused(limited: RunningGateway) -> None:
    with connect(limited, SUPPORT, autocommit=True) as connection:
        for text in (
            "WITH gone AS (DELETE FROM order_items WHERE order_id > 0 RETURNING 1) SELECT count(*) FROM gone",
            "WITH gone AS (DELETE FROM order_items WHERE order_id > 0)"
            " INSERT INTO products (sku, name, category, price) VALUES ('a', 'b', 'c', 1)",
        ):
            with pytest.raises(errors.ProgramLimitExceeded):
                connection.execute(text)
        assert connection.execute("SELECT count(*) > 100 FROM order_items").fetchone() == (True,)


@pytest.mark.parametrize("number", [CHANGES, CHANGES + 1])
def test_copy_in_is_counted(limited: RunningGateway, number: int) -> None:
    def copy_in() -> None:
        with connection.cursor().copy("COPY products (sku, name, category, price) FROM STDIN") as copy:
            for index in range(number):
                copy.write_row([f"copy-{number}-{index}", "x", f"copied {number}", 1])

    with connect(limited, SUPPORT, autocommit=True) as connection:
        if number > CHANGES:
            with pytest.raises(errors.ProgramLimitExceeded):
                copy_in()
        else:
            copy_in()
        found = connection.execute("SELECT count(*) FROM products WHERE category = %s", [f"copied {number}"]).fetchone()
    assert found == (number if number <= CHANGES else 0,)


def test_a_deferred_constraint_fails_at_the_hidden_commit(limited: RunningGateway, postgres_server: object) -> None:
    with connect(limited, ADMIN, autocommit=True) as connection:
        connection.execute("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    with connect(limited, SUPPORT, autocommit=True) as connection:
        with pytest.raises(errors.UniqueViolation):
            psycopg.ClientCursor(connection).execute("INSERT INTO late VALUES (1), (1)")
        assert connection.execute("SELECT count(*) FROM late").fetchone() == (0,)


def test_changes_fetched_in_parts_are_undone(limited: RunningGateway) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=limited.port, user=SUPPORT, password=limited.token, database="shop-prod", ssl=False
        )
        try:
            with pytest.raises(asyncpg.ProgramLimitExceededError):
                await connection.fetchrow("UPDATE orders SET ship_to = 'parts' WHERE id < 60 RETURNING id")
        finally:
            await connection.close()

    asyncio.run(run())
    assert _count(limited, "parts") == 0


# --- budgets ----------------------------------------------------------------------------------------------------------


def test_emails_are_counted_over_sessions_and_agents(limited: RunningGateway) -> None:
    with connect(limited, SUPPORT, autocommit=True) as connection:
        rows = connection.execute("SELECT id, email FROM customers ORDER BY id LIMIT 20").fetchall()
        assert len({email for _, email in rows}) == 20
        assert all("@" in email for _, email in rows)
    with connect(limited, AGENT, autocommit=True) as connection:
        cursor = connection.cursor()
        with pytest.raises(errors.ProgramLimitExceeded, match="budget") as caught:
            cursor.execute("SELECT email FROM customers ORDER BY id LIMIT 20")
        assert "free again in" in (caught.value.diag.message_hint or "")
        assert connection.execute("SELECT count(*) FROM orders").fetchone() is not None
    with connect(limited, SUPPORT, autocommit=True) as connection:
        with pytest.raises(errors.ProgramLimitExceeded):
            connection.execute("SELECT email FROM customers LIMIT 1")
        assert len(connection.execute("SELECT id, city FROM customers LIMIT 50").fetchall()) == 50
    outcomes = [json.loads(line) for line in limited.audit_text().splitlines() if "budget" in line or "limited" in line]
    assert outcomes


def test_values_made_of_many_count_as_many(limited: RunningGateway) -> None:
    with connect(limited, "computed", autocommit=True) as connection:
        with pytest.raises(errors.ProgramLimitExceeded):
            connection.execute("SELECT string_agg(email, ',') FROM customers")
        assert connection.execute("SELECT upper(email) FROM customers WHERE id = 1").fetchone() is not None
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("CREATE TEMP TABLE hoard AS SELECT email FROM customers")
        with pytest.raises(errors.InvalidTextRepresentation) as caught:
            connection.execute("SELECT string_agg(email, ',')::int FROM customers")
        assert "@" not in str(caught.value)


def test_rows_and_statements(limited: RunningGateway) -> None:
    with connect(limited, "rows", autocommit=True) as connection:
        assert len(connection.execute("SELECT id FROM customers LIMIT 60").fetchall()) == 60
        with pytest.raises(errors.ProgramLimitExceeded):
            connection.execute("SELECT id FROM customers LIMIT 60")
        with pytest.raises(errors.ProgramLimitExceeded):
            connection.execute("SELECT 1")
    with connect(limited, "statements", autocommit=True) as connection:
        for _ in range(10):
            connection.execute("SELECT 1")
        with pytest.raises(errors.ProgramLimitExceeded):
            connection.execute("SELECT 1")


def test_copied_rows_are_counted(limited: RunningGateway) -> None:
    received: list[tuple[Any, ...]] = []

    def copy_out() -> None:
        with connection.cursor().copy("COPY (SELECT id, total FROM orders) TO STDOUT") as copy:
            received.extend(copy.rows())

    with connect(limited, "copies", autocommit=True) as connection, pytest.raises(errors.ProgramLimitExceeded):
        copy_out()
    assert len(received) == 100


# --- masks that come back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("simple", [True, False])
def test_masks_are_not_stored(limited: RunningGateway, simple: bool) -> None:
    with connect(limited, ANALYST, autocommit=True) as connection:
        cursor = psycopg.ClientCursor(connection) if simple else connection.cursor()
        row = cursor.execute("SELECT email FROM customers WHERE id = 3").fetchone()
        assert row == ("****",)
        with pytest.raises(errors.InsufficientPrivilege, match="masked value"):
            cursor.execute("UPDATE customers SET email = %s, city = %s WHERE id = 3", [*row, "Oslo"])
        cursor.execute("UPDATE customers SET city = %s WHERE id = 3", ["****"])
        cursor.execute("UPDATE customers SET email = %s WHERE id = 3", [f"new{simple}@example.com"])

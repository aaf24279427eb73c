"""What the audit shows of bound parameters, as real drivers send them."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import msgspec
import psycopg

from gateway.audit.events import EventFilter
from gateway.audit.reader import last_events
from gateway.audit.verify import verify
from tests.fixtures.gateway import ADMIN, RESOURCE, RunningGateway
from tests.fixtures.waiting import eventually


def recorded(gateway: RunningGateway, part: str) -> list[dict[str, Any]]:
    """The outcomes of statements whose text has ``part``, once the audit has written them."""
    directory = gateway.folder / "data" / "audit"
    found = eventually(lambda: last_events(directory, EventFilter(text=part, outcome="success"), 10))
    return [msgspec.json.decode(item.line)["unmapped"] for item in found]


def test_text_parameters_of_psycopg(plain_gateway: RunningGateway) -> None:
    with psycopg.connect(plain_gateway.conninfo(), autocommit=True) as connection:
        connection.execute("SELECT %s::text AS told_by_psycopg, %s::text", ("größer", None)).fetchall()
    [found] = recorded(plain_gateway, "told_by_psycopg")
    assert found["parameters"] == 2
    assert found["parameter_values"] == ["größer", None]


def test_binary_parameters_of_asyncpg_are_shown_by_the_types_that_the_server_told(
    plain_gateway: RunningGateway,
) -> None:
    async def work() -> None:
        opened = await asyncpg.connect(
            host="127.0.0.1",
            port=plain_gateway.port,
            user=ADMIN,
            password=plain_gateway.token,
            database=RESOURCE,
            ssl=False,
        )
        try:
            statement = "SELECT $1::int AS told_by_asyncpg, $2::float8, $3::bool, $4::bytea"
            await opened.fetchrow(statement, 4711, 1.5, True, b"\xff")
        finally:
            await opened.close()

    asyncio.run(work())
    [found] = recorded(plain_gateway, "told_by_asyncpg")
    assert found["parameter_values"] == [4711, 1.5, True, "\\xff"]
    assert verify(plain_gateway.folder / "data" / "audit").ok

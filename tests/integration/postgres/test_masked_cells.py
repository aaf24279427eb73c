"""What the audit counts as masked, by label, is what the client can count in what it got."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import ClientCursor, errors

from gateway.audit.verify import verify
from gateway.testing.shop import Shop
from tests.fixtures.audit import masked_in
from tests.fixtures.gateway import ANALYST, RESOURCE, Config, RunningGateway, StartGateway

EMAIL, CARD, CONTACT = "pii.email", "pci.card_number", "contact"
NULL = None


def _two_labels(config: Config) -> None:
    """E-mails have two labels; the oldest rows only are let out at once."""
    config["classifications"].append({"resource": RESOURCE, "label": CONTACT, "columns": ["public.customers.email"]})
    for policy in config["policies"]:
        if policy["name"] == "mask-personal-data":
            policy["match"]["labels"].append(CONTACT)
    config["policies"].append(
        {"name": "fifty", "effect": "limit", "match": {"groups": ["analysts"]}, "limit": {"rows": 50}}
    )


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, shop_database: Shop) -> RunningGateway:
    return start_gateway(shop_database, change=_two_labels)


@pytest.fixture
def person(gateway: RunningGateway) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(gateway.conninfo(ANALYST), autocommit=True) as connection:
        yield connection


def masked(gateway: RunningGateway, part: str, count: int = 1) -> list[tuple[int, dict[str, int]]]:
    return masked_in(gateway.folder, part, count)


def seen(rows: list[tuple[Any, ...]], column: int) -> int:
    """How many masked values somebody sees; none of them is the real one."""
    values = [row[column] for row in rows if row[column] is not NULL]
    assert set(values) <= {"****"}
    return len(values)


@pytest.mark.parametrize("binary", [False, True])
def test_two_labels_in_text_and_in_binary(
    gateway: RunningGateway, person: psycopg.Connection[Any], binary: bool
) -> None:
    statement = f"SELECT id, email, card_number AS told_{binary} FROM customers WHERE id <= 40"
    rows = person.cursor(binary=binary).execute(statement).fetchall()
    emails, cards = seen(rows, 1), seen(rows, 2)
    assert 0 < cards < len(rows), "some have no card"
    assert masked(gateway, f"told_{binary}") == [(emails + cards, {EMAIL: emails, CONTACT: emails, CARD: cards})]


def test_null_alone_masks_nothing(gateway: RunningGateway, person: psycopg.Connection[Any]) -> None:
    rows = person.execute("SELECT card_number AS nobodys FROM customers WHERE card_number IS NULL LIMIT 3").fetchall()
    assert rows == [(None,)] * 3
    assert masked(gateway, "nobodys") == [(0, {})]


def test_a_portal_that_is_fetched_in_pieces_is_counted_piece_by_piece(gateway: RunningGateway) -> None:
    async def work() -> list[Any]:
        opened = await asyncpg.connect(
            host=gateway.host, port=gateway.port, user=ANALYST, password=gateway.token, database=RESOURCE, ssl=False
        )
        try:
            async with opened.transaction():
                statement = "SELECT email, card_number AS piecemeal FROM customers WHERE id <= 30"
                return [tuple(row) async for row in opened.cursor(statement, prefetch=7)]
        finally:
            await opened.close()

    rows = asyncio.run(work())
    assert len(rows) == 30
    found = masked(gateway, "piecemeal", 5)
    assert sum(by_label.get(EMAIL, 0) for _, by_label in found) == seen(rows, 0)
    assert sum(by_label.get(CARD, 0) for _, by_label in found) == seen(rows, 1)


def test_a_cursor_that_is_fetched_in_pieces(gateway: RunningGateway, person: psycopg.Connection[Any]) -> None:
    with person.transaction(), person.cursor(name="slowly") as cursor:
        cursor.itersize = 8
        rows = cursor.execute("SELECT email, card_number FROM customers WHERE id <= 20").fetchmany(8)
        rows += cursor.fetchmany(8)
    found = masked(gateway, 'FETCH FORWARD 8 FROM "slowly"', 2)
    assert sum(by_label[EMAIL] for _, by_label in found) == seen(rows, 0) == 16
    assert sum(by_label[CARD] for _, by_label in found) == seen(rows, 1)


def test_expressions_and_aggregates_count_for_every_label_in_them(
    gateway: RunningGateway, person: psycopg.Connection[Any]
) -> None:
    statement = (
        "SELECT email || card_number AS joined_up, max(email) OVER (), count(*) OVER ()"
        " FROM customers WHERE card_number IS NOT NULL AND id <= 20"
    )
    rows = person.execute(statement).fetchall()
    count = seen(rows, 0)
    assert count == seen(rows, 1) == len(rows) == rows[0][2], "what is only counted is not masked"
    assert masked(gateway, "joined_up") == [(2 * count, {EMAIL: 2 * count, CONTACT: 2 * count, CARD: count})]


def test_several_results_of_one_text_add_up(gateway: RunningGateway, person: psycopg.Connection[Any]) -> None:
    cursor = ClientCursor(person)
    cursor.execute(
        "SELECT email AS first_part FROM customers WHERE id <= 3; SELECT 1; SELECT email FROM customers WHERE id <= 4"
    )
    assert masked(gateway, "first_part") == [(7, {EMAIL: 7, CONTACT: 7})]


def test_rows_behind_a_limit_are_not_counted(gateway: RunningGateway, person: psycopg.Connection[Any]) -> None:
    cursor = person.cursor()
    with pytest.raises(errors.Error, match="limit"):
        cursor.execute("SELECT email AS too_many FROM customers")
    assert masked(gateway, "too_many") == [(50, {EMAIL: 50, CONTACT: 50})]


def test_copy_out(gateway: RunningGateway, person: psycopg.Connection[Any]) -> None:
    statement = b"COPY (SELECT email, card_number AS copied_out FROM customers WHERE id <= 30) TO STDOUT"
    with person.cursor().copy(statement) as copy:
        rows = [tuple(None if cell == "\\N" else cell for cell in row) for row in map(_cells, copy)]
    emails, cards = seen(rows, 0), seen(rows, 1)
    assert emails == 30
    assert masked(gateway, "copied_out") == [(30 + cards, {EMAIL: 30, CONTACT: 30, CARD: cards})]
    assert verify(gateway.folder / "data" / "audit").ok


def _cells(line: bytes | memoryview | bytearray) -> list[str]:
    return bytes(line).decode().rstrip("\n").split("\t")

"""What the audit counts as masked, by label, is what the client can count in what it got."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import mysql.connector
import pymysql
import pytest
from pymysql.constants import CLIENT
from pymysql.cursors import SSCursor

from gateway.audit.verify import verify
from gateway.testing.shop_mariadb import MariaDbShop
from tests.fixtures.audit import masked_in
from tests.fixtures.gateway import ANALYST, RESOURCE
from tests.fixtures.mysql_gateway import Config, MySqlGateway, StartMySqlGateway

EMAIL, CARD, CONTACT = "pii.email", "pci.card_number", "contact"


def _two_labels(config: Config) -> None:
    """E-mails have two labels; only so many rows are let out at once."""
    config["classifications"].append({"resource": RESOURCE, "label": CONTACT, "columns": ["shop.customers.email"]})
    for policy in config["policies"]:
        if policy["name"] == "mask-personal-data":
            policy["match"]["labels"].append(CONTACT)
    config["policies"].append(
        {"name": "fifty", "effect": "limit", "match": {"groups": ["analysts"]}, "limit": {"rows": 50}}
    )


@pytest.fixture(scope="module")
def gateway(start_mysql_gateway: StartMySqlGateway, mariadb_shop: MariaDbShop) -> MySqlGateway:
    return start_mysql_gateway(mariadb_shop, change=_two_labels)


@pytest.fixture
def person(gateway: MySqlGateway) -> Iterator[Any]:
    with closing(pymysql.connect(**gateway.arguments(ANALYST), client_flag=CLIENT.MULTI_STATEMENTS)) as connection:
        yield connection


def fetched(connection: Any, statement: str) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(statement)
    return list(cursor.fetchall())


def masked(gateway: MySqlGateway, part: str, count: int = 1) -> list[tuple[int, dict[str, int]]]:
    return masked_in(gateway.folder, part, count)


def seen(rows: list[tuple[Any, ...]], column: int) -> int:
    """How many masked values somebody sees; none of them is the real one."""
    values = [row[column] for row in rows if row[column] is not None]
    assert set(values) <= {"****"}
    return len(values)


def test_two_labels_in_text(gateway: MySqlGateway, person: Any) -> None:
    rows = fetched(person, "SELECT id, email, card_number AS told FROM customers WHERE id <= 40")
    emails, cards = seen(rows, 1), seen(rows, 2)
    assert 0 < cards < len(rows), "some have no card"
    assert masked(gateway, "AS told") == [(emails + cards, {EMAIL: emails, CONTACT: emails, CARD: cards})]


def test_two_labels_in_binary(gateway: MySqlGateway) -> None:
    words = {**gateway.arguments(ANALYST), "ssl_disabled": True, "use_pure": True}
    with closing(mysql.connector.connect(**words)) as connection:
        cursor = connection.cursor(prepared=True)
        cursor.execute("SELECT id, email, card_number AS prepared_for FROM customers WHERE id <= ?", (40,))
        rows = [tuple(row) for row in cursor.fetchall()]
    emails, cards = seen(rows, 1), seen(rows, 2)
    assert 0 < cards < len(rows) == 40
    assert masked(gateway, "prepared_for") == [(emails + cards, {EMAIL: emails, CONTACT: emails, CARD: cards})]


def test_null_alone_masks_nothing(gateway: MySqlGateway, person: Any) -> None:
    rows = fetched(person, "SELECT card_number AS nobodys FROM customers WHERE card_number IS NULL LIMIT 3")
    assert rows == [(None,)] * 3
    assert masked(gateway, "nobodys") == [(0, {})]


def test_rows_that_are_read_one_by_one(gateway: MySqlGateway, person: Any) -> None:
    cursor = person.cursor(SSCursor)
    cursor.execute("SELECT email, card_number AS piecemeal FROM customers WHERE id <= 30")
    rows = []
    while row := cursor.fetchone():
        rows.append(row)
    emails, cards = seen(rows, 0), seen(rows, 1)
    assert emails == 30
    assert masked(gateway, "piecemeal") == [(30 + cards, {EMAIL: 30, CONTACT: 30, CARD: cards})]


def test_expressions_and_aggregates_count_for_every_label_in_them(gateway: MySqlGateway, person: Any) -> None:
    rows = fetched(
        person,
        "SELECT concat(email, card_number) AS joined_up, max(email) OVER (), count(*) OVER ()"
        " FROM customers WHERE card_number IS NOT NULL AND id <= 20",
    )
    count = seen(rows, 0)
    assert count == seen(rows, 1) == len(rows) == rows[0][2], "what is only counted is not masked"
    assert masked(gateway, "joined_up") == [(2 * count, {EMAIL: 2 * count, CONTACT: 2 * count, CARD: count})]


def test_several_results_of_one_text_add_up(gateway: MySqlGateway, person: Any) -> None:
    cursor = person.cursor()
    cursor.execute(
        "SELECT email AS first_part FROM customers WHERE id <= 3; SELECT 1; SELECT email FROM customers WHERE id <= 4"
    )
    while cursor.nextset():
        pass
    assert masked(gateway, "first_part") == [(7, {EMAIL: 7, CONTACT: 7})]


def test_rows_behind_a_limit_are_not_counted(gateway: MySqlGateway, person: Any) -> None:
    with pytest.raises(pymysql.err.MySQLError, match="limit"):
        fetched(person, "SELECT email AS too_many FROM customers")
    assert masked(gateway, "too_many") == [(50, {EMAIL: 50, CONTACT: 50})]
    assert verify(gateway.folder / "data" / "audit").ok

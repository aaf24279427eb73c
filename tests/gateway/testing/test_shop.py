"""The sample shop holds what the demo and the tests promise of it."""

from __future__ import annotations

import re

import psycopg

from gateway.testing.shop import SENSITIVE_COLUMNS, Shop
from gateway.testing.shop_data import shop_mysql, shop_sql
from gateway.testing.shop_mariadb import MariaDbShop, sensitive_columns


def test_the_script_is_the_same_every_time() -> None:
    assert shop_sql(20) == shop_sql(20)
    assert shop_sql(20) != shop_sql(20, seed=1)
    assert shop_mysql(20) == shop_mysql(20)


def test_both_databases_hold_the_same_people_and_the_same_money(shop_database: Shop, mariadb_shop: MariaDbShop) -> None:
    question = "SELECT id, full_name, email, birth_date, balance, city FROM customers ORDER BY id"
    assert shop_database.psql(question).replace("|", "\t") == mariadb_shop.sql(question)
    question = "SELECT sum(total), count(*), min(placed_at) FROM orders"
    assert shop_database.psql(question).replace("|", "\t").replace("+00", "") == mariadb_shop.sql(question)


def test_mariadb_has_every_classified_column_and_the_views_hold_rows(mariadb_shop: MariaDbShop) -> None:
    told = mariadb_shop.sql(
        "SELECT CONCAT_WS('.', table_schema, table_name, column_name) FROM information_schema.columns"
    )
    assert {column for columns in sensitive_columns().values() for column in columns} <= set(told.splitlines())
    for relation in ("customer_contacts", "order_overview", "top_customers", "contractors"):
        assert int(mariadb_shop.sql(f"SELECT count(*) FROM {relation}")) > 0
    assert mariadb_shop.sql("SELECT customer_email(7) = email FROM customers WHERE id = 7") == "1\n"


def test_a_fresh_mariadb_shop_is_a_shop_of_its_own(fresh_mariadb_shop: MariaDbShop, mariadb_shop: MariaDbShop) -> None:
    assert fresh_mariadb_shop.sql("DELETE FROM order_items; SELECT count(*) FROM order_items") == "0\n"
    assert int(mariadb_shop.sql("SELECT count(*) FROM order_items")) > 0


def test_sensitive_values_are_unique_so_that_a_leak_can_be_told(shop_database: Shop) -> None:
    with psycopg.connect(shop_database.dsn()) as connection:
        for column in ("email", "tax_number", "card_number", "phone"):
            row = connection.execute(
                f"SELECT count({column}), count(DISTINCT {column}), min(length({column})) FROM customers"
            ).fetchone()
            assert row is not None
            count, different, shortest = row
            assert count == different > 150, column
            assert shortest >= 11, column


def test_every_classified_column_exists(shop_database: Shop) -> None:
    with psycopg.connect(shop_database.dsn()) as connection:
        rows = connection.execute(
            "SELECT table_schema || '.' || table_name || '.' || column_name FROM information_schema.columns"
        ).fetchall()
    assert {column for columns in SENSITIVE_COLUMNS.values() for column in columns} <= {name for (name,) in rows}


def test_card_numbers_have_a_right_check_digit_and_mail_goes_nowhere(shop_database: Shop) -> None:
    with psycopg.connect(shop_database.dsn()) as connection:
        rows = connection.execute("SELECT email, card_number FROM customers WHERE card_number IS NOT NULL").fetchall()
    for email, card in rows:
        digits = [int(digit) for digit in reversed(card)]
        total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
        assert total % 10 == 0
        assert re.fullmatch(r"[a-z.]+\d{3}@example\.com", email)


def test_views_partitions_and_inheritance_hold_rows(shop_database: Shop) -> None:
    with psycopg.connect(shop_database.dsn()) as connection:
        for relation in ("customer_contacts", "order_overview", "top_customers", "orders_2024", "contractors"):
            row = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
            assert row is not None
            assert row[0] > 0, relation


def test_a_fresh_shop_can_be_changed_without_harm(fresh_shop: Shop, shop_database: Shop) -> None:
    assert (
        fresh_shop.psql("INSERT INTO customers (full_name, email, tax_number, city) VALUES ('a', 'b', 'c', 'd')") == ""
    )
    assert fresh_shop.psql("DELETE FROM order_items; SELECT count(*) FROM order_items") == "0\n"
    assert shop_database.psql("SELECT count(*) > 0 FROM order_items") == "t\n"

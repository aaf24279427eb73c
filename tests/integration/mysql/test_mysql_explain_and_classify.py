"""``policy explain`` and ``classify`` on MariaDB's shop: what they say is what is so."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pymysql
import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli import app
from gateway.testing.shop_mariadb import MariaDbShop, sensitive_columns
from tests.fixtures.gateway import ADMIN, ANALYST, RESOURCE, SUPPORT
from tests.fixtures.mysql_gateway import MySqlGateway, mysql_gateway_config


def _run(config: Path, environment: dict[str, str], *arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments, "--config", str(config)], env=environment)


def test_classify_finds_what_is_sensitive_and_shows_no_value(tmp_path: Path, mariadb_shop: MariaDbShop) -> None:
    config = mysql_gateway_config(mariadb_shop, port=6433, fixed_port=6434, tls=False)
    config["classifications"] = []
    config["policies"] = [policy for policy in config["policies"] if policy["effect"] != "mask"]
    path = tmp_path / "querygate.yaml"
    path.write_text(json.dumps(config))
    environment = {"SHOP_PASSWORD": mariadb_shop.password, "TEST_TOKEN": secrets.token_urlsafe(32)}

    result = _run(path, environment, "classify", RESOURCE)

    assert result.exit_code == 0, result.output
    found = yaml.safe_load(result.stdout)["classifications"]
    labels = {item["label"]: set(item["columns"]) for item in found}
    for label, columns in sensitive_columns(mariadb_shop.database).items():
        assert labels[label] >= set(columns), label
    everything = set[str]().union(*labels.values())
    assert not {column for column in everything if column.startswith(f"{mariadb_shop.database}.orders")}
    connection = pymysql.connect(
        host="127.0.0.1",
        port=mariadb_shop.server.port,
        user=mariadb_shop.server.superuser,
        password=mariadb_shop.server.password,
        database=mariadb_shop.database,
        charset="utf8mb4",
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT email, phone, tax_number, card_number FROM customers")
        values = {value for row in cursor.fetchall() for value in row if value}
    assert len(values) > 100
    assert not {value for value in values if value in result.stdout + result.stderr}


CASES = [
    (ANALYST, "SELECT id, email, upper(email) AS loud, city FROM customers ORDER BY id LIMIT 5"),
    (ANALYST, "SELECT o.id, c.phone FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id LIMIT 3"),
    (ANALYST, "WITH x AS (SELECT * FROM customers ORDER BY id LIMIT 3) SELECT full_name AS n, card_number AS k FROM x"),
    (ANALYST, "SELECT `city` AS 'v' FROM customers UNION SELECT home_email FROM staff ORDER BY 1 LIMIT 4"),
    (ANALYST, "SELECT id /*!50000 , email */ FROM customers ORDER BY id LIMIT 2"),
    (SUPPORT, "SELECT id, email FROM customers ORDER BY id LIMIT 2"),
    (ADMIN, "SELECT id, email FROM customers ORDER BY id LIMIT 2"),
    (ANALYST, "DELETE FROM orders"),
    (ANALYST, "CREATE TABLE stolen AS SELECT email FROM customers"),
    (ANALYST, "SELECT email INTO OUTFILE '/tmp/x' FROM customers"),
    (ANALYST, "EXECUTE IMMEDIATE concat('SELECT email', ' FROM customers')"),
    (SUPPORT, "DROP TABLE orders"),
]


@pytest.mark.parametrize(("principal", "sql"), CASES)
def test_explain_says_what_the_gateway_then_does(
    principal: str, sql: str, plain_mysql_gateway: MySqlGateway, mariadb_shop: MariaDbShop
) -> None:
    environment = {"SHOP_PASSWORD": mariadb_shop.password, "TEST_TOKEN": plain_mysql_gateway.token}
    path = plain_mysql_gateway.folder / "querygate.yaml"
    result = _run(path, environment, "policy", "explain", "--as", principal, "--resource", RESOURCE, "--json", sql)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    with pymysql.connect(**plain_mysql_gateway.arguments(principal)) as connection, connection.cursor() as cursor:
        if not told["allowed"]:
            with pytest.raises(pymysql.MySQLError) as refusal:
                cursor.execute(sql)
            assert told["client_message"] in str(refusal.value)
            return
        cursor.execute(sql)
        shown = cursor.fetchall()
    direct = pymysql.connect(
        host="127.0.0.1",
        port=mariadb_shop.server.port,
        user=mariadb_shop.server.superuser,
        password=mariadb_shop.server.password,
        database=mariadb_shop.database,
    )
    with direct, direct.cursor() as cursor:
        cursor.execute(sql)
        real = cursor.fetchall()
    (statement,) = told["statements"]
    for index, column in enumerate(statement["columns"]):
        mine, theirs = [row[index] for row in shown], [row[index] for row in real]
        assert (mine != theirs) is bool(column["mask"]), column

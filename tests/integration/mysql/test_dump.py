"""mariadb-dump through the gateway: for an administrator what it is directly, for an analyst an anonymised copy."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from gateway.testing.shop_mariadb import MariaDbShop
from tests.fixtures.gateway import ADMIN, ANALYST, Config
from tests.fixtures.missing import missing
from tests.fixtures.mysql_gateway import MySqlGateway, StartMySqlGateway

SWITCHES = ("--skip-dump-date", "--single-transaction", "--routines", "--triggers", "--events")


@pytest.fixture(scope="module")
def dumping_gateway(start_mysql_gateway: StartMySqlGateway, mariadb_shop: MariaDbShop) -> MySqlGateway:
    """Analysts may read, set, begin and lock, under masks."""

    def change(config: Config) -> None:
        for policy in config["policies"]:
            if policy["name"] == "others-may-work":
                policy["match"]["actions"] = ["read", "session", "lock"]
            if policy["name"] == "mask-personal-data":
                policy["mask"] = {"function": "tokenise"}  # what is unique stays unique

    return start_mysql_gateway(mariadb_shop, change=change)


def dump(shop: MariaDbShop, port: int, user: str, password: str, *switches: str) -> str:
    own = shop.server.bindir / "mariadb-dump"
    program = str(own) if own.exists() else shutil.which("mariadb-dump")
    if program is None:
        missing("mariadb-dump is missing")
    login = ("--no-defaults", "--skip-ssl", "--host=127.0.0.1", f"--port={port}", f"--user={user}")
    done = subprocess.run(
        [program, *login, *switches, shop.database],
        env=shop.server.installation.environment() | {"MYSQL_PWD": password, "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("switches", [SWITCHES, ("--skip-dump-date", "--xml"), ("--skip-dump-date", "--hex-blob")])
def test_unmasked_it_is_byte_for_byte_what_it_is_directly(
    dumping_gateway: MySqlGateway, mariadb_shop: MariaDbShop, switches: tuple[str, ...]
) -> None:
    shop = mariadb_shop
    direct = dump(shop, shop.server.port, shop.user, shop.password, *switches)
    assert dump(shop, dumping_gateway.fixed_port, ADMIN, dumping_gateway.token, *switches) == direct


def test_under_masks_it_is_an_anonymised_copy_that_can_be_restored(
    dumping_gateway: MySqlGateway, mariadb_shop: MariaDbShop
) -> None:
    shop, gateway = mariadb_shop, dumping_gateway
    copy = dump(shop, gateway.fixed_port, ANALYST, gateway.token, *SWITCHES)
    assert "@example.com" not in copy
    for value in shop.sql("SELECT tax_number FROM customers UNION SELECT card_number FROM customers").split():
        assert value == "NULL" or value not in copy
    shop.server.create_database("restored")
    try:
        shop.server.sql(copy, database="restored")
        unlabelled = "SELECT id, full_name, city, balance, preferences FROM {}.customers ORDER BY id"
        assert shop.server.sql(unlabelled.format("restored")) == shop.server.sql(unlabelled.format(shop.database))
        counts = "SELECT (SELECT count(*) FROM {0}.orders), (SELECT count(*) FROM {0}.order_items)"
        assert shop.server.sql(counts.format("restored")) == shop.server.sql(counts.format(shop.database))
        assert shop.server.sql("SELECT count(DISTINCT email) FROM restored.customers").strip() == "200"
    finally:
        shop.server.drop_database("restored")

"""``querygate connect`` and ``querygate token`` on the gateway's own machine, with a real psql and mariadb."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.testing.shop import Shop
from gateway.testing.shop_mariadb import MariaDbShop
from tests.fixtures.gateway import ANALYST, StartGateway
from tests.fixtures.mysql_gateway import StartMySqlGateway
from tests.fixtures.waiting import eventually


def querygate(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_opens_psql_with_a_token_that_is_gone_afterwards(start_gateway: StartGateway, shop_database: Shop) -> None:
    if shutil.which("psql") is None:
        pytest.skip("there is no psql")
    gateway = start_gateway(shop_database, tls=True)
    secrets = {"SHOP_PASSWORD": shop_database.password, "TEST_TOKEN": gateway.token}
    done = querygate(
        gateway.folder,
        *("connect", "shop-prod", "--config", "querygate.yaml", "--principal", ANALYST),
        *("--", "-AXtc", "SELECT 6 * 7"),
        environment=secrets,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "42"), done.stderr
    listed = querygate(gateway.folder, "token", "list", "-c", "querygate.yaml", "--json", environment=secrets)
    assert json.loads(listed.stdout) == [], "the token was for this one session"


def test_opens_the_mariadb_shell_likewise(start_mysql_gateway: StartMySqlGateway, mariadb_shop: MariaDbShop) -> None:
    if shutil.which("mariadb") is None:
        pytest.skip("there is no mariadb")
    gateway = start_mysql_gateway(mariadb_shop, tls=True)
    secrets = {"SHOP_PASSWORD": mariadb_shop.password, "TEST_TOKEN": gateway.token}
    done = querygate(
        gateway.folder,
        *("connect", "shop-prod", "--config", "querygate.yaml", "--principal", ANALYST),
        *("--", "-Ne", "SELECT 6 * 7"),
        environment=secrets,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "42"), done.stderr
    listed = querygate(gateway.folder, "token", "list", "-c", "querygate.yaml", "--json", environment=secrets)
    assert json.loads(listed.stdout) == [], "the token was for this one session"


def test_prints_a_url_whose_token_is_seen_to_be_used(start_gateway: StartGateway, shop_database: Shop) -> None:
    psycopg = pytest.importorskip("psycopg")
    gateway = start_gateway(shop_database)
    secrets = {"SHOP_PASSWORD": shop_database.password, "TEST_TOKEN": gateway.token}
    done = querygate(
        gateway.folder,
        *("connect", "shop-prod", "-c", "querygate.yaml", "-p", ANALYST, "--url", "--ttl", "5m"),
        environment=secrets,
    )
    with psycopg.connect(done.stdout.strip()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)

    def last_use() -> float | None:
        listed = querygate(gateway.folder, "token", "list", "-c", "querygate.yaml", "--json", environment=secrets)
        [token] = json.loads(listed.stdout)
        used: float | None = token["used"]
        return used

    assert abs(eventually(last_use) - time.time()) < 60

"""node's mysql2, whose protocol code is its own: a session through the gateway is answered as a direct one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.servers import ServerUnavailable, npm
from gateway.testing.servers.account import Account
from gateway.testing.servers.places import cache_folder, prepared
from gateway.testing.shop_mariadb import MariaDbShop
from tests.fixtures.gateway import ADMIN, ANALYST
from tests.fixtures.missing import missing
from tests.fixtures.mysql_gateway import MySqlGateway

MYSQL2 = "mysql2@3.24.6"
SESSION = Path(__file__).with_name("mysql2_session.js")

AFTERWARDS = "who is there then"
"""The session's last step."""

Login = dict[str, Any]


@pytest.fixture(scope="session")
def mysql2() -> Path:
    """The folder with the driver, as the Node registry has it."""
    try:
        if shutil.which("node") is None:
            raise ServerUnavailable("node is missing")
        folder = cache_folder(Account.present())
        return prepared(folder, f"npm-{MYSQL2}", lambda target: npm.install(MYSQL2, target)) / "node_modules"
    except ServerUnavailable as error:
        missing(str(error))


def session(driver: Path, connect: Login, other: Login) -> dict[str, Any]:
    """How each step ended. ``other`` is the login that the session changes to."""
    done = subprocess.run(
        ["node", str(SESSION)],
        input=json.dumps({"connect": connect, "other": other}),
        env={"PATH": os.environ["PATH"], "NODE_PATH": str(driver), "TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(("tls", "compress"), [(False, False), (True, True)], ids=["clear", "tls and compressed"])
def test_a_session_of_mysql2(
    plain_mysql_gateway: MySqlGateway,
    secure_mysql_gateway: MySqlGateway,
    fresh_mariadb_shop: MariaDbShop,
    mysql2: Path,
    *,
    tls: bool,
    compress: bool,
) -> None:
    gateway, shop = secure_mysql_gateway if tls else plain_mysql_gateway, fresh_mariadb_shop
    common: Login = {"host": "127.0.0.1", "database": shop.database, "compress": compress}
    own = {**common, "port": shop.server.port, "user": shop.user, "password": shop.password}
    direct = session(mysql2, own, {name: own[name] for name in ("user", "password", "database")})
    login = {**common, "port": gateway.fixed_port, "user": ADMIN, "password": gateway.token}
    if tls:
        login["ssl"] = {"ca": gateway.certificate.read_text()}
    other = {"user": ANALYST, "password": gateway.token, "database": shop.database}
    through = session(mysql2, login, other)
    # A wrong password ends the connection, as on MySQL. MariaDB goes on as who was there before.
    assert (direct.pop(AFTERWARDS), through.pop(AFTERWARDS)) == ("who was there before", "nobody")
    assert through == direct
    assert through["compressed"] is compress

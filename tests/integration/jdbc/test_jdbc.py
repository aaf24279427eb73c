"""JDBC drivers: pgjdbc and MariaDB Connector/J see through the gateway what they see directly, and can wait."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.domain.approval import ApprovalState
from gateway.testing.servers import ServerUnavailable
from gateway.testing.servers.account import Account
from gateway.testing.servers.places import cache_folder, prepared
from gateway.testing.shop import Shop
from gateway.testing.shop_mariadb import MariaDbShop
from tests.fixtures.gateway import ADMIN, ANALYST, Config, RunningGateway, StartGateway
from tests.fixtures.missing import missing
from tests.fixtures.mysql_gateway import MySqlGateway
from tests.integration.approvals import DAVE, TOKEN, DeskBed, desk_bed

pytestmark = pytest.mark.timeout(180)
HERE = Path(__file__).parent
DRIVERS = "jdbc-postgresql-42.7.4-mariadb-3.5.1"
"""As in the pom."""


def _fetch(target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ServerUnavailable("mvn is missing")
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={target}", "-DincludeScope=runtime"]
    command = [maven, "--quiet", "--batch-mode", "--file", str(HERE / "pom.xml"), *goal]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    if done.returncode:
        raise ServerUnavailable(f"the JDBC drivers cannot be fetched\n{done.stdout[-500:]}")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The compiled session with the drivers, as a command."""
    if shutil.which("java") is None or shutil.which("javac") is None:
        missing("java and javac are missing")
    try:
        drivers = prepared(cache_folder(Account.present()), DRIVERS, _fetch)
    except ServerUnavailable as error:
        missing(str(error))
    classes = tmp_path_factory.mktemp("jdbc")
    subprocess.run(["javac", "-d", str(classes), str(HERE / "Session.java")], check=True, timeout=60)
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{classes}:{drivers}/*", "Session"]


def told(program: list[str], *arguments: str, password: str) -> dict[str, str]:
    """How each step ended."""
    environment = {"PATH": os.environ["PATH"], "JDBC_PASSWORD": password, "TZ": "UTC"}
    done = subprocess.run(
        [*program, *arguments], env=environment, capture_output=True, text=True, timeout=80, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


def postgres_url(port: int, database: str) -> str:
    return f"jdbc:postgresql://127.0.0.1:{port}/{database}?sslmode=disable"


def test_pgjdbc(program: list[str], start_gateway: StartGateway, shop_database: Shop) -> None:
    gateway: RunningGateway = start_gateway(shop_database)
    shop = shop_database
    direct = told(program, postgres_url(shop.server.port, shop.database), shop.user, password=shop.password)
    url = postgres_url(gateway.port, "shop-prod")
    through = told(program, url, ADMIN, password=gateway.token)
    assert through == direct
    assert not [name for name, end in direct.items() if end.startswith("error") and name != "an error in a transaction"]
    masked = told(program, url, ANALYST, password=gateway.token)
    assert masked.keys() == direct.keys()
    for name in ("simple", "one prepared eight times", "fetched in parts", "prepared 7"):
        assert "@" in direct[name]
        assert "@" not in masked[name]
        assert masked[name].rpartition("#")[2] == direct[name].rpartition("#")[2], "as many rows"


def test_mariadb_connector_j(program: list[str], plain_mysql_gateway: MySqlGateway, mariadb_shop: MariaDbShop) -> None:
    def url(port: int) -> str:
        return f"jdbc:mariadb://127.0.0.1:{port}/{mariadb_shop.database}?useServerPrepStmts=true"

    gateway, shop = plain_mysql_gateway, mariadb_shop
    direct = told(program, url(shop.server.port), shop.user, password=shop.password)
    through = told(program, url(gateway.fixed_port), ADMIN, password=gateway.token)
    assert through == direct
    masked = told(program, url(gateway.fixed_port), ANALYST, password=gateway.token)
    for name in ("simple", "one prepared eight times", "fetched in parts", "prepared 7"):
        assert "@" in direct[name]
        assert "@" not in masked[name]


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory, shop_database: Shop) -> Iterator[DeskBed]:
    def change(config: Config) -> None:
        config["policies"].append(
            {
                "name": "deletions-wait",
                "effect": "require_approval",
                "match": {"actions": ["delete"]},
                "approval": {"approvers": ["dba"], "timeout": "60s"},
            }
        )

    with desk_bed(tmp_path_factory.mktemp("jdbc-approvals"), shop_database, change) as bed:
        yield bed


@pytest.mark.parametrize(
    ("how", "waited", "state"),
    [
        ("approve", "0", ApprovalState.USED),
        ("reject", "error 42501", ApprovalState.REJECTED),
        ("cancel", "error 57014", ApprovalState.WITHDRAWN),
        ("timeout", "error 57014", ApprovalState.WITHDRAWN),
    ],
)
def test_pgjdbc_waits_for_an_approval(
    program: list[str], bed: DeskBed, how: str, waited: str, state: ApprovalState
) -> None:
    text = "DELETE FROM orders WHERE id = -1"
    with ThreadPoolExecutor(1) as threads:
        session = threads.submit(told, program, postgres_url(bed.port, "shop-prod"), ADMIN, text, how, password=TOKEN)
        request = bed.pending()
        if how in ("approve", "reject"):
            bed.decide(request, DAVE, approve=how == "approve")
        end = session.result(60)
    assert end["waited"] == waited
    assert end["afterwards"].endswith("# 1"), "the session goes on"
    assert bed.call(bed.assembly.desk.get(request.id)).state is state

"""sysbench through the gateway: its own tables, and its transactions as prepared statements and as texts."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from gateway.testing.shop_mariadb import MariaDbShop
from tests.fixtures.gateway import ADMIN
from tests.fixtures.missing import missing
from tests.fixtures.mysql_gateway import MySqlGateway

pytestmark = pytest.mark.slow

EVENTS = 100
ROWS = 1000


@dataclass(frozen=True)
class Bench:
    """sysbench's table in a database of its own, reached one way."""

    program: str
    shop: MariaDbShop
    port: int
    user: str
    password: str = field(repr=False)
    database: str

    def run(self, script: str, step: str, *options: str) -> str:
        """What sysbench prints."""
        where = (f"--mysql-port={self.port}", f"--mysql-user={self.user}", f"--mysql-password={self.password}")
        common = ("--db-driver=mysql", "--mysql-host=127.0.0.1", f"--mysql-db={self.database}", "--mysql-ssl=off")
        size = ("--tables=1", f"--table-size={ROWS}", "--rand-seed=7")
        command = [self.program, script, *common, *where, *size, *options, step]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def load(self, script: str, *options: str) -> list[str]:
        """Run ``EVENTS`` transactions, of which each must succeed, and say how many queries of each kind they were."""
        printed = self.run(script, "run", "--time=0", f"--events={EVENTS}", *options)
        assert re.search(rf"transactions: +{EVENTS} ", printed), printed
        assert re.search(r"ignored errors: +0 ", printed), printed
        return re.findall(r"(?:read|write|other|total): +\d+", printed)

    def asked(self, what: str) -> str:
        """What the server itself says of the table."""
        return self.shop.server.sql(f"SELECT {what} FROM sbtest1", database=self.database).split()[-1]


@pytest.fixture(scope="module")
def benches(plain_mysql_gateway: MySqlGateway) -> Iterator[tuple[Bench, Bench]]:
    """Directly, and through the gateway; each made its table itself."""
    program = shutil.which("sysbench")
    if program is None:
        missing("sysbench is missing (package sysbench)")
    gateway, shop = plain_mysql_gateway, plain_mysql_gateway.shop
    direct = Bench(program, shop, shop.server.port, shop.user, shop.password, "sysbench_direct")
    through = Bench(program, shop, gateway.fixed_port, ADMIN, gateway.token, "sysbench_through")
    for bench in (direct, through):
        shop.server.sql(f"CREATE OR REPLACE DATABASE {bench.database}")
        bench.run("oltp_read_write", "prepare")
    yield direct, through
    for bench in (direct, through):
        bench.run("oltp_read_write", "cleanup")
        shop.server.drop_database(bench.database)


@pytest.mark.parametrize("statements", ["auto", "disable"], ids=["prepared", "texts"])
def test_reads_and_writes_are_those_of_a_direct_run(benches: tuple[Bench, Bench], statements: str) -> None:
    direct, through = benches
    before = through.asked("MD5(GROUP_CONCAT(k, c ORDER BY id))")
    option = f"--db-ps-mode={statements}"
    assert through.load("oltp_read_write", option) == direct.load("oltp_read_write", option)
    assert through.asked("COUNT(*)") == direct.asked("COUNT(*)") == str(ROWS), "each deletes a row and puts it back"
    assert through.asked("MD5(GROUP_CONCAT(k, c ORDER BY id))") != before


@pytest.mark.parametrize("statements", ["auto", "disable"], ids=["prepared", "texts"])
def test_many_read_at_once(benches: tuple[Bench, Bench], statements: str) -> None:
    benches[1].load("oltp_read_only", f"--db-ps-mode={statements}", "--threads=4")

"""A MariaDB that these tests may kill, and gateways in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.testing.servers import MariaDbServer
from tests.adversity.mysql.bed import MySqlBed, Spoiler, mysql_bed_in, prepare
from tests.fixtures.mariadb import start_mariadb


@pytest.fixture(scope="session")
def sturdy_mariadb() -> Iterator[MariaDbServer]:
    """MariaDB with room for many sessions, which writes what it commits. Killing it is fine; leave it running."""
    settings = {"max_connections": "400", "innodb_flush_log_at_trx_commit": "2"}
    with start_mariadb(settings=settings) as server:
        prepare(server)
        yield server


@pytest.fixture
def mysql_bed(sturdy_mariadb: MariaDbServer, tmp_path: Path) -> Iterator[MySqlBed]:
    """A gateway that is not started yet, so that a test can change its configuration first."""
    sturdy_mariadb.sql("TRUNCATE items", database="adversity")
    with mysql_bed_in(tmp_path, sturdy_mariadb) as made:
        yield made


@pytest.fixture(scope="module")
def running_mysql_bed(sturdy_mariadb: MariaDbServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MySqlBed]:
    """A running gateway that the tests of a module share: what one does must not trouble the next."""
    with mysql_bed_in(tmp_path_factory.mktemp("bed"), sturdy_mariadb) as made:
        made.document["limits"] |= {"max_sessions": 120, "max_message": "4MiB", "max_statement": "2MiB"}
        made.start()
        yield made


@pytest.fixture(scope="module")
def spoiler(sturdy_mariadb: MariaDbServer) -> Iterator[Spoiler]:
    """What stands between the gateway of ``spoiled_bed`` and the database."""
    made = Spoiler(sturdy_mariadb.port)
    yield made
    made.close()


@pytest.fixture(scope="module")
def spoiled_bed(
    sturdy_mariadb: MariaDbServer, spoiler: Spoiler, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MySqlBed]:
    """A running gateway whose database may say anything."""
    folder = tmp_path_factory.mktemp("spoiled")
    with mysql_bed_in(folder, sturdy_mariadb, address=f"127.0.0.1:{spoiler.port}") as made:
        made.document["limits"] |= {"max_message": "4MiB", "max_statement": "2MiB"}
        made.start()
        yield made

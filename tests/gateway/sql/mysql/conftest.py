"""A MariaDB with the canary schema, for the tests that compare claims with what comes out of a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest

from gateway.sql.catalog import Catalog
from gateway.testing.servers import MariaDbServer
from tests.gateway.sql.mysql.canary import SCHEMA, Connection, read_catalog


def _connect(server: MariaDbServer, database: str | None) -> Connection:
    return pymysql.connect(
        host=server.host,
        port=server.port,
        user=server.superuser,
        password=server.password,
        database=database,
        autocommit=True,
        charset="utf8mb4",
    )


@pytest.fixture(scope="session")
def canary_mariadb(mariadb_server: MariaDbServer) -> MariaDbServer:
    with _connect(mariadb_server, None) as connection, connection.cursor() as cursor:
        for statement in filter(str.strip, SCHEMA.split(";\n")):
            cursor.execute(statement)
    return mariadb_server


@pytest.fixture(scope="session")
def connection(canary_mariadb: MariaDbServer) -> Iterator[Connection]:
    """Shared: leave it outside a transaction."""
    with _connect(canary_mariadb, "canary") as connection:
        yield connection


@pytest.fixture(scope="session")
def catalog(canary_mariadb: MariaDbServer) -> Catalog:
    with _connect(canary_mariadb, "canary") as connection:
        return read_catalog(connection)

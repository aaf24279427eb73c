"""A database with the canary schema, for the tests that compare claims with what comes out of a real server."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from gateway.sql.catalog import Catalog
from gateway.testing.servers import PostgresServer
from tests.gateway.sql.canary import SCHEMA, Connection, read_catalog

_DATABASE = "canary"


def _connect(server: PostgresServer) -> Connection:
    return psycopg.connect(
        host=server.host,
        port=server.port,
        user=server.superuser,
        password=server.password,
        dbname=_DATABASE,
        autocommit=True,
    )


@pytest.fixture(scope="session")
def canary_server(postgres_server: PostgresServer) -> PostgresServer:
    postgres_server.create_database(_DATABASE)
    with _connect(postgres_server) as connection:
        connection.execute(SCHEMA.encode())
    return postgres_server


@pytest.fixture(scope="session")
def connection(canary_server: PostgresServer) -> Iterator[Connection]:
    """Shared: leave it outside a transaction."""
    with _connect(canary_server) as connection:
        yield connection


@pytest.fixture(scope="session")
def catalog(canary_server: PostgresServer) -> Catalog:
    with _connect(canary_server) as connection:
        return read_catalog(connection)

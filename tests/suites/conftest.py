"""Endpoints for the command-line clients: the shared server directly, and through a gateway that allows everything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.testing.servers import PostgresServer
from tests.suites.endpoints import Endpoint, Way, gateway_before


@pytest.fixture(scope="session")
def direct(postgres_server: PostgresServer) -> Endpoint:
    """The server itself."""
    return Endpoint(postgres_server, postgres_server.port, Way.DIRECT)


@pytest.fixture(scope="session")
def through_gateway(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The same server behind a gateway."""
    with gateway_before(postgres_server, tmp_path_factory.mktemp("gateway")) as endpoint:
        yield endpoint

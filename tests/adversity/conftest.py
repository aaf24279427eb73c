"""A database server that these tests may kill, and a gateway for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.testing.servers import PostgresServer
from tests.adversity.bed import Bed, bed_in, prepare
from tests.fixtures.servers import start_postgres


@pytest.fixture(scope="session")
def sturdy_server() -> Iterator[PostgresServer]:
    """PostgreSQL with room for many sessions. Killing it is fine; leave it running."""
    settings = {"max_connections": "620", "fsync": "off", "synchronous_commit": "on", "shared_buffers": "32MB"}
    with start_postgres(settings=settings) as server:
        prepare(server)
        yield server


@pytest.fixture
def bed(sturdy_server: PostgresServer, tmp_path: Path) -> Iterator[Bed]:
    """A gateway that is not started yet, so that a test can change its configuration first."""
    sturdy_server.psql("TRUNCATE items", database="adversity")
    with bed_in(tmp_path, sturdy_server) as made:
        yield made


@pytest.fixture(scope="module")
def running_bed(sturdy_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A running gateway that the tests of a module share: what one does must not trouble the next."""
    sturdy_server.psql("TRUNCATE items", database="adversity")
    with bed_in(tmp_path_factory.mktemp("bed"), sturdy_server) as made:
        made.document["limits"] |= {"max_sessions": 60}
        made.start()
        yield made

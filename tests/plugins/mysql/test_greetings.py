"""What a greeting says, by the listener that it is said on and the servers that were met."""

from __future__ import annotations

import pytest

from gateway.protocol.adapter import Write
from gateway_mysql.known import DEFAULT_VERSION
from gateway_mysql.plugin import MySqlAdapter
from gateway_mysql.wire.capabilities import MARIADB_RELAYED, NONE, OWN, RELAYED, Capability
from gateway_mysql.wire.handshake import Greeting
from gateway_mysql.wire.packets import HEADER

MARIADB = Greeting(
    b"5.5.5-10.11.19-MariaDB", 1, b"x" * 20, OWN | RELAYED | MARIADB_RELAYED, 45, 2, b"mysql_native_password"
)
MYSQL = Greeting(b"8.4.6", 2, b"x" * 20, OWN | RELAYED | Capability.LONG_PASSWORD, 255, 2, b"caching_sha2_password")


@pytest.fixture
def adapter() -> MySqlAdapter:
    """It has met a MariaDB and a MySQL."""
    made = MySqlAdapter()
    made._servers.met("maria", MARIADB)
    made._servers.met("my", MYSQL)
    return made


def greeted(adapter: MySqlAdapter, resource: str | None) -> Greeting:
    step = next(adapter.preamble(tls=False, resource=resource))
    assert isinstance(step, Write)
    return Greeting.decode(step.data[HEADER:])


@pytest.mark.parametrize(
    ("resource", "version", "extended", "long_password"),
    [
        ("maria", MARIADB.version, MARIADB_RELAYED, NONE),
        ("my", MYSQL.version, NONE, Capability.LONG_PASSWORD),
        (None, DEFAULT_VERSION, NONE, NONE),
        ("never-met", DEFAULT_VERSION, NONE, Capability.LONG_PASSWORD),
    ],
)
def test_a_listener_of_one_resource_greets_as_its_server(
    adapter: MySqlAdapter, resource: str | None, version: bytes, extended: Capability, long_password: Capability
) -> None:
    found = greeted(adapter, resource)
    assert found.version == version
    assert found.capabilities & MARIADB_RELAYED == extended
    assert found.capabilities & Capability.LONG_PASSWORD == long_password


def test_one_server_behind_a_shared_listener_is_named() -> None:
    adapter = MySqlAdapter()
    adapter._servers.met("maria", MARIADB)
    assert greeted(adapter, None).version == MARIADB.version

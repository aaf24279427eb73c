"""How the gateway meets databases: versions, authentication methods, and TLS that must be verified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.testing.servers import PostgresServer
from gateway.testing.servers.certificates import write_certificates
from gateway.testing.shop import Shop
from tests.fixtures.gateway import RunningGateway, StartGateway
from tests.fixtures.servers import start_postgres

SECRET = "Grüße \u2168 'x'"
VERSIONS = (16, 18)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[int, PostgresServer]]:
    """One server of each other version that is to be had without TLS."""
    started: dict[int, PostgresServer] = {}
    try:
        for version in VERSIONS:
            started[version] = start_postgres(version=version)
        yield started
    finally:
        for server in started.values():
            server.close()


@pytest.fixture(scope="module")
def methods() -> Iterator[PostgresServer]:
    """A server that asks each role for its own kind of proof."""
    with start_postgres(tls=True) as server:
        server.create_role("by_scram", SECRET)
        server.psql(
            f"SET password_encryption = md5; CREATE ROLE by_md5 LOGIN PASSWORD '{SECRET.replace(chr(39), chr(39) * 2)}'"
        )
        server.create_role("by_password", SECRET)
        server.create_role("by_trust", SECRET)
        rules = server.psql("SHOW hba_file").strip()
        path = Path(rules)
        lines = [
            "hostssl all by_scram all scram-sha-256",
            "host all by_md5 all md5",
            "host all by_password all password",
            "host all by_trust all trust",
        ]
        path.write_text("\n".join(lines) + "\n" + path.read_text())
        server.psql("SELECT pg_reload_conf()")
        yield server


@pytest.fixture(scope="module")
def gateway(
    start_gateway: StartGateway,
    shop_database: Shop,
    servers: dict[int, PostgresServer],
    methods: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> RunningGateway:
    """One gateway with a resource for every case."""
    stranger = write_certificates(tmp_path_factory.mktemp("stranger"))
    verified = {"mode": "verify-full", "ca": str(methods.ca_path)}
    disabled = {"mode": "disable"}

    def resource(name: str, server: PostgresServer, user: str, tls: dict[str, str], **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "protocol": "postgres",
            "address": f"127.0.0.1:{server.port}",
            "database": "postgres",
            "credentials": {"username": user, "password": {"env": "UPSTREAM_SECRET"}},
            "tls": tls,
        } | more

    def change(config: dict[str, Any]) -> None:
        config["classifications"] = []
        config["resources"] = [
            *(resource(f"version-{version}", server, "by_scram", disabled) for version, server in servers.items()),
            resource("scram", methods, "by_scram", verified),
            resource("scram-require", methods, "by_scram", {"mode": "require"}),
            resource("scram-verify-ca", methods, "by_scram", verified | {"mode": "verify-ca"}),
            resource("md5", methods, "by_md5", disabled),
            resource("password", methods, "by_password", verified),
            resource("password-in-clear", methods, "by_password", disabled),
            resource("trust", methods, "by_trust", disabled),
            resource("stranger", methods, "by_scram", {"mode": "verify-full", "ca": str(stranger.ca)}),
            resource("other-name", methods, "by_scram", verified, address=f"127.0.0.2:{methods.port}"),
            resource("wrong-password", methods, "by_scram", verified)
            | {"credentials": {"username": "by_scram", "password": {"env": "TEST_TOKEN"}}},
            resource("nobody-there", methods, "by_scram", disabled, address="127.0.0.1:1"),
        ]

    for server in servers.values():
        server.create_role("by_scram", SECRET)
    return start_gateway(shop_database, change=change, environment={"UPSTREAM_SECRET": SECRET})


@pytest.mark.parametrize("resource", ["scram", "scram-require", "scram-verify-ca", "md5", "password", "trust"])
def test_authentication_methods(gateway: RunningGateway, resource: str) -> None:
    with psycopg.connect(gateway.conninfo(database=resource), autocommit=True) as opened:
        (user,) = opened.execute("SELECT session_user").fetchone() or ("",)
        assert user == "by_" + resource.partition("-")[0]


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        ("password-in-clear", "could not log in"),
        ("stranger", "the database is not available"),
        ("other-name", "the database is not available"),
        ("wrong-password", "could not log in"),
        ("nobody-there", "the database is not available"),
    ],
)
def test_what_must_not_work_fails_and_says_nothing_of_the_inside(
    gateway: RunningGateway, resource: str, code: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match=code) as caught:
        psycopg.connect(gateway.conninfo(database=resource))
    said = str(caught.value)
    assert "by_scram" not in said
    assert "by_password" not in said


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("protocol", ["3.0", "latest"])
def test_other_versions(gateway: RunningGateway, version: int, protocol: str) -> None:
    with psycopg.connect(
        gateway.conninfo(database=f"version-{version}", max_protocol_version=protocol), autocommit=True
    ) as opened:
        assert opened.info.server_version // 10_000 == version
        opened.execute("CREATE TEMP TABLE t (a int)")
        with opened.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
            copy.write("1\n2\n")
        with opened.pipeline():
            assert opened.execute("SELECT sum(a) FROM t WHERE a > %s", (0,)).fetchone() == (3,)
        with pytest.raises(psycopg.errors.UndefinedTable):
            opened.execute("SELECT * FROM nowhere")
        with opened.transaction(), opened.cursor("c") as cursor:
            assert cursor.execute("SELECT a FROM t ORDER BY a").fetchall() == [(1,), (2,)]
        assert opened.execute("SELECT 1").fetchone() == (1,)


def test_sessions_outlive_no_database(gateway: RunningGateway, methods: PostgresServer) -> None:
    """A restart of the database: a native error for those who were there, and service for those who come after."""
    with psycopg.connect(gateway.conninfo(database="scram"), autocommit=True) as opened:
        assert opened.execute("SELECT 1").fetchone() == (1,)
        methods.restart()
        with pytest.raises(psycopg.OperationalError):
            opened.execute("SELECT 1")
    with psycopg.connect(gateway.conninfo(database="scram"), autocommit=True) as opened:
        assert opened.execute("SELECT 1").fetchone() == (1,)

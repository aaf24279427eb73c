"""Logging in to a real PostgreSQL and reading its catalog."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.errors import UpstreamAuthenticationError
from gateway.protocol.adapter import UpstreamHandle
from gateway.testing.servers import PostgresServer, ServerUnavailable
from gateway_postgres.wire.startup import PROTOCOL_3_0, PROTOCOL_3_2, CancelRequest, SslRequest
from gateway_postgres.wire.upstream import (
    LoginResult,
    UpstreamLoginRefused,
    UpstreamRefused,
    run_queries,
    upstream_login,
)
from tests.fixtures.missing import missing

T = TypeVar("T")
PASSWORD = "Grüße \u2168"  # SASLprep changes it
USER = "wire_user"


class Line:
    """A connection that an exchange is run over."""

    def __init__(self, server: PostgresServer, *, tls: bool) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=10)
        self.handle = UpstreamHandle(tls=False)
        if tls:
            self.socket.sendall(SslRequest().encode())
            assert self.socket.recv(1) == b"S"
            context = ssl.create_default_context(cafile=str(server.ca_path))
            secured = context.wrap_socket(self.socket, server_hostname="localhost")
            self.handle = UpstreamHandle(tls=True, certificate=secured.getpeercert(binary_form=True))
            self.socket = secured

    def run(self, exchange: Generator[bytes, bytes, T]) -> T:
        self.socket.sendall(next(exchange))
        return self.resume(exchange)

    def resume(self, exchange: Generator[bytes, bytes, T]) -> T:
        """Go on where the exchange waits for the server."""
        try:
            while True:
                self.socket.sendall(exchange.send(self.socket.recv(65536)))
        except StopIteration as stop:
            return stop.value


def login(
    server: PostgresServer,
    *,
    tls: bool = False,
    user: str = USER,
    password: str | None = PASSWORD,
    database: str = "postgres",
    version: int = PROTOCOL_3_0,
    line: Line | None = None,
    **parameters: str,
) -> LoginResult:
    connection = line or Line(server, tls=tls)
    exchange = upstream_login(
        {"user": user, "database": database, "client_encoding": "UTF8", **parameters},
        password,
        connection.handle,
        random=os.urandom,
        version=version,
    )
    try:
        return connection.run(exchange)
    finally:
        if line is None:
            connection.socket.close()


@pytest.fixture(scope="module")
def server(postgres_server: PostgresServer) -> PostgresServer:
    postgres_server.create_role(USER, PASSWORD)
    return postgres_server


@pytest.fixture(scope="module")
def newest_server() -> Iterator[PostgresServer]:
    """A server that speaks protocol 3.2."""
    try:
        server = PostgresServer.start(version=18)
    except ServerUnavailable as error:
        missing(f"no PostgreSQL 18: {error}")
    with server:
        server.create_role(USER, PASSWORD)
        yield server


@contextmanager
def host_access(server: PostgresServer, rule: str):
    path = Path(server.psql("show hba_file").strip())
    before = path.read_text()
    path.write_text(f"{rule}\n{before}")
    server.psql("select pg_reload_conf()")
    try:
        # The reload is asynchronous: wait until a new connection sees the rule.
        server.psql("do $$ begin perform pg_sleep(0.2); end $$")
        yield
    finally:
        path.write_text(before)
        server.psql("select pg_reload_conf()")


def test_scram_without_tls(server):
    result = login(server)
    assert result.method == "SCRAM-SHA-256"
    assert result.parameters["client_encoding"] == "UTF8"
    assert result.key is not None
    assert result.leftover == b""


def test_scram_with_channel_binding(server):
    if not server.tls:
        pytest.skip("this build of PostgreSQL has no TLS")
    assert login(server, tls=True).method == "SCRAM-SHA-256-PLUS"


@pytest.mark.parametrize("tls", [False, True])
def test_wrong_password(server, tls):
    if tls and not server.tls:
        pytest.skip("this build of PostgreSQL has no TLS")
    with pytest.raises(UpstreamLoginRefused) as caught:
        login(server, tls=tls, password="wrong")
    assert caught.value.response.code == "28P01"


def test_md5(server):
    server.psql(
        "set password_encryption = 'md5'; drop role if exists wire_md5; create role wire_md5 login password 'old'"
    )
    with host_access(server, "host all wire_md5 127.0.0.1/32 md5"):
        assert login(server, user="wire_md5", password="old").method == "md5"
        with pytest.raises(UpstreamLoginRefused):
            login(server, user="wire_md5", password="new")


def test_clear_password(server):
    with host_access(server, f"host all {USER} 127.0.0.1/32 password"):
        with pytest.raises(UpstreamAuthenticationError, match="outside TLS"):
            login(server)
        if server.tls:
            assert login(server, tls=True).method == "password"


def test_trust(server):
    with host_access(server, f"host all {USER} 127.0.0.1/32 trust"):
        assert login(server, password=None).method == "trust"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [({"database": "no_such_database"}, "3D000"), ({"DateStyle": "nonsense"}, "22023"), ({"nonsense": "1"}, "42704")],
)
def test_the_servers_own_refusal_is_kept(server, parameters, code):
    with pytest.raises(UpstreamRefused) as caught:
        login(server, **parameters)
    assert caught.value.response.code == code
    assert caught.value.response.severity == "FATAL"


def test_protocol_3_2_is_used_or_negotiated_away(server):
    result = login(server, version=PROTOCOL_3_2)
    assert result.key is not None
    if server.version >= 18:
        assert (result.version, len(result.key.secret)) == (PROTOCOL_3_2, 32)
    else:
        assert (result.version, len(result.key.secret)) == (PROTOCOL_3_0, 4)


def test_protocol_3_2_and_its_long_keys(newest_server):
    result = login(newest_server, version=PROTOCOL_3_2)
    assert result.key is not None
    assert (result.version, len(result.key.secret)) == (PROTOCOL_3_2, 32)
    test_the_key_cancels_a_query(newest_server, PROTOCOL_3_2)


def test_catalog_queries(server):
    line = Line(server, tls=server.tls)
    result = login(server, line=line)
    queries = [
        "select 1, null, 'ü'",
        "select g from generate_series(1, 3000) g",
        "set search_path = x",
        ";",
        "show search_path",
    ]
    rows = line.run(run_queries(queries, leftover=result.leftover))
    assert rows[0] == [("1", None, "ü")]
    assert len(rows[1]) == 3000
    assert rows[2:] == [[], [], [("x",)]]
    with pytest.raises(UpstreamRefused) as caught:
        line.run(run_queries(["select nonsense"]))
    assert caught.value.response.code == "42703"
    line.socket.close()


@pytest.mark.parametrize("version", [PROTOCOL_3_0, PROTOCOL_3_2])
def test_the_key_cancels_a_query(server, version):
    line = Line(server, tls=False)
    result = login(server, line=line, version=version)
    assert result.key is not None
    exchange = run_queries(["select pg_sleep(30)"])
    line.socket.sendall(next(exchange))
    # Until the query has begun, a cancel request goes nowhere.
    while "1" not in server.psql(f"select 1 from pg_stat_activity where pid = {result.key.pid} and state = 'active'"):
        pass
    with socket.create_connection((server.host, server.port), timeout=10) as other:
        other.sendall(CancelRequest(result.key.pid, result.key.secret).encode())
        assert other.recv(1) == b""
    with pytest.raises(UpstreamRefused) as caught:
        line.resume(exchange)
    assert caught.value.response.code == "57014"
    line.socket.close()

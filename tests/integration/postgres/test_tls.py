"""How clients meet the gateway: TLS by request or at once, channel binding, and what is refused."""

from __future__ import annotations

import socket
import ssl
import struct

import psycopg
import pytest

from gateway_postgres.wire.startup import GssEncRequest, SslRequest, StartupMessage
from tests.fixtures.gateway import ADMIN, RESOURCE, RunningGateway
from tests.integration.postgres.raw import fields


@pytest.mark.parametrize(
    "options",
    [
        {"sslmode": "require"},
        {"sslmode": "require", "sslnegotiation": "direct"},
        {"sslmode": "require", "channel_binding": "require"},
        {"sslmode": "require", "channel_binding": "disable"},
        {"sslmode": "prefer", "gssencmode": "prefer"},
        {
            "sslmode": "require",
            "sslnegotiation": "direct",
            "channel_binding": "require",
            "max_protocol_version": "latest",
        },
        {"sslmode": "require", "ssl_min_protocol_version": "TLSv1.2", "ssl_max_protocol_version": "TLSv1.2"},
    ],
    ids=lambda options: " ".join(f"{name}={value}" for name, value in options.items()),
)
def test_libpq(secure_gateway: RunningGateway, options: dict[str, str]) -> None:
    with psycopg.connect(secure_gateway.conninfo(**options)) as opened:
        assert opened.pgconn.ssl_in_use
        assert opened.execute("SELECT 1").fetchone() == (1,)


def test_libpq_that_verifies_the_certificate(secure_gateway: RunningGateway) -> None:
    trusted = {"sslmode": "verify-ca", "sslrootcert": str(secure_gateway.certificate)}
    with psycopg.connect(secure_gateway.conninfo(**trusted)) as opened:
        assert opened.execute("SELECT 1").fetchone() == (1,)


def test_plaintext_is_refused_by_an_error_that_says_what_to_do(secure_gateway: RunningGateway) -> None:
    with pytest.raises(psycopg.OperationalError, match="connect with TLS"):
        psycopg.connect(secure_gateway.conninfo(sslmode="disable"))


def test_a_gateway_without_tls_says_so(plain_gateway: RunningGateway) -> None:
    with pytest.raises(psycopg.OperationalError, match="does not support SSL"):
        psycopg.connect(plain_gateway.conninfo(sslmode="require"))
    with psycopg.connect(plain_gateway.conninfo(sslmode="prefer")) as opened:
        assert not opened.pgconn.ssl_in_use


def _context(*protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def _peer(gateway: RunningGateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.port), timeout=10)


def _speaks(peer: socket.socket) -> bool:
    """Whether the other side answers a startup packet inside what is there."""
    peer.sendall(StartupMessage(3 << 16, {"user": ADMIN, "database": RESOURCE}).encode())
    return peer.recv(1) == b"R"


def test_tls_at_once_needs_the_protocols_name(secure_gateway: RunningGateway) -> None:
    with _context("postgresql").wrap_socket(_peer(secure_gateway)) as peer:
        assert peer.selected_alpn_protocol() == "postgresql"
        assert _speaks(peer)


@pytest.mark.parametrize("protocols", [(), ("http/1.1",), ("h2", "http/1.1")])
def test_tls_at_once_without_it_is_refused(secure_gateway: RunningGateway, protocols: tuple[str, ...]) -> None:
    peer = _peer(secure_gateway)
    try:
        with _context(*protocols).wrap_socket(peer) as secured:
            assert not _speaks(secured)
    except (ssl.SSLError, ConnectionError):
        pass  # refused inside the handshake
    finally:
        peer.close()


def test_gss_encryption_is_declined_and_tls_may_follow(secure_gateway: RunningGateway) -> None:
    peer = _peer(secure_gateway)
    peer.sendall(GssEncRequest().encode())
    assert peer.recv(1) == b"N"
    peer.sendall(SslRequest().encode())
    assert peer.recv(1) == b"S"
    with _context().wrap_socket(peer) as secured:
        assert _speaks(secured)


def test_nothing_sent_in_clear_gets_into_the_encrypted_session(secure_gateway: RunningGateway) -> None:
    """The flaw class of CVE-2021-23214: a startup packet behind SSLRequest in the same segment."""
    with _peer(secure_gateway) as peer:
        peer.sendall(
            SslRequest().encode() + StartupMessage(3 << 16, {"user": "mallory", "database": RESOURCE}).encode()
        )
        assert peer.recv(1) == b"S"
        try:
            context = _context()
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing)
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            peer.sendall(outgoing.read())
            answer = peer.recv(4096)
        except ConnectionError:
            answer = b""
        assert answer == b"" or answer[0] == 0x15, "a TLS alert or nothing: never a handshake, never a message"


def test_a_second_request_for_encryption_is_refused(secure_gateway: RunningGateway) -> None:
    peer = _peer(secure_gateway)
    peer.sendall(SslRequest().encode())
    assert peer.recv(1) == b"S"
    with _context().wrap_socket(peer) as secured:
        secured.sendall(SslRequest().encode())
        kind, length = struct.unpack("!cI", secured.recv(5))
        assert kind == b"E"
        assert fields(secured.recv(length - 4))["C"] == "08P01"


def test_a_client_that_says_nothing_holds_up_nobody(secure_gateway: RunningGateway) -> None:
    silent = [_peer(secure_gateway) for _ in range(20)]
    try:
        silent[0].sendall(SslRequest().encode())
        with psycopg.connect(secure_gateway.conninfo()) as opened:
            assert opened.execute("SELECT 1").fetchone() == (1,)
    finally:
        for peer in silent:
            peer.close()

"""Real drivers log in against the server side of the wire layer, over a socket of a few lines."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import asyncpg
import pg8000.exceptions
import pg8000.native
import psycopg
import pytest
import trustme

from gateway.domain.identity import AccessToken, Login
from gateway.domain.principal import Principal
from gateway.errors import AuthenticationError, RemoteProtocolError
from gateway.identity.sasl import Accepted, Challenge
from gateway.identity.scram import derive_verifier
from gateway_postgres.errors import error_response
from gateway_postgres.wire.auth import CleartextExchange, PasswordGiven, SaslExchange
from gateway_postgres.wire.authentication import PASSWORD, AuthenticationOk
from gateway_postgres.wire.backend import BackendKeyData, ParameterStatus, ReadyForQuery, TransactionStatus
from gateway_postgres.wire.framing import FrameBuffer
from gateway_postgres.wire.startup import GssEncRequest, SslRequest, StartupMessage, StartupPacket, decode_startup

SALT = b"0123456789abcdef"
PARAMETERS = {
    "server_version": "16.0",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "TimeZone": "UTC",
}


@dataclass
class Outcome:
    """What one session came to."""

    user: str = ""
    mechanism_data: bytes = b""
    token: str | None = None
    password: str | None = None
    reason: str = ""


@dataclass
class LoginServer:
    """Accepts sessions one after the other, authenticates them and hangs up at the first message afterwards."""

    tls: ssl.SSLContext | None
    certificate: bytes | None
    clear: bool = False
    secrets: tuple[str, ...] = ("first", "second")
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def close(self) -> None:
        # Closing alone does not wake a blocked accept.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            peer.settimeout(5)
            try:
                self._session(peer)
            except OSError:
                pass
            finally:
                peer.close()

    def _session(self, peer: socket.socket) -> None:
        packet = self._untyped(peer)
        if isinstance(packet, SslRequest) and self.tls is not None:
            peer.sendall(b"S")
            with self.tls.wrap_socket(peer, server_side=True) as secured:
                self._login(secured, self._untyped(secured), self.certificate)
            return
        while isinstance(packet, SslRequest | GssEncRequest):
            peer.sendall(b"N")
            packet = self._untyped(peer)
        self._login(peer, packet, None)

    @staticmethod
    def _untyped(peer: socket.socket) -> StartupPacket:
        length = struct.unpack("!I", _exactly(peer, 4))[0]
        return decode_startup(_exactly(peer, length - 4))

    def _login(self, peer: socket.socket, packet: StartupPacket, certificate: bytes | None) -> None:
        assert isinstance(packet, StartupMessage)
        outcome = Outcome(packet.user)
        buffer = FrameBuffer(max_message=65535)
        if self.clear:
            self._clear(peer, buffer, outcome, CleartextExchange(tls=certificate is not None))
        else:
            exchange = SaslExchange(self._known(), nonce=os.urandom(18), certificate=certificate)
            if not self._sasl(peer, buffer, outcome, exchange):
                peer.sendall(error_response(AuthenticationError(outcome.reason), reference="qg-1", fatal=True))
                return
        greeting = [ParameterStatus(name, value).encode() for name, value in PARAMETERS.items()]
        greeting.append(BackendKeyData(1, b"\0\0\0\1").encode())
        greeting.append(ReadyForQuery(TransactionStatus.IDLE).encode())
        peer.sendall(b"".join(greeting))
        peer.recv(1)

    def _clear(self, peer: socket.socket, buffer: FrameBuffer, outcome: Outcome, exchange: CleartextExchange) -> None:
        peer.sendall(exchange.start())
        step = exchange.receive(self._password(peer, buffer))
        assert isinstance(step, PasswordGiven)
        outcome.password = step.password
        self.outcomes.append(outcome)
        peer.sendall(exchange.accept())

    def _sasl(self, peer: socket.socket, buffer: FrameBuffer, outcome: Outcome, exchange: SaslExchange) -> bool:
        peer.sendall(exchange.start())
        outcome.mechanism_data = self._password(peer, buffer)
        step = exchange.receive(outcome.mechanism_data)
        if isinstance(step, Challenge):
            peer.sendall(step.data)
            step = exchange.receive(self._password(peer, buffer))
        self.outcomes.append(outcome)
        if isinstance(step, Accepted):
            outcome.token = step.token.id
            peer.sendall(step.data)
            return True
        outcome.reason = getattr(step, "reason", "")
        return False

    @staticmethod
    def _password(peer: socket.socket, buffer: FrameBuffer) -> bytes:
        while (kind := buffer.next()) is None:
            data = peer.recv(65536)
            if not data:
                raise ConnectionError
            buffer.feed(data)
        assert kind == PASSWORD
        return buffer.body()

    def _known(self) -> Login:
        tokens = tuple(
            AccessToken(secret, Principal("ana@example.com"), derive_verifier(secret, salt=SALT))
            for secret in self.secrets
        )
        return Login(SALT, 4096, tokens)


def _exactly(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = peer.recv(size - len(data))
        if not piece:
            raise ConnectionError
        data += piece
    return data


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def serve(authority: trustme.CA) -> Iterator[Callable[..., LoginServer]]:
    servers: list[LoginServer] = []

    def start(*, tls: bool, clear: bool = False, secrets: tuple[str, ...] = ("first", "second")) -> LoginServer:
        context = certificate = None
        if tls:
            issued = authority.issue_cert("localhost", "127.0.0.1")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            issued.configure_cert(context)
            certificate = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
        servers.append(LoginServer(context, certificate, clear, secrets))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def psycopg_login(server: LoginServer, password: str, channel_binding: str = "prefer") -> None:
    psycopg.connect(
        host="127.0.0.1",
        port=server.port,
        user="ana@example.com",
        dbname="shop-prod",
        password=password,
        connect_timeout=5,
        sslmode="require" if server.tls else "disable",
        channel_binding=channel_binding,
    ).close()


def asyncpg_login(server: LoginServer, password: str) -> None:
    async def connect() -> None:
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=server.port,
            user="ana@example.com",
            database="shop-prod",
            password=password,
            ssl="require" if server.tls else False,
            timeout=5,
        )
        connection.terminate()
        # The transport closes in the loop's next rounds.
        await asyncio.sleep(0.05)

    asyncio.run(connect())


def pg8000_login(server: LoginServer, password: str) -> None:
    context = None
    if server.tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    pg8000.native.Connection(
        "ana@example.com",
        host="127.0.0.1",
        port=server.port,
        database="shop-prod",
        password=password,
        ssl_context=context,
        timeout=5,
    ).close()


DRIVERS = [psycopg_login, asyncpg_login, pg8000_login]
FAILURES = (psycopg.OperationalError, asyncpg.InvalidPasswordError, pg8000.exceptions.DatabaseError)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("secret", ["first", "second"])
@pytest.mark.parametrize("login", DRIVERS)
def test_a_driver_logs_in_with_either_token(serve, login, secret, tls):
    server = serve(tls=tls)
    login(server, secret)
    assert [(outcome.user, outcome.token) for outcome in server.outcomes] == [("ana@example.com", secret)]


@pytest.mark.parametrize("secrets", [("first",), ()], ids=["wrong password", "unknown user"])
@pytest.mark.parametrize("login", DRIVERS)
def test_a_driver_with_a_wrong_password_gets_a_native_error(serve, login, secrets):
    server = serve(tls=False, secrets=secrets)
    with pytest.raises(FAILURES) as caught:
        login(server, "wrong")
    assert "authentication failed" in str(caught.value)
    assert server.outcomes[0].reason == "the proof fits no valid token"


@pytest.mark.parametrize("password", ["Grüße \u2168", "soft\u00adhyphen", "\u0627abc", "tab\there"])
def test_odd_passwords_are_prepared_as_libpq_prepares_them(serve, password):
    server = serve(tls=False, secrets=(password,))
    psycopg_login(server, password)
    assert server.outcomes[0].token == password


@pytest.mark.parametrize("login", [psycopg_login, pg8000_login])
def test_channel_binding_is_used_where_the_driver_can(serve, login):
    server = serve(tls=True)
    login(server, "first")
    assert server.outcomes[0].mechanism_data.startswith(b"SCRAM-SHA-256-PLUS\0")


def test_libpq_can_insist_on_channel_binding(serve):
    server = serve(tls=True)
    psycopg_login(server, "first", channel_binding="require")
    assert server.outcomes[0].token == "first"


def test_libpq_without_channel_binding(serve):
    server = serve(tls=True)
    psycopg_login(server, "first", channel_binding="disable")
    assert server.outcomes[0].mechanism_data.startswith(b"SCRAM-SHA-256\0")
    assert server.outcomes[0].token == "first"


@pytest.mark.parametrize("login", DRIVERS)
def test_a_bearer_token_as_clear_password_inside_tls(serve, login):
    server = serve(tls=True, clear=True)
    token = "eyJhbGciOiJSUzI1NiJ9." + "x" * 2000 + ".sig"
    login(server, token)
    assert server.outcomes[0].password == token


def test_a_clear_password_is_never_asked_for_outside_tls():
    with pytest.raises(RemoteProtocolError):
        CleartextExchange(tls=False)


@pytest.mark.parametrize("body", [b"\0", b"\xff\0"])
def test_unusable_clear_passwords_are_refused(body):
    assert not isinstance(CleartextExchange(tls=True).receive(body), PasswordGiven)


def test_acceptance_ends_with_authentication_ok():
    assert CleartextExchange(tls=True).accept() == AuthenticationOk().encode()

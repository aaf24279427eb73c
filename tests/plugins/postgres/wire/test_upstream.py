"""Logging in to a database, with a scripted server."""

from __future__ import annotations

import hashlib
from collections.abc import Generator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.identity import AccessToken, Login
from gateway.domain.principal import Principal
from gateway.errors import UpstreamAuthenticationError, UpstreamError, UpstreamUnavailable
from gateway.identity.sasl import Accepted, Challenge
from gateway.identity.scram import derive_verifier
from gateway.protocol.adapter import UpstreamHandle
from gateway_postgres.wire import authentication as auth
from gateway_postgres.wire import backend as be
from gateway_postgres.wire.auth import SaslExchange
from gateway_postgres.wire.codec import frame
from gateway_postgres.wire.frontend import Query
from gateway_postgres.wire.startup import PROTOCOL_3_0, PROTOCOL_3_2, StartupMessage
from gateway_postgres.wire.upstream import (
    LoginResult,
    UpstreamLoginRefused,
    UpstreamRefused,
    run_queries,
    upstream_login,
)

PARAMETERS = {"user": "gateway", "database": "shop"}
OK = auth.AuthenticationOk().encode()
KEY = be.BackendKeyData(42, b"\1\2\3\4")
READY = be.ReadyForQuery(be.TransactionStatus.IDLE).encode()
GREETING = be.ParameterStatus("server_version", "18.1").encode() + KEY.encode() + READY


def login(password: str | None = "pw", *, tls: bool = False, version: int = PROTOCOL_3_0):
    handle = UpstreamHandle(tls=tls)
    return upstream_login(PARAMETERS, password, handle, random=lambda size: b"r" * size, version=version)


def finish(exchange: Generator[bytes, bytes, LoginResult], *chunks: bytes) -> LoginResult:
    next(exchange)
    try:
        for chunk in chunks:
            exchange.send(chunk)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the login is not complete")


def test_startup_carries_the_parameters_as_given():
    assert next(login()) == StartupMessage(PROTOCOL_3_0, PARAMETERS).encode()


def test_a_trusting_server():
    result = finish(login(), OK + GREETING + b"more")
    assert result.parameters == {"server_version": "18.1"}
    assert result.key == KEY
    assert result.status is be.TransactionStatus.IDLE
    assert (result.method, result.version, result.leftover) == ("trust", PROTOCOL_3_0, b"more")


def test_any_cutting_of_the_servers_bytes():
    stream = OK + be.NoticeResponse({"M": "hello"}).encode() + GREETING
    result = finish(login(), *(bytes((byte,)) for byte in stream))
    assert result.key == KEY
    assert [notice.message for notice in result.notices] == ["hello"]


def test_md5():
    exchange = login("secret")
    next(exchange)
    answer = exchange.send(auth.AuthenticationMd5Password(b"salt").encode())
    inner = hashlib.md5(b"secretgateway").hexdigest().encode()
    expected = b"md5" + hashlib.md5(inner + b"salt").hexdigest().encode()
    assert answer == auth.PasswordMessage(expected).encode()


def test_clear_password_only_inside_tls():
    exchange = login("secret", tls=True)
    next(exchange)
    wanted = auth.AuthenticationCleartextPassword().encode()
    assert exchange.send(wanted) == auth.PasswordMessage(b"secret").encode()
    exchange = login("secret", tls=False)
    next(exchange)
    with pytest.raises(UpstreamAuthenticationError, match="outside TLS"):
        exchange.send(wanted)


def scram_server(secret: str) -> SaslExchange:
    verifier = derive_verifier(secret, salt=b"salt", iterations=10)
    known = Login(b"salt", 10, (AccessToken("t", Principal("gateway"), verifier),))
    return SaslExchange(known, nonce=b"n" * 18, certificate=None)


def test_scram():
    exchange, server = login("secret"), scram_server("secret")
    next(exchange)
    challenge = server.receive(exchange.send(server.start())[5:])
    assert isinstance(challenge, Challenge)
    accepted = server.receive(exchange.send(challenge.data)[5:])
    assert isinstance(accepted, Accepted)
    with pytest.raises(StopIteration) as caught:
        exchange.send(accepted.data + GREETING)
    assert caught.value.value.method == "SCRAM-SHA-256"


@pytest.mark.parametrize("skipped", ["everything", "proof"])
def test_a_server_that_skips_its_proof_is_not_believed(skipped):
    exchange, server = login("secret"), scram_server("secret")
    next(exchange)
    first = exchange.send(server.start())
    if skipped == "proof":
        challenge = server.receive(first[5:])
        assert isinstance(challenge, Challenge)
        exchange.send(challenge.data)
    with pytest.raises(UpstreamAuthenticationError, match="before it proved itself"):
        exchange.send(OK + GREETING)


def test_a_server_with_another_password_is_not_believed():
    exchange, server = login("secret"), scram_server("secret")
    next(exchange)
    challenge = server.receive(exchange.send(server.start())[5:])
    assert isinstance(challenge, Challenge)
    exchange.send(challenge.data)
    with pytest.raises(UpstreamAuthenticationError, match="could not prove"):
        exchange.send(auth.AuthenticationSaslFinal(b"v=" + b"A" * 43 + b"=").encode() + OK + GREETING)


@pytest.mark.parametrize(
    "messages",
    [
        [auth.AuthenticationSaslContinue(b"r=1,s=AA==,i=1")],
        [auth.AuthenticationSaslFinal(b"v=AA==")],
        [auth.AuthenticationSasl(("OAUTHBEARER",))],
        [auth.AuthenticationMd5Password(b"salt"), auth.AuthenticationMd5Password(b"salt")],
        [auth.AuthenticationMd5Password(b"salt"), auth.AuthenticationSasl(("SCRAM-SHA-256",))],
        [auth.AuthenticationOk(), auth.AuthenticationOk()],
    ],
)
def test_authentication_out_of_order_is_refused(messages):
    exchange = login()
    next(exchange)
    with pytest.raises(UpstreamAuthenticationError):
        exchange.send(b"".join(message.encode() for message in messages) + OK + GREETING)


@pytest.mark.parametrize("kind", [2, 7, 9, 99])
def test_unsupported_methods_are_named(kind):
    exchange = login()
    next(exchange)
    with pytest.raises(UpstreamAuthenticationError, match=str(kind)):
        exchange.send(frame(auth.AUTHENTICATION, kind.to_bytes(4, "big")))


@pytest.mark.parametrize(
    "wanted", [auth.AuthenticationMd5Password(b"salt"), auth.AuthenticationSasl(("SCRAM-SHA-256",))]
)
def test_no_password_configured(wanted):
    exchange = login(None)
    next(exchange)
    with pytest.raises(UpstreamAuthenticationError, match="none is configured"):
        exchange.send(wanted.encode())


def test_refused_credentials_and_other_refusals_are_told_apart():
    for code, kind in [("28P01", UpstreamLoginRefused), ("28000", UpstreamLoginRefused), ("3D000", UpstreamRefused)]:
        exchange = login()
        next(exchange)
        response = be.ErrorResponse({"S": "FATAL", "C": code, "M": "no such hunter2"})
        with pytest.raises(kind) as caught:
            exchange.send(response.encode())
        assert isinstance(caught.value, UpstreamLoginRefused | UpstreamRefused)
        assert caught.value.response == response
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("offered", "spoken"), [(PROTOCOL_3_0, PROTOCOL_3_0), (3 << 16 | 9, PROTOCOL_3_2)])
def test_version_is_negotiated_down_and_never_up(offered, spoken):
    answer = be.NegotiateProtocolVersion(offered).encode()
    assert finish(login(version=PROTOCOL_3_2), answer + OK + GREETING).version == spoken


def test_long_cancel_keys_belong_to_3_2():
    greeting = be.BackendKeyData(1, b"k" * 32).encode() + READY
    result = finish(login(version=PROTOCOL_3_2), OK + greeting)
    assert result.key == be.BackendKeyData(1, b"k" * 32)
    with pytest.raises(UpstreamError, match="too long"):
        finish(login(), OK + greeting)


@pytest.mark.parametrize(
    "stream",
    [
        GREETING,
        OK + b"T\0\0\0\6\0\0",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"R\0\0\0\4",
        OK + be.NegotiateProtocolVersion(PROTOCOL_3_0).encode(),
        be.NegotiateProtocolVersion(4 << 16).encode(),
        OK + be.NoticeResponse({"M": "x"}).encode() * 1001,
        b"E\x7f\0\0\0",
    ],
)
def test_a_server_that_breaks_the_protocol(stream):
    exchange = login()
    next(exchange)
    with pytest.raises(UpstreamError):
        exchange.send(stream)


def test_hanging_up_is_unavailable():
    exchange = login()
    next(exchange)
    with pytest.raises(UpstreamUnavailable):
        exchange.send(b"")


@settings(max_examples=200)
@given(st.lists(st.binary(min_size=1, max_size=60), max_size=4), st.booleans())
def test_random_servers_make_clean_errors_only(chunks, authenticated):
    exchange = login()
    next(exchange)
    try:
        if authenticated:
            exchange.send(OK)
        for chunk in chunks:
            exchange.send(chunk)
    except (UpstreamError, StopIteration):
        pass


def test_queries_give_rows_as_text():
    exchange = run_queries(["select 1", "select 2"])
    assert next(exchange) == Query(b"select 1").encode() + Query(b"select 2").encode()
    described = be.RowDescription((be.FieldDescription(b"a", 0, 0, 25, -1, -1, 0),)).encode()
    first = described + be.DataRow((b"1", None)).encode() + be.CommandComplete("SELECT 1").encode() + READY
    exchange.send(first[:20])
    exchange.send(first[20:])
    second = be.DataRow(("ü".encode(),)).encode() + READY
    with pytest.raises(StopIteration) as caught:
        exchange.send(be.ParameterStatus("a", "b").encode() + second)
    assert caught.value.value == [[("1", None)], [("ü",)]]


def test_queries_begin_with_the_logins_leftover():
    exchange = run_queries(["select 1"], leftover=be.NoticeResponse({"M": "x"}).encode()[:3])
    next(exchange)
    with pytest.raises(StopIteration):
        exchange.send(be.NoticeResponse({"M": "x"}).encode()[3:] + READY)


def test_a_failed_query_is_a_refusal():
    exchange = run_queries(["select"])
    next(exchange)
    with pytest.raises(UpstreamRefused) as caught:
        exchange.send(be.ErrorResponse({"C": "42601"}).encode())
    assert caught.value.response.code == "42601"


def test_copy_in_answer_to_a_catalog_query_is_refused():
    exchange = run_queries(["copy x to stdout"])
    next(exchange)
    with pytest.raises(UpstreamError):
        exchange.send(be.CopyOutResponse(0, ()).encode())


def test_no_queries_no_bytes():
    with pytest.raises(StopIteration) as caught:
        next(run_queries([]))
    assert caught.value.value == []

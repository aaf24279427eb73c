"""Messages are what the protocol says they are, survive a round trip, and nonsense is refused and never crashes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from pymysql import _auth as pymysql_auth

from gateway.domain.identity import AccessToken
from gateway.domain.principal import Principal
from gateway.errors import MessageTooLarge, RemoteProtocolError, UnsupportedFeature
from gateway.identity.scram import derive_verifier
from gateway.identity.sha2 import sha2_verifier
from gateway_mysql.wire import commands
from gateway_mysql.wire.auth import Clear, Proved, Refused, Say, Sha2Exchange, UpstreamExchange
from gateway_mysql.wire.capabilities import Capability, asked, offered
from gateway_mysql.wire.codec import Reader, encode_length, encode_string
from gateway_mysql.wire.compression import Compression, ServerCompression
from gateway_mysql.wire.handshake import (
    AuthSwitchRequest,
    ChangeUser,
    Greeting,
    HandshakeResponse,
    SslRequest,
    encode_attributes,
)
from gateway_mysql.wire.messages import ColumnDefinition, Eof, Err, Ok, PrepareOk, without_session_state
from gateway_mysql.wire.packets import FULL, PacketBuffer, packet, packet_count
from gateway_mysql.wire.scramble import (
    CACHING_SHA2,
    CLEAR,
    ED25519,
    NATIVE,
    ed25519_scramble,
    native_scramble,
    rsa_encrypt,
    sha2_matches,
    sha2_scramble,
)
from tests.plugins.mysql.frames import unpacked

NONCE = bytes(range(1, 21))
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
C = Capability


def token(secret: str, *, sha2: bool = True) -> AccessToken:
    scram = derive_verifier(secret, salt=b"salty salt")
    verifier = sha2_verifier(secret.encode()) if sha2 else None
    return AccessToken(secret, Principal("ana@example.com"), scram, sha2=verifier)


# --- codec and packets ----------------------------------------------------------------------------------------------


@given(st.integers(0, (1 << 64) - 1))
def test_lengths_survive(value: int) -> None:
    assert Reader(encode_length(value), "x").length() == value


@pytest.mark.parametrize("data", [b"", b"\xfb", b"\xff", b"\xfc\1", b"\xfe\1\2\3"])
def test_what_is_no_length_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Reader(data, "x").length()


@pytest.mark.parametrize("size", [0, 1, 1000, FULL - 1, FULL, FULL + 1, 2 * FULL, 2 * FULL + 7])
def test_payloads_are_split_and_joined(size: int) -> None:
    payload = b"p" * size
    data = packet(payload, 254)
    buffer = PacketBuffer(max_payload=3 * FULL, sequence=254)
    buffer.feed(data[:-1])
    assert buffer.take() is None
    buffer.feed(data[-1:])
    assert buffer.take() == payload
    assert buffer.sequence == (254 + packet_count(size)) & 0xFF
    assert len(data) == size + 4 * packet_count(size)


def test_packets_out_of_order_and_too_long_ones_are_refused() -> None:
    buffer = PacketBuffer(max_payload=100)
    buffer.feed(packet(b"x", 1))
    with pytest.raises(RemoteProtocolError, match="out of order"):
        buffer.take()
    buffer = PacketBuffer(max_payload=100)
    buffer.feed(b"\xff\xff\0\0")
    with pytest.raises(MessageTooLarge):
        buffer.take()


# --- messages -------------------------------------------------------------------------------------------------------

GREETING = Greeting(b"10.11.2-MariaDB", 77, NONCE, C.PROTOCOL_41 | C.PLUGIN_AUTH | C.SSL, 45, 2, CACHING_SHA2)


def test_the_greeting_is_what_pymysql_reads() -> None:
    encoded = GREETING.encode()
    assert encoded[0] == 10
    assert encoded[1:].startswith(b"10.11.2-MariaDB\0\x4d\0\0\0")
    assert encoded.endswith(b"\0caching_sha2_password\0")
    assert Greeting.decode(encoded) == GREETING


def test_mariadbs_own_capabilities_travel_where_mysql_has_zeros() -> None:
    flags = C.PROTOCOL_41 | C.PLUGIN_AUTH | C.MARIADB_BULK
    greeting = Greeting(b"x", 1, NONCE, flags, 45, 2, NATIVE)
    assert Greeting.decode(greeting.encode()).capabilities == flags
    # To a client that says it is MySQL's, the same bytes mean nothing.
    mysql = Greeting(b"x", 1, NONCE, flags | C.LONG_PASSWORD, 45, 2, NATIVE)
    assert not Greeting.decode(mysql.encode()).capabilities & C.MARIADB_BULK


@pytest.mark.parametrize("lenenc", [False, True])
def test_handshake_responses_survive(lenenc: bool) -> None:
    flags = C.PROTOCOL_41 | C.SECURE_CONNECTION | C.PLUGIN_AUTH | C.CONNECT_WITH_DB | C.CONNECT_ATTRS | C.LONG_PASSWORD
    if lenenc:
        flags |= C.PLUGIN_AUTH_LENENC | C.ZSTD
    response = HandshakeResponse(
        flags, 1 << 24, 45, b"ana@example.com", b"p" * 32, b"shop-prod", CACHING_SHA2, {b"program_name": b"x"}, 7
    )
    decoded = HandshakeResponse.decode(response.encode())
    assert decoded == (response if lenenc else HandshakeResponse.decode(decoded.encode()))
    assert decoded.database == b"shop-prod"
    assert decoded.attributes == {b"program_name": b"x"}


def test_a_request_for_tls_is_told_from_a_response() -> None:
    flags = C.PROTOCOL_41 | C.LONG_PASSWORD
    request = SslRequest(flags, 1, 45)
    assert len(request.encode()) == 32
    assert SslRequest.decode(request.encode()) == SslRequest(flags | C.SSL, 1, 45)
    assert SslRequest.decode(request.encode() + b"x") is None
    with pytest.raises(UnsupportedFeature):
        SslRequest.decode(bytes(32))


@pytest.mark.parametrize(
    "message",
    [
        Ok(1, 300, 2, 3, b"info"),
        Err(1064, b"42000", b"near you"),
        Eof(2, 0x22),
        PrepareOk(7, 3, 2, 1),
        ColumnDefinition(b"shop", b"c", b"customers", b"mail", b"email", 45, 400, 253, 0x1001, 0),
        AuthSwitchRequest(NATIVE, NONCE),
    ],
)
def test_messages_survive(message: object) -> None:
    kind = type(message)
    assert kind.decode(message.encode()) == message  # type: ignore[attr-defined]


def test_extended_metadata_is_kept() -> None:
    column = ColumnDefinition(b"s", b"t", b"t", b"n", b"n", 45, 1, 252, 0, 0, b"def", b"\1\4json")
    assert ColumnDefinition.decode(column.encode(), C.MARIADB_EXTENDED_METADATA) == column


def test_an_error_before_the_handshake_has_no_state() -> None:
    assert Err.decode(b"\xff\x10\x04Too many connections") == Err(1040, b"HY000", b"Too many connections")


def test_session_changes_are_left_out_for_clients_that_do_not_know_them() -> None:
    ok = Ok(status=0x4002, rest=encode_string(b"info") + encode_string(b"\1\5shop!"))
    assert without_session_state(ok) == Ok(status=2, rest=b"info")


def test_change_user_survives() -> None:
    flags = C.SECURE_CONNECTION | C.PLUGIN_AUTH | C.CONNECT_ATTRS
    message = ChangeUser(b"ana", b"proof", b"shop", 45, CACHING_SHA2, {b"a": b"b"})
    assert ChangeUser.decode(message.encode(flags), flags) == message


DECODERS: list[Callable[[bytes], object]] = [
    Greeting.decode,
    HandshakeResponse.decode,
    SslRequest.decode,
    AuthSwitchRequest.decode,
    Ok.decode,
    Err.decode,
    Eof.decode,
    PrepareOk.decode,
    ColumnDefinition.decode,
    lambda data: ColumnDefinition.decode(data, C.MARIADB_EXTENDED_METADATA),
    lambda data: ChangeUser.decode(data, C.SECURE_CONNECTION | C.PLUGIN_AUTH | C.CONNECT_ATTRS),
    lambda data: commands.decode_query(data, attributes=True),
    lambda data: commands.decode_execute(data, 3, None, attributes=True),
    lambda data: commands.decode_execute(data, 3, (3, 253, 12), attributes=False),
    lambda data: commands.decode_bulk(data, 2, (3, 253)),
    lambda data: unpacked(Compression(), data),
    lambda data: unpacked(Compression(zstd=True), data),
    lambda data: unpacked(ServerCompression(), data),
    lambda data: unpacked(ServerCompression(zstd=True), data),
]


@given(st.sampled_from(DECODERS), st.binary(max_size=120))
def test_nonsense_is_refused_and_never_crashes(decode: Callable[[bytes], object], data: bytes) -> None:
    with suppress(RemoteProtocolError):
        decode(data)


# --- commands -------------------------------------------------------------------------------------------------------


def test_query_attributes_are_taken_off() -> None:
    value = b"\xfe\0" + encode_string(b"traceparent") + encode_string(b"00-abc")
    payload = b"\x03\1\1\0\1" + value + b"SELECT 1"
    assert commands.decode_query(payload, attributes=True) == commands.Query(b"SELECT 1", True)
    assert commands.decode_query(b"\x03\0\1SELECT 1", attributes=True) == commands.Query(b"SELECT 1", False)
    assert commands.decode_query(b"\x03SELECT 1", attributes=False).text == b"SELECT 1"


def _execute(types: list[tuple[int, bytes]], values: bytes, *, named: bool, nulls: bytes = b"\0") -> bytes:
    head = b"\x17\5\0\0\0\0\1\0\0\0" + (bytes((len(types),)) if named else b"")
    kinds = b"".join(kind.to_bytes(2, "little") + (encode_string(name) if named else b"") for kind, name in types)
    return head + nulls + b"\1" + kinds + values


def test_parameters_of_every_kind_are_read() -> None:
    types = [(3, b""), (8 | 0x8000, b""), (253, b""), (12, b""), (11, b""), (5, b""), (6, b"")]
    values = b"\xff\xff\xff\xff" + b"\xff" * 8 + encode_string(b"text")
    values += b"\x0b\xe9\x07\x05\x06\x07\x08\x09\x40\x42\x0f\x00"
    values += b"\x08\1\1\0\0\0\2\3\4" + b"\0\0\0\0\0\0\xf8\x3f"
    found = commands.decode_execute(_execute(types, values, named=False), 7, None, attributes=False)
    assert found.values == (-1, 2**64 - 1, b"text", "2025-05-06 07:08:09.1000000", "-26:03:04", 1.5, None)


def test_an_execution_without_types_takes_those_of_the_one_before() -> None:
    payload = b"\x17\5\0\0\0\0\1\0\0\0\0\0\7\0\0\0"
    assert commands.decode_execute(payload, 1, (3,), attributes=False).values == (7,)
    assert commands.decode_execute(payload, 1, None, attributes=False).values is None


def test_attributes_of_an_execution_are_taken_off_for_servers_without() -> None:
    plain = _execute([(3, b"")], b"\7\0\0\0", named=False)
    named = _execute([(3, b""), (254, b"trace")], b"\7\0\0\0" + encode_string(b"abc"), named=True)
    named = named[:5] + bytes((commands.PARAMETER_COUNT,)) + named[6:]
    found = commands.decode_execute(named, 1, None, attributes=True)
    assert (found.values, found.plain) == ((7,), plain)
    counted = _execute([(3, b"")], b"\7\0\0\0", named=True)
    assert commands.decode_execute(counted, 1, None, attributes=True).plain == plain


def test_bulk_rows_are_read() -> None:
    payload = b"\xfa\5\0\0\0\x80\0\3\0\xfd\0" + b"\0\1\0\0\0\0" + encode_string(b"a") + b"\1\2"
    found = commands.decode_bulk(payload, 2, None)
    assert found.rows == ((1, b"a"), (None, None))


# --- authentication -------------------------------------------------------------------------------------------------


def exchange(*tokens: AccessToken, tls: bool = False) -> Sha2Exchange:
    return Sha2Exchange(tokens, NONCE, tls=tls, private_key=lambda: KEY)


def test_the_scrambles_are_pymysqls() -> None:
    password = b"correct horse"
    assert sha2_scramble(password, NONCE) == pymysql_auth.scramble_caching_sha2(password, NONCE)
    assert native_scramble(password, NONCE) == pymysql_auth.scramble_native_password(password, NONCE)
    assert ed25519_scramble(password, NONCE + NONCE[:12]) == pymysql_auth.ed25519_password(password, NONCE + NONCE[:12])
    assert sha2_matches(sha2_scramble(password, NONCE), NONCE, sha2_verifier(password))
    assert not sha2_matches(sha2_scramble(b"other", NONCE), NONCE, sha2_verifier(password))


def test_the_fast_path() -> None:
    right = token("right")
    assert exchange(token("wrong"), right).start(CACHING_SHA2, sha2_scramble(b"right", NONCE)) == Proved(right, b"\1\3")


def test_any_other_plugin_is_switched() -> None:
    right = token("right")
    steps = exchange(right)
    assert steps.start(NATIVE, b"x" * 20) == Say(AuthSwitchRequest(CACHING_SHA2, NONCE).encode())
    assert steps.receive(sha2_scramble(b"right", NONCE)) == Proved(right, b"\1\3")


def test_the_full_exchange_inside_tls() -> None:
    right = token("right", sha2=False)
    steps = exchange(right, tls=True)
    assert steps.start(CACHING_SHA2, sha2_scramble(b"right", NONCE)) == Say(b"\1\4")
    assert steps.receive(b"right\0") == Proved(right)
    assert exchange(right, tls=True).start(CLEAR, b"right\0") == Proved(right)
    assert exchange(right, tls=True).start(CLEAR, b"a.bearer.token\0") == Clear("a.bearer.token")


def test_the_full_exchange_under_rsa() -> None:
    right = token("right", sha2=False)
    steps = exchange(right)
    assert steps.start(CACHING_SHA2, sha2_scramble(b"right", NONCE)) == Say(b"\1\4")
    key = steps.receive(b"\2")
    assert isinstance(key, Say)
    assert steps.receive(rsa_encrypt(key.payload[1:], b"right", NONCE)) == Proved(right)


def test_without_tls_a_clear_password_is_never_asked_for() -> None:
    assert exchange(token("right")).start(CLEAR, b"right\0") == Say(AuthSwitchRequest(CACHING_SHA2, NONCE).encode())
    steps = exchange(token("right"))
    steps.start(CACHING_SHA2, sha2_scramble(b"other", NONCE))
    assert isinstance(steps.receive(b"right\0"), Refused)


@pytest.mark.parametrize("tokens", [(), (token("right"),)])
def test_a_wrong_password_and_an_unknown_user_go_the_same_way(tokens: tuple[AccessToken, ...]) -> None:
    steps = exchange(*tokens)
    assert steps.start(CACHING_SHA2, sha2_scramble(b"wrong", NONCE)) == Say(b"\1\4")
    key = steps.receive(b"\2")
    assert isinstance(key, Say)
    assert steps.receive(rsa_encrypt(key.payload[1:], b"wrong", NONCE)) == Refused("no valid token is this one")


def test_no_password_is_refused() -> None:
    assert isinstance(exchange(token("right")).start(CACHING_SHA2, b""), Refused)


def test_both_sides_understand_each_other() -> None:
    for tls in (False, True):
        for sha2 in (False, True):
            right = token("right", sha2=sha2)
            server, client = exchange(right, tls=tls), UpstreamExchange("right", tls=tls)
            step = server.start(*client.first(CACHING_SHA2, NONCE))
            for _ in range(5):
                if not isinstance(step, Say):
                    break
                answer = client.receive(step.payload)
                assert answer is not None
                step = server.receive(answer)
            assert isinstance(step, Proved)


def test_a_server_that_wants_the_password_in_clear_gets_it_inside_tls_only() -> None:
    switch = AuthSwitchRequest(CLEAR, b"").encode()
    inside = UpstreamExchange("secret", tls=True)
    inside.first(NATIVE, NONCE)
    assert inside.receive(switch) == b"secret\0"
    outside = UpstreamExchange("secret", tls=False)
    outside.first(NATIVE, NONCE)
    with pytest.raises(UnsupportedFeature):
        outside.receive(switch)


def test_ed25519_is_answered_with_its_own_nonce() -> None:
    client = UpstreamExchange("secret", tls=False)
    client.first(NATIVE, NONCE)
    nonce = bytes(range(32))
    assert client.receive(AuthSwitchRequest(ED25519, nonce).encode()) == ed25519_scramble(b"secret", nonce)


# --- capabilities ---------------------------------------------------------------------------------------------------


def test_nothing_is_promised_that_the_servers_lack() -> None:
    old = C.PROTOCOL_41 | C.MULTI_RESULTS
    promise = offered(old, tls=False)
    assert not promise & (C.DEPRECATE_EOF | C.SESSION_TRACK | C.MARIADB_BULK | C.LOCAL_FILES | C.SSL)
    assert promise & C.MULTI_RESULTS
    maria = offered(C.DEPRECATE_EOF | C.MARIADB_BULK | C.MARIADB_PROGRESS | C.MARIADB_CACHE_METADATA, tls=True)
    assert maria & C.MARIADB_BULK
    assert maria & C.SSL
    assert not maria & (C.MARIADB_PROGRESS | C.MARIADB_CACHE_METADATA | C.LONG_PASSWORD)


def test_the_server_is_asked_for_what_the_client_asked_for() -> None:
    wanted = asked(C.DEPRECATE_EOF | C.LOCAL_FILES | C.COMPRESS | C.SSL, tls=False)
    assert wanted & C.DEPRECATE_EOF
    assert not wanted & (C.LOCAL_FILES | C.COMPRESS | C.SSL | C.SESSION_TRACK)


def test_attributes_have_a_limit() -> None:
    with pytest.raises(RemoteProtocolError):
        ChangeUser.decode(
            b"a\0\0\0\x2d\0p\0" + encode_attributes({b"k": b"v" * 70_000}), C.PLUGIN_AUTH | C.CONNECT_ATTRS
        )

"""What a client may send first, and what it may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, LocalProtocolError, MessageTooLarge, RemoteProtocolError, UnsupportedFeature
from gateway_postgres.wire.startup import (
    MAX_STARTUP,
    PROTOCOL_3_0,
    PROTOCOL_3_2,
    CancelRequest,
    GssEncRequest,
    SslRequest,
    StartupMessage,
    decode_startup,
)

WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
STARTUP = st.builds(
    lambda minor, user, others: StartupMessage(3 << 16 | minor, {**others, "user": user}),
    st.sampled_from([0, 1, 2, 9999]),
    WORD,
    st.dictionaries(WORD, WORD | st.just(""), max_size=4),
)
PACKETS = st.one_of(
    STARTUP,
    st.just(SslRequest()),
    st.just(GssEncRequest()),
    st.builds(CancelRequest, st.integers(0, 2**32 - 1), st.binary(min_size=4, max_size=256)),
)


def startup_body(*strings: bytes, version: int = PROTOCOL_3_0, end: bytes = b"\0") -> bytes:
    return version.to_bytes(4, "big") + b"".join(text + b"\0" for text in strings) + end


@pytest.mark.parametrize(
    ("packet", "wire"),
    [
        (SslRequest(), "00000008 04d2162f"),
        (GssEncRequest(), "00000008 04d21630"),
        (CancelRequest(1, b"\0\0\0\2"), "00000010 04d2162e 00000001 00000002"),
        (CancelRequest(1, b"\7" * 32), "0000002c 04d2162e 00000001" + "07" * 32),
        (
            StartupMessage(PROTOCOL_3_0, {"user": "a", "database": "b"}),
            "0000001b 00030000 7573657200 6100 646174616261736500 6200 00",
        ),
        (StartupMessage(PROTOCOL_3_2, {"user": "a"}), "00000010 00030002 7573657200 6100 00"),
    ],
)
def test_golden_bytes(packet, wire):
    raw = bytes.fromhex(wire)
    assert packet.encode() == raw
    assert decode_startup(raw[4:]) == packet


@given(PACKETS)
def test_decode_reverses_encode(packet):
    raw = packet.encode()
    assert int.from_bytes(raw[:4], "big") == len(raw)
    assert decode_startup(raw[4:]) == packet


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda tail: PROTOCOL_3_0.to_bytes(4, "big") + tail))
def test_random_bytes_make_clean_errors_only(body):
    try:
        packet = decode_startup(body)
    except GatewayError as error:
        assert isinstance(error, RemoteProtocolError)  # noqa: PT017 - any other kind is the failure looked for
    else:
        assert decode_startup(packet.encode()[4:]) == packet


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (startup_body(b"user", b"a", end=b""), "terminator"),
        (startup_body(b"user", b"a", end=b"\0\0"), "after its last field"),
        (startup_body(b"user", b"a", end=b"\0database\0b\0\0"), "after its last field"),
        (startup_body(b"user", end=b""), "terminator"),
        (startup_body(b"user"), "terminator"),
        (startup_body(b"user", b""), "no user name"),
        (startup_body(b"database", b"b"), "no user name"),
        (startup_body(b"user", b"a", b"user", b"b"), "'user' is there twice"),
        (startup_body(b"user", b"a", b"database", b"b", b"database", b"b"), "'database' is there twice"),
        (startup_body(b"user", b"\xff"), "not UTF-8"),
        (startup_body(b"user", b"a", end=b"x"), "terminator"),
    ],
)
def test_malformed_startup_is_refused(body, rule):
    with pytest.raises(RemoteProtocolError, match=rule):
        decode_startup(body)


@pytest.mark.parametrize(("name", "value"), [("application_name", "x\0user\0root"), ("a\0b", "c"), ("", "c")])
def test_smuggling_is_refused_on_encode(name, value):
    with pytest.raises(LocalProtocolError) as caught:
        StartupMessage(PROTOCOL_3_0, {"user": "a", name: value}).encode()
    assert "root" not in str(caught.value)


def test_of_other_parameters_the_last_one_counts():
    packet = decode_startup(startup_body(b"options", b"1", b"user", b"a", b"options", b"2"))
    assert isinstance(packet, StartupMessage)
    assert list(packet.parameters.items()) == [("user", "a"), ("options", "2")]


@pytest.mark.parametrize("version", [2 << 16, 4 << 16, 1234 << 16 | 5681])
def test_other_major_versions_are_unsupported(version):
    with pytest.raises(UnsupportedFeature):
        decode_startup(startup_body(b"user", b"a", version=version))


def test_a_long_packet_is_refused_both_ways():
    with pytest.raises(MessageTooLarge):
        decode_startup(startup_body(b"user", b"a" * MAX_STARTUP))
    with pytest.raises(LocalProtocolError):
        StartupMessage(PROTOCOL_3_0, {"user": "a" * MAX_STARTUP}).encode()


@pytest.mark.parametrize("size", [0, 3, 257])
def test_cancel_keys_have_bounds(size):
    with pytest.raises(LocalProtocolError):
        CancelRequest(1, bytes(size)).encode()
    with pytest.raises(RemoteProtocolError):
        decode_startup(CancelRequest.code.to_bytes(4, "big") + b"\0\0\0\1" + bytes(size))


@pytest.mark.parametrize("request_code", [SslRequest.code, GssEncRequest.code])
def test_negotiation_requests_carry_nothing(request_code):
    with pytest.raises(RemoteProtocolError):
        decode_startup(request_code.to_bytes(4, "big") + b"x")


def test_what_a_startup_message_says():
    packet = StartupMessage(PROTOCOL_3_2, {"user": "ana@example.com", "database": "", "_pq_.x": "1"})
    assert packet.user == "ana@example.com"
    assert packet.database is None
    assert packet.protocol_options == ("_pq_.x",)

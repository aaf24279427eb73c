"""Every message: golden bytes, roundtrip, and nothing but a clean error for anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError, LocalProtocolError, RemoteProtocolError
from gateway_postgres.wire import authentication as auth
from gateway_postgres.wire import backend as be
from gateway_postgres.wire import frontend as fe

CSTRING = st.binary(max_size=40).map(lambda raw: raw.replace(b"\0", b"x"))
ASCII = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
UINT32 = st.integers(0, 2**32 - 1)
INT32 = st.integers(-(2**31), 2**31 - 1)
INT16 = st.integers(-(2**15), 2**15 - 1)
FORMATS = st.lists(st.sampled_from([0, 1]), max_size=5).map(tuple)
VALUES = st.lists(st.none() | st.binary(max_size=50), max_size=6).map(tuple)
TEXT = st.binary(max_size=30).map(lambda raw: raw.replace(b"\0", b"x").decode("utf-8", "surrogateescape"))
SECRET = st.binary(min_size=4, max_size=256)
FIELDS = st.dictionaries(st.sampled_from("SVCMDHPpqWstcdnFLR"), TEXT, max_size=8)
COLUMN = st.builds(be.FieldDescription, CSTRING, UINT32, INT16, UINT32, INT16, INT32, INT16)
TARGET = st.sampled_from(fe.Target)

FRONTEND = {
    fe.Query: st.builds(fe.Query, CSTRING),
    fe.Parse: st.builds(fe.Parse, CSTRING, CSTRING, st.lists(UINT32, max_size=4).map(tuple)),
    fe.Bind: st.builds(fe.Bind, CSTRING, CSTRING, VALUES, FORMATS, FORMATS),
    fe.Describe: st.builds(fe.Describe, TARGET, CSTRING),
    fe.Close: st.builds(fe.Close, TARGET, CSTRING),
    fe.Execute: st.builds(fe.Execute, CSTRING, INT32),
    fe.CopyData: st.builds(fe.CopyData, st.binary()),
    fe.CopyDone: st.builds(fe.CopyDone),
    fe.CopyFail: st.builds(fe.CopyFail, CSTRING),
    fe.FunctionCall: st.builds(fe.FunctionCall, UINT32, VALUES, FORMATS, INT16),
    fe.Sync: st.builds(fe.Sync),
    fe.Flush: st.builds(fe.Flush),
    fe.Terminate: st.builds(fe.Terminate),
}
BACKEND = {
    be.BackendKeyData: st.builds(be.BackendKeyData, UINT32, SECRET),
    be.NegotiateProtocolVersion: st.builds(be.NegotiateProtocolVersion, UINT32, st.lists(ASCII, max_size=3).map(tuple)),
    be.ParameterStatus: st.builds(be.ParameterStatus, TEXT, TEXT),
    be.ReadyForQuery: st.builds(be.ReadyForQuery, st.sampled_from(be.TransactionStatus)),
    be.NotificationResponse: st.builds(be.NotificationResponse, UINT32, CSTRING, CSTRING),
    be.RowDescription: st.builds(be.RowDescription, st.lists(COLUMN, max_size=4).map(tuple)),
    be.DataRow: st.builds(be.DataRow, VALUES),
    be.CommandComplete: st.builds(be.CommandComplete, TEXT),
    be.ParameterDescription: st.builds(be.ParameterDescription, st.lists(UINT32, max_size=4).map(tuple)),
    be.FunctionCallResponse: st.builds(be.FunctionCallResponse, st.none() | st.binary()),
    be.CopyInResponse: st.builds(be.CopyInResponse, st.sampled_from([0, 1]), FORMATS),
    be.CopyOutResponse: st.builds(be.CopyOutResponse, st.sampled_from([0, 1]), FORMATS),
    be.CopyBothResponse: st.builds(be.CopyBothResponse, st.sampled_from([0, 1]), FORMATS),
    be.ErrorResponse: st.builds(be.ErrorResponse, FIELDS),
    be.NoticeResponse: st.builds(be.NoticeResponse, FIELDS),
    be.ParseComplete: st.builds(be.ParseComplete),
    be.BindComplete: st.builds(be.BindComplete),
    be.CloseComplete: st.builds(be.CloseComplete),
    be.NoData: st.builds(be.NoData),
    be.PortalSuspended: st.builds(be.PortalSuspended),
    be.EmptyQueryResponse: st.builds(be.EmptyQueryResponse),
}
AUTHENTICATION = {
    auth.AuthenticationOk: st.builds(auth.AuthenticationOk),
    auth.AuthenticationCleartextPassword: st.builds(auth.AuthenticationCleartextPassword),
    auth.AuthenticationMd5Password: st.builds(auth.AuthenticationMd5Password, st.binary(min_size=4, max_size=4)),
    auth.AuthenticationSasl: st.builds(auth.AuthenticationSasl, st.lists(ASCII, max_size=3).map(tuple)),
    auth.AuthenticationSaslContinue: st.builds(auth.AuthenticationSaslContinue, st.binary()),
    auth.AuthenticationSaslFinal: st.builds(auth.AuthenticationSaslFinal, st.binary()),
}
PASSWORDS = {
    auth.PasswordMessage: st.builds(auth.PasswordMessage, CSTRING),
    auth.SaslInitialResponse: st.builds(auth.SaslInitialResponse, ASCII, st.none() | st.binary()),
    auth.SaslResponse: st.builds(auth.SaslResponse, st.binary()),
}
EVERY: dict[Any, st.SearchStrategy[Any]] = FRONTEND | BACKEND | AUTHENTICATION | PASSWORDS
DECODERS: list[Callable[[bytes], object]] = [message.decode for message in EVERY] + [
    fe.BindHeader.decode,
    auth.decode_authentication,
]

GOLDEN = [
    (fe.Query(b"select 1"), "51 0000000d 73656c656374203100"),
    (fe.Parse(b"s", b"select $1", (23,)), "50 00000016 7300 73656c65637420243100 0001 00000017"),
    (
        fe.Bind(b"", b"s", (b"7", None), (0,), (1,)),
        "42 0000001a 00 7300 0001 0000 0002 00000001 37 ffffffff 0001 0001",
    ),
    (fe.Describe(fe.Target.PORTAL, b""), "44 00000006 50 00"),
    (fe.Close(fe.Target.STATEMENT, b"s"), "43 00000007 53 7300"),
    (fe.Execute(b"", 100), "45 00000009 00 00000064"),
    (fe.Sync(), "53 00000004"),
    (fe.Flush(), "48 00000004"),
    (fe.Terminate(), "58 00000004"),
    (fe.CopyData(b"a\tb\n"), "64 00000008 6109620a"),
    (fe.CopyDone(), "63 00000004"),
    (fe.CopyFail(b"no"), "66 00000007 6e6f00"),
    (fe.FunctionCall(1598, (), (), 1), "46 0000000e 0000063e 0000 0000 0001"),
    (auth.PasswordMessage(b"pw"), "70 00000007 707700"),
    (auth.SaslInitialResponse("X", b"n,,"), "70 0000000d 5800 00000003 6e2c2c"),
    (auth.SaslInitialResponse("X", None), "70 0000000a 5800 ffffffff"),
    (auth.AuthenticationOk(), "52 00000008 00000000"),
    (auth.AuthenticationCleartextPassword(), "52 00000008 00000003"),
    (auth.AuthenticationMd5Password(b"\1\2\3\4"), "52 0000000c 00000005 01020304"),
    (auth.AuthenticationSasl(("A", "B")), "52 0000000d 0000000a 4100 4200 00"),
    (be.BackendKeyData(258, b"\xff\0\0\1"), "4b 0000000c 00000102 ff000001"),
    (be.ParameterStatus("a", "b"), "53 00000008 6100 6200"),
    (be.ReadyForQuery(be.TransactionStatus.IN_TRANSACTION), "5a 00000005 54"),
    (
        be.RowDescription((be.FieldDescription(b"id", 16384, 1, 23, 4, -1, 0),)),
        "54 0000001b 0001 696400 00004000 0001 00000017 0004 ffffffff 0000",
    ),
    (be.DataRow((b"1", None)), "44 0000000f 0002 00000001 31 ffffffff"),
    (be.CommandComplete("SELECT 1"), "43 0000000d 53454c454354203100"),
    (be.ErrorResponse({"S": "ERROR", "C": "42501"}), "45 00000013 53 4552524f5200 43 343235303100 00"),
    (be.NotificationResponse(7, b"c", b""), "41 0000000b 00000007 6300 00"),
    (be.CopyOutResponse(0, (0, 0)), "48 0000000b 00 0002 0000 0000"),
    (be.ParameterDescription((23,)), "74 0000000a 0001 00000017"),
    (be.FunctionCallResponse(None), "56 00000008 ffffffff"),
    (be.NegotiateProtocolVersion(196608, ("_pq_.x",)), "76 00000013 00030000 00000001 5f70715f2e7800"),
    (be.ParseComplete(), "31 00000004"),
    (be.BindComplete(), "32 00000004"),
    (be.CloseComplete(), "33 00000004"),
    (be.NoData(), "6e 00000004"),
    (be.PortalSuspended(), "73 00000004"),
    (be.EmptyQueryResponse(), "49 00000004"),
]


@pytest.mark.parametrize(("message", "wire"), GOLDEN, ids=lambda value: type(value).__name__)
def test_golden_bytes(message, wire):
    raw = bytes.fromhex(wire)
    assert message.encode() == raw
    assert type(message).decode(raw[5:]) == message
    assert type(message).decode(memoryview(raw)[5:]) == message


@settings(max_examples=60)
@given(st.one_of(*EVERY.values()))
def test_decode_reverses_encode(message):
    raw = message.encode()
    assert raw[0] == message.type
    assert int.from_bytes(raw[1:5], "big") == len(raw) - 1
    again = type(message).decode(raw[5:])
    assert again == message
    assert again.encode() == raw


@pytest.mark.parametrize("kind", FRONTEND)
def test_frontend_messages_are_found_by_type(kind):
    message = _example(kind)
    assert fe.decode_frontend(kind.type, message.encode()[5:]) == message


@pytest.mark.parametrize("kind", BACKEND)
def test_backend_messages_are_found_by_type(kind):
    message = _example(kind)
    assert be.decode_backend(kind.type, message.encode()[5:]) == message


@pytest.mark.parametrize("kind", AUTHENTICATION)
def test_authentication_messages_are_found_by_number(kind):
    message = _example(kind)
    assert auth.decode_authentication(message.encode()[5:]) == message


def _example(kind):
    for message, _ in GOLDEN:
        if type(message) is kind:
            return message
    defaults = {
        be.NoticeResponse: be.NoticeResponse({"M": "hello"}),
        be.CopyInResponse: be.CopyInResponse(1, (1,)),
        be.CopyBothResponse: be.CopyBothResponse(0, ()),
        auth.AuthenticationSaslContinue: auth.AuthenticationSaslContinue(b"r=1"),
        auth.AuthenticationSaslFinal: auth.AuthenticationSaslFinal(b"v=1"),
    }
    return defaults[kind]


@pytest.mark.parametrize("kind", [2, 6, 7, 8, 9, 11111])
def test_other_authentication_is_recognised_as_unsupported(kind):
    body = kind.to_bytes(4, "big") + b"whatever"
    assert auth.decode_authentication(body) == auth.AuthenticationUnsupported(kind)


def test_unknown_types_are_refused():
    with pytest.raises(RemoteProtocolError):
        fe.decode_frontend(ord("p"), b"secret\0")
    with pytest.raises(RemoteProtocolError):
        be.decode_backend(ord("R"), b"\0\0\0\0")


@settings(max_examples=300)
@given(st.sampled_from(DECODERS), st.binary(max_size=80))
def test_random_bytes_make_clean_errors_only(decode, body):
    _decode_or_refuse(decode, body)


@settings(max_examples=300)
@given(st.data())
def test_mutations_make_clean_errors_only(data):
    message = data.draw(st.one_of(*EVERY.values()))
    body = bytearray(message.encode()[5:])
    for _ in range(data.draw(st.integers(1, 3))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    _decode_or_refuse(type(message).decode, bytes(body[:cut]) + data.draw(st.binary(max_size=3)))


def _decode_or_refuse(decode, body):
    try:
        message = decode(body)
    except GatewayError as error:
        assert isinstance(error, RemoteProtocolError)  # noqa: PT017 - any other kind is the failure looked for
        return
    if hasattr(message, "encode"):
        assert type(message).decode(message.encode()[5:]) == message


EXACT = [message for message, _ in GOLDEN if not isinstance(message, fe.CopyData)]


@pytest.mark.parametrize("message", EXACT, ids=lambda value: type(value).__name__)
def test_every_truncation_and_every_trailing_byte_is_refused(message):
    body = message.encode()[5:]
    free = {be.BackendKeyData: 8}  # the end of a secret cannot be told from its middle
    for cut in range(min(len(body), free.get(type(message), len(body)))):
        with pytest.raises(RemoteProtocolError, match=r"^[A-Za-z0-9]+: "):
            type(message).decode(body[:cut])
    if type(message) not in free:
        with pytest.raises(RemoteProtocolError):
            type(message).decode(body + b"x")


def test_errors_name_message_and_rule_but_no_value():
    with pytest.raises(RemoteProtocolError) as caught:
        fe.Query.decode(b"select 'secret'")
    assert str(caught.value) == "Query: the query has no terminator"


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        (fe.Bind.decode, b"\0\0\0\0\0\1\xff\xff\xff\xfe\0\0"),
        (fe.BindHeader.decode, b"\0\0\0\0\0\1\xff\xff\xff\xfe\0\0"),
        (be.DataRow.decode, b"\0\1\x80\0\0\0"),
        (be.FunctionCallResponse.decode, b"\xff\xff\xff\xfe"),
    ],
)
def test_negative_lengths_are_refused(decode, body):
    with pytest.raises(RemoteProtocolError, match="negative"):
        decode(body)


@given(FRONTEND[fe.Bind])
def test_bind_header_agrees_with_bind(bind):
    body = bind.encode()[5:]
    for header in (fe.BindHeader.decode(body), fe.BindHeader.decode(memoryview(body))):
        assert (header.portal, header.statement) == (bind.portal, bind.statement)
        assert header.parameter_count == len(bind.parameters)
        assert header.result_formats == bind.result_formats


@given(st.binary(max_size=60))
def test_bind_header_accepts_what_bind_accepts(body):
    def verdict(decode: Callable[[bytes], object]) -> bool:
        try:
            decode(body)
        except RemoteProtocolError:
            return False
        return True

    assert verdict(fe.Bind.decode) == verdict(fe.BindHeader.decode)


@given(FRONTEND[fe.Bind], st.binary(max_size=20), st.binary(max_size=20), st.integers(0, 12))
def test_bind_header_stays_inside_its_message(bind, before, after, missing):
    body = bind.encode()[5:]
    data, start, end = before + body + after, len(before), len(before) + len(body)
    assert fe.BindHeader.decode_at(data, start, end) == fe.BindHeader.decode(body)
    if missing:
        # Cut short, the message must not borrow the bytes that follow it.
        with pytest.raises(RemoteProtocolError):
            fe.BindHeader.decode_at(data, start, max(start, end - missing))


@pytest.mark.parametrize(("formats", "expected"), [((), [0, 0]), ((1,), [1, 1]), ((0, 1), [0, 1])])
def test_result_format_of_each_column(formats, expected):
    header = fe.BindHeader(b"", b"", 0, formats)
    assert [header.result_format(column) for column in range(2)] == expected


def test_parameters_of_a_view_are_views():
    body = memoryview(fe.Bind(b"", b"", (b"x" * 5000,)).encode())[5:]
    (value,) = fe.Bind.decode(body).parameters
    assert isinstance(value, memoryview)


def test_bind_header_of_a_long_message():
    body = fe.Bind(b"p", b"s", (b"x" * 50_000, None), (1,), (1,)).encode()[5:]
    for form in (body, memoryview(body)):
        assert fe.BindHeader.decode(form) == fe.BindHeader(b"p", b"s", 2, (1,))


def test_long_strings_in_a_view_are_found():
    sql = b"select " + b"1" * 5000
    assert fe.Query.decode(memoryview(fe.Query(sql).encode())[5:]).sql == sql


@pytest.mark.parametrize(
    ("tag", "rows"),
    [("SELECT 5", 5), ("INSERT 0 12", 12), ("COPY 3", 3), ("BEGIN", None), ("CREATE TABLE", None), ("", None)],
)
def test_rows_of_a_command_tag(tag, rows):
    assert be.CommandComplete(tag).rows == rows


@pytest.mark.parametrize(
    "message",
    [fe.Query(b"a\0b"), auth.PasswordMessage(b"a\0b"), be.ErrorResponse({"M": "a\0b"}), be.ParameterStatus("a", "\0")],
)
def test_nul_inside_a_string_is_never_sent(message):
    with pytest.raises(LocalProtocolError):
        message.encode()


def test_too_many_parameters_are_never_sent():
    with pytest.raises(LocalProtocolError):
        fe.Bind(b"", b"", (None,) * 65536).encode()


def test_error_fields_are_written_in_the_clients_encoding():
    response = be.ErrorResponse({"M": "weiß €"})
    assert "weiß ?".encode("latin-1") in response.encode("latin-1")
    assert be.ErrorResponse.decode(response.encode("latin-1")[5:], "latin-1").message == "weiß ?"


def test_a_report_knows_code_and_untranslated_severity():
    report = be.ErrorResponse({"S": "FEHLER", "V": "ERROR", "C": "42501", "M": "nein"})
    assert (report.severity, report.code, report.message) == ("ERROR", "42501", "nein")


@pytest.mark.parametrize("body", [b"SERROR\0SERROR\0\0", b"\xe4x\0\0", b"SERROR\0"])
def test_malformed_reports_are_refused(body):
    with pytest.raises(RemoteProtocolError):
        be.ErrorResponse.decode(body)


def test_secrets_are_not_in_reprs():
    shown = repr([auth.PasswordMessage(b"hunter2"), auth.SaslResponse(b"hunter2"), be.DataRow((b"hunter2",))])
    shown += repr([fe.Bind(b"", b"", (b"hunter2",)), fe.CopyData(b"hunter2"), be.BackendKeyData(1, b"hunter2")])
    assert "hunter2" not in shown

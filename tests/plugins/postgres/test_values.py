"""Wire values: golden bytes, round trips, and masks that keep type and format."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.masking import MaskingFunction, MaskSpec, Value, ValueKind
from gateway.errors import MaskingError
from gateway.masking.cells import CellMask, Computed, Constant, Partial
from gateway.masking.functions import BUILTIN_FUNCTIONS, MaskingFunctions
from gateway.masking.keys import MaskingKeys
from gateway.testing.servers import PostgresServer
from gateway_postgres.rows import RowMask, mask_rows
from gateway_postgres.values import CODECS, compile_column, kind_of

TEXT, BINARY = 0, 1
BOOL, BYTEA, NAME, INT8, INT2, INT4, TEXT_OID, OID, JSON = 16, 17, 19, 20, 21, 23, 25, 26, 114
FLOAT4, FLOAT8, BPCHAR, VARCHAR, DATE, TIME, TIMESTAMP, TIMESTAMPTZ = 700, 701, 1042, 1043, 1082, 1083, 1114, 1184
NUMERIC, UUID_OID, JSONB = 1700, 2950, 3802

functions = MaskingFunctions(BUILTIN_FUNCTIONS, MaskingKeys(b"k" * 32))


def make(name: str, **arguments: str | int | bool) -> MaskingFunction:
    return functions(MaskSpec(name, tuple(sorted(arguments.items()))))


def own(
    apply: Callable[[Value, ValueKind, str], object], constant: Callable[[ValueKind], object] | None = None
) -> MaskingFunction:
    """A plugin's masking function, which may do anything."""

    def none(kind: ValueKind) -> Value | None:
        raise LookupError(kind)

    return MaskingFunction(MaskSpec("own"), 50, False, constant or none, apply)  # type: ignore[arg-type]


def run(mask: CellMask, wire: bytes) -> bytes | None:
    """What the row kernel makes of a cell."""
    row = struct.pack("!HI", 1, len(wire)) + wire
    message = b"D" + struct.pack("!I", len(row) + 4) + row
    output = mask_rows(message, 0, len(message), RowMask(1, [mask]))[3]
    (size,) = struct.unpack_from("!i", output, 7)
    return None if size == -1 else output[11 : 11 + size]


# Text and binary as PostgreSQL 15 sends them.
GOLDEN = [
    (BOOL, True, b"t", "01"),
    (BOOL, False, b"f", "00"),
    (BYTEA, b"\x00\xff", rb"\x00ff", "00ff"),
    (NAME, "pg_class", b"pg_class", "70675f636c617373"),
    (INT2, -2, b"-2", "fffe"),
    (INT4, 2**31 - 1, b"2147483647", "7fffffff"),
    (INT8, -(2**63), b"-9223372036854775808", "8000000000000000"),
    (OID, 2**32 - 1, b"4294967295", "ffffffff"),
    (TEXT_OID, "Åse", "Åse".encode(), "c3857365"),
    (VARCHAR, "", b"", ""),
    (JSON, '{"a": 1}', b'{"a": 1}', "7b2261223a20317d"),
    (JSONB, '{"a": 1}', b'{"a": 1}', "017b2261223a20317d"),
    (FLOAT4, 1.5, b"1.5", "3fc00000"),
    (FLOAT4, struct.unpack("!f", struct.pack("!f", 0.1))[0], b"0.1", "3dcccccd"),
    (FLOAT8, 0.1, b"0.1", "3fb999999999999a"),
    (FLOAT8, -math.inf, b"-Infinity", "fff0000000000000"),
    (DATE, date(2000, 1, 1), b"2000-01-01", "00000000"),
    (DATE, date(1984, 5, 17), b"1984-05-17", "ffffe9b5"),
    (TIME, time(12, 30, 1, 500_000), b"12:30:01.5", "0000000a7a4c6560"),
    (TIMESTAMP, datetime(2024, 2, 29, 12, 0, 0, 1), b"2024-02-29 12:00:00.000001", "0002b582c4781001"),  # noqa: DTZ001
    (NUMERIC, Decimal("0"), b"0", "0000000000000000"),
    (NUMERIC, Decimal("0.00"), b"0.00", "0000000000000002"),
    (NUMERIC, Decimal("12345.678"), b"12345.678", "0003000100000003000109291a7c"),
    (NUMERIC, Decimal("-0.0001"), b"-0.0001", "0001ffff400000040001"),
    (NUMERIC, Decimal("100000000"), b"100000000", "00010002000000000001"),
    (UUID_OID, UUID(int=1), b"00000000-0000-0000-0000-000000000001", "00000000000000000000000000000001"),
]


@pytest.mark.parametrize(("oid", "value", "text", "binary"), GOLDEN)
def test_values_travel_as_the_server_sends_them(oid: int, value: Value, text: bytes, binary: str) -> None:
    codec = CODECS[oid]
    assert codec.decode(text, TEXT, "utf-8") == value
    assert codec.decode(bytes.fromhex(binary), BINARY, "utf-8") == value
    assert codec.encode(value, TEXT, "utf-8") == text
    assert codec.encode(value, BINARY, "utf-8").hex() == binary


def test_infinite_numerics_travel_too() -> None:
    codec = CODECS[NUMERIC]
    for text, sign in ((b"Infinity", "d000"), (b"-Infinity", "f000")):
        for scale in ("0000", "0020"):
            assert (
                codec.encode(codec.decode(bytes.fromhex("00000000" + sign + scale), BINARY, "utf-8"), TEXT, "utf-8")
                == text
            )
        assert codec.encode(codec.decode(text, TEXT, "utf-8"), BINARY, "utf-8").hex() == f"00000000{sign}0000"


def test_not_a_number_travels_too() -> None:
    for oid, binary in ((NUMERIC, "00000000c0000000"), (FLOAT4, "7fc00000"), (FLOAT8, "7ff8000000000000")):
        value = CODECS[oid].decode(b"NaN", TEXT, "utf-8")
        assert value != value
        assert CODECS[oid].encode(value, TEXT, "utf-8") == b"NaN"
        assert CODECS[oid].encode(CODECS[oid].decode(bytes.fromhex(binary), BINARY, "utf-8"), TEXT, "utf-8") == b"NaN"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b"2024-02-29 12:00:00+00", datetime(2024, 2, 29, 12, tzinfo=UTC)),
        (b"2024-02-29 12:00:00.25+05:30", datetime(2024, 2, 29, 6, 30, 0, 250_000, tzinfo=UTC)),
        (b"2024-02-29 12:00:00-03:30", datetime(2024, 2, 29, 15, 30, tzinfo=UTC)),
        (b"1890-01-01 00:00:00+00:53:28", datetime(1889, 12, 31, 23, 6, 32, tzinfo=UTC)),
    ],
)
def test_timestamps_keep_the_offset_of_the_session(text: bytes, moment: datetime) -> None:
    codec = CODECS[TIMESTAMPTZ]
    value = codec.decode(text, TEXT, "utf-8")
    assert value == moment
    assert codec.encode(value, TEXT, "utf-8") == text
    assert codec.decode(codec.encode(value, BINARY, "utf-8"), BINARY, "utf-8") == moment


VALUES: dict[int, st.SearchStrategy[Value]] = {
    BOOL: st.booleans(),
    BYTEA: st.binary(),
    INT2: st.integers(-(2**15), 2**15 - 1),
    INT4: st.integers(-(2**31), 2**31 - 1),
    INT8: st.integers(-(2**63), 2**63 - 1),
    OID: st.integers(0, 2**32 - 1),
    FLOAT4: st.floats(width=32, allow_nan=False),
    FLOAT8: st.floats(allow_nan=False),
    NUMERIC: st.decimals(allow_nan=False, min_value=-(10**50), max_value=10**50),
    DATE: st.dates(),
    TIME: st.times(),
    TIMESTAMP: st.datetimes(),
    TIMESTAMPTZ: st.datetimes(
        datetime(2, 1, 1),  # noqa: DTZ001 - hypothesis wants the bounds so
        datetime(9998, 1, 1),  # noqa: DTZ001
        timezones=st.integers(-15 * 60, 15 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    ),
    UUID_OID: st.uuids(),
    TEXT_OID: st.text(st.characters(codec="utf-8", exclude_characters="\0")),
}


@given(st.data())
def test_every_value_survives_the_round_trip(data: st.DataObject) -> None:
    oid = data.draw(st.sampled_from(sorted(VALUES)))
    value = data.draw(VALUES[oid])
    codec = CODECS[oid]
    for wire_format in (TEXT, BINARY):
        assert codec.decode(codec.encode(value, wire_format, "utf-8"), wire_format, "utf-8") == value


@given(st.sampled_from(sorted(CODECS)), st.sampled_from([TEXT, BINARY]), st.binary(max_size=40))
def test_no_wire_value_makes_a_mask_fail(oid: int, wire_format: int, wire: bytes) -> None:
    """Whatever a server sends: a mask replaces it or makes it NULL, and never lets it end in another error."""
    for mask in (make("tokenise"), make("round", to=10), make("truncate_date", unit="year"), own(lambda v, _k, _d: v)):
        result = run(compile_column(mask, oid, wire_format, "pii"), wire)
        assert result is None or isinstance(result, bytes)


@pytest.mark.parametrize(
    ("oid", "wire_format", "wire"),
    [
        (INT4, TEXT, b"1_000"),
        (INT4, TEXT, b" 1"),
        (INT4, TEXT, b"\xd9\xa3"),
        (INT4, TEXT, b"9999999999"),
        (INT4, BINARY, b"\0\0\0"),
        (BOOL, TEXT, b"true"),
        (BOOL, BINARY, b"\2"),
        (FLOAT8, BINARY, b"\0" * 7),
        (NUMERIC, BINARY, b""),
        (NUMERIC, BINARY, bytes.fromhex("00010000000000002710")),
        (NUMERIC, BINARY, bytes.fromhex("0000000012340000")),
        (NUMERIC, BINARY, bytes.fromhex("00017fff000000000001")),
        (NUMERIC, BINARY, bytes.fromhex("0002000000000000") + b"\0\1"),
        (NUMERIC, TEXT, b"1" * 1001),
        (DATE, TEXT, b"infinity"),
        (DATE, TEXT, b"05/17/1984"),
        (DATE, TEXT, b"17.05.1984"),
        (DATE, TEXT, b"0044-03-15 BC"),
        (DATE, TEXT, b"10000-01-01"),
        (DATE, TEXT, b"2023-02-29"),
        (DATE, BINARY, bytes.fromhex("7fffffff")),
        (DATE, BINARY, bytes.fromhex("80000000")),
        (TIME, TEXT, b"24:00:00"),
        (TIME, BINARY, struct.pack("!q", 86_400_000_000)),
        (TIMESTAMP, TEXT, b"Thu May 17 12:00:00 1984"),
        (TIMESTAMP, TEXT, b"1984-05-17T12:00:00"),
        (TIMESTAMP, BINARY, struct.pack("!q", 2**63 - 1)),
        (TIMESTAMPTZ, TEXT, b"1984-05-17 12:00:00 CEST"),
        (TIMESTAMPTZ, TEXT, b"1984-05-17 12:00:00"),
        (TEXT_OID, TEXT, b"\xe5se"),
        (JSONB, BINARY, b"\2{}"),
        (UUID_OID, TEXT, b"{00000000-0000-0000-0000-000000000001}"),
        (UUID_OID, BINARY, b"\0" * 15),
        (BYTEA, TEXT, rb"\000abc"),
    ],
)
def test_what_a_codec_does_not_cover_becomes_null(oid: int, wire_format: int, wire: bytes) -> None:
    mask = compile_column(own(lambda value, _kind, _domain: value), oid, wire_format, "pii")
    assert run(mask, wire) is None


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (INT2, 40_000),
        (INT4, 2**31),
        (INT8, 2**63),
        (OID, -1),
        (FLOAT4, 1e300),
        (NUMERIC, Decimal("1e5000")),
        (TEXT_OID, "a\0b"),
        (TEXT_OID, "\ud800"),
    ],
)
def test_what_a_type_cannot_hold_becomes_null(oid: int, value: Value) -> None:
    sample = b"1"
    for wire_format in (TEXT, BINARY):
        wire = CODECS[oid].encode(CODECS[oid].decode(sample, TEXT, "utf-8"), wire_format, "utf-8")
        assert run(compile_column(own(lambda *_: value), oid, wire_format, "pii"), wire) is None
        assert compile_column(own(lambda *_: None, lambda _: value), oid, wire_format, "pii") == Constant(None)


# --- with a real server ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def connection(postgres_server: PostgresServer) -> Iterator[psycopg.Connection]:
    """A connection whose session writes timestamps with an offset of its own."""
    with psycopg.connect(
        host=postgres_server.host,
        port=postgres_server.port,
        user=postgres_server.superuser,
        password=postgres_server.password,
        dbname="postgres",
        options="-c timezone=Asia/Kolkata",
        autocommit=True,
    ) as opened:
        yield opened


TYPE_NAMES = {
    **{BOOL: "bool", BYTEA: "bytea", NAME: "name", INT8: "int8", INT2: "int2", INT4: "int4", TEXT_OID: "text"},
    **{OID: "oid", JSON: "json", FLOAT4: "float4", FLOAT8: "float8", BPCHAR: "char(9)", VARCHAR: "varchar"},
    **{DATE: "date", TIME: "time", TIMESTAMP: "timestamp", TIMESTAMPTZ: "timestamptz", NUMERIC: "numeric"},
    **{UUID_OID: "uuid", JSONB: "jsonb"},
}


def echo(connection: psycopg.Connection, oid: int, wire: bytes, wire_format: int, result_format: int) -> bytes:
    """What the server sends for a value that it was sent."""
    query = f"SELECT $1::{TYPE_NAMES[oid]}".encode()
    result = connection.pgconn.exec_params(query, [wire], [oid], [wire_format], result_format)
    assert result.status == psycopg.pq.ExecStatus.TUPLES_OK, result.error_message
    assert result.ftype(0) == oid
    value = result.get_value(0, 0)
    assert value is not None
    return value


def test_the_server_and_the_codecs_agree_on_every_type(connection: psycopg.Connection) -> None:
    assert TYPE_NAMES.keys() == CODECS.keys()
    samples = [(oid, value) for oid, value, _, _ in GOLDEN]
    samples += [(BPCHAR, "abc"), (TIMESTAMPTZ, datetime(1984, 5, 17, 12, 0, 0, 120_000, tzinfo=UTC))]
    samples += [(NUMERIC, Decimal(text)) for text in ("1e20", "1.0000", "-98765432.10", "0.00000001", "-Infinity")]
    samples += [(FLOAT4, 2.0**-126), (FLOAT8, 5e-324), (FLOAT8, 1e22), (FLOAT8, -0.0), (INT8, 2**63 - 1)]
    samples += [(DATE, date.min), (DATE, date.max), (TIMESTAMP, datetime(1, 1, 1))]  # noqa: DTZ001
    for oid, value in samples:
        codec = CODECS[oid]
        for sent in (TEXT, BINARY):
            for received in (TEXT, BINARY):
                wire = echo(connection, oid, codec.encode(value, sent, "utf-8"), sent, received)
                assert codec.decode(wire, received, "utf-8") == value
                if oid not in (BPCHAR, FLOAT4, FLOAT8, TIMESTAMPTZ) and value != Decimal("-Infinity"):
                    assert codec.encode(value, received, "utf-8") == wire


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_server_takes_and_gives_back_any_value(connection: psycopg.Connection, data: st.DataObject) -> None:
    oid = data.draw(st.sampled_from(sorted(VALUES)))
    value = data.draw(VALUES[oid])
    sent, received = data.draw(st.sampled_from([TEXT, BINARY])), data.draw(st.sampled_from([TEXT, BINARY]))
    codec = CODECS[oid]
    assert (
        codec.decode(echo(connection, oid, codec.encode(value, sent, "utf-8"), sent, received), received, "utf-8")
        == value
    )


def test_a_driver_can_read_what_masks_make(connection: psycopg.Connection) -> None:
    """A masked value goes back through the server's own input functions in its type and format."""
    wanted: list[tuple[int, Value, MaskingFunction]] = [
        (INT4, 1234, make("hash")),
        (INT8, 4111111111111234, make("tokenise")),
        (UUID_OID, UUID(int=7), make("hash")),
        (TEXT_OID, "Åse 4711", make("tokenise")),
        (NUMERIC, Decimal("1234.56"), make("round", to="0.5")),
        (FLOAT4, 1234.5, make("round", to=100)),
        (TIMESTAMPTZ, datetime(1984, 5, 17, 12, tzinfo=UTC), make("truncate_date", unit="quarter")),
    ]
    for oid, value, function in wanted:
        codec = CODECS[oid]
        for wire_format in (TEXT, BINARY):
            masked = run(compile_column(function, oid, wire_format, "pii"), codec.encode(value, wire_format, "utf-8"))
            assert masked is not None
            back = codec.decode(echo(connection, oid, masked, wire_format, BINARY), BINARY, "utf-8")
            assert back == codec.decode(masked, wire_format, "utf-8") != value


# --- masks on the wire ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("oid", [*CODECS, 1009, 790, 1186, 1266, 3904, 18, 142, 98765])
@pytest.mark.parametrize("wire_format", [TEXT, BINARY])
def test_redaction_needs_no_look_at_the_value(oid: int, wire_format: int) -> None:
    shown = b"****" if oid in (NAME, TEXT_OID, BPCHAR, VARCHAR) else None
    assert compile_column(make("redact"), oid, wire_format, "pii") == Constant(shown)


@pytest.mark.parametrize("oid", [1009, 790, 1186, 1266, 3904, 18, 142, 98765, 0])
def test_unknown_types_can_only_become_null(oid: int) -> None:
    assert kind_of(oid) is ValueKind.OTHER
    for mask in (make("constant", value="x"), make("hash"), own(lambda value, _kind, _domain: value)):
        assert compile_column(mask, oid, TEXT, "pii") == Constant(None)


def test_constants_take_the_form_of_the_column() -> None:
    assert compile_column(make("constant", value=7), INT2, BINARY, "pii") == Constant(b"\0\7")
    assert compile_column(make("constant", value=7), INT8, TEXT, "pii") == Constant(b"7")
    assert compile_column(make("constant", value=7), NUMERIC, BINARY, "pii") == Constant(
        bytes.fromhex("00010000000000000007")
    )
    assert compile_column(make("constant", value="{}"), JSONB, BINARY, "pii") == Constant(b"\1{}")
    assert compile_column(make("constant", value="1970-01-01"), DATE, TEXT, "pii") == Constant(b"1970-01-01")


@pytest.mark.parametrize("wire_format", [TEXT, BINARY])
@pytest.mark.parametrize("value", ["4111111111111234", "1234567", "", "Ångström 1234", "日本語日本語日本語"])
def test_a_partial_mask_is_the_same_in_the_kernel_and_in_the_function(wire_format: int, value: str) -> None:
    function = make("partial", first=1, last=3, fill="•")
    mask = compile_column(function, VARCHAR, wire_format, "pii")
    assert isinstance(mask, Partial)
    assert run(mask, value.encode()) == str(function.apply(value, ValueKind.TEXT, "pii")).encode()


def test_padding_does_not_count_as_value() -> None:
    """Of char(10) 'abcd' the spaces are not half of it, so nothing of it may be shown."""
    assert run(compile_column(make("partial", first=4), BPCHAR, TEXT, "pii"), b"abcd      ") == b"****"
    assert run(compile_column(make("partial", last=2), BPCHAR, TEXT, "pii"), b"abcd      ") == b"****cd"


def test_a_partial_mask_in_another_encoding() -> None:
    mask = compile_column(make("partial", last=2), TEXT_OID, TEXT, "pii", encoding="latin-1")
    assert run(mask, b"\xc5ngstr\xf6m") == b"****\xf6m"
    bullets = compile_column(make("partial", last=2, fill="•"), TEXT_OID, TEXT, "pii", encoding="latin-1")
    assert bullets == Constant(None)


def test_keyed_masks_join_text_and_binary_and_types_of_text() -> None:
    results = {
        run(compile_column(make("hash"), oid, wire_format, "pii"), wire)
        for oid, wire in ((TEXT_OID, b"ana"), (VARCHAR, b"ana"), (BPCHAR, b"ana   "))
        for wire_format in (TEXT, BINARY)
    }
    assert len(results) == 1
    assert None not in results
    assert run(compile_column(make("hash"), TEXT_OID, TEXT, "other"), b"ana") not in results


def test_numbers_and_dates_stay_what_they_are() -> None:
    rounded = compile_column(make("round", to=100), INT4, BINARY, "pii")
    assert run(rounded, struct.pack("!i", 1234)) == struct.pack("!i", 1200)
    assert run(compile_column(make("round", to=100), NUMERIC, TEXT, "pii"), b"1234.50") == b"1200"
    assert run(compile_column(make("round", to=1000), INT2, TEXT, "pii"), b"32767") is None
    year = compile_column(make("truncate_date", unit="year"), TIMESTAMPTZ, TEXT, "pii")
    assert run(year, b"1984-05-17 23:59:59.5+02") == b"1984-01-01 00:00:00+02"
    month = compile_column(make("truncate_date", unit="month"), DATE, BINARY, "pii")
    assert run(month, CODECS[DATE].encode(date(1984, 5, 17), BINARY, "utf-8")) == CODECS[DATE].encode(
        date(1984, 5, 1), BINARY, "utf-8"
    )


def test_a_failing_function_ends_the_result_without_showing_the_value() -> None:
    def fail(value: Value, kind: ValueKind, domain: str) -> Value:
        raise MaskingError(f"bad value: {value!r}")

    mask = compile_column(own(fail), TEXT_OID, TEXT, "pii")
    assert isinstance(mask, Computed)
    with pytest.raises(MaskingError) as caught:
        mask.compute(b"secret")
    assert str(caught.value) == 'masking function "own" failed: MaskingError'
    assert caught.value.__context__ is None
    with pytest.raises(MaskingError, match='"own" failed: ZeroDivisionError'):
        compile_column(own(fail, lambda _: 1 / 0), TEXT_OID, TEXT, "pii")


@pytest.mark.parametrize(
    ("oid", "answer"),
    [(TEXT_OID, b"secret"), (INT4, True), (INT4, "1"), (DATE, datetime(2024, 1, 1)), (BOOL, 1)],  # noqa: DTZ001
)
def test_a_function_that_returns_another_kind_ends_the_result(oid: int, answer: object) -> None:
    sample = {TEXT_OID: b"x", INT4: b"1", DATE: b"2024-01-01", BOOL: b"t"}[oid]
    mask = compile_column(own(lambda *_: answer), oid, TEXT, "pii")
    with pytest.raises(MaskingError, match="is not of the kind"):
        run(mask, sample)
    with pytest.raises(MaskingError, match="is not of the kind"):
        compile_column(own(lambda *_: None, lambda _: answer), oid, TEXT, "pii")


def test_what_cannot_be_compiled_is_refused() -> None:
    with pytest.raises(MaskingError, match="wire format 2"):
        compile_column(make("redact"), TEXT_OID, 2, "pii")
    with pytest.raises(MaskingError, match="unknown encoding"):
        compile_column(make("redact"), TEXT_OID, TEXT, "pii", encoding="no-such")

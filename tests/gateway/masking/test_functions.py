"""The built-in masking functions: what each shows of a value, and the arguments it takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pluggy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import PROJECT_NAME, hookspecs
from gateway.domain.masking import MaskingFunction, MaskSpec, Value, ValueKind
from gateway.errors import ConfigurationError
from gateway.masking.functions import BUILTIN_FUNCTIONS, BuiltinMaskingFunctions, MaskingFunctions, strictest
from gateway.masking.keys import MaskingKeys

KEYS = MaskingKeys(b"k" * 32)
CARD = "4111-1111-1111-1234"


def make(name: str, **arguments: str | int | bool) -> MaskingFunction:
    return MaskingFunctions(BUILTIN_FUNCTIONS, KEYS)(MaskSpec(name, tuple(sorted(arguments.items()))))


def show(function: MaskingFunction, value: Value, kind: ValueKind, domain: str = "pii.x") -> Value | None:
    """What becomes of a value: the constant where there is one, which ``apply`` must not contradict."""
    applied = function.apply(value, kind, domain)
    try:
        constant = function.constant(kind)
    except LookupError:
        return applied
    assert applied == constant
    return constant


SAMPLES: dict[ValueKind, Value] = {
    ValueKind.TEXT: CARD,
    ValueKind.INTEGER: 4711,
    ValueKind.DECIMAL: Decimal("12.50"),
    ValueKind.FLOAT: 12.5,
    ValueKind.BOOLEAN: True,
    ValueKind.DATE: date(1984, 5, 17),
    ValueKind.TIME: time(12, 30),
    ValueKind.TIMESTAMP: datetime(1984, 5, 17, 12, 30, tzinfo=UTC),
    ValueKind.UUID: UUID(int=7),
    ValueKind.BYTES: b"secret",
    ValueKind.JSON: '{"a": 1}',
    ValueKind.OTHER: b"?",
}
USABLE: dict[str, dict[str, str | int | bool]] = {
    "constant": {"value": "x"},
    "partial": {"last": 4},
    "truncate_date": {"unit": "year"},
    "round": {"to": 10},
}
CHANGES_KIND = {
    "redact": {ValueKind.TEXT},
    "null": set[ValueKind](),
    "constant": {ValueKind.TEXT},
    "partial": {ValueKind.TEXT},
    "email": {ValueKind.TEXT},
    "hash": {ValueKind.TEXT, ValueKind.INTEGER, ValueKind.UUID},
    "tokenise": {ValueKind.TEXT, ValueKind.INTEGER},
    "truncate_date": {ValueKind.DATE, ValueKind.TIMESTAMP},
    "round": {ValueKind.INTEGER, ValueKind.DECIMAL, ValueKind.FLOAT},
}


@pytest.mark.parametrize("kind", list(ValueKind))
@pytest.mark.parametrize("name", sorted(BUILTIN_FUNCTIONS))
def test_kinds_that_a_function_does_not_cover_become_null(name: str, kind: ValueKind) -> None:
    result = show(make(name, **USABLE.get(name, {})), SAMPLES[kind], kind)
    assert (result is not None) == (kind in CHANGES_KIND[name])
    if result is not None:
        assert type(result) is type(SAMPLES[kind])
        assert result != SAMPLES[kind]


def test_the_order_of_strictness_is_the_published_one() -> None:
    functions = [make(name, **USABLE.get(name, {})) for name in BUILTIN_FUNCTIONS]
    bands = {function.spec.function: function.strictness - function.strictness % 10 for function in functions}
    assert bands == {
        **dict.fromkeys(("redact", "null", "constant"), 100),
        "hash": 80,
        "tokenise": 70,
        **dict.fromkeys(("truncate_date", "round"), 50),
        "email": 40,
        "partial": 30,
    }
    whole = {function.spec.function for function in functions if not function.partial}
    assert whole == {"redact", "null", "constant"}


@pytest.mark.parametrize(
    ("looser", "stricter"),
    [
        (make("partial", last=4), make("partial", first=1, last=2)),
        (make("partial", last=1), make("email")),
        (make("email"), make("truncate_date", unit="month")),
        (make("truncate_date", unit="month"), make("truncate_date", unit="quarter")),
        (make("truncate_date", unit="year"), make("truncate_date", unit="decade")),
        (make("round", to=10), make("round", to=1000)),
        (make("round", to=10**15), make("tokenise", keep=4)),
        (make("tokenise", keep=4), make("tokenise")),
        (make("tokenise"), make("hash")),
        (make("hash"), make("redact")),
    ],
)
def test_the_function_that_shows_less_wins(looser: MaskingFunction, stricter: MaskingFunction) -> None:
    assert strictest([looser, stricter]) is strictest([stricter, looser]) is stricter


def test_among_equals_the_choice_does_not_depend_on_the_order() -> None:
    functions = [make("constant", value="a"), make("null"), make("redact"), make("constant", value="b")]
    assert strictest(functions) is strictest(functions[::-1])


def test_the_functions_come_as_a_plugin() -> None:
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(BuiltinMaskingFunctions())
    manager.check_pending()
    assert manager.hook.register_masking_functions() == [BUILTIN_FUNCTIONS]


# --- constant -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("hidden", ValueKind.TEXT, "hidden"),
        (7, ValueKind.TEXT, "7"),
        (7, ValueKind.INTEGER, 7),
        ("7", ValueKind.INTEGER, 7),
        ("seven", ValueKind.INTEGER, None),
        (0, ValueKind.DECIMAL, Decimal(0)),
        ("many", ValueKind.DECIMAL, None),
        (0, ValueKind.FLOAT, 0.0),
        (True, ValueKind.BOOLEAN, True),
        (1, ValueKind.BOOLEAN, None),
        (True, ValueKind.INTEGER, None),
        ("1970-01-01", ValueKind.DATE, date(1970, 1, 1)),
        ("soon", ValueKind.DATE, None),
        ("12:00", ValueKind.TIME, time(12)),
        ("1970-01-01", ValueKind.TIMESTAMP, datetime(1970, 1, 1)),  # noqa: DTZ001 - none is given
        ("00000000-0000-0000-0000-000000000000", ValueKind.UUID, UUID(int=0)),
        ('{"hidden": true}', ValueKind.JSON, '{"hidden": true}'),
        ("{hidden}", ValueKind.JSON, None),
        ("NaN", ValueKind.JSON, None),
        ("x", ValueKind.BYTES, None),
        ("x", ValueKind.OTHER, None),
    ],
)
def test_a_constant_stands_wherever_the_column_can_hold_it(
    value: str | int | bool, kind: ValueKind, expected: Value | None
) -> None:
    assert make("constant", value=value).constant(kind) == expected


def test_equal_looking_constants_are_not_mixed_up() -> None:
    functions = MaskingFunctions(BUILTIN_FUNCTIONS, KEYS)
    truth, number = (functions(MaskSpec("constant", (("value", value),))) for value in (True, 1))
    assert truth.constant(ValueKind.BOOLEAN) is True
    assert number.constant(ValueKind.INTEGER) == 1


# --- partial and email ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "arguments", "expected"),
    [
        (CARD, {"last": 4}, "****1234"),
        (CARD, {"first": 2, "last": 4}, "41****1234"),
        (CARD, {"first": 6}, "4111-1****"),
        (CARD, {"last": 4, "fill": "•"}, "••••1234"),
        ("12345678", {"last": 4}, "****5678"),
        ("1234567", {"last": 4}, "****"),
        ("", {"last": 1}, "****"),
        ("a", {"last": 1}, "****"),
        ("Ångström", {"first": 3}, "Ång****"),
    ],
)
def test_partial_shows_ends_but_never_more_than_half(
    value: str, arguments: dict[str, str | int | bool], expected: str
) -> None:
    assert show(make("partial", **arguments), value, ValueKind.TEXT) == expected


@given(st.text(), st.integers(0, 64), st.integers(1, 64))
def test_partial_hides_the_length_and_at_least_half(value: str, first: int, last: int) -> None:
    shown = show(make("partial", first=first, last=last), value, ValueKind.TEXT)
    assert shown == "****" or (first + last <= len(value) / 2 and shown == value[:first] + "****" + value[-last:])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ana@example.com", "a***@example.com"),
        ("a@example.com", "***@example.com"),
        ("ana.b+shop@mail.example.co.uk", "a***@mail.example.co.uk"),
        ('"a@b"@example.com', '"***@example.com'),
        ("@example.com", "****"),
        ("ana@", "****"),
        ("ana", "****"),
        ("", "****"),
        ("ana@localhost", "****"),
        ("ana@my number is 123.com", "****"),
        ("ana@example.com, 123-45-6789", "****"),
        ("ana@example.com\n", "****"),
        ("ana@" + "a." * 200 + "com", "****"),
    ],
)
def test_email_keeps_the_domain_of_addresses_only(value: str, expected: str) -> None:
    assert show(make("email"), value, ValueKind.TEXT) == expected


# --- keyed functions ------------------------------------------------------------------------------------------------


def test_a_hash_is_stable_within_a_domain_and_a_key_only() -> None:
    function = make("hash")
    first = show(function, "ana@example.com", ValueKind.TEXT, "pii.email")
    assert isinstance(first, str)
    assert re.fullmatch("[a-z2-7]{16}", first)
    assert show(make("hash"), "ana@example.com", ValueKind.TEXT, "pii.email") == first
    assert show(function, "ana@example.com", ValueKind.TEXT, "pii.contact") != first
    assert show(function, "Ana@example.com", ValueKind.TEXT, "pii.email") != first
    other = MaskingFunctions(BUILTIN_FUNCTIONS, MaskingKeys(b"o" * 32))(MaskSpec("hash"))
    assert show(other, "ana@example.com", ValueKind.TEXT, "pii.email") != first


def test_a_hash_keeps_the_kind() -> None:
    function = make("hash", length=8, prefix="p_")
    text = show(function, "x", ValueKind.TEXT)
    assert isinstance(text, str)
    assert re.fullmatch("p_[a-z2-7]{8}", text)
    number = show(function, -5, ValueKind.INTEGER)
    assert isinstance(number, int)
    assert 0 <= number < 2**31
    identifier = show(function, UUID(int=5), ValueKind.UUID)
    assert isinstance(identifier, UUID)
    assert (identifier.version, identifier.variant) == (8, "specified in RFC 4122")


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (CARD, r"\d{4}-\d{4}-\d{4}-\d{4}"),
        ("NO93 8601 1117 947", r"[A-Z]{2}\d\d \d{4} \d{4} \d{3}"),
        ("Åse O'Hara", r"[A-Z][a-z]{2} [A-Z]'[A-Z][a-z]{3}"),
        ("日本 5", r"[a-z]{2} \d"),
        ("a\N{EM DASH}b", r"[a-z]\?[a-z]"),
        ("x" * 1000, r"[a-z]{1000}"),
    ],
)
def test_tokens_keep_the_format(value: str, shape: str) -> None:
    token = show(make("tokenise"), value, ValueKind.TEXT)
    assert isinstance(token, str)
    assert re.fullmatch(shape, token, re.ASCII)
    assert token != value
    assert show(make("tokenise"), value, ValueKind.TEXT) == token
    assert show(make("tokenise"), value, ValueKind.TEXT, "other") != token


def test_tokens_can_keep_the_end_unless_that_is_most_of_it() -> None:
    token = show(make("tokenise", keep=4), CARD, ValueKind.TEXT)
    assert isinstance(token, str)
    assert token.endswith("-1234")
    assert not token.startswith("4111-1111-1111")
    short = show(make("tokenise", keep=4), "1234567", ValueKind.TEXT)
    assert isinstance(short, str)
    assert len(short) == 7
    assert not short.endswith("4567")


def test_equal_beginnings_do_not_show_in_tokens() -> None:
    tokens = {str(show(make("tokenise"), f"10000000000{end}", ValueKind.TEXT))[:6] for end in range(10)}
    assert len(tokens) > 5


@pytest.mark.parametrize("value", ["", "---", " ", "€€", "--1"])
def test_a_value_without_anything_to_replace_is_redacted(value: str) -> None:
    assert show(make("tokenise", keep=1), value, ValueKind.TEXT) == "****"


@given(st.integers(-(2**63), 2**63 - 1))
def test_tokens_of_integers_keep_sign_and_digits(value: int) -> None:
    token = show(make("tokenise"), value, ValueKind.INTEGER)
    assert isinstance(token, int)
    assert len(str(abs(token))) == len(str(abs(value)))
    assert (token < 0) == (value < 0)


@given(st.text())
def test_keyed_functions_take_any_text(value: str) -> None:
    assert show(make("hash"), value, ValueKind.TEXT)
    assert len(str(show(make("tokenise"), value, ValueKind.TEXT))) in (len(value), 4)


# --- coarser values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("month", (1984, 5)), ("quarter", (1984, 4)), ("year", (1984, 1)), ("decade", (1980, 1))],
)
def test_dates_become_the_first_day_of_their_unit(unit: str, expected: tuple[int, int]) -> None:
    function = make("truncate_date", unit=unit)
    zone = timezone(timedelta(hours=2))
    assert show(function, date(1984, 5, 17), ValueKind.DATE) == date(*expected, 1)
    moment = datetime(1984, 5, 17, 23, 59, 59, 5, tzinfo=zone)
    assert show(function, moment, ValueKind.TIMESTAMP) == datetime(*expected, 1, tzinfo=zone)


def test_the_first_decade_begins_with_the_first_year() -> None:
    assert show(make("truncate_date", unit="decade"), date(7, 3, 1), ValueKind.DATE) == date(1, 1, 1)


@pytest.mark.parametrize(
    ("to", "kind", "value", "expected"),
    [
        (1000, ValueKind.INTEGER, 52_400, 52_000),
        (1000, ValueKind.INTEGER, -52_600, -53_000),
        (100, ValueKind.INTEGER, 250, 200),
        (100, ValueKind.INTEGER, 350, 400),
        ("0.5", ValueKind.INTEGER, 3, None),
        (1000, ValueKind.DECIMAL, Decimal("52400.55"), Decimal(52_000)),
        ("0.05", ValueKind.DECIMAL, Decimal("1.23"), Decimal("1.25")),
        (10, ValueKind.DECIMAL, Decimal("NaN"), None),
        (10, ValueKind.DECIMAL, Decimal("-Infinity"), None),
        (7, ValueKind.DECIMAL, Decimal("1" * 501), None),
        (10, ValueKind.FLOAT, 17.3, 20.0),
        ("0.1", ValueKind.FLOAT, 0.2999, 0.3),
        (10, ValueKind.FLOAT, float("inf"), None),
        (10, ValueKind.FLOAT, float("nan"), None),
    ],
)
def test_numbers_become_the_nearest_multiple(to: int | str, kind: ValueKind, value: Value, expected: object) -> None:
    assert show(make("round", to=to), value, kind) == expected


# --- arguments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("redact", {"fill": "x"}, "fill"),
        ("null", {"x": 1}, "x"),
        ("constant", {}, "value"),
        ("constant", {"value": None}, "value"),
        ("constant", {"value": [1]}, "value"),
        ("partial", {}, "last"),
        ("partial", {"first": -1}, "first"),
        ("partial", {"last": 65}, "last"),
        ("partial", {"last": "4"}, "last"),
        ("partial", {"last": True}, "last"),
        ("partial", {"last": 4, "fill": "**"}, "fill"),
        ("partial", {"last": 4, "fill": "\n"}, "fill"),
        ("partial", {"last": 4, "fill": 0}, "fill"),
        ("email", {"domain": False}, "domain"),
        ("hash", {"length": 7}, "length"),
        ("hash", {"length": 53}, "length"),
        ("hash", {"prefix": "x" * 33}, "prefix"),
        ("tokenise", {"keep": 17}, "keep"),
        ("tokenise", {"last": 4}, "last"),
        ("truncate_date", {}, "unit"),
        ("truncate_date", {"unit": "day"}, "unit"),
        ("round", {}, "to"),
        ("round", {"to": 0}, "to"),
        ("round", {"to": -5}, "to"),
        ("round", {"to": True}, "to"),
        ("round", {"to": "ten"}, "to"),
        ("round", {"to": "Infinity"}, "to"),
        ("round", {"to": "NaN"}, "to"),
        ("round", {"to": "1e19"}, "to"),
    ],
)
def test_wrong_arguments_are_named(name: str, arguments: dict[str, str | int | bool], named: str) -> None:
    with pytest.raises(ConfigurationError, match=f'masking function "{name}": argument "{named}"'):
        make(name, **arguments)


def test_an_unknown_function_is_named() -> None:
    with pytest.raises(ConfigurationError, match='no masking function "redcat"'):
        make("redcat")


def test_specs_are_made_ready_once() -> None:
    made: list[MaskSpec] = []

    def factory(spec: MaskSpec, keys: MaskingKeys) -> MaskingFunction:
        made.append(spec)
        return BUILTIN_FUNCTIONS["redact"](spec, keys)

    factories: dict[str, Callable[[MaskSpec, MaskingKeys], MaskingFunction]] = {"own": factory}
    functions = MaskingFunctions(factories, KEYS)
    assert functions(MaskSpec("own")) is functions(MaskSpec("own"))
    assert made == [MaskSpec("own")]
    assert functions.names == {"own"}

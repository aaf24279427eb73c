"""The row kernels: what the reference promises, and that the compiled kernels do the same byte for byte."""

from __future__ import annotations

import importlib
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import MaskingError, MessageTooLarge, RemoteProtocolError
from gateway.masking.cells import CellMask, Computed, Constant, Partial
from gateway_postgres import _rows_reference, rows

STARS = Constant(b"****")
NULL = Constant(None)


def kernels() -> list[ModuleType]:
    try:
        return [_rows_reference, importlib.import_module("gateway_postgres._rows")]
    except ImportError:
        return [_rows_reference]


def redact_other(value: bytes) -> bytes | None:
    return b"****" if value.count(b"\xff") == 0 else None


def last_four(first: int = 0, last: int = 4) -> Partial:
    return Partial(first, last, b"****", redact_other)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def row(*cells: bytes | None) -> bytes:
    body = struct.pack("!H", len(cells))
    for cell in cells:
        body += b"\xff\xff\xff\xff" if cell is None else struct.pack("!i", len(cell)) + cell
    return message(b"D", body)


Masked = tuple[int, int, tuple[int, ...], bytes]

READY = message(b"Z", b"I")
COMPLETE = message(b"C", b"SELECT 2\0")


@pytest.fixture(params=kernels(), ids=lambda module: module.__name__)
def kernel(request: pytest.FixtureRequest) -> ModuleType:
    module: ModuleType = request.param
    return module


def mask(kernel: ModuleType, data: bytes, *maskers: CellMask | None, max_rows: int = -1) -> Masked:
    result: Masked = kernel.mask_rows(data, 0, len(data), kernel.RowMask(len(maskers), maskers), max_rows)
    return result


def test_masked_cells_change_and_their_neighbours_do_not(kernel: ModuleType) -> None:
    data = row(b"1", b"ana@example.com", b"4111111111111234", b"x") + row(b"2", b"", None, b"y")
    position, count, masked, output = mask(kernel, data, None, STARS, last_four(), None)
    assert output == row(b"1", b"****", b"****1234", b"x") + row(b"2", b"****", None, b"y")
    assert (position, count, masked) == (len(data), 2, (0, 2, 1, 0))


def test_null_stays_null_and_is_not_counted(kernel: ModuleType) -> None:
    assert mask(kernel, row(None, None), STARS, NULL)[2:] == ((), row(None, None))


def test_a_constant_null_replaces_a_value(kernel: ModuleType) -> None:
    assert mask(kernel, row(b"secret"), NULL)[2:] == ((1,), row(None))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"", b"****"),
        (b"1234", b"****"),
        (b"1234567", b"****"),
        (b"12345678", b"****5678"),
        (b"123456789", b"****6789"),
        ("é2345678".encode(), b"****"),
        (b"\xff2345678", None),
    ],
)
def test_a_partial_mask_never_shows_more_than_half(kernel: ModuleType, value: bytes, shown: bytes | None) -> None:
    assert mask(kernel, row(value), last_four())[3] == row(shown)


def test_a_partial_mask_may_show_both_ends(kernel: ModuleType) -> None:
    assert mask(kernel, row(b"NO9386011117947"), last_four(2, 4))[3] == row(b"NO****7947")


def test_a_partial_mask_that_shows_more_than_any_value_has_shows_nothing(kernel: ModuleType) -> None:
    assert mask(kernel, row(b"x" * 100), last_four(2**40, 2**70))[3] == row(b"****")


def test_empty_cells_that_all_grow_fit(kernel: ModuleType) -> None:
    """The bound of a masked row's size must count what masks add to cells that had nothing."""
    wide = Constant(b"m" * 1000)
    data = row(*[b""] * 1000) * 20
    assert mask(kernel, data, *[wide] * 1000)[3] == row(*[b"m" * 1000] * 1000) * 20
    computed = Computed(lambda _: b"m" * 1000)
    both: list[CellMask] = [computed, wide]
    assert mask(kernel, data, *both * 500)[3] == row(*[b"m" * 1000] * 1000) * 20


def test_a_computed_mask_gets_the_value_and_may_answer_null(kernel: ModuleType) -> None:
    seen: list[bytes] = []

    def compute(value: bytes) -> bytes | None:
        seen.append(value)
        return None if value == b"b" else value * 3

    assert mask(kernel, row(b"a", b"b"), Computed(compute), Computed(compute))[3] == row(b"aaa", None)
    assert seen == [b"a", b"b"]


def test_a_computed_mask_may_mask_rows_itself(kernel: ModuleType) -> None:
    inner = kernel.RowMask(1, [STARS])

    def compute(value: bytes) -> bytes | None:
        result: bytes = kernel.mask_rows(row(value), 0, len(row(value)), inner)[3]
        return result

    assert mask(kernel, row(b"a", b"b") * 3, Computed(compute), last_four())[3] == row(row(b"****"), b"****") * 3


@pytest.mark.parametrize("answer", ["text", bytearray(b"x"), 3])
def test_a_computed_mask_that_answers_no_bytes_ends_the_result(kernel: ModuleType, answer: object) -> None:
    with pytest.raises(MaskingError, match="something else than bytes"):
        mask(kernel, row(b"a"), Computed(lambda _: answer))  # type: ignore[arg-type, return-value]


def test_an_exception_of_a_computed_mask_comes_through(kernel: ModuleType) -> None:
    def fail(value: bytes) -> bytes | None:
        raise MaskingError("no")

    with pytest.raises(MaskingError, match="no"):
        mask(kernel, row(b"ok") + row(b"a"), Computed(fail))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (row(b"a"), "number of columns"),
        (row(b"a", b"b", b"c"), "number of columns"),
        (message(b"D", b""), "too short"),
        (message(b"D", b"\0"), "too short"),
        (b"D\0\0\0\0", "too short"),
        (b"D\xff\xff\xff\xff", "too short"),
        (message(b"D", b"\0\x02"), "shorter than"),
        (message(b"D", b"\0\x02\0\0\0\x01a"), "shorter than"),
        (message(b"D", b"\0\x02\0\0\0\x01a\0\0\0\x02b"), "shorter than"),
        (message(b"D", b"\0\x02\0\0\0\x01a\xff\xff\xff\xfeb"), "shorter than"),
        (message(b"D", b"\0\x02\0\0\0\x01a\x7f\xff\xff\xffb"), "shorter than"),
        (message(b"D", b"\0\x02\0\0\0\x01a\0\0\0\x01bc"), "longer than"),
    ],
)
@pytest.mark.parametrize("maskers", [(None, None), (None, STARS), (STARS, None)])
def test_a_malformed_row_is_refused(
    kernel: ModuleType, data: bytes, reason: str, maskers: Sequence[CellMask | None]
) -> None:
    with pytest.raises(MaskingError, match=reason):
        mask(kernel, row(b"a", b"b") + data, *maskers)


def test_masking_stops_at_other_messages_incomplete_rows_and_the_row_limit(kernel: ModuleType) -> None:
    one, masked = row(b"a"), row(b"****")
    assert mask(kernel, one * 2 + COMPLETE, STARS) == (len(one) * 2, 2, (2,), masked * 2)
    for cut in range(1, len(one)):
        assert mask(kernel, one + one[:cut], STARS) == (len(one), 1, (1,), masked)
    assert mask(kernel, one * 5, STARS, max_rows=3) == (len(one) * 3, 3, (3,), masked * 3)
    assert mask(kernel, one * 5, STARS, max_rows=0) == (0, 0, (), b"")


def test_the_range_decides_not_the_buffer(kernel: ModuleType) -> None:
    one = row(b"a")
    data = bytearray(b"junk" + one * 3)
    row_mask = kernel.RowMask(1, [STARS])
    for buffer in (bytes(data), data, memoryview(data)):
        assert kernel.mask_rows(buffer, 4, 4 + 2 * len(one), row_mask)[:2] == (4 + 2 * len(one), 2)
        assert kernel.scan_rows(buffer, 4, 3 + 2 * len(one)) == (4 + len(one), 1)
        for start, end in [(-1, 4), (5, 4), (0, len(data) + 1)]:
            for call in (
                lambda b, s, e: kernel.mask_rows(b, s, e, row_mask),
                kernel.scan_rows,
                kernel.split_backend,
                kernel.split_frontend,
            ):
                with pytest.raises(ValueError, match="outside"):
                    call(buffer, start, end)


def test_a_row_mask_has_one_entry_for_each_column(kernel: ModuleType) -> None:
    with pytest.raises(ValueError, match="one entry for each column"):
        kernel.RowMask(2, [None])
    with pytest.raises(ValueError, match="one entry for each column"):
        kernel.RowMask(65536, [None] * 65536)
    with pytest.raises(TypeError, match="not a cell mask"):
        kernel.RowMask(1, [b"****"])


def test_scanning_skips_rows_only(kernel: ModuleType) -> None:
    one = row(b"abc", None)
    data = one * 3 + COMPLETE + one
    assert kernel.scan_rows(data, 0, len(data)) == (3 * len(one), 3)
    assert kernel.scan_rows(data, 0, len(data), 2) == (2 * len(one), 2)
    assert kernel.scan_rows(data, 3 * len(one), len(data)) == (3 * len(one), 0)


@pytest.mark.parametrize("length", [0, 3, -1, -(2**31)])
def test_scanning_stops_at_a_lying_length(kernel: ModuleType, length: int) -> None:
    one = row(b"a")
    data = one + b"D" + struct.pack("!i", length) + one
    assert kernel.scan_rows(data, 0, len(data)) == (len(one), 1)


def test_splitting_puts_rows_together(kernel: ModuleType) -> None:
    one = row(b"a")
    description = message(b"T", b"\0\0")
    data = description + one * 3 + COMPLETE + READY
    places = [0, len(description), len(description) + 3 * len(one)]
    places += [places[-1] + len(COMPLETE), len(data)]
    expected = [
        (ord("T"), places[0], places[1], 1),
        (ord("D"), places[1], places[2], 3),
        (ord("C"), places[2], places[3], 1),
        (ord("Z"), places[3], places[4], 1),
    ]
    assert kernel.split_backend(data, 0, len(data)) == expected
    assert kernel.split_backend(data, 0, len(data) - 1) == expected[:3]
    assert kernel.split_backend(data, 0, 4) == []
    assert kernel.split_backend(b"", 0, 0) == []


def test_splitting_what_a_client_sent_keeps_describes_apart(kernel: ModuleType) -> None:
    describe, copy = message(b"D", b"P\0"), message(b"d", b"1\n")
    assert kernel.split_frontend(describe * 2 + copy * 3, 0, 2 * 7 + 3 * 7) == [
        (ord("D"), 0, 7, 1),
        (ord("D"), 7, 14, 1),
        (ord("d"), 14, 35, 3),
    ]
    assert kernel.split_backend(copy * 2, 0, 14) == [(ord("d"), 0, 14, 2)]


def test_splitting_keeps_equal_messages_apart(kernel: ModuleType) -> None:
    assert [entry[3] for entry in kernel.split_backend(READY * 2 + COMPLETE * 2, 0, 40)] == [1, 1, 1, 1]


@pytest.mark.parametrize("length", [0, 3, -1])
def test_splitting_refuses_impossible_lengths(kernel: ModuleType, length: int) -> None:
    data = READY + b"Z" + struct.pack("!i", length)
    with pytest.raises(RemoteProtocolError, match="too short"):
        kernel.split_backend(data, 0, len(data))


def test_splitting_refuses_long_messages_before_they_are_there(kernel: ModuleType) -> None:
    data = READY + b"D" + struct.pack("!i", 1001)
    assert len(kernel.split_backend(data, 0, len(data), 1001)) == 1
    with pytest.raises(MessageTooLarge):
        kernel.split_backend(data, 0, len(data), 1000)
    with pytest.raises(MessageTooLarge):
        kernel.split_frontend(data, 0, len(data), 1000)


# --- the two versions are one ---------------------------------------------------------------------------------------

cell_values = st.none() | st.binary(max_size=20) | st.text(alphabet="0123456789", max_size=20).map(str.encode)
cell_masks = st.one_of(
    st.none(),
    st.builds(Constant, st.none() | st.binary(max_size=9)),
    st.builds(Partial, st.integers(0, 9), st.integers(0, 9), st.binary(max_size=9), st.just(redact_other)),
    st.just(Computed(lambda value: value * 5)),
    st.just(Computed(redact_other)),
)
other_messages = st.builds(message, st.sampled_from([b"C", b"Z", b"T", b"d", b"E"]), st.binary(max_size=8))


def outcome(call: Callable[..., object], *arguments: object) -> object:
    try:
        return call(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is, both versions must raise it
        return type(error), str(error)


def outcomes(
    module: ModuleType, data: bytes, start: int, end: int, maskers: Sequence[CellMask | None], limit: int
) -> list[object]:
    return [
        outcome(module.mask_rows, data, start, end, module.RowMask(len(maskers), maskers), limit),
        outcome(module.scan_rows, data, start, end, limit),
        outcome(module.split_backend, data, start, end, limit),
        outcome(module.split_backend, data, start, end),
        outcome(module.split_frontend, data, start, end),
    ]


def assert_same(data: bytes, start: int, end: int, maskers: Sequence[CellMask | None], limit: int) -> None:
    expected, *others = (outcomes(module, data, start, end, maskers, limit) for module in kernels())
    for other in others:
        assert other == expected


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[CellMask | None]]:
    maskers = draw(st.lists(cell_masks, max_size=6))
    rows_of_mask = st.lists(cell_values, min_size=len(maskers), max_size=len(maskers)).map(lambda cells: row(*cells))
    pieces = draw(st.lists(st.one_of(rows_of_mask, rows_of_mask, rows_of_mask, other_messages), max_size=12))
    return b"".join(pieces), maskers


@settings(max_examples=300, deadline=None)
@given(streams(), st.data())
def test_compiled_and_reference_agree_on_any_part_of_a_stream(
    stream: tuple[bytes, list[CellMask | None]], data: st.DataObject
) -> None:
    buffer, maskers = stream
    start = data.draw(st.sampled_from([0, 0, 0, min(3, len(buffer))]))
    end = data.draw(st.integers(start, len(buffer)) | st.just(len(buffer)))
    assert_same(buffer, start, end, maskers, data.draw(st.sampled_from([-1, 0, 1, 3, 50])))


@settings(max_examples=300, deadline=None)
@given(streams(), st.data())
def test_compiled_and_reference_agree_on_damaged_streams(
    stream: tuple[bytes, list[CellMask | None]], data: st.DataObject
) -> None:
    buffer, maskers = bytearray(stream[0]), stream[1]
    for _ in range(data.draw(st.integers(1, 4))):
        if buffer:
            at = data.draw(st.integers(0, len(buffer) - 1))
            buffer[at] = data.draw(st.sampled_from([0, 1, 4, 5, 0x7F, 0x80, 0xFF, ord("D")]))
    assert_same(bytes(buffer), 0, len(buffer), maskers, data.draw(st.sampled_from([-1, 2])))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60).map(lambda tail: b"D\0\0\0" + tail), st.lists(cell_masks, max_size=3))
@example(b"D\0\0\0\x06\0\0", [])
def test_compiled_and_reference_agree_on_noise(data: bytes, maskers: list[CellMask | None]) -> None:
    assert_same(data, 0, len(data), maskers, -1)


@settings(max_examples=200, deadline=None)
@given(streams())
def test_no_masked_value_comes_through(stream: tuple[bytes, list[CellMask | None]]) -> None:
    maskers = [STARS for _ in stream[1]]
    for module in kernels():
        output = module.mask_rows(stream[0], 0, len(stream[0]), module.RowMask(len(maskers), maskers))[3]
        expected = {b"\xff\xff\xff\xff", struct.pack("!i", 4) + b"****"}
        for _, start, stop, _ in module.split_backend(output, 0, len(output)):
            cells = output[start:stop]
            assert module.scan_rows(output, start, stop)[0] == stop
            while cells:
                length = struct.unpack("!i", cells[1:5])[0]
                body, cells = cells[7 : 1 + length], cells[1 + length :]
                while body:
                    size = 4 if body.startswith(b"\xff\xff\xff\xff") else 8
                    assert body[:size] in expected
                    body = body[size:]


def test_the_environment_can_force_the_plain_version() -> None:
    script = "from gateway_postgres import rows; print(rows.COMPILED, rows.mask_rows.__module__)"
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"QUERYGATE_PURE_PYTHON": "1", "PYTHONPATH": ":".join(sys.path)},
    )
    assert result.stdout.split() == ["False", "gateway_postgres._rows_reference"]


def test_the_compiled_version_is_used_where_it_was_built() -> None:
    wanted = os.environ.get("QUERYGATE_PURE_PYTHON") != "1"
    assert rows.COMPILED is (wanted and len(kernels()) == 2)


# --- counting cells ---------------------------------------------------------------------------------------------------


def test_counts_cells_by_weight(kernel: ModuleType) -> None:
    data = row(b"a", None, b"x" * 40) + row(b"b", b"c", b"") + COMPLETE
    first = len(row(b"a", None, b"x" * 40))
    assert kernel.count_cells(data, 0, len(data), bytes([1, 1, 0])) == (len(data) - len(COMPLETE), 2, 3)
    assert kernel.count_cells(data, 0, len(data), bytes([0, 0, 2]))[1:] == (2, 4)
    assert kernel.count_cells(data, 0, len(data), bytes([1, 1, 0]), 2) == (first, 1, 1)
    assert kernel.count_cells(data, 0, len(data), bytes([1, 1, 0]), 0) == (0, 0, 0)


@pytest.mark.parametrize(
    "bad", [row(b"a", b"b"), row(b"a")[:-1] + b"", message(b"D", b"\0\1\0\0\0\x09a"), message(b"D", b"\0\1\0\0\0\1ab")]
)
def test_a_malformed_row_is_not_counted(kernel: ModuleType, bad: bytes) -> None:
    if len(bad) < len(row(b"a")):
        assert kernel.count_cells(bad, 0, len(bad), b"\1") == (0, 0, 0)
    else:
        with pytest.raises(MaskingError):
            kernel.count_cells(bad, 0, len(bad), b"\1")


@given(
    st.lists(st.lists(st.none() | st.binary(max_size=70), min_size=2, max_size=2), max_size=5),
    st.binary(max_size=8),
    st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from([0, 1, 2])),
    st.integers(-1, 12),
)
def test_both_kernels_count_alike(
    values: list[list[bytes | None]], tail: bytes, weights: tuple[int, int], limit: int
) -> None:
    data = b"".join(row(*cells) for cells in values) + tail
    results = [outcome(module.count_cells, data, 0, len(data), bytes(weights), limit) for module in kernels()]
    assert all(result == results[0] for result in results)

"""The row kernels: the compiled one does what the reference does, on rows, on nonsense, and on rows cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MaskingError
from gateway.masking.cells import CellMask, Computed, Constant, Partial
from gateway_mysql import _rows_reference as reference
from gateway_mysql import rows as kernels
from gateway_mysql.wire.codec import encode_string
from gateway_mysql.wire.packets import FULL, packet

EOF_LIMIT = 9


def text_row(*cells: bytes | None) -> bytes:
    return b"".join(b"\xfb" if cell is None else encode_string(cell) for cell in cells)


def binary_row(widths: list[int], cells: list[bytes | None]) -> bytes:
    bitmap = bytearray((len(cells) + 9) // 8)
    body = b""
    for index, (width, cell) in enumerate(zip(widths, cells, strict=True)):
        if cell is None:
            bitmap[(index + 2) // 8] |= 1 << (index + 2) % 8
        elif width > 0:
            body += cell.ljust(width, b"\0")[:width]
        elif width == kernels.LENGTH_BYTE:
            body += bytes((len(cell[:100]),)) + cell[:100]
        else:
            body += encode_string(cell)
    return b"\0" + bytes(bitmap) + body


def stream(rows: list[bytes], sequence: int = 3) -> bytes:
    return b"".join(packet(row, sequence + index) for index, row in enumerate(rows))


def test_the_kernels_are_compiled_here() -> None:
    assert kernels.COMPILED


def test_text_cells_are_replaced_and_nulls_stay() -> None:
    mask = kernels.RowMask([None, Constant(b"***"), Constant(None), Partial(0, 4, b"..", lambda value: b"?")])
    data = stream([text_row(b"7", b"secret", b"gone", b"4000111122223333"), text_row(None, None, None, None)])
    stop, rows, cells, output = kernels.mask_rows(data, 0, len(data), mask, EOF_LIMIT, 9)
    assert (stop, rows, cells) == (len(data), 2, (0, 1, 1, 1))
    assert output == stream([text_row(b"7", b"***", None, b"..3333"), text_row(None, None, None, None)], 9)


def test_binary_cells_keep_their_types() -> None:
    widths = [8, kernels.LENGTH_BYTE, kernels.LENGTH_ENCODED, 4]
    mask = kernels.RowMask([Constant(b"\1" * 8), Constant(b"\xe4\x07\1\1"), Constant(None), None], widths)
    row = binary_row(widths, [b"\7" * 8, b"\xe9\x07\5\6", b"secret", b"\2\0\0\0"])
    masked, cells = kernels.mask_payload(row, mask)
    assert cells == (1, 1, 1, 0)
    assert masked == binary_row(widths, [b"\1" * 8, b"\xe4\x07\1\1", None, b"\2\0\0\0"])


def test_a_value_that_does_not_fit_a_fixed_column_is_an_error() -> None:
    with pytest.raises(MaskingError):
        kernels.RowMask([Constant(b"\1")], [8])
    mask = kernels.RowMask([Computed(lambda value: b"\1")], [8])
    with pytest.raises(MaskingError):
        kernels.mask_payload(binary_row([8], [b"\7" * 8]), mask)


def test_walking_stops_before_what_is_no_row() -> None:
    rows = stream([text_row(b"a"), text_row(b"b")])
    for end in (b"\xfe\0\0\2\0", b"\xff\x15\x04#HY000no"):
        data = rows + packet(end, 5)
        assert kernels.scan_rows(data, 0, len(data), EOF_LIMIT) == (len(rows), 2)
    ok = packet(b"\xfe\0\0\2\0\0\0" + b"x" * 40, 5)
    assert kernels.scan_rows(rows + ok, 0, len(rows + ok), FULL) == (len(rows), 2)
    # Without DEPRECATE_EOF a long payload with that first byte is a row with a very long first cell.
    assert kernels.scan_rows(rows + ok, 0, len(rows + ok), EOF_LIMIT) == (len(rows + ok), 3)


def test_a_row_of_several_packets_counts_once_and_is_left_to_others() -> None:
    large = packet(text_row(b"x" * (FULL + 5)), 3)
    data = large + stream([text_row(b"y")], 5)
    assert kernels.scan_rows(data, 0, len(data), EOF_LIMIT) == (len(data), 2)
    assert kernels.scan_rows(data, 0, len(large) - 1, EOF_LIMIT) == (0, 0)
    mask = kernels.RowMask([Constant(b"*")])
    assert kernels.mask_rows(data, 0, len(data), mask, EOF_LIMIT, 0)[:2] == (0, 0)
    assert kernels.mask_payload(text_row(b"x" * (FULL + 5)), mask) == (text_row(b"*"), (1,))


def test_a_masked_row_that_outgrows_a_packet_is_left_to_others() -> None:
    mask = kernels.RowMask([Computed(lambda value: b"z" * FULL)])
    data = stream([text_row(b"a")])
    assert kernels.mask_rows(data, 0, len(data), mask, EOF_LIMIT, 0) == (0, 0, (), b"")


def test_what_a_mask_raises_comes_through() -> None:
    def fail(value: bytes) -> bytes:
        raise MaskingError("no")

    data = stream([text_row(b"a")])
    with pytest.raises(MaskingError, match="no"):
        kernels.mask_rows(data, 0, len(data), kernels.RowMask([Computed(fail)]), EOF_LIMIT, 0)


CELLS = st.one_of(st.none(), st.binary(max_size=300), st.text(alphabet="ab1@é", max_size=20).map(str.encode))
WIDTHS = st.sampled_from([0, 0, -1, 1, 2, 4, 8])


def _reverse(value: bytes) -> bytes | None:
    return value[::-1] * 2 or None


@st.composite
def masks(draw: st.DrawFn, widths: list[int]) -> list[CellMask | None]:
    found: list[CellMask | None] = []
    for width in widths:
        if width > 0:
            found.append(draw(st.sampled_from([None, Constant(None), Constant(b"\7" * width)])))
        elif width == -1:
            found.append(draw(st.sampled_from([None, Constant(None), Constant(b"\1\2\3\4")])))
        else:
            partial = Partial(draw(st.integers(0, 3)), draw(st.integers(0, 5)), b"...", _reverse)
            choices = [None, Constant(None), Constant(b"#" * draw(st.integers(0, 400))), partial, Computed(_reverse)]
            found.append(draw(st.sampled_from(choices)))
    return found


@given(st.data())
def test_both_kernels_agree_on_rows(data: st.DataObject) -> None:
    widths = data.draw(st.lists(WIDTHS, min_size=1, max_size=12))
    maskers = data.draw(masks(widths))
    binary = data.draw(st.booleans())
    if not binary:
        maskers = data.draw(masks([0] * len(widths)))
    rows = []
    for _ in range(data.draw(st.integers(0, 4))):
        cells = data.draw(st.lists(CELLS, min_size=len(widths), max_size=len(widths)))
        rows.append(binary_row(widths, cells) if binary else text_row(*cells))
    raw = stream(rows)
    end = data.draw(st.integers(0, len(raw)))
    arguments = (maskers, widths if binary else None)
    limit = data.draw(st.integers(-1, 3))
    expected = reference.mask_rows(raw, 0, end, reference.RowMask(*arguments), EOF_LIMIT, 250, limit)
    assert kernels.mask_rows(raw, 0, end, kernels.RowMask(*arguments), EOF_LIMIT, 250, limit) == expected
    assert kernels.scan_rows(raw, 0, end, EOF_LIMIT, limit) == reference.scan_rows(raw, 0, end, EOF_LIMIT, limit)


@given(st.data())
def test_both_kernels_agree_on_nonsense(data: st.DataObject) -> None:
    widths = data.draw(st.lists(WIDTHS, min_size=1, max_size=6))
    binary = data.draw(st.booleans())
    maskers = data.draw(masks(widths if binary else [0] * len(widths)))
    payload = data.draw(st.binary(min_size=1, max_size=60))
    results = []
    for module in (reference, kernels):
        try:
            results.append(module.mask_payload(payload, module.RowMask(maskers, widths if binary else None)))
        except MaskingError as error:
            results.append(str(error))
    assert results[0] == results[1]


@given(st.binary(max_size=200), st.integers(0, 50))
def test_scanning_agrees_on_nonsense(raw: bytes, start: int) -> None:
    start = min(start, len(raw))
    for limit in (EOF_LIMIT, FULL):
        assert kernels.scan_rows(raw, start, len(raw), limit) == reference.scan_rows(raw, start, len(raw), limit)


def test_a_range_outside_the_buffer_is_the_callers_bug() -> None:
    for module in (reference, kernels):
        with pytest.raises(ValueError, match="outside"):
            module.scan_rows(b"abc", 2, 9, EOF_LIMIT)

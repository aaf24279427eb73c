"""Rows spelt as COPY spells them: what the reference promises, and that the compiled kernel does the same."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RemoteProtocolError
from gateway_postgres import _copied_reference
from tests.plugins.postgres.test_rows import READY, message, row


def kernels() -> list[ModuleType]:
    try:
        return [_copied_reference, importlib.import_module("gateway_postgres._copied")]
    except ImportError:
        return [_copied_reference]


@pytest.fixture(params=kernels(), ids=lambda module: module.__name__)
def kernel(request: pytest.FixtureRequest) -> ModuleType:
    module: ModuleType = request.param
    return module


def text(kernel: ModuleType, *cells: bytes | None, delimiter: bytes = b"\t", null: bytes = b"\\N") -> bytes:
    data = row(*cells)
    spelling = kernel.Spelling(False, delimiter, null, b'"', b'"', bytes(len(cells)))
    copied: bytes = kernel.copied_rows(data, 0, len(data), spelling)
    assert copied == message(b"d", copied[5:]), "one CopyData message"
    return copied[5:]


def csv(kernel: ModuleType, *cells: bytes | None, marks: bytes = b',""', null: bytes = b"", forced: str = "") -> bytes:
    data = row(*cells)
    flags = bytes(map(int, forced)) or bytes(len(cells))
    spelling = kernel.Spelling(True, marks[:1], null, marks[1:2], marks[2:], flags)
    copied: bytes = kernel.copied_rows(data, 0, len(data), spelling)
    return copied[5:]


def test_text_escapes_what_would_end_a_value_or_a_line(kernel: ModuleType) -> None:
    assert text(kernel, b"a\tb", b"c\nd\re", None, b"", b"\\N") == b"a\\tb\tc\\nd\\re\t\\N\t\t\\\\N\n"
    assert text(kernel, b"\b\f\v\x01\x7f", "ü".encode()) == b"\\b\\f\\v\x01\x7f\t" + "ü\n".encode()
    assert text(kernel, b"a|b\tc", None, delimiter=b"|", null=b"") == b"a\\|b\\tc|\n"
    assert text(kernel, b"\x01", delimiter=b"\x01") == b"\\\x01\n"
    assert text(kernel) == b"\n"


def test_csv_quotes_what_could_be_read_as_something_else(kernel: ModuleType) -> None:
    assert csv(kernel, b"a", b"b,c", b'd"e', b"f\ng", b"", None) == b'a,"b,c","d""e","f\ng","",\n'
    assert csv(kernel, b"NULL", b"null", None, null=b"NULL") == b'"NULL",null,NULL\n'
    assert csv(kernel, b"\\.") == b'"\\."\n'
    assert csv(kernel, b"\\.", b"x") == b"\\.,x\n"
    assert csv(kernel, b"a'b\\c", b"d\\", marks=b";'\\") == b"'a\\'b\\\\c';d\\\n"
    assert csv(kernel, b"a", b"b", None, forced="101") == b'"a",b,\n'


@pytest.mark.parametrize(
    "data",
    [
        READY,
        row(b"a")[:-1],
        row(b"a") + b"D",
        row(b"a", b"b"),
        row(),
        message(b"D", b"\0\1\0\0\0\5abc"),
        message(b"D", b"\0\1\0\0\0\1abc"),
        message(b"D", b"\0\1\xff\xff\xff\xfe"),
        message(b"D", b"\0\1\0\0"),
        b"D\0\0\0\5\0\1",
        b"D\xff\xff\xff\xff\0\1",
    ],
)
def test_anything_but_whole_rows_is_an_error(kernel: ModuleType, data: bytes) -> None:
    spelling = kernel.Spelling(False, b"\t", b"\\N", b'"', b'"', b"\0")
    with pytest.raises(RemoteProtocolError):
        kernel.copied_rows(data, 0, len(data), spelling)


def test_ranges_and_marks_are_checked(kernel: ModuleType) -> None:
    spelling = kernel.Spelling(False, b"\t", b"\\N", b'"', b'"', b"\0")
    for start, end in ((-1, 0), (0, 10_000), (3, 2)):
        with pytest.raises(ValueError, match="range"):
            kernel.copied_rows(row(b"a"), start, end, spelling)
    with pytest.raises(ValueError, match="one byte"):
        kernel.Spelling(False, b"ab", b"", b'"', b'"', b"\0")


CELL = st.none() | st.binary(max_size=40) | st.text(alphabet='a,;"\\\t\n\r.N\x01', max_size=12).map(str.encode)


@given(
    rows=st.lists(st.lists(CELL, min_size=2, max_size=2), max_size=8),
    is_csv=st.booleans(),
    marks=st.sampled_from([b'\t""', b',""', b";'\\", b'|""', b"\x01\"'"]),
    null=st.sampled_from([b"", b"\\N", b"NULL", b"a" * 30]),
    forced=st.sampled_from([b"\0\0", b"\0\1", b"\1\1"]),
)
def test_the_compiled_kernel_does_the_same(
    rows: list[list[bytes | None]], is_csv: bool, marks: bytes, null: bytes, forced: bytes
) -> None:
    data = b"".join(row(*cells) for cells in rows)
    answers = []
    for kernel in kernels():
        spelling = kernel.Spelling(is_csv, marks[:1], null, marks[1:2], marks[2:], forced)
        answers.append(kernel.copied_rows(data, 0, len(data), spelling))
    assert all(answer == answers[0] for answer in answers)

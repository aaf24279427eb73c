from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import segments
from gateway.audit.segments import (
    list_segments,
    read_frontier,
    read_line,
    reversed_lines,
    segment_name,
    write_frontier,
)
from gateway.audit.storage import Storage
from gateway.audit.tree import Frontier


@given(
    st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"") + b"\n"), max_size=12),
    st.sampled_from([b"", b"torn", b"x" * 40]),
    st.integers(1, 20),
)
def test_lines_from_the_end_are_the_lines_from_the_beginning(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], torn: bytes, block: int
) -> None:
    path = tmp_path_factory.mktemp("segments") / "audit"
    path.write_bytes(b"".join(lines) + torn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "_BLOCK", block)
        found = list(reversed_lines(path))
    data = path.read_bytes()
    assert [line for _, line in reversed(found)] == data.splitlines(keepends=True) or b"\r" in data
    assert b"".join(line for _, line in reversed(found)) == data
    for offset, line in found:
        assert data[offset : offset + len(line)] == line


def test_segments_are_ordered_by_number_and_nothing_else_counts(tmp_path: Path) -> None:
    for name in [segment_name(100), segment_name(9), "audit-9.jsonl", "key.pub", segment_name(9) + ".damaged-1"]:
        (tmp_path / name).touch()
    assert [number for number, _ in list_segments(tmp_path)] == [9, 100]


def tree(size: int) -> Frontier:
    frontier = Frontier()
    frontier.add_lines(b"%d" % number for number in range(size))
    return frontier


def test_a_frontier_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / segment_name(21)
    assert read_frontier(path, 21) is None
    write_frontier(Storage(), path, tree(21))
    assert read_frontier(path, 21) == tree(21)
    assert read_frontier(path, 22) is None
    assert read_frontier(tmp_path / segment_name(0), 0) == Frontier()


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b'{"size":21,"peaks":["00"]}', b'{"size":1,"peaks":["zz"]}'])
def test_a_garbled_frontier_is_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / segment_name(21)
    path.with_suffix(".tree").write_bytes(data)
    assert read_frontier(path, 21) is None


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b'{"seq":0,"event":{}}', 0),
        (b'{"seq":48113,"id":"x"}', 48113),
        (b'{"seq":7,"define":"ruling","body":{}}', 7),
        (b'{"seq":07,"id":"x"}', None),
        (b'{"seq":7,"id":"x"', None),
        (b'{"seq":7,"id":"x"}}', None),
        (b'{"seq":7,"other":"x"}', None),
        (b"", None),
    ],
)
def test_a_line_knows_its_number(line: bytes, number: int | None) -> None:
    assert read_line(line) == number

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import segments
from gateway.audit.segments import Head, list_segments, read_head, reversed_lines, segment_name, write_head
from gateway.audit.storage import Storage


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
    for name in [segment_name(100), segment_name(9), "audit-9.jsonl", "head.json", segment_name(9) + ".damaged-1"]:
        (tmp_path / name).touch()
    assert [number for number, _ in list_segments(tmp_path)] == [9, 100]


def test_the_head_is_read_back(tmp_path: Path) -> None:
    assert read_head(tmp_path) is None
    head = Head(1, "c", 41, "ab")
    write_head(Storage(), tmp_path, head)
    assert read_head(tmp_path) == head


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b'{"format":1,"chain_uid":"c","sequence":"1","fingerprint":""}'])
def test_a_garbled_head_is_not_taken_for_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "head.json").write_bytes(data)
    with pytest.raises(ValueError, match=r"head\.json cannot be read"):
        read_head(tmp_path)

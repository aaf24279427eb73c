import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.audit.chain import Sealer, read_link
from gateway.audit.verify import Problem, ProblemKind, VerifyReport, verify
from gateway.errors import AuditError
from tests.gateway.audit.builders import CONTEXT, open_log, statement

Lines = list[bytes]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a log of 32 events in five segments."""
    directory = tmp_path_factory.mktemp("original")
    log = open_log(directory, segment_bytes=10_000)
    for number in range(26):
        log.record(statement(number), CONTEXT)
    asyncio.run(log.close())
    report = verify(directory)
    assert report.ok
    assert (report.first, report.last, report.segments) == (0, report.events - 1, 5)
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def put(directory: Path, files: dict[str, bytes]) -> VerifyReport:
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return verify(directory)


def segments(files: dict[str, bytes]) -> list[str]:
    return sorted(name for name in files if name.endswith(".jsonl"))


def changed(files: dict[str, bytes], segment: int, change: Callable[[Lines], Lines]) -> dict[str, bytes]:
    name = segments(files)[segment]
    return {**files, name: b"".join(change(files[name].splitlines(keepends=True)))}


def found(report: VerifyReport) -> list[tuple[ProblemKind, str, int]]:
    return [(problem.kind, problem.file, problem.line) for problem in report.problems]


def test_any_flipped_byte_is_found_at_its_line(tmp_path: Path, original: dict[str, bytes]) -> None:
    name = segments(original)[1]
    content = original[name]
    chosen = random.Random(7)
    for position in [*chosen.sample(range(len(content)), 150), 0, len(content) - 1]:
        flipped = bytearray(content)
        flipped[position] ^= 1 << chosen.randrange(8)
        report = put(tmp_path, {**original, name: bytes(flipped)})
        line = content[:position].count(b"\n") + 1
        assert not report.ok, position
        assert any(problem.file == name and problem.line in (line, line + 1) for problem in report.problems), position
        assert len(report.problems) <= 3, report.problems


def test_an_altered_line_is_one_finding(tmp_path: Path, original: dict[str, bytes]) -> None:
    report = put(
        tmp_path, changed(original, 2, lambda lines: [lines[0], lines[1].replace(b"4711", b"4712"), *lines[2:]])
    )
    assert found(report) == [(ProblemKind.ALTERED, segments(original)[2], 2)]
    assert "bytes of event" in report.problems[0].message


def test_a_dropped_line_is_found(tmp_path: Path, original: dict[str, bytes]) -> None:
    report = put(tmp_path, changed(original, 1, lambda lines: [*lines[:2], *lines[3:]]))
    assert found(report) == [(ProblemKind.MISSING, segments(original)[1], 3)]


def test_a_dropped_first_line_of_a_segment_is_found(tmp_path: Path, original: dict[str, bytes]) -> None:
    report = put(tmp_path, changed(original, 1, lambda lines: lines[1:]))
    assert {kind for kind, _, _ in found(report)} == {ProblemKind.MISSING, ProblemKind.MISNAMED}


def test_reordered_lines_are_found(tmp_path: Path, original: dict[str, bytes]) -> None:
    report = put(tmp_path, changed(original, 1, lambda lines: [lines[0], lines[2], lines[1], *lines[3:]]))
    assert (ProblemKind.OUT_OF_ORDER, segments(original)[1], 3) in found(report)
    assert ProblemKind.MISSING not in {kind for kind, _, _ in found(report)}, "nothing is missing"


def test_a_copied_line_is_found(tmp_path: Path, original: dict[str, bytes]) -> None:
    for where in (2, 4):
        report = put(tmp_path, changed(original, 1, lambda lines: [*lines[:where], lines[1], *lines[where:]]))  # noqa: B023
        assert found(report) == [(ProblemKind.REPEATED, segments(original)[1], where + 1)]


def forged(after: bytes) -> bytes:
    """A line that an attacker who knows the format would put after ``after``."""
    link = read_link(after)
    assert link is not None
    sealer = Sealer(link.chain_uid, link.sequence + 1, link.fingerprint)
    return sealer.seal(
        (b'{"metadata":{"sequence":%d,"uid":"x","event_code":"statement"}' % sealer.sequence, b',"time":1')
    )


def test_an_added_line_is_found(tmp_path: Path, original: dict[str, bytes]) -> None:
    name = segments(original)[1]
    report = put(tmp_path, changed(original, 1, lambda lines: [*lines[:2], forged(lines[1]), *lines[2:]]))
    assert found(report) == [(ProblemKind.REPEATED, name, 4)]
    report = put(tmp_path, changed(original, 1, lambda lines: [*lines[:2], b"{}\n", *lines[2:]]))
    assert found(report) == [(ProblemKind.MALFORMED, name, 3)]


def test_a_replaced_line_is_found_even_with_a_right_fingerprint(tmp_path: Path, original: dict[str, bytes]) -> None:
    report = put(tmp_path, changed(original, 1, lambda lines: [*lines[:2], forged(lines[1]), *lines[3:]]))
    assert found(report) == [(ProblemKind.UNLINKED, segments(original)[1], 4)]


def test_a_rewritten_tail_is_found_by_the_head(tmp_path: Path, original: dict[str, bytes]) -> None:
    report = put(tmp_path, changed(original, -1, lambda lines: [*lines[:-1], forged(lines[-2])]))
    assert [kind for kind, _, _ in found(report)] == [ProblemKind.HEAD]


@pytest.mark.parametrize("segment", [0, 2, -1])
def test_a_missing_segment_is_found(tmp_path: Path, original: dict[str, bytes], segment: int) -> None:
    files = dict(original)
    del files[segments(original)[segment]]
    report = put(tmp_path, files)
    expected = ProblemKind.TRUNCATED if segment == -1 else ProblemKind.MISSING
    assert [kind for kind, _, _ in found(report)] == [expected]
    assert ("events 0 to" in report.problems[0].message) == (segment == 0)


def test_a_truncated_tail_and_a_torn_line_are_told_apart(tmp_path: Path, original: dict[str, bytes]) -> None:
    report = put(tmp_path, changed(original, -1, lambda lines: lines[:-1]))
    assert [kind for kind, _, _ in found(report)] == [ProblemKind.TRUNCATED]
    report = put(tmp_path, changed(original, -1, lambda lines: [*lines[:-1], lines[-1][:-9]]))
    assert [kind for kind, _, _ in found(report)] == [ProblemKind.TORN, ProblemKind.TRUNCATED]


def test_a_segment_cut_in_the_middle_of_the_log_is_found(tmp_path: Path, original: dict[str, bytes]) -> None:
    report = put(tmp_path, changed(original, 1, lambda lines: [*lines[:-1], lines[-1][:-9]]))
    assert {kind for kind, _, _ in found(report)} == {ProblemKind.TORN, ProblemKind.MISSING}


def test_a_renamed_segment_is_found(tmp_path: Path, original: dict[str, bytes]) -> None:
    files = dict(original)
    files["audit-00000000000000000001.jsonl"] = files.pop(segments(original)[0])
    assert found(put(tmp_path, files)) == [(ProblemKind.MISNAMED, "audit-00000000000000000001.jsonl", 0)]


def test_lines_of_another_chain_are_found(tmp_path: Path, original: dict[str, bytes]) -> None:
    def swap(lines: Lines) -> Lines:
        link = read_link(lines[1])
        assert link is not None
        sealer = Sealer("other", link.sequence, link.previous)
        return [lines[0], sealer.seal((b'{"metadata":{"sequence":%d,"uid":"x"}' % link.sequence,)), *lines[2:]]

    kinds = [kind for kind, _, _ in found(put(tmp_path, changed(original, 1, swap)))]
    assert kinds == [ProblemKind.FOREIGN, ProblemKind.UNLINKED]


@pytest.mark.parametrize("head", [None, b"{", b"{}"])
def test_a_missing_or_garbled_head_is_a_finding(tmp_path: Path, original: dict[str, bytes], head: bytes | None) -> None:
    files = dict(original)
    del files["head.json"]
    if head is not None:
        files["head.json"] = head
    assert [kind for kind, _, _ in found(put(tmp_path, files))] == [ProblemKind.HEAD]


def test_a_head_of_another_chain_is_a_finding(tmp_path: Path, original: dict[str, bytes]) -> None:
    head = {**json.loads(original["head.json"]), "chain_uid": "other"}
    assert ProblemKind.HEAD in {
        kind for kind, _, _ in found(put(tmp_path, {**original, "head.json": json.dumps(head).encode()}))
    }


def test_archived_segments_are_no_finding_where_the_beginning_is_said(
    tmp_path: Path, original: dict[str, bytes]
) -> None:
    files = dict(original)
    for name in segments(original)[:2]:
        del files[name]
    report = put(tmp_path, files)
    assert [kind for kind, _, _ in found(report)] == [ProblemKind.MISSING]
    first = int(segments(files)[0].removeprefix("audit-").removesuffix(".jsonl"))
    assert verify(tmp_path, first=first).ok
    assert not verify(tmp_path, first=first - 1).ok
    assert not verify(tmp_path, first=first + 1).ok


def test_a_log_in_use_verifies(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for number in range(200):
        log.record(statement(number), CONTEXT)
        if number % 50 == 0:
            asyncio.run(log.commit())
        assert verify(tmp_path).ok
    path = next(tmp_path.glob("audit-*.jsonl"))
    asyncio.run(log.commit())
    with path.open("ab") as file:
        file.write(b'{"metadata":{"sequ')
    report = verify(tmp_path)
    assert report.ok
    assert "is writing this line now" in report.notes[0]
    asyncio.run(log.close())


def test_garbage_gives_a_bounded_report(tmp_path: Path) -> None:
    (tmp_path / f"audit-{0:020}.jsonl").write_bytes(b"x\n" * 5000)
    report = verify(tmp_path)
    assert len(report.problems) == 1000
    assert len(report.problems) + report.more_problems == 5001


def test_no_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="no audit log"):
        verify(tmp_path)
    with pytest.raises(AuditError, match="cannot read"):
        verify(tmp_path / "nowhere")


def test_a_finding_reads_well() -> None:
    assert Problem(ProblemKind.ALTERED, "audit-1.jsonl", 3, "why").describe() == "audit-1.jsonl:3: altered: why"
    assert Problem(ProblemKind.HEAD, "head.json", 0, "why").describe() == "head.json: head: why"

import asyncio
import base64
import os
import random
import re
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from gateway.audit.checkpoints import check_note
from gateway.audit.keys import read_public_key
from gateway.audit.notes import Checkpoint, Signer, join_notes, split_notes
from gateway.audit.tree import Frontier
from gateway.audit.verify import Problem, ProblemKind, VerifyReport, verify
from gateway.errors import AuditError
from tests.gateway.audit.builders import CONTEXT, open_log, statement

Lines = list[bytes]
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a log of five segments and several checkpoints."""
    directory = tmp_path_factory.mktemp("original") / "audit"
    log = open_log(directory, segment_bytes=4_000, checkpoint_interval=0.001)
    for number in range(60):
        log.record(statement(number), CONTEXT)
        if number % 15 == 14:
            asyncio.run(log.commit())
    asyncio.run(log.close())
    report = verify(directory)
    assert report.ok, report.problems
    assert report.first == 0
    assert report.segments >= 3
    assert report.last == report.lines - 1
    assert report.signed is not None
    assert report.signed.size == report.lines
    assert not report.notes
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert len(split_notes(files["checkpoints"].decode())) >= 3
    return files


def put(directory: Path, files: Files) -> VerifyReport:
    shutil.rmtree(directory)
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return verify(directory)


def segments(files: Files) -> list[str]:
    return sorted(name for name in files if name.endswith(".jsonl"))


def changed(files: Files, segment: int, change: Callable[[Lines], Lines]) -> Files:
    name = segments(files)[segment]
    return {**files, name: b"".join(change(files[name].splitlines(keepends=True)))}


def found(report: VerifyReport) -> list[tuple[ProblemKind, str, int]]:
    return [(problem.kind, problem.file, problem.line) for problem in report.problems]


def kinds(report: VerifyReport) -> set[ProblemKind]:
    return {problem.kind for problem in report.problems}


def test_any_flipped_byte_of_any_file_is_found(tmp_path: Path, original: Files) -> None:
    chosen = random.Random(7)
    for name, content in original.items():
        for position in [*chosen.sample(range(len(content)), min(60, len(content))), 0, len(content) - 1]:
            flipped = bytearray(content)
            flipped[position] ^= 1 << chosen.randrange(8)
            try:
                report = put(tmp_path, {**original, name: bytes(flipped)})
            except AuditError:
                continue  # the key is none any more
            same = {"checkpoints": _same_notes, "key.pub": _same_key}.get(name)
            unchanged = same is not None and same(bytes(flipped), content)
            assert unchanged or not report.ok, (name, position)


def _same_key(flipped: bytes, content: bytes) -> bool:
    """Whether the key is as it was: the white space around it in the file is not part of it."""
    return flipped.strip() == content.strip()


def _same_notes(flipped: bytes, content: bytes) -> bool:
    """Whether only the end of the file differs, or bits that base64 ignores: what is signed is as it was."""
    key = next(line for line in content.decode().splitlines() if line.startswith("querygate.audit"))
    return re.sub(rb"=*\n", b"", flipped)[:-1] == re.sub(rb"=*\n", b"", content)[:-1] or key not in flipped.decode(
        "utf-8", "replace"
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A log of few bytes that has everything: two segments, two checkpoints, and the line that tells of the first."""
    directory = tmp_path_factory.mktemp("small") / "audit"
    signing = Signer("other/1", bytes(32))
    tree, notes, lines = Frontier(), [], [b'{"seq":0,"define":"x","body":{}}', b'{"seq":1,"define":"y","body":{}}']
    tree.add_lines(lines)
    files = {f"audit-{0:020}.jsonl": b"".join(line + b"\n" for line in lines)}
    peaks = ",".join(f'"{peak.hex()}"' for peak in tree.peaks)
    files[f"audit-{2:020}.tree"] = f'{{"size":2,"peaks":[{peaks}]}}\n'.encode()
    notes.append(signing.sign(Checkpoint("other/1", 2, tree.root())))
    root = base64.b64encode(tree.root()).decode()
    event = (
        f'{{"metadata":{{"uid":"audit.2","event_code":"audit.checkpoint"}},"unmapped":{{"size":2,"root":"{root}"}}}}'
    )
    last = f'{{"seq":2,"event":{event}}}'.encode()
    tree.add_lines([last])
    files[f"audit-{2:020}.jsonl"] = last + b"\n"
    notes.append(signing.sign(Checkpoint("other/1", 3, tree.root())))
    files |= {"checkpoints": join_notes(notes).encode(), "key.pub": f"{signing.key}\n".encode()}
    directory.mkdir()
    report = put(directory, files)
    assert report.ok, report.problems
    assert report.signed is not None
    assert report.signed.size == report.lines == 3
    return files


def test_flipped_bits_at_every_offset_of_every_file_are_found(tmp_path: Path, small: Files) -> None:
    put(tmp_path, small)
    chosen = random.Random(3)
    unnoticed = []
    for name, content in small.items():
        path = tmp_path / name
        for offset, bit in product(range(len(content)), (chosen.randrange(7), 7)):
            flipped = bytearray(content)
            flipped[offset] ^= 1 << bit
            path.write_bytes(flipped)
            try:
                if verify(tmp_path).ok:
                    unnoticed.append((name, offset, bytes(flipped)))
            except AuditError:
                assert name == "key.pub", "only the key's file can make a log unreadable"
        path.write_bytes(content)
    assert verify(tmp_path).ok
    for name, offset, written in unnoticed:
        # What stands behind the key is not part of it.
        assert (name, offset, written.strip()) == ("key.pub", len(small["key.pub"]) - 1, small["key.pub"].strip())


@pytest.mark.parametrize("garbage", [b"x", b"\n", b"\0" * 40, b'{"seq":99,"id":"x"}\n', b"\xff\xfe"])
def test_what_somebody_put_behind_a_file_is_found(tmp_path: Path, original: Files, garbage: bytes) -> None:
    for name in original:
        if name == "key.pub" and not garbage.strip():
            continue
        try:
            assert not put(tmp_path, {**original, name: original[name] + garbage}).ok, name
        except AuditError:
            assert name == "key.pub"


def test_an_emptied_file_is_found(tmp_path: Path, original: Files) -> None:
    for name in original:
        try:
            assert not put(tmp_path, {**original, name: b""}).ok, name
        except AuditError:
            assert name == "key.pub"


def test_files_that_changed_places_are_found(tmp_path: Path, original: Files) -> None:
    first, second, *_ = segments(original)
    assert not put(tmp_path, {**original, first: original[second], second: original[first]}).ok
    one, two = sorted(name for name in original if name.endswith(".tree"))[:2]
    assert kinds(put(tmp_path, {**original, one: original[two], two: original[one]})) == {ProblemKind.TREE}


def test_checkpoints_or_segments_of_another_gateway_are_found(tmp_path: Path, original: Files, small: Files) -> None:
    report = put(tmp_path, {**original, "checkpoints": small["checkpoints"]})
    assert any("not signed by" in problem.message for problem in report.problems)
    mixed = {**original, segments(original)[0]: small[segments(small)[0]]}
    assert not put(tmp_path, mixed).ok
    with_key = {**original, "checkpoints": small["checkpoints"], "key.pub": small["key.pub"]}
    assert not put(tmp_path, with_key).ok


def test_a_copied_line_and_a_copied_segment_are_found(tmp_path: Path, original: Files) -> None:
    report = put(tmp_path, changed(original, 1, lambda lines: [*lines[:3], lines[1], *lines[3:]]))
    assert ProblemKind.REPEATED in kinds(report)
    copied = {**original, "audit-00000000000000099999.jsonl": original[segments(original)[0]]}
    assert not put(tmp_path, copied).ok


def test_links_are_followed_and_say_what_they_say(tmp_path: Path, original: Files) -> None:
    put(tmp_path, original)
    path = tmp_path / segments(original)[1]
    elsewhere = tmp_path.parent / "elsewhere.jsonl"
    elsewhere.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(elsewhere)
    assert verify(tmp_path).ok
    elsewhere.write_bytes(elsewhere.read_bytes().replace(b"4711", b"4712"))
    assert not verify(tmp_path).ok
    elsewhere.unlink()
    with pytest.raises(AuditError, match=r"cannot read .*audit-"):
        verify(tmp_path)


def test_a_pipe_in_a_segments_place_is_said_and_not_waited_for(tmp_path: Path, original: Files) -> None:
    put(tmp_path, original)
    path = tmp_path / segments(original)[1]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(AuditError, match="is not a file"):
        verify(tmp_path)


def test_a_compressed_segment_is_missing_and_what_to_do_is_said(tmp_path: Path, original: Files) -> None:
    name = segments(original)[1]
    files = {**original, f"{name}.zst": b"(compressed)"}
    del files[name]
    report = put(tmp_path, files)
    assert ProblemKind.MISSING in kinds(report)
    assert report.notes == [
        f"{name}.zst was not looked at: to have its lines checked, put it back as {name}, not compressed"
    ]


def test_a_changed_statement_is_found_between_two_checkpoints(tmp_path: Path, original: Files) -> None:
    name = segments(original)[1]
    report = put(tmp_path, {**original, name: original[name].replace(b"customers", b"kustomers", 1)})
    assert ProblemKind.ALTERED in kinds(report)
    altered = [problem.message for problem in report.problems if problem.kind is ProblemKind.ALTERED]
    assert any(re.search(r"lines \d+ to \d+ are not those that were signed", message) for message in altered), altered


def test_a_dropped_line_is_found(tmp_path: Path, original: Files) -> None:
    report = put(tmp_path, changed(original, 1, lambda lines: [*lines[:2], *lines[3:]]))
    assert (ProblemKind.MISSING, segments(original)[1], 3) in found(report)


def test_a_dropped_line_is_found_even_if_the_others_are_renumbered(tmp_path: Path, original: Files) -> None:
    def renumber(lines: Lines) -> Lines:
        def lower(line: bytes) -> bytes:
            return re.sub(rb"(\d+)", lambda m: b"%d" % (int(m[1]) - 1), line, count=1)

        return [*lines[:2], *(lower(line) for line in lines[3:])]

    # As altered lines where a checkpoint was signed within the segment, or else where the next one begins.
    assert kinds(put(tmp_path, changed(original, 1, renumber))) & {ProblemKind.ALTERED, ProblemKind.MISSING}
    # At the end nothing else contradicts it; a short last segment is as if it had been cut off.
    assert kinds(put(tmp_path, changed(original, -1, renumber))) & {ProblemKind.ALTERED, ProblemKind.TRUNCATED}


def test_a_dropped_first_line_of_a_segment_is_found(tmp_path: Path, original: Files) -> None:
    report = put(tmp_path, changed(original, 1, lambda lines: lines[1:]))
    assert {ProblemKind.MISSING, ProblemKind.MISNAMED} <= kinds(report)


def test_reordered_lines_are_found(tmp_path: Path, original: Files) -> None:
    report = put(tmp_path, changed(original, 1, lambda lines: [lines[0], lines[2], lines[1], *lines[3:]]))
    assert (ProblemKind.OUT_OF_ORDER, segments(original)[1], 3) in found(report)
    assert ProblemKind.MISSING not in kinds(report), "nothing is missing"


def test_reordered_contents_are_found(tmp_path: Path, original: Files) -> None:
    def swap(lines: Lines) -> Lines:
        first, second = lines[-2].split(b",", 1), lines[-3].split(b",", 1)
        return [*lines[:-3], second[0] + b"," + first[1], first[0] + b"," + second[1], lines[-1]]

    assert ProblemKind.ALTERED in kinds(put(tmp_path, changed(original, 1, swap)))


def test_an_added_line_is_found(tmp_path: Path, original: Files) -> None:
    name = segments(original)[1]
    report = put(tmp_path, changed(original, 1, lambda lines: [*lines[:4], lines[1], *lines[4:]]))
    assert found(report) == [(ProblemKind.REPEATED, name, 5)]
    report = put(tmp_path, changed(original, 1, lambda lines: [*lines[:2], b"{}\n", *lines[2:]]))
    assert (ProblemKind.MALFORMED, name, 3) in found(report)


@pytest.mark.parametrize("segment", [0, 1, -1])
def test_a_missing_segment_is_found(tmp_path: Path, original: Files, segment: int) -> None:
    files = dict(original)
    del files[segments(original)[segment]]
    report = put(tmp_path, files)
    assert kinds(report) == {ProblemKind.TRUNCATED if segment == -1 else ProblemKind.MISSING}
    assert ("lines 0 to" in report.problems[0].message) == (segment == 0)


def test_a_truncated_tail_and_a_torn_line_are_told_apart(tmp_path: Path, original: Files) -> None:
    report = put(tmp_path, changed(original, -1, lambda lines: lines[:-1]))
    assert kinds(report) == {ProblemKind.TRUNCATED}
    report = put(tmp_path, changed(original, -1, lambda lines: [*lines[:-1], lines[-1][:-9]]))
    assert kinds(report) == {ProblemKind.TORN, ProblemKind.TRUNCATED}


def test_a_renamed_segment_is_found(tmp_path: Path, original: Files) -> None:
    files = dict(original)
    files["audit-00000000000000000001.jsonl"] = files.pop(segments(original)[0])
    assert ProblemKind.MISNAMED in kinds(put(tmp_path, files))


def rewound(files: Files, keep: int) -> Files:
    """With only the first checkpoints."""
    notes = split_notes(files["checkpoints"].decode())[:keep]
    return {**files, "checkpoints": "".join(note + "\n" for note in notes).encode()}


@pytest.mark.parametrize("keep", [0, 1, 2, -1])
def test_a_rewound_checkpoint_is_found(tmp_path: Path, original: Files, keep: int) -> None:
    report = put(tmp_path, rewound(original, keep))
    assert kinds(report) == {ProblemKind.CHECKPOINT}
    assert any("the checkpoint of" in problem.message for problem in report.problems)


def test_checkpoints_out_of_order_or_removed_from_the_middle_are_found(tmp_path: Path, original: Files) -> None:
    notes = split_notes(original["checkpoints"].decode())
    for other in ([*notes[:1], *notes[2:]], [*notes[:-2], notes[-1], notes[-2]]):
        content = "".join(note + "\n" for note in other).encode()
        assert kinds(put(tmp_path, {**original, "checkpoints": content})) == {ProblemKind.CHECKPOINT}


def test_a_log_put_back_with_its_checkpoints_is_found_by_a_witness(tmp_path: Path, original: Files) -> None:
    key = Path(tmp_path.parent / "key.pub")
    key.write_bytes(original["key.pub"])
    believed = read_public_key(key.parent)
    assert believed is not None
    notes = split_notes(original["checkpoints"].decode())
    kept = check_note(notes[2], believed)
    earlier = check_note(notes[0], believed)
    assert earlier.checkpoint is not None
    size = earlier.checkpoint.size
    first = segments(original)[0]
    lines = original[first].splitlines(keepends=True)[:size]
    put_back = {"key.pub": original["key.pub"], first: b"".join(lines), **rewound({**original}, 1)}
    put_back = {name: put_back[name] for name in ("key.pub", "checkpoints")} | {first: b"".join(lines)}
    assert put(tmp_path, put_back).ok, "the files alone cannot tell"
    report = verify(tmp_path, known=[kept])
    assert kinds(report) == {ProblemKind.TRUNCATED}
    assert "kept elsewhere" in report.problems[0].file


def test_a_log_that_was_written_anew_is_found_by_the_key(tmp_path: Path, original: Files) -> None:
    forger = Signer(original["key.pub"].decode().split("+")[0], b"f" * 32)
    tree = Frontier()
    tree.add_lines(
        line for name in segments(original) for line in original[name].replace(b"4711", b"4712").splitlines()
    )
    claims = [
        line for name in segments(original) for line in original[name].splitlines() if b"audit.checkpoint" in line
    ]
    assert claims
    files = {name: content.replace(b"4711", b"4712") for name, content in original.items()}
    files["key.pub"] = f"{forger.key}\n".encode()
    files["checkpoints"] = (forger.sign(Checkpoint(forger.key.name, tree.size, tree.root())) + "\n").encode()
    put(tmp_path, files)
    (tmp_path.parent / "kept").mkdir(exist_ok=True)
    (tmp_path.parent / "kept" / "key.pub").write_bytes(original["key.pub"])
    report = verify(tmp_path, key=read_public_key(tmp_path.parent / "kept"))
    assert (ProblemKind.CHECKPOINT, "key.pub", 0) in found(report)
    assert any("not signed by" in problem.message for problem in report.problems)


def test_a_wrong_tree_file_is_found_and_cannot_hide_a_change(tmp_path: Path, original: Files) -> None:
    trees = sorted(name for name in original if name.endswith(".tree"))
    report = put(tmp_path, {**original, trees[1]: original[trees[0]]})
    assert found(report) == [(ProblemKind.TREE, trees[1], 0)]
    files = {**original, trees[1]: original[trees[1]].replace(b'"a', b'"b').replace(b'"1', b'"2').replace(b'"c', b'"d')}
    for name in segments(original)[:2]:
        del files[name]
    first = int(segments(files)[0].removeprefix("audit-").removesuffix(".jsonl"))
    put(tmp_path, files)
    assert files[trees[1]] == original[trees[1]] or ProblemKind.ALTERED in kinds(verify(tmp_path, first=first))


def test_archived_segments_are_no_finding_where_the_beginning_is_said(tmp_path: Path, original: Files) -> None:
    files = dict(original)
    for name in segments(original)[:2]:
        del files[name]
    report = put(tmp_path, files)
    assert kinds(report) == {ProblemKind.MISSING}
    first = int(segments(files)[0].removeprefix("audit-").removesuffix(".jsonl"))
    assert verify(tmp_path, first=first).ok
    assert not verify(tmp_path, first=first - 1).ok
    assert not verify(tmp_path, first=first + 1).ok
    altered = changed(files, 0, lambda lines: [*lines[:-1], lines[-1].replace(b"s-1", b"s-2")])
    put(tmp_path, altered)
    assert ProblemKind.ALTERED in kinds(verify(tmp_path, first=first)), (
        "what is kept is checked against what was signed"
    )


def test_what_a_crash_leaves_unsigned_is_a_note(tmp_path: Path) -> None:
    log = open_log(tmp_path / "running")
    for number in range(3):
        log.record(statement(number), CONTEXT)
    asyncio.run(log.commit())
    shutil.copytree(tmp_path / "running", tmp_path / "crashed")
    asyncio.run(log.close())
    report = verify(tmp_path / "crashed")
    assert report.ok, report.problems
    assert report.notes == ["the last 6 lines are not covered by a checkpoint (the gateway did not stop in order)"]


def test_a_log_in_use_verifies(tmp_path: Path) -> None:
    log = open_log(tmp_path, checkpoint_interval=0.1)
    for number in range(40):
        log.record(statement(number), CONTEXT)
        if number % 10 == 0:
            asyncio.run(log.commit())
        assert verify(tmp_path).ok
    path = next(tmp_path.glob("audit-*.jsonl"))
    asyncio.run(log.commit())
    with path.open("ab") as file:
        file.write(b'{"seq":12,"i')
    report = verify(tmp_path)
    assert report.ok
    assert any("is writing this line now" in note for note in report.notes)
    asyncio.run(log.close())


def test_garbage_gives_a_bounded_report(tmp_path: Path, original: Files) -> None:
    report = put(tmp_path, {"key.pub": original["key.pub"], f"audit-{0:020}.jsonl": b"x\n" * 5000})
    assert len(report.problems) == 1000
    assert len(report.problems) + report.more_problems == 5000


def test_no_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=r"key\.pub is missing"):
        verify(tmp_path)
    with pytest.raises(AuditError, match="cannot read"):
        verify(tmp_path / "nowhere")


def test_a_finding_reads_well() -> None:
    assert Problem(ProblemKind.ALTERED, "audit-1.jsonl", 3, "why").describe() == "audit-1.jsonl:3: altered: why"
    assert Problem(ProblemKind.TREE, "audit-1.tree", 0, "why").describe() == "audit-1.tree: tree: why"

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.notes import split_notes
from gateway.audit.verify import ProblemKind, verify
from gateway.errors import AuditError
from tests.gateway.audit.builders import CONTEXT, FaultyStorage, lines_of, open_log, raw_lines, statement


def written(directory: Path, count: int = 5, **changes: Any) -> Path:
    """A closed log; returns its last segment."""
    log = open_log(directory, **changes)
    for number in range(count):
        log.record(statement(number), CONTEXT)
    asyncio.run(log.close())
    return sorted(directory.glob("audit-*.jsonl"))[-1]


def restarted(directory: Path) -> dict[str, Any]:
    """Start and close again; what the start had to say of the log's end."""
    asyncio.run(open_log(directory).close())
    events = [json.loads(line) for line in lines_of(directory)]
    codes = [event["metadata"]["event_code"] for event in events]
    found = [event["unmapped"] for event in events if event["metadata"]["event_code"] == "audit.recovered"]
    if found:
        assert codes[-3:] == ["audit.started", "audit.recovered", "audit.closed"] or codes[0] == "audit.genesis"
        return {key: value for key, value in found[-1].items() if key not in ("format", "gateway")}
    return {}


def test_a_clean_end_needs_no_recovery(tmp_path: Path) -> None:
    written(tmp_path)
    assert restarted(tmp_path) == {}
    assert verify(tmp_path).ok


@pytest.mark.parametrize("torn", [1, 20, -1, -100])
def test_a_torn_last_line_is_cut_off_and_said(tmp_path: Path, torn: int) -> None:
    path = crashed(tmp_path)
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    path.write_bytes(whole[: -len(last)] + last[:torn])
    size = len(last[:torn])
    assert [problem.kind for problem in verify(tmp_path).problems] == [ProblemKind.TORN]
    assert restarted(tmp_path) == {"torn_bytes": size, "torn_file": path.name}
    report = verify(tmp_path)
    assert report.ok, report.problems
    assert f"a torn line of {size} bytes" in report.notes[0]


def crashed(directory: Path) -> Path:
    """A log as a kill leaves it: the last lines are not signed. Returns its segment."""
    log = open_log(directory / "running")
    for number in range(5):
        log.record(statement(number), CONTEXT)
    asyncio.run(log.commit())
    for path in (directory / "running").iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    asyncio.run(log.close())
    (directory.parent / f"{directory.name}.key").write_bytes((directory / "running.key").read_bytes())
    return sorted(directory.glob("audit-*.jsonl"))[-1]


def test_what_was_not_signed_before_a_crash_is_signed_at_the_start(tmp_path: Path) -> None:
    crashed(tmp_path)
    before = verify(tmp_path)
    assert "are not covered" in before.notes[0]
    asyncio.run(open_log(tmp_path).close())
    report = verify(tmp_path)
    assert report.ok
    assert not report.notes
    started = [json.loads(line) for line in lines_of(tmp_path) if b"audit.started" in line]
    assert started[0]["unmapped"]["unsigned_events"] == 8


def test_a_segment_of_which_nothing_was_written_goes_away(tmp_path: Path) -> None:
    written(tmp_path)
    for content, details in ((b"", {}), (b'{"seq":1234', {"torn_bytes": 11})):
        sequence = len(raw_lines(tmp_path))
        path = tmp_path / f"audit-{sequence:020}.jsonl"
        path.write_bytes(content)
        found = restarted(tmp_path)
        found.pop("torn_file", None)
        assert found == details
        assert verify(tmp_path).ok
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / f"audit-{0:020}.jsonl").write_bytes(b"")
    assert restarted(tmp_path / "a") == {}
    assert verify(tmp_path / "a").ok


def test_damaged_lines_are_set_aside_and_stay_a_finding(tmp_path: Path) -> None:
    path = crashed(tmp_path)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    # After a loss of power: pages in the middle were not written, later ones were.
    damaged = lines[-2][:50] + b"\0" * (len(lines[-2]) - 51) + b"\n" + lines[-1][:-5] + b"\0\0\0\0\n" + b"torn"
    path.write_bytes(b"".join(lines[:-2]) + damaged)
    details = restarted(tmp_path)
    assert details == {
        "damaged_lines": 2,
        "damaged_file": path.name + ".damaged-1",
        "damaged_sha256": hashlib.sha256(damaged).hexdigest(),
    }
    assert (tmp_path / details["damaged_file"]).read_bytes() == damaged
    report = verify(tmp_path)
    assert [problem.kind for problem in report.problems] == [ProblemKind.LOST]
    assert report.problems[0].file.startswith("audit-")
    assert report.problems[0].message.endswith("damaged-1 at this start")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "and were changed since"),
        (lambda path: path.unlink(), "and are not there any more"),
        (lambda path: (path.unlink(), path.mkdir()), "and cannot be read (Is a directory)"),
    ],
)
def test_what_becomes_of_damaged_lines_is_told(tmp_path: Path, change: Callable[[Path], object], told: str) -> None:
    path = crashed(tmp_path)
    path.write_bytes(path.read_bytes() + b"nothing\nof this\nis a log\n")
    change(tmp_path / restarted(tmp_path)["damaged_file"])
    [problem] = verify(tmp_path).problems
    assert problem.kind is ProblemKind.LOST
    assert problem.message.endswith(told)


def test_a_log_that_ends_before_its_checkpoint_stays_a_finding_after_the_restart(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))
    assert [problem.kind for problem in verify(tmp_path).problems] == [ProblemKind.TRUNCATED]
    assert restarted(tmp_path) == {"missing_events": 2}
    kinds = {problem.kind for problem in verify(tmp_path).problems}
    assert ProblemKind.LOST in kinds
    assert ProblemKind.ALTERED in kinds, "other lines have the numbers of those that were signed"


def test_a_removed_log_is_said_in_the_next(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.unlink()
    assert restarted(tmp_path) == {"missing_events": 10}
    assert ProblemKind.LOST in {problem.kind for problem in verify(tmp_path).problems}


def test_a_change_of_what_was_signed_is_said_by_the_next_start(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"4711", b"4712"))
    details = restarted(tmp_path)
    assert list(details) == ["checkpoint_mismatch"]
    kinds = [problem.kind for problem in verify(tmp_path).problems]
    assert ProblemKind.LOST in kinds
    assert ProblemKind.ALTERED in kinds


def test_a_change_of_an_earlier_segment_is_said_if_a_crash_comes_right_after_the_start(tmp_path: Path) -> None:
    path = written(tmp_path)
    asyncio.run(open_log(tmp_path).close())
    later = sorted(tmp_path.glob("audit-*"))[-2:]
    assert later[0].suffix == ".jsonl"
    size = int(later[0].stem.removeprefix("audit-"))
    notes = [note for note in split_notes((tmp_path / "checkpoints").read_text()) if f"\n{size}\n" in note]
    # As if the second run had been killed before it could sign anything.
    (tmp_path / "checkpoints").write_text("".join(note + "\n" for note in notes))
    later[0].write_bytes(later[0].read_bytes().splitlines(keepends=True)[0])
    later[1].unlink()
    path.write_bytes(path.read_bytes().replace(b"4711", b"4712"))
    assert restarted(tmp_path) == {"checkpoint_mismatch": size}


def test_a_torn_checkpoint_is_cut_off_and_a_damaged_one_stays_a_finding(tmp_path: Path) -> None:
    written(tmp_path)
    file = tmp_path / "checkpoints"
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:70])
    assert restarted(tmp_path) == {}
    assert verify(tmp_path).ok
    file.write_bytes(file.read_bytes().replace(b"querygate.audit", b"somebody.else..", 1))
    assert restarted(tmp_path) == {"invalid_checkpoints": True}
    assert ProblemKind.CHECKPOINT in {problem.kind for problem in verify(tmp_path).problems}


@pytest.mark.parametrize("name", ["key.pub", "../KEY"])
def test_a_log_whose_key_is_gone_or_another_is_not_gone_on_with(tmp_path: Path, name: str) -> None:
    written(tmp_path)
    path = tmp_path.parent / f"{tmp_path.name}.key" if name == "../KEY" else tmp_path / name
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(AuditError, match="missing"):
        open_log(tmp_path)
    path.write_bytes(b"x" * 32 if name == "../KEY" else b"nonsense")
    with pytest.raises(AuditError, match=r"is not the key|not a verifier key"):
        open_log(tmp_path)
    path.write_bytes(content)
    assert restarted(tmp_path) == {}


def test_a_lost_tree_file_is_worked_out_again_or_named(tmp_path: Path) -> None:
    written(tmp_path)
    second = written(tmp_path)
    second.with_suffix(".tree").unlink()
    assert restarted(tmp_path) == {}
    second = sorted(tmp_path.glob("audit-*.jsonl"))[-1]
    for path in tmp_path.glob("audit-*"):
        if path != second:
            path.unlink()
    with pytest.raises(AuditError, match=r"the tree before line \d+ is not known; put back"):
        open_log(tmp_path)


def test_a_log_without_an_intact_line_stops_the_start(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(b"nothing\nof this\nis a log\n")
    with pytest.raises(AuditError, match="no intact line"):
        open_log(tmp_path)
    assert next(tmp_path.glob("*.damaged-1")).read_bytes() == b"nothing\nof this\nis a log\n"


def test_a_directory_that_cannot_be_used_is_an_audit_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditError, match="cannot use"):
        open_log(tmp_path / "file" / "audit")


def test_a_start_that_failed_leaves_nothing_behind(tmp_path: Path) -> None:
    storage = FaultyStorage()
    storage.room = 300
    with pytest.raises(AuditError):
        open_log(tmp_path, storage=storage)
    storage.room = None
    asyncio.run(open_log(tmp_path, storage=storage).close())
    assert verify(tmp_path).ok

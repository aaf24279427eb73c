import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.verify import ProblemKind, verify
from gateway.errors import AuditError
from tests.gateway.audit.builders import CONTEXT, FaultyStorage, lines_of, open_log, statement


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


@pytest.mark.parametrize("torn", [1, 100, -1, -200])
def test_a_torn_last_line_is_cut_off_and_said(tmp_path: Path, torn: int) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    (tmp_path / "head.json").unlink()
    path.write_bytes(whole[: -len(last)] + last[:torn])
    size = len(last[:torn])
    assert [problem.kind for problem in verify(tmp_path).problems] == [ProblemKind.TORN, ProblemKind.HEAD]
    assert restarted(tmp_path) == {"torn_bytes": size, "torn_file": path.name}
    report = verify(tmp_path)
    assert report.ok, report.problems
    assert f"a torn line of {size} bytes" in report.notes[0]


def test_a_segment_of_which_nothing_was_written_goes_away(tmp_path: Path) -> None:
    written(tmp_path)
    for content, details in ((b"", {}), (b'{"metadata"', {"torn_bytes": 11})):
        sequence = len(lines_of(tmp_path))
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
    path = written(tmp_path)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    # After a loss of power: pages in the middle were not written, later ones were.
    damaged = lines[-2][:50] + b"\0" * (len(lines[-2]) - 51) + b"\n" + lines[-1][:-5] + b"\0\0\0\0\n" + b"torn"
    path.write_bytes(b"".join(lines[:-2]) + damaged)
    (tmp_path / "head.json").unlink()
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


def test_a_log_that_ends_before_its_head_stays_a_finding_after_the_restart(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))
    assert [problem.kind for problem in verify(tmp_path).problems] == [ProblemKind.TRUNCATED]
    assert restarted(tmp_path) == {"missing_events": 2}
    report = verify(tmp_path)
    assert [problem.kind for problem in report.problems] == [ProblemKind.LOST]
    assert "2 events were missing" in report.problems[0].message


def test_a_removed_log_is_said_in_the_next(tmp_path: Path) -> None:
    path = written(tmp_path)
    chain = verify(tmp_path).chain_uid
    path.unlink()
    assert restarted(tmp_path) == {"lost_chain": chain, "missing_events": 7}
    [problem] = verify(tmp_path).problems
    assert (problem.kind, chain in problem.message) == (ProblemKind.LOST, True)


def test_a_replaced_end_is_noticed(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    log = open_log(first)
    log.record(statement(0), CONTEXT)
    asyncio.run(log.close())
    path = written(second, 1)
    head = json.loads((second / "head.json").read_bytes())
    head["fingerprint"] = "0" * 64
    (second / "head.json").write_text(json.dumps(head))
    assert [problem.kind for problem in verify(second).problems] == [ProblemKind.HEAD]
    assert restarted(second) == {"head_mismatch": True}
    assert [problem.kind for problem in verify(second).problems] == [ProblemKind.LOST]
    path.write_bytes(next(first.glob("audit-*.jsonl")).read_bytes())
    for later in sorted(second.glob("audit-*.jsonl"))[1:]:
        later.unlink()
    with pytest.raises(AuditError, match="another chain"):
        open_log(second)


def test_a_log_without_an_intact_line_or_with_a_garbled_head_stops_the_start(tmp_path: Path) -> None:
    path = written(tmp_path)
    head = (tmp_path / "head.json").read_bytes()
    (tmp_path / "head.json").write_bytes(b"{")
    with pytest.raises(AuditError, match=r"head\.json cannot be read"):
        open_log(tmp_path)
    (tmp_path / "head.json").write_bytes(head)
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

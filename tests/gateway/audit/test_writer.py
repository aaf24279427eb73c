import asyncio
import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.audit.verify import verify
from gateway.errors import AuditError
from tests.fixtures.waiting import eventually
from tests.gateway.audit.builders import (
    CONTEXT,
    BrokenStorage,
    FaultyStorage,
    lines_of,
    open_log,
    raw_lines,
    refused,
    statement,
)


def close(log: AuditLog) -> None:
    asyncio.run(log.close())


def commit(log: AuditLog) -> None:
    asyncio.run(log.commit())


def ids(directory: Path) -> list[str]:
    return [json.loads(line)["metadata"]["uid"] for line in lines_of(directory) if b'"event_code":"statement' in line]


def interruptions(directory: Path) -> list[str]:
    events = [json.loads(line) for line in lines_of(directory) if b'"event_code":"audit.interrupted"' in line]
    return [event["unmapped"]["reason"] for event in events]


@pytest.mark.parametrize("room", [0, 1, 700, 1500, 2200])
def test_a_full_disk_stops_statements_and_loses_nothing(tmp_path: Path, room: int) -> None:
    storage = FaultyStorage()
    log = open_log(tmp_path, storage=storage)
    storage.room = room
    for number in range(10):
        log.record(statement(number), CONTEXT)
    with pytest.raises(AuditError, match="No space left on device"):
        commit(log)
    assert not log.healthy
    assert "cannot write" in log.reason
    assert raw_lines(tmp_path)[-1].endswith(b"\n"), "no torn line is left behind"
    for record in (statement(90, intent=True), refused(91)):
        with pytest.raises(AuditError, match="No space left on device"):
            log.record(record, CONTEXT)
    with pytest.raises(AuditError, match="No space left on device"):
        log.record(statement(92), CONTEXT)
    with pytest.raises(AuditError, match="No space left on device"):
        commit(log)
    storage.room = None
    eventually(lambda: log.healthy)
    log.record(statement(93), CONTEXT)
    commit(log)
    assert ids(tmp_path) == [*(f"s-1.{number}" for number in range(10)), "s-1.92", "s-1.93"]
    assert "No space left" in interruptions(tmp_path)[0]
    close(log)
    assert verify(tmp_path).ok


def test_short_writes_are_continued(tmp_path: Path) -> None:
    storage = FaultyStorage()
    storage.longest_write = 100
    log = open_log(tmp_path, storage=storage)
    for number in range(10):
        log.record(statement(number), CONTEXT)
    close(log)
    assert len(ids(tmp_path)) == 10
    assert verify(tmp_path).ok
    assert log.counters.failures == 0


def test_after_a_failed_sync_everything_unsynced_is_written_again(tmp_path: Path) -> None:
    storage = FaultyStorage()
    log = open_log(tmp_path, storage=storage)
    log.record(statement(1), CONTEXT)
    commit(log)
    storage.sync_errno = errno.EIO
    for number in range(2, 6):
        log.record(statement(number), CONTEXT)
    with pytest.raises(AuditError, match="Input/output error"):
        commit(log)
    # What a kernel may do after a failed fsync: the pages are gone.
    storage.gate.clear()
    eventually(lambda: storage.hanging == 1)
    path = next(tmp_path.glob("audit-*.jsonl"))
    kept = path.read_bytes()
    synced = kept.index(b'"id":"s-1.2"')
    path.write_bytes(kept[:synced] + b"\0" * (len(kept) - synced))
    storage.sync_errno = 0
    storage.gate.set()
    eventually(lambda: log.healthy)
    close(log)
    assert ids(tmp_path) == [f"s-1.{number}" for number in range(1, 6)]
    assert verify(tmp_path).ok


def test_a_torn_line_that_cannot_be_cut_is_overwritten(tmp_path: Path) -> None:
    storage = FaultyStorage()
    log = open_log(tmp_path, storage=storage)
    storage.room, storage.truncate_errno = 1500, errno.EIO
    for number in range(5):
        log.record(statement(number), CONTEXT)
    with pytest.raises(AuditError):
        commit(log)
    assert not raw_lines(tmp_path)[-1].endswith(b"\n")
    storage.room = None
    eventually(lambda: log.healthy)
    close(log)
    assert ids(tmp_path) == [f"s-1.{number}" for number in range(5)]
    assert verify(tmp_path).ok


def test_too_little_room_on_the_disk_stops_statements_before_it_is_full(tmp_path: Path) -> None:
    storage = FaultyStorage()
    log = open_log(tmp_path, storage=storage, min_free_bytes=10 << 20)
    storage.free = 5 << 20
    eventually(lambda: not log.healthy)
    assert "only 5.0 MiB are free" in log.reason
    with pytest.raises(AuditError, match=r"10\.0 MiB must stay free"):
        log.record(statement(1, intent=True), CONTEXT)
    with pytest.raises(AuditError):
        log.record(statement(2), CONTEXT)
    storage.free = 1 << 40
    eventually(lambda: log.healthy)
    close(log)
    assert ids(tmp_path) == ["s-1.2"]
    assert verify(tmp_path).ok


def test_a_log_that_has_its_share_of_the_disk_stops_until_segments_are_archived(tmp_path: Path) -> None:
    log = open_log(tmp_path / "audit", segment_bytes=4_000, max_bytes=12_000)
    for number in range(110):
        log.record(statement(number), CONTEXT)
    eventually(lambda: not log.healthy)
    assert "0.0 MiB are allowed" in log.reason
    for path in sorted((tmp_path / "audit").glob("audit-*.jsonl"))[:-1]:
        path.rename(tmp_path / path.name)
    eventually(lambda: log.healthy)
    close(log)


def test_a_start_on_a_full_disk_is_refused_with_the_reason(tmp_path: Path) -> None:
    storage = FaultyStorage()
    storage.room = 10
    with pytest.raises(AuditError, match="No space left on device"):
        open_log(tmp_path, storage=storage)
    storage.room, storage.free = None, 0
    with pytest.raises(AuditError, match="must stay free"):
        open_log(tmp_path, storage=storage, min_free_bytes=1)
    close(open_log(tmp_path))
    assert verify(tmp_path).ok


def test_a_removed_segment_is_noticed_and_written_again(tmp_path: Path) -> None:
    directory = tmp_path / "audit"
    log = open_log(directory)
    for number in range(5):
        log.record(statement(number), CONTEXT)
    commit(log)
    shutil.rmtree(directory)
    with contextlib.suppress(AuditError):
        log.record(statement(5), CONTEXT)
    eventually(lambda: log.counters.failures > 0)
    eventually(lambda: log.healthy)
    eventually(lambda: log.counters.held == 0)
    close(log)
    assert ids(directory) == [f"s-1.{number}" for number in range(6)]
    assert interruptions(directory)
    assert verify(directory).ok
    # The lock went with the directory: the new one has it again.
    close(open_log(directory))


def test_a_file_in_the_place_of_the_segment_is_not_touched(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    commit(log)
    path = next(tmp_path.glob("audit-*.jsonl"))
    path.rename(tmp_path / "mine")
    path.write_bytes(b"theirs")
    eventually(lambda: not log.healthy)
    assert "another file stands" in log.reason
    assert path.read_bytes() == b"theirs"
    (tmp_path / "mine").replace(path)
    eventually(lambda: log.healthy)
    close(log)
    assert verify(tmp_path).ok


def test_events_that_could_not_be_written_before_the_end_are_counted(tmp_path: Path) -> None:
    storage = FaultyStorage()
    log = open_log(tmp_path, storage=storage)
    storage.room = 0
    for number in range(3):
        log.record(statement(number), CONTEXT)
    with pytest.raises(AuditError, match=r"7 audit lines could not be written: .*No space"):
        close(log)


def test_a_failure_while_a_segment_is_begun(tmp_path: Path) -> None:
    class NoNewFiles(FaultyStorage):
        refuse = False

        def create(self, path: Path) -> int:
            if self.refuse:
                raise OSError(errno.EDQUOT, "the quota is used up")
            return super().create(path)

    storage = NoNewFiles()
    log = open_log(tmp_path, storage=storage, segment_bytes=2500)
    storage.refuse = True
    for number in range(10):
        log.record(statement(number), CONTEXT)
    with pytest.raises(AuditError, match="quota"):
        commit(log)
    storage.refuse = False
    eventually(lambda: log.healthy)
    close(log)
    assert ids(tmp_path) == [f"s-1.{number}" for number in range(10)]
    assert verify(tmp_path).ok


def test_a_bug_in_the_writer_stops_statements(tmp_path: Path) -> None:
    storage = BrokenStorage()
    log = open_log(tmp_path, storage=storage)
    storage.broken = True
    log.record(statement(), CONTEXT)
    with pytest.raises(AuditError, match="writer stopped: RuntimeError"):
        commit(log)
    with pytest.raises(AuditError, match="writer stopped"):
        log.record(statement(1, intent=True), CONTEXT)
    with pytest.raises(AuditError, match="could not be written"):
        close(log)


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from gateway.audit.verify import verify
from gateway.errors import AuditError
from tests.fixtures.waiting import eventually
from tests.gateway.audit.builders import CONTEXT, open_log, statement

async def main(directory):
    log = open_log(directory)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, before[1]))
    number = 0
    try:
        while True:
            log.record(statement(number), CONTEXT)
            await log.commit()
            number += 1
    except AuditError as error:
        assert "File too large" in str(error), error
    assert not verify(directory).problems, verify(directory).problems
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    eventually(lambda: log.healthy)
    log.record(statement(number + 1), CONTEXT)
    await log.close()
    assert verify(directory).ok
    print(number)

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_real_write_that_the_kernel_refuses(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path / "audit"],
        capture_output=True,
        text=True,
        timeout=50,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": "."},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert 20 < int(result.stdout) < 80
    assert ids(tmp_path / "audit") == [f"s-1.{number}" for number in range(int(result.stdout) + 2)]

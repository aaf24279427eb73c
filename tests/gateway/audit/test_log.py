import asyncio
import json
import threading
import time
from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.audit.redact import Literals
from gateway.audit.verify import verify
from gateway.domain.audit import Outcome, SessionEventKind
from gateway.domain.recorded import Shared
from gateway.errors import AuditError, ConfigurationError
from tests.fixtures.waiting import eventually
from tests.gateway.audit.builders import (
    CONTEXT,
    FaultyStorage,
    lines_of,
    open_log,
    raw_lines,
    refused,
    session,
    statement,
)


def close(log: AuditLog) -> None:
    asyncio.run(log.close())


def ids(directory: Path) -> list[str]:
    return [json.loads(line)["metadata"]["uid"] for line in lines_of(directory) if b'"event_code":"statement' in line]


def codes(directory: Path) -> list[str]:
    return [
        code
        for line in lines_of(directory)
        if (code := json.loads(line)["metadata"]["event_code"]) != "audit.checkpoint"
    ]


def test_everything_recorded_is_there_in_order_after_close(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.record_session(session(SessionEventKind.LOGIN))
    for number in range(1000):
        log.record(statement(number), CONTEXT)
    log.record_session(session(SessionEventKind.CLOSED))
    close(log)
    assert ids(tmp_path) == [f"s-1.{number}" for number in range(1000)]
    assert codes(tmp_path)[:2] == ["audit.genesis", "session.login"]
    assert codes(tmp_path)[-2:] == ["session.closed", "audit.closed"]
    report = verify(tmp_path)
    assert report.ok, report.problems
    assert report.lines == 1007, "with a checkpoint, and the definitions of a session and a ruling"
    assert not report.notes


def test_after_commit_the_events_are_on_disk(tmp_path: Path) -> None:
    async def run() -> None:
        log = open_log(tmp_path, flush_interval=60, look_interval=60, sync_interval=60)
        for number in range(5):
            log.record(statement(number, intent=True), CONTEXT)
            await log.commit()
            assert ids(tmp_path)[-1] == f"s-1.{number}.intent"
            assert log.counters.held == 0
        syncs = log.counters.syncs
        await log.commit()
        assert log.counters.syncs == syncs, "nothing new, nothing to sync"
        await log.close()

    asyncio.run(run())


def test_those_who_wait_share_a_sync(tmp_path: Path) -> None:
    storage = FaultyStorage()

    async def worker(log: AuditLog, name: int) -> None:
        for number in range(10):
            log.record(statement(name * 100 + number, intent=True), CONTEXT)
            await log.commit()

    async def run() -> int:
        log = open_log(tmp_path, storage=storage)
        before = log.counters.syncs
        storage.sync_delay = 0.002
        await asyncio.gather(*(worker(log, name) for name in range(32)))
        syncs = log.counters.syncs - before
        await log.close()
        return syncs

    syncs = asyncio.run(run())
    assert len(ids(tmp_path)) == 320
    assert 10 <= syncs <= 40, f"{syncs} syncs for 320 commits"


def test_a_waiter_that_gives_up_does_not_disturb_the_others(tmp_path: Path) -> None:
    storage = FaultyStorage()

    async def run() -> None:
        log = open_log(tmp_path, storage=storage)
        storage.sync_delay = 0.05
        log.record(statement(), CONTEXT)
        waiting = [asyncio.create_task(log.commit()) for _ in range(3)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [None, None]
        await log.close()

    asyncio.run(run())


def test_without_commit_events_are_written_and_synced_soon(tmp_path: Path) -> None:
    log = open_log(tmp_path, flush_interval=0.01, sync_interval=0.05)
    log.record(statement(1), CONTEXT)
    eventually(lambda: ids(tmp_path) == ["s-1.1"])
    eventually(lambda: log.counters.held == 0)
    close(log)


def test_segments_rotate_by_size_and_at_start(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=2500)
    for number in range(60):
        log.record(statement(number), CONTEXT)
    close(log)
    paths = sorted(tmp_path.glob("audit-*.jsonl"))
    assert len(paths) > 3
    assert all(path.stat().st_size < 4500 for path in paths)
    for path in paths:
        first = json.loads(path.read_bytes().splitlines()[0])
        assert path.name == f"audit-{first['seq']:020}.jsonl"
        assert first["event"]["unmapped"]["format"] == 2
    log = open_log(tmp_path)
    close(log)
    assert len(sorted(tmp_path.glob("audit-*.jsonl"))) == len(paths) + 1
    assert codes(tmp_path)[-2:] == ["audit.started", "audit.closed"]
    assert verify(tmp_path).ok
    assert ids(tmp_path) == [f"s-1.{number}" for number in range(60)]


def test_only_one_gateway_writes_a_directory(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    with pytest.raises(AuditError, match="another gateway writes"):
        open_log(tmp_path)
    close(log)
    close(open_log(tmp_path))


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "data" / "audit"
    close(open_log(directory))
    assert directory.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in directory.iterdir())


def test_memory_is_bounded_and_what_happened_has_room_left(tmp_path: Path) -> None:
    storage = FaultyStorage()
    log = open_log(tmp_path, storage=storage, buffer_bytes=40_000)
    storage.gate.clear()
    taken = 0
    while log.healthy:
        log.record(statement(taken, intent=True), CONTEXT)
        taken += 1
        assert taken < 1000
    assert 200 < taken < 500
    assert log.counters.held < 42_000
    kept = 0
    while log.counters.held < 60_000:
        with pytest.raises(AuditError):
            log.record(statement(1000 + kept), CONTEXT)
        kept += 1
    held = log.counters.held
    for record in (statement(2000), refused(2001), statement(2002, intent=True)):
        with pytest.raises(AuditError):
            log.record(record, CONTEXT)
    assert log.counters.held == held, "nothing is taken beyond the bound"
    with pytest.raises(AuditError, match="wait for the disk"):
        log.check()
    storage.gate.set()
    eventually(lambda: log.healthy)
    log.check()
    close(log)
    assert ids(tmp_path) == [f"s-1.{n}.intent" for n in range(taken)] + [f"s-1.{1000 + n}" for n in range(kept)]
    assert verify(tmp_path).ok


def test_many_threads_may_record(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=100_000)

    def record(thread: int) -> None:
        for number in range(200):
            log.record(statement(thread * 1000 + number), CONTEXT)

    threads = [threading.Thread(target=record, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close(log)
    assert verify(tmp_path).ok
    found = ids(tmp_path)
    assert len(found) == len(set(found)) == 800


def test_counters(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for number in range(10):
        log.record(statement(number), CONTEXT)
    close(log)
    counters = log.counters
    assert counters.events == 13
    assert counters.bytes == sum(len(line) for line in raw_lines(tmp_path))
    assert counters.batches >= 1
    assert counters.syncs >= 1
    assert (counters.failures, counters.sink_failures, counters.held) == (0, 0, 0)


def test_closing_twice_is_harmless_and_nothing_is_taken_afterwards(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    close(log)
    close(log)
    with pytest.raises(AuditError, match="closed"):
        log.record(statement(), CONTEXT)
    assert not log.healthy
    with pytest.raises(AuditError, match="closed"):
        asyncio.run(log.commit())


def test_hashing_without_a_key_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs a key"):
        open_log(tmp_path / "audit", literals=Literals.HASH)
    close(open_log(tmp_path / "audit"))


def test_an_event_that_cannot_be_encoded_is_an_audit_error_and_breaks_nothing(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    with pytest.raises(AuditError, match="cannot be recorded"):
        log.record(statement(), Shared())
    log.record(statement(1, outcome=Outcome.LOST), CONTEXT)
    close(log)
    assert ids(tmp_path) == ["s-1.1"]
    assert verify(tmp_path).ok


def test_recording_does_not_wait_for_a_slow_disk(tmp_path: Path) -> None:
    storage = FaultyStorage()
    log = open_log(tmp_path, storage=storage, sync_interval=0.001)
    storage.sync_delay = 0.3
    log.record(statement(1), CONTEXT)
    time.sleep(0.05)
    began = time.perf_counter()
    log.record(statement(2), CONTEXT)
    assert time.perf_counter() - began < 0.1
    storage.sync_delay = 0
    close(log)


def test_a_loop_that_is_gone_does_not_stop_the_writer(tmp_path: Path) -> None:
    storage = FaultyStorage()
    log = open_log(tmp_path, storage=storage)
    storage.gate.clear()
    log.record(statement(1), CONTEXT)
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(log.commit())
    loop.run_until_complete(asyncio.sleep(0.01))
    waiting.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    storage.gate.set()
    log.record(statement(2), CONTEXT)
    asyncio.run(log.commit())
    close(log)
    assert ids(tmp_path) == ["s-1.1", "s-1.2"]

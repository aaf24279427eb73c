"""Commits of the loop that serves: they end as those of any other loop do, whatever the disk says."""

from __future__ import annotations

import asyncio
import errno
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.audit._disk_reference import Putter
from gateway.audit.log import AuditLog
from gateway.audit.segments import list_segments
from gateway.audit.sinks import AttachedSink, AuditSink
from gateway.audit.storage import QuickStorage, Storage
from gateway.audit.verify import verify
from gateway.errors import AuditError
from tests.fixtures.waiting import eventually_in_loop
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
from tests.gateway.audit.test_writer import ids, interruptions


@asynccontextmanager
async def serving(directory: Path, storage: Storage | None = None, **changes: Any) -> AsyncIterator[AuditLog]:
    log = open_log(directory, storage=storage, **changes)
    log.serve(asyncio.get_running_loop())
    try:
        yield log
    finally:
        await log.close()


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@pytest.fixture(params=[Storage, QuickStorage])
def storage(request: pytest.FixtureRequest) -> Storage:
    made: Storage = request.param()
    return made


@in_a_loop
async def test_what_was_committed_is_in_the_file(tmp_path: Path, storage: Storage) -> None:
    async with serving(tmp_path, storage) as log:
        for number in range(50):
            log.record(statement(number), CONTEXT)
            await log.commit()
            assert f'"id":"s-1.{number}"'.encode() in raw_lines(tmp_path)[-1]
            assert log.counters.held == 0
        assert log.counters.syncs >= 50
    assert verify(tmp_path).ok


@in_a_loop
async def test_many_at_once_share_a_sync(tmp_path: Path, storage: Storage) -> None:
    async with serving(tmp_path, storage) as log:
        syncs = log.counters.syncs

        async def session(first: int) -> None:
            for number in range(first, first + 20):
                log.record(statement(number), CONTEXT)
                await log.commit()

        await asyncio.gather(*(session(1000 * number) for number in range(30)))
        assert log.counters.syncs - syncs < 200, "600 commits of 30 sessions"
        assert log.counters.held == 0
    assert len(ids(tmp_path)) == 600
    assert verify(tmp_path).ok


@in_a_loop
async def test_a_commit_without_anything_new_returns(tmp_path: Path, storage: Storage) -> None:
    async with serving(tmp_path, storage, flush_interval=0.001) as log:
        await log.commit()
        log.record(statement(), CONTEXT)
        await asyncio.sleep(0.02)  # the writer wrote it meanwhile, and did not sync
        await log.commit()
        await log.commit()
        assert log.counters.held == 0
    assert verify(tmp_path).ok


@in_a_loop
async def test_what_the_writer_does_meanwhile_stays_in_order(tmp_path: Path, storage: Storage) -> None:
    """New segments, checkpoints, looks at the disk and lines that nobody waits for, all through a stream of commits."""
    changes = {"segment_bytes": 3000, "checkpoint_interval": 0.005, "look_interval": 0.001, "flush_interval": 0.001}
    async with serving(tmp_path, storage, **changes) as log:

        async def session(first: int) -> None:
            for number in range(first, first + 60):
                log.record(statement(number), CONTEXT)
                if number % 3:
                    await log.commit()
                else:
                    await asyncio.sleep(0.001)

        await asyncio.gather(*(session(1000 * number) for number in range(10)))
        checkpoints = log.counters.checkpoints
    assert checkpoints > 3
    assert len(list_segments(tmp_path)) > 10
    assert sorted(ids(tmp_path)) == sorted(f"s-1.{1000 * n + i}" for n in range(10) for i in range(60))
    report = verify(tmp_path)
    assert report.ok, report.problems


@in_a_loop
async def test_the_writer_may_be_there_first(tmp_path: Path, storage: Storage) -> None:
    """Between a commit and the turn of the loop that would begin it, the writer syncs for somebody else."""
    async with serving(tmp_path, storage) as log:
        for number in range(50):
            log.record(statement(number), CONTEXT)
            mine = asyncio.ensure_future(log.commit())
            await asyncio.sleep(0)
            other = threading.Thread(target=lambda: asyncio.run(log.commit()))
            other.start()
            time.sleep(0.001 * (number % 7))  # noqa: ASYNC251 - the loop stands still, the writer does not
            await mine
            await asyncio.to_thread(other.join)
    assert len(ids(tmp_path)) == 50
    assert verify(tmp_path).ok


@in_a_loop
async def test_commits_of_other_loops_and_threads(tmp_path: Path, storage: Storage) -> None:
    async with serving(tmp_path, storage) as log:

        async def some(first: int) -> None:
            for number in range(first, first + 40):
                log.record(statement(number), CONTEXT)
                await log.commit()

        def elsewhere(first: int) -> None:
            asyncio.run(some(first))

        others = [asyncio.to_thread(elsewhere, first) for first in (1000, 2000, 3000)]
        await asyncio.gather(some(0), some(500), *others)
    assert len(ids(tmp_path)) == 200
    assert verify(tmp_path).ok


@pytest.mark.parametrize("room", [0, 1, 700, 1500, 2200])
@in_a_loop
async def test_a_full_disk_stops_statements_and_loses_nothing(tmp_path: Path, room: int) -> None:
    storage = FaultyStorage()
    async with serving(tmp_path, storage) as log:
        storage.room = room
        for number in range(10):
            log.record(statement(number), CONTEXT)
        with pytest.raises(AuditError, match="No space left on device"):
            await log.commit()
        assert raw_lines(tmp_path)[-1].endswith(b"\n"), "no torn line is left behind"
        with pytest.raises(AuditError, match="No space left on device"):
            log.record(refused(91), CONTEXT)
        with pytest.raises(AuditError, match="No space left on device"):
            log.record(statement(92), CONTEXT)
        storage.room = None
        await eventually_in_loop(lambda: log.healthy)
        log.record(statement(93), CONTEXT)
        await log.commit()
    assert ids(tmp_path) == [*(f"s-1.{number}" for number in range(10)), "s-1.92", "s-1.93"]
    assert "No space left" in interruptions(tmp_path)[0]
    assert verify(tmp_path).ok


@in_a_loop
async def test_after_a_failed_sync_everything_unsynced_is_written_again(tmp_path: Path) -> None:
    storage = FaultyStorage()
    async with serving(tmp_path, storage) as log:
        log.record(statement(1), CONTEXT)
        await log.commit()
        log.record(statement(2), CONTEXT)
        await asyncio.sleep(0.05)  # written by the writer's thread, and not synced
        storage.sync_errno = errno.EIO
        for number in range(3, 6):
            log.record(statement(number), CONTEXT)
        with pytest.raises(AuditError, match="Input/output error"):
            await log.commit()
        # What a kernel may do after a failed fsync: the pages are gone.
        storage.gate.clear()
        await eventually_in_loop(lambda: storage.hanging == 1)
        [(_, path)] = list_segments(tmp_path)
        kept = path.read_bytes()
        synced = kept.index(b'"id":"s-1.2"')
        path.write_bytes(kept[:synced] + b"\0" * (len(kept) - synced))
        storage.sync_errno = 0
        storage.gate.set()
        await eventually_in_loop(lambda: log.healthy)
    assert ids(tmp_path) == [f"s-1.{number}" for number in range(1, 6)]
    assert verify(tmp_path).ok


@in_a_loop
async def test_a_sync_that_fails_once_costs_nobody_anything(tmp_path: Path) -> None:
    class Once(FaultyStorage):
        left = 0

        def sync(self, descriptor: int) -> None:
            if self.left:
                self.left -= 1
                raise OSError(errno.EIO, "Input/output error")
            super().sync(descriptor)

    storage = Once()
    async with serving(tmp_path, storage, look_interval=30) as log:
        storage.left = 1
        log.record(statement(1), CONTEXT)
        await log.commit()
        assert log.counters.failures == 1
        assert raw_lines(tmp_path)[-1].count(b'"id":"s-1.1"') == 1
    assert ids(tmp_path) == ["s-1.1"]
    assert verify(tmp_path).ok


@in_a_loop
async def test_a_removed_segment_is_noticed_and_written_again(tmp_path: Path, storage: Storage) -> None:
    directory = tmp_path / "audit"
    async with serving(directory, storage, look_interval=30) as log:
        log.record(statement(0), CONTEXT)
        await log.commit()
        next(directory.glob("audit-*.jsonl")).unlink()
        log.record(statement(1), CONTEXT)
        await log.commit()
        assert log.counters.failures == 1
        assert b'"id":"s-1.1"' in raw_lines(directory)[-1]
    assert ids(directory) == ["s-1.0", "s-1.1"]
    assert verify(directory).ok


@in_a_loop
async def test_a_bug_stops_statements(tmp_path: Path) -> None:
    storage = BrokenStorage()
    log = open_log(tmp_path, storage=storage)
    log.serve(asyncio.get_running_loop())
    storage.broken = True
    log.record(statement(), CONTEXT)
    with pytest.raises(AuditError, match="writer stopped: RuntimeError"):
        await log.commit()
    with pytest.raises(AuditError, match="writer stopped"):
        log.record(statement(1, intent=True), CONTEXT)
    with pytest.raises(AuditError, match="could not be written"):
        await log.close()


@in_a_loop
async def test_a_loop_that_is_held_up_does_not_hold_up_the_writer(tmp_path: Path) -> None:
    """Other threads' commits go on although the loop never takes what it asked for."""
    storage = FaultyStorage()
    async with serving(tmp_path, storage) as log:
        storage.gate.clear()
        log.record(statement(1), CONTEXT)
        mine = asyncio.ensure_future(log.commit())
        await asyncio.sleep(0.05)  # the put has begun
        done = threading.Event()

        async def other() -> None:
            log.record(statement(2), CONTEXT)
            await log.commit()
            done.set()

        thread = threading.Thread(target=lambda: asyncio.run(other()))
        thread.start()
        storage.gate.set()
        time.sleep(0.02)  # noqa: ASYNC251 - that is the point
        assert done.wait(20), "while the loop stands still"
        thread.join()
        await mine
    assert ids(tmp_path) == ["s-1.1", "s-1.2"]
    assert verify(tmp_path).ok


@in_a_loop
async def test_closing_waits_for_what_is_under_way(tmp_path: Path) -> None:
    storage = FaultyStorage()
    storage.sync_delay = 0.1
    log = open_log(tmp_path, storage=storage)
    log.serve(asyncio.get_running_loop())
    log.record(statement(1), CONTEXT)
    mine = asyncio.ensure_future(log.commit())
    await asyncio.sleep(0.02)
    await log.close()
    await mine
    assert ids(tmp_path) == ["s-1.1"]
    assert verify(tmp_path).ok


@in_a_loop
async def test_a_loop_that_is_held_up_grows_the_right_tree(tmp_path: Path) -> None:
    """It has told the disk to begin. Until it goes on, the put has failed and the writer has hashed the same lines."""

    growing = threading.Event()
    here = threading.get_ident()

    class Stalling(Putter):
        def begin(self, descriptor: int, data: bytes, offset: int) -> None:
            super().begin(descriptor, data, offset)
            if storage.sync_errno and not begun:
                begun.append(offset)
                assert growing.wait(20)

    class Twice(FaultyStorage):
        def sync(self, descriptor: int) -> None:
            if threading.get_ident() != here and begun:
                growing.set()  # the writer has hashed what it syncs
            super().sync(descriptor)

        def putter(self, wake: int) -> Putter:
            return Stalling(wake, self.write, super().sync, self.linked)

    begun: list[int] = []
    recorded: list[int] = []
    storage = Twice()
    async with serving(tmp_path, storage) as log:
        while not begun:  # the writer may be there first, with something else to do
            recorded.append(len(recorded) + 1)
            storage.sync_errno = errno.EIO
            log.record(statement(recorded[-1]), CONTEXT)
            with pytest.raises(AuditError, match="Input/output error"):
                await log.commit()
            storage.sync_errno = 0
            await eventually_in_loop(lambda: log.healthy)
    assert ids(tmp_path) == [f"s-1.{number}" for number in recorded]
    report = verify(tmp_path)
    assert report.ok, report.problems


@in_a_loop
async def test_another_thread_that_records_while_there_is_nothing_to_sync(tmp_path: Path, storage: Storage) -> None:
    async with serving(tmp_path, storage) as log:
        intake = log._intake
        lock = intake.lock
        recorded: list[int] = []

        class Lock:
            def __enter__(self) -> None:
                lock.acquire()

            def __exit__(self, *_: object) -> None:
                lent = intake.lent
                lock.release()
                if lent and not recorded:
                    recorded.append(2)
                    intake.lock = lock
                    log.record(statement(2), CONTEXT)

        log.record(statement(1), CONTEXT)
        mine = asyncio.ensure_future(log.commit())
        await asyncio.sleep(0)  # the commit has been asked for; its turn is next
        deadline = time.monotonic() + 20
        while intake.durable < intake.recorded and time.monotonic() < deadline:
            time.sleep(0.001)  # noqa: ASYNC251 - so the writer does it
        intake.lock = cast("threading.Lock", Lock())
        await mine
        await eventually_in_loop(lambda: bool(recorded))
        await log.commit()
    assert ids(tmp_path) == ["s-1.1", "s-1.2"]


@pytest.mark.parametrize("required", [True, False])
@in_a_loop
async def test_what_a_sink_has_had_is_let_go(tmp_path: Path, storage: Storage, required: bool) -> None:
    class Sink:
        def write(self, lines: Sequence[bytes]) -> None:
            taken.extend(lines)

        def close(self) -> None:
            pass

    taken: list[bytes] = []
    sinks = (AttachedSink("siem", cast("AuditSink", Sink()), required),)
    async with serving(tmp_path, storage, sinks=sinks) as log:
        for number in range(20):
            log.record(statement(number), CONTEXT)
            await log.commit()
        await eventually_in_loop(lambda: any(b'"s-1.19"' in line for line in taken))
        await eventually_in_loop(lambda: log.counters.held == 0)
    assert taken == lines_of(tmp_path)

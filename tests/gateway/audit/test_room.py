"""Room for lines that are to come: zeros behind the last segment's lines, which nobody takes for anything else."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import shutil
import threading
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.events import EventFilter
from gateway.audit.proofs import log_key, prove
from gateway.audit.reader import SegmentReader, find_event, iter_events, last_events
from gateway.audit.segments import content_size, iter_lines, list_segments, reversed_lines
from gateway.audit.storage import QuickStorage, Storage
from gateway.audit.verify import ProblemKind, verify
from tests.fixtures.waiting import eventually_in_loop
from tests.gateway.audit.builders import CONTEXT, FaultyStorage, lines_of, raw_lines, statement
from tests.gateway.audit.test_fastpath import in_a_loop, serving
from tests.gateway.audit.test_recovery import restarted
from tests.gateway.audit.test_writer import ids

EVERYTHING = EventFilter()
BOTH = pytest.mark.parametrize("storage", [Storage, QuickStorage])


def room_of(path: Path) -> int:
    data = path.read_bytes()
    return len(data) - len(data.rstrip(b"\0"))


def newest(directory: Path) -> Path:
    return list_segments(directory)[-1][1]


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """A log as a kill leaves it while there is room."""
    directory = tmp_path / "audit"

    @in_a_loop
    async def fill(running: Path) -> None:
        async with serving(running) as log:
            for number in range(5):
                log.record(statement(number), CONTEXT)
                await log.commit()
            shutil.copytree(running, directory)

    # The writer, which makes no room, may have been there first each time.
    for attempt in range(20):
        shutil.rmtree(directory, ignore_errors=True)
        fill(tmp_path / f"running{attempt}")
        shutil.copy(tmp_path / f"running{attempt}.key", tmp_path / "audit.key")
        if room_of(newest(directory)):
            break
    assert room_of(newest(directory))
    return directory


# --- writing ----------------------------------------------------------------------------------------------------------


@BOTH
@in_a_loop
async def test_commits_overwrite_room_and_a_log_that_was_closed_has_none(
    tmp_path: Path, storage: type[Storage]
) -> None:
    async with serving(tmp_path, storage()) as log:
        count = 0
        while not (count and room_of(newest(tmp_path))) and count < 100:
            log.record(statement(count), CONTEXT)
            await log.commit()
            count += 1
        size = newest(tmp_path).stat().st_size
        assert size > 100_000
        for number in range(count, count + 50):
            log.record(statement(number), CONTEXT)
            await log.commit()
        assert newest(tmp_path).stat().st_size == size
    assert room_of(newest(tmp_path)) == 0
    assert ids(tmp_path) == [f"s-1.{number}" for number in range(count + 50)]
    assert verify(tmp_path).ok


@BOTH
@in_a_loop
async def test_only_the_last_segment_has_room(tmp_path: Path, storage: type[Storage]) -> None:
    async with serving(tmp_path, storage(), segment_bytes=4000) as log:
        count = 0
        # A segment that was begun a moment ago gets room with its next commit.
        while count < 200 or (count < 260 and not room_of(newest(tmp_path))):
            log.record(statement(count), CONTEXT)
            await log.commit()
            count += 1
        *closed, (_, last) = list_segments(tmp_path)
        assert len(closed) > 5
        assert not any(room_of(path) for _, path in closed)
        assert room_of(last)
        assert verify(tmp_path).ok
    assert len(ids(tmp_path)) == count


@BOTH
@in_a_loop
async def test_more_than_there_is_room_for(tmp_path: Path, storage: type[Storage]) -> None:
    async with serving(tmp_path, storage()) as log:
        for number in range(40):
            log.record(statement(number, text=f"SELECT '{'x' * 20_000}{number}'"), CONTEXT)
            await log.commit()
    assert len(ids(tmp_path)) == 40
    assert verify(tmp_path).ok


@pytest.mark.parametrize("zeros", [0, 1, 5000])
@in_a_loop
async def test_a_disk_that_has_place_for_the_lines_only(tmp_path: Path, zeros: int) -> None:
    """Whoever waits gets through by the slow way; the zeros are nobody's loss."""

    class Tight(Storage):
        def write(self, descriptor: int, data: memoryview, offset: int) -> int:
            lines = len(bytes(data).rstrip(b"\0"))
            if lines == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(descriptor, data[: lines + zeros], offset)

    async with serving(tmp_path, Tight()) as log:
        for number in range(30):
            log.record(statement(number), CONTEXT)
            await log.commit()
        assert log.counters.failures
        assert log.healthy
    assert ids(tmp_path) == [f"s-1.{number}" for number in range(30)]
    assert verify(tmp_path).ok


@in_a_loop
async def test_a_segment_that_cannot_be_trimmed_stops_the_log_until_it_can(tmp_path: Path) -> None:
    faulty = FaultyStorage()
    async with serving(tmp_path, faulty, segment_bytes=3000) as log:
        log.record(statement(0), CONTEXT)
        await log.commit()
        faulty.truncate_errno = errno.EIO
        for number in range(1, 30):
            log.record(statement(number), CONTEXT)
        await eventually_in_loop(lambda: not log.healthy)
        assert "Input/output error" in log.reason
        faulty.truncate_errno = 0
        await eventually_in_loop(lambda: log.healthy)
    *closed, _ = list_segments(tmp_path)
    assert closed
    assert not any(room_of(path) for _, path in closed)
    assert ids(tmp_path) == [f"s-1.{number}" for number in range(30)]
    assert verify(tmp_path).ok


@in_a_loop
async def test_lines_are_worth_more_than_an_end_without_room(tmp_path: Path) -> None:
    faulty = FaultyStorage()
    async with serving(tmp_path, faulty) as log:
        count = 0
        while not (count and room_of(newest(tmp_path))) and count < 100:
            log.record(statement(count), CONTEXT)
            await log.commit()
            count += 1
        log.record(statement(count), CONTEXT)
        faulty.truncate_errno = errno.EIO
    assert room_of(newest(tmp_path))
    assert ids(tmp_path) == [f"s-1.{number}" for number in range(count + 1)]
    assert [problem.kind for problem in verify(tmp_path).problems] == [ProblemKind.TORN]
    assert await asyncio.to_thread(restarted, tmp_path) == {}
    assert verify(tmp_path).ok


@in_a_loop
async def test_room_does_not_count_as_log(tmp_path: Path) -> None:
    async with serving(tmp_path, max_bytes=100_000) as log:
        for number in range(20):
            log.record(statement(number), CONTEXT)
            await log.commit()
        await asyncio.sleep(0.1)
        assert log.healthy


# --- reading ----------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_readers_see_lines_and_no_room(tmp_path: Path) -> None:
    async with serving(tmp_path, checkpoint_interval=0.001) as log:
        for number in range(30):
            log.record(statement(number), CONTEXT)
            await log.commit()
        assert room_of(newest(tmp_path))
        found = [event.event.metadata.uid for event in iter_events(tmp_path, EVERYTHING)]
        assert [uid for uid in found if uid.startswith("s-1.")] == [f"s-1.{number}" for number in range(30)]
        last = [event.event.metadata.uid for event in last_events(tmp_path, EVERYTHING, 40)]
        assert [uid for uid in last if uid.startswith("s-1.")][-2:] == ["s-1.28", "s-1.29"]
        assert find_event(tmp_path, "s-1.17") is not None
        await eventually_in_loop(lambda: log.counters.checkpoints > 3)
        # A checkpoint each millisecond may come while it looks; zeros would be there each time.
        reports = [verify(tmp_path) for _ in range(30)]
        assert all(report.ok for report in reports), [report.problems for report in reports]
        assert not all(any("writing this line" in note for note in report.notes) for report in reports)
        proof = prove(tmp_path, "s-1.17")
        assert proof.check(log_key(tmp_path)).size > proof.lines[0].index


def test_a_reader_that_a_writer_overtakes_sees_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads the first line's place before that is written, and the place behind it afterwards."""
    lines = [b'{"seq":%d,"event":{}}' % number for number in range(3)]
    path = tmp_path / "segment"
    path.write_bytes(b"\n".join([*lines, b""]) + bytes(5000))
    early = [len(lines[0]) + 4]
    really = os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        unwritten = early.pop() if early else 0
        return bytes(unwritten) + really(descriptor, size, offset)[unwritten:]

    monkeypatch.setattr(os, "pread", pread)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        reader = SegmentReader(descriptor)
        offset, seen = 0, []
        while (found := reader.line_from(offset)) is not None:
            seen.append(found[1])
            offset = found[0] + len(found[1]) + 1
    finally:
        os.close(descriptor)
    assert seen == lines


def test_what_was_read_to_find_the_end_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for whoever goes through a whole file: the first look sees the end of lines without their beginning."""
    content = b"".join(b'{"seq":%d,"event":{}}\n' % number for number in range(3))
    path = tmp_path / "segment"
    early = [30]
    really = os.pread

    class Overtaken(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            at = self.tell()
            size = super().readinto(buffer)
            unwritten = early.pop() if early and at == 0 else 0
            memoryview(buffer)[:unwritten] = bytes(unwritten)
            return size

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        unwritten = early.pop() if early and offset == 0 else 0
        return bytes(unwritten) + really(descriptor, size, offset)[unwritten:]

    def opened(path: Path, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(Overtaken(path))

    path.write_bytes(content + bytes(256 * 1024))
    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(os, "pread", pread)
    assert b"".join(line + b"\n" for _, line in iter_lines(path)) == content
    assert not early
    early = [30]
    assert [line for _, line in reversed_lines(path)] == content.splitlines(keepends=True)[::-1]
    assert not early


@in_a_loop
async def test_whoever_reads_while_it_is_written_misses_nothing_and_is_not_alarmed(tmp_path: Path) -> None:
    over = threading.Event()

    def check() -> int:
        rounds = 0
        while not over.is_set() or not rounds:
            report = verify(tmp_path)
            assert report.ok, report.problems
            rounds += 1
        return rounds

    def ship() -> list[str]:
        after, found = -1, []
        while True:
            ending, before = over.is_set(), after
            for event in islice(iter_events(tmp_path, EVERYTHING, after=after), 100):
                after = event.sequence
                found.append(event.event.metadata.uid)
            if ending and before == after:
                return found

    try:
        async with serving(tmp_path, QuickStorage(), segment_bytes=100_000, checkpoint_interval=0.01) as log:
            readers = [asyncio.create_task(asyncio.to_thread(reader)) for reader in (check, ship)]

            async def session(first: int) -> None:
                for number in range(first, first + 100):
                    log.record(statement(number, text=f"SELECT '{'x' * (number * 37 % 3000)}'"), CONTEXT)
                    await log.commit()

            await asyncio.gather(*(session(1000 * number) for number in range(8)))
    finally:
        over.set()
    _, shipped = await asyncio.gather(*readers)
    assert isinstance(shipped, list)
    assert [uid for uid in shipped if uid.startswith("s-1.")] == ids(tmp_path)
    assert len(ids(tmp_path)) == 800


@given(
    st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"").replace(b"\0", b"") + b"\n"), max_size=9),
    st.sampled_from([b"", b"torn"]),
    st.integers(0, 300),
    st.integers(1, 40),
)
def test_zeros_behind_lines_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], torn: bytes, zeros: int, block: int
) -> None:
    path = tmp_path_factory.mktemp("segments") / "audit"
    path.write_bytes(b"".join(lines) + torn + bytes(zeros))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.audit.segments._BLOCK", block)
        with path.open("rb") as file:
            assert content_size(file) == len(b"".join(lines) + torn)
        assert [line + b"\n" for _, line in iter_lines(path)] == lines
        assert [line for _, line in reversed_lines(path)] == [*([torn] if torn else []), *reversed(lines)]


# --- after a crash ----------------------------------------------------------------------------------------------------


def test_room_is_taken_away_at_the_next_start_and_nobody_is_told(crashed: Path) -> None:
    path = newest(crashed)
    report = verify(crashed)
    assert report.ok, report.problems
    assert restarted(crashed) == {}
    assert room_of(path) == 0
    assert ids(crashed) == [f"s-1.{number}" for number in range(5)]
    assert verify(crashed).ok


def test_a_torn_line_before_the_room_is_cut_off_and_said(crashed: Path) -> None:
    path = newest(crashed)
    lines = path.read_bytes().rstrip(b"\0")
    torn = b'{"seq":99,"id":"s-1.'
    path.write_bytes(lines + torn + bytes(9000))
    assert [problem.kind for problem in verify(crashed).problems] == [ProblemKind.TORN]
    assert restarted(crashed) == {"torn_bytes": len(torn), "torn_file": path.name}
    assert verify(crashed).ok


def test_a_bit_that_is_set_in_the_room_is_found(crashed: Path) -> None:
    path = newest(crashed)
    data = bytearray(path.read_bytes())
    data[-1000] = 1
    path.write_bytes(data)
    assert [problem.kind for problem in verify(crashed).problems] == [ProblemKind.TORN]


def test_lines_that_reached_the_disk_before_those_in_front_of_them_are_set_aside(crashed: Path) -> None:
    """What a loss of power may leave of lines that nobody was promised: a disk writes its sectors in any order."""
    path = newest(crashed)
    data = path.read_bytes().rstrip(b"\0")
    start = data.rindex(b"\n", 0, data.index(b'"id":"s-1.3"')) + 1
    end = data.index(b"\n", start) + 1
    path.write_bytes(data[:start] + bytes(end - start) + data[end:] + bytes(4096))
    assert not verify(crashed).ok
    said = restarted(crashed)
    aside = crashed / str(said["damaged_file"])
    assert aside.read_bytes().lstrip(b"\0") == data[end:]
    assert [line for line in lines_of(crashed) if b"s-1.2" in line]
    assert raw_lines(crashed)


def test_the_last_segment_without_any_line_is_gone(crashed: Path) -> None:
    directory = crashed.parent / "empty"
    directory.mkdir()
    (directory / "audit-00000000000000000000.jsonl").write_bytes(bytes(262_144))
    shutil.copy(crashed.parent / "audit.key", directory.parent / "empty.key")
    shutil.copy(crashed / "key.pub", directory)
    assert restarted(directory) == {}
    assert verify(directory).ok

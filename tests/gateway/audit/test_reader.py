import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.event import encode_session_context
from gateway.audit.events import Event, EventFilter, Found
from gateway.audit.reader import SegmentReader, find_event, iter_events, last_events
from gateway.domain.audit import Outcome, SessionEventKind
from gateway.errors import AuditError
from tests.gateway.audit.builders import CONTEXT, COPILOT, SESSION, SHOP, open_log, refused, session, statement

EVERYTHING = EventFilter()
SECOND = 1_000_000_000
START = 1_795_420_800 * SECOND


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty statements a second apart, in several segments, with a refusal and an agent among them."""
    path = tmp_path_factory.mktemp("tail")
    agent = encode_session_context(SESSION, COPILOT, SHOP, "gw-1")
    log = open_log(path, segment_bytes=2000, now=lambda: START)
    log.record_session(session(SessionEventKind.LOGIN, time=START))
    for number in range(20):
        started = START + number * SECOND
        match number:
            case 5:
                log.record(refused(number, started=started, text="DROP TABLE Customers"), CONTEXT)
            case 6:
                log.record(statement(number, started=started, outcome=Outcome.FAILURE, code="42P01"), CONTEXT)
            case 7 | 8:
                log.record(statement(number, started=started), agent)
            case _:
                log.record(statement(number, started=started), CONTEXT)
    asyncio.run(log.close())
    return path


def uids(found: list[Found]) -> list[str]:
    return [item.event.metadata.uid for item in found]


def statements(*numbers: int) -> list[str]:
    return [f"s-1.{number}" for number in numbers]


def test_the_last_events_come_oldest_first_across_segments(directory: Path) -> None:
    found = last_events(directory, EventFilter(resource="shop-prod", action="read"), 7)
    assert uids(found) == statements(*range(13, 20))
    assert last_events(directory, EVERYTHING, 0) == []
    everything = last_events(directory, EVERYTHING, 1000)
    numbers = [item.sequence for item in everything]
    assert numbers == sorted(set(numbers))
    assert len([path for path in directory.iterdir() if path.suffix == ".jsonl"]) > 2


def milliseconds(seconds: int) -> int:
    return (START + seconds * SECOND) // 1_000_000


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"outcome": "refused"}, [5]),
        ({"outcome": "failure"}, [6]),
        ({"principal": "copilot"}, [7, 8]),
        ({"text": "drop table CUSTOMERS"}, [5]),
        ({"text": "4711", "principal": "copilot"}, [7, 8]),
        ({"since": milliseconds(17), "action": "read"}, [17, 18, 19]),
        ({"until": milliseconds(2), "action": "read"}, [0, 1]),
        ({"since": milliseconds(3), "until": milliseconds(5)}, [3, 4]),
        ({"resource": "other"}, []),
        ({"action": "drop"}, []),
    ],
)
def test_filters(directory: Path, wanted: dict[str, Any], expected: list[int]) -> None:
    assert uids(last_events(directory, EventFilter(**wanted), 1000)) == statements(*expected)
    assert uids(list(iter_events(directory, EventFilter(**wanted)))) == statements(*expected)


def test_masked_labels_are_found_by_pattern(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for number, by_label in enumerate(({"pii.email": 3}, None, {"pci.card": 2, "pii.email": 2}, {"pci.card": 9})):
        log.record(statement(number, masked_by_label=by_label), CONTEXT)
    asyncio.run(log.close())
    for pattern, expected in (("pii.email", [0, 2]), ("pci.*", [2, 3]), ("pii", []), ("*", [0, 2, 3])):
        assert uids(last_events(tmp_path, EventFilter(masked=pattern), 10)) == statements(*expected)


def test_who_an_agent_acts_for_is_found_too(directory: Path) -> None:
    found = uids(last_events(directory, EventFilter(principal="ana@example.com"), 1000))
    assert set(statements(7, 8)) < set(found)


def test_reading_goes_on_after_a_sequence(directory: Path) -> None:
    everything = last_events(directory, EVERYTHING, 1000)
    for after in (-1, 0, 7, everything[-2].sequence, everything[-1].sequence, 10_000):
        found = list(iter_events(directory, EVERYTHING, after=after))
        assert found == [item for item in everything if item.sequence > after]


def test_pages_go_back_without_gaps(directory: Path) -> None:
    everything = last_events(directory, EVERYTHING, 1000)
    pages: list[Found] = []
    before: int | None = None
    while page := last_events(directory, EVERYTHING, 4, before=before):
        pages = page + pages
        before = page[0].sequence
    assert pages == everything


def test_an_event_is_found_by_number_and_by_id(directory: Path) -> None:
    [refusal] = last_events(directory, EventFilter(outcome="refused"), 1)
    assert find_event(directory, refusal.sequence) == refusal
    assert find_event(directory, "s-1.5") == refusal
    assert find_event(directory, "s-1.55") is None
    assert find_event(directory, 10_000) is None


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five thousand statements a second apart in few segments, each with another text."""
    path = tmp_path_factory.mktemp("long")
    log = open_log(path, segment_bytes=300_000, now=lambda: START)
    for number in range(5000):
        log.record(statement(number, started=START + number * SECOND, text=f"SELECT {number}" + " " * 30), CONTEXT)
    asyncio.run(log.close())
    return path


def test_a_time_is_found_without_reading_everything(long_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0
    real = SegmentReader.event

    def counting(self: SegmentReader, line: bytes) -> Event | None:
        nonlocal looked_at
        looked_at += 1
        return real(self, line)

    monkeypatch.setattr(SegmentReader, "event", counting)
    wanted = EventFilter(since=milliseconds(2500), until=milliseconds(2510), action="read")
    assert uids(list(iter_events(long_log, wanted))) == statements(*range(2500, 2510))
    assert looked_at < 1800, "about a minute before, and what it takes to be sure behind"


def test_every_line_is_found_by_its_number(long_log: Path) -> None:
    path = sorted(long_log.glob("audit-*.jsonl"))[1]
    descriptor = os.open(path, os.O_RDONLY)
    try:
        reader = SegmentReader(descriptor)
        lines = path.read_bytes().splitlines()
        first = int(path.stem.removeprefix("audit-"))
        for number in (0, 1, 2, 500, len(lines) - 1):
            assert reader.line(first + number) == lines[number]
        assert reader.line(first - 1) is None
        assert reader.line(first + len(lines)) is None
    finally:
        os.close(descriptor)


def test_following_sees_every_new_event_once_through_rotation(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=5000)

    def wait(seconds: float) -> None:
        threading.Event().wait(0.002)

    def collect(events: Iterator[Found], into: list[str]) -> None:
        for found in events:
            into.append(found.event.metadata.uid)
            if found.event.metadata.uid == "s-1.99":
                return

    wanted = EventFilter(resource="shop-prod")
    seen: list[str] = []
    reader = threading.Thread(
        target=collect, args=(iter_events(tmp_path, wanted, follow=True, sleep=wait), seen), daemon=True
    )
    reader.start()
    for number in range(100):
        log.record(statement(number), CONTEXT)
        if number % 7 == 0:
            asyncio.run(log.commit())
    asyncio.run(log.close())
    reader.join(20)
    assert seen == statements(*range(100))


def test_a_half_written_line_is_waited_for_and_garbage_is_passed_over(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.record(statement(1), CONTEXT)
    asyncio.run(log.close())
    path = next(tmp_path.glob("audit-*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"garbage\n{}\n" + b"".join(lines[2:5]) + lines[5][:50])
    assert uids(list(iter_events(tmp_path, EVERYTHING))) == ["audit.genesis.0", "s-1.1"]
    assert uids(last_events(tmp_path, EVERYTHING, 10)) == ["audit.genesis.0", "s-1.1"]


def test_what_is_no_event_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    descriptor = os.open(tmp_path / "empty", os.O_RDONLY)
    reader = SegmentReader(descriptor)
    for line in (b"", b"{", b"[]", b"{}", b'{"seq":1}', b'{"seq":1,"event":{}}', b'{"seq":1,"id":"x"}'):
        assert reader.event(line) is None
        assert reader.expand(line) is None or b"event" in line
    os.close(descriptor)


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="cannot read"):
        last_events(tmp_path / "nowhere", EVERYTHING, 1)


def test_an_event_knows_what_it_did(directory: Path) -> None:
    [found] = last_events(directory, EventFilter(outcome="refused"), 10)
    assert isinstance(found.event, Event)
    assert found.event.actions == {"read"}
    assert found.event.principals == ("ana@example.com",)

"""Reading the log back: events that match, from the end or from the beginning, and as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.segments import list_segments, reversed_lines
from gateway.errors import AuditError

_POLL: Final = 0.2
"""Seconds between looks for new lines."""


class _Named(msgspec.Struct, frozen=True):
    name: str = ""


class _Metadata(msgspec.Struct, frozen=True):
    sequence: int
    uid: str
    event_code: str
    correlation_uid: str = ""


class _Session(msgspec.Struct, frozen=True):
    uid: str = ""


class _Actor(msgspec.Struct, frozen=True):
    user: _Named = _Named()
    session: _Session = _Session()


class _Endpoint(msgspec.Struct, frozen=True):
    name: str = ""
    ip: str = ""
    svc_name: str = ""


class _Query(msgspec.Struct, frozen=True):
    query_string: str = ""


class _Hit(msgspec.Struct, frozen=True):
    policy: str
    effect: str
    mode: str = "enforce"


class _Decision(msgspec.Struct, frozen=True):
    effect: str = ""
    reason: str = ""
    policies: tuple[_Hit, ...] = ()


class _Statement(msgspec.Struct, frozen=True):
    kind: str = ""
    actions: tuple[str, ...] = ()


class _SessionDetails(msgspec.Struct, frozen=True):
    authenticated: bool = True
    acts_for: tuple[_Named, ...] = ()


class _Unmapped(msgspec.Struct, frozen=True):
    rows: int = 0
    masked_cells: int = 0
    duration_us: int = 0
    statements: tuple[_Statement, ...] = ()
    decision: _Decision = _Decision()
    session: _SessionDetails = _SessionDetails()
    reason: str = ""


class Event(msgspec.Struct, frozen=True):
    """What reading needs of an event; ``raw`` is the whole line. ``time`` is Unix milliseconds."""

    metadata: _Metadata
    time: int
    status_detail: str = ""
    status_code: str = ""
    message: str = ""
    actor: _Actor = _Actor()
    src_endpoint: _Endpoint = _Endpoint()
    dst_endpoint: _Endpoint = _Endpoint()
    database: _Named = _Named()
    query_info: _Query = _Query()
    unmapped: _Unmapped = _Unmapped()

    @property
    def principals(self) -> tuple[str, ...]:
        """Who acted, and for whom, in order."""
        return (self.actor.user.name, *(person.name for person in self.unmapped.session.acts_for))

    @property
    def actions(self) -> frozenset[str]:
        """What the statement does."""
        return frozenset(action for statement in self.unmapped.statements for action in statement.actions)

    @property
    def outcome(self) -> str:
        """``success``, ``refused`` …; for a session event its kind; for the log's own events their code."""
        return self.status_detail or self.metadata.event_code


_decoder: Final = msgspec.json.Decoder(Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """What to show: everything that is set must hold. Times are Unix milliseconds, ``until`` exclusive.

    ``principal`` matches whoever acted and whoever they acted for; ``action`` is one word of the statement's actions;
    ``text`` a part of the statement, letter case ignored.
    """

    principal: str | None = None
    resource: str | None = None
    action: str | None = None
    outcome: str | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None

    def matches(self, event: Event) -> bool:
        """Whether the event is to be shown."""
        return (
            (self.since is None or event.time >= self.since)
            and (self.until is None or event.time < self.until)
            and (self.principal is None or self.principal in event.principals)
            and (self.resource is None or self.resource == event.dst_endpoint.name)
            and (self.action is None or self.action in event.actions)
            and (self.outcome is None or self.outcome == event.outcome)
            and (self.text is None or self.text.casefold() in event.query_info.query_string.casefold())
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A matching event and its line."""

    event: Event
    line: bytes


def decode_event(line: bytes) -> Event | None:
    """The event in a line, or None where the line holds none (``verify`` says what is wrong with it)."""
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError:
        return None


def last_events(directory: Path, wanted: EventFilter, count: int) -> list[Found]:
    """The last ``count`` matching events, oldest first. Reads only as far back as it has to.

    Raises ``AuditError`` where the directory cannot be read.
    """
    found: list[Found] = []
    for _, path in reversed(_segments(directory)):
        for _, line in reversed_lines(path):
            if len(found) >= count:
                break
            event = decode_event(line) if line.endswith(b"\n") else None
            if event is not None and wanted.matches(event):
                found.append(Found(event, line))
    found.reverse()
    return found


def iter_events(
    directory: Path,
    wanted: EventFilter,
    *,
    after: int = -1,
    follow: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Found]:
    """Matching events with a sequence beyond ``after``, oldest first; with ``follow``, for ever.

    A line that is being written is waited for. Segments may appear and old ones disappear meanwhile. Raises
    ``AuditError`` where the directory cannot be read.
    """
    reader = _Follower(directory, after)
    while True:
        seen = False
        for line in reader.new_lines():
            seen = True
            event = decode_event(line)
            if event is not None and event.metadata.sequence > after and wanted.matches(event):
                yield Found(event, line)
        if not follow:
            return
        if not seen:
            sleep(_POLL)


class _Follower:
    """Remembers how far the segments have been read."""

    def __init__(self, directory: Path, after: int) -> None:
        self._directory = directory
        self._after = after
        self._number = -1
        self._offset = 0

    def new_lines(self) -> Iterator[bytes]:
        """Whole lines that were not given before."""
        segments = _segments(self._directory)
        if self._number < 0:
            # The segment that holds what comes next is the last one that begins at or before it.
            earlier = [number for number, _ in segments if number <= self._after + 1]
            self._number = earlier[-1] if earlier else -1
        for number, path in segments:
            if number < self._number:
                continue
            if number > self._number:
                self._number, self._offset = number, 0
            yield from self._rest(path)

    def _rest(self, path: Path) -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._offset += len(line)
                    yield line
        except FileNotFoundError:
            return


def _segments(directory: Path) -> list[tuple[int, Path]]:
    try:
        return list_segments(directory)
    except OSError as error:
        raise AuditError(f"cannot read the audit log in {directory}: {error.strerror}") from None

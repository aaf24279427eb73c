"""Reading the log back: whole events by number, by time, from the end, and as they come.

What is on disk are short lines that refer to each other (``gateway.audit.records``); this module is the one place that
puts them together again. Lines are found by bisection, since numbers grow from line to line and times nearly do.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.event import Product
from gateway.audit.events import (
    Event,
    EventFilter,
    Found,
    RulingView,
    SessionView,
    execution_event,
    ruling_view,
    session_view,
)
from gateway.audit.execution import Cut, Execution
from gateway.audit.expand import expand_event, expand_execution
from gateway.audit.segments import line_number, list_segments, reversed_lines
from gateway.errors import AuditError

_POLL: Final = 0.2
"""Seconds between looks for new lines."""
_NEAR: Final = 16 * 1024
"""Bytes within which reading on is cheaper than bisecting."""
_BLOCK: Final = 4 * 1024
_REMEMBERED: Final = 4096
"""Definitions and texts kept decoded."""
_DISORDER: Final = 60_000
"""Milliseconds by which lines may be out of the order of time: clocks are corrected."""
_ENOUGH: Final = 1000
"""Events outside of the wanted time, one after the other, that end a search: one alone may be a clock's mistake."""

_executions: Final = msgspec.json.Decoder(Execution)
_events: Final = msgspec.json.Decoder(Event)


class _HeaderMetadata(msgspec.Struct):
    product: Product = Product()


class _HeaderEvent(msgspec.Struct):
    metadata: _HeaderMetadata


class _Header(msgspec.Struct):
    event: _HeaderEvent


class _Timed(msgspec.Struct):
    at: int
    us: int


@dataclass(frozen=True, slots=True)
class _Definition:
    body: bytes
    session: SessionView | None
    ruling: RulingView | None


class SegmentReader:
    """One segment, by an open descriptor that is the caller's to close. Works on one that still grows."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._definitions: OrderedDict[int, _Definition] = OrderedDict()
        self._texts: OrderedDict[int, tuple[str, Cut | None]] = OrderedDict()
        self._product: Product | None = None

    # --- lines ------------------------------------------------------------------------------------------------------

    def line_from(self, offset: int) -> tuple[int, bytes] | None:
        """The first whole line that begins at ``offset`` or behind it: its offset, and the line without line feed."""
        start = offset
        if offset:
            found = self._find_end(offset - 1)
            if found is None:
                return None
            start = found + 1
        end = self._find_end(start)
        if end is None:
            return None
        # Of a line that was just being written the end may have been seen without its beginning, a line feed among it:
        # where zeros make room for lines, a reader can be overtaken. Now it is there.
        return start, os.pread(self._descriptor, end - start, start).partition(b"\n")[0]

    def _find_end(self, offset: int) -> int | None:
        """Where the first line feed at or behind ``offset`` is."""
        size = _BLOCK
        while block := os.pread(self._descriptor, size, offset):
            at = block.find(b"\n")
            if at >= 0:
                return offset + at
            offset += len(block)
            size = min(size * 2, 1 << 20)
        return None

    def _bisect(self, before: Callable[[bytes], bool]) -> Iterator[tuple[int, bytes]]:
        """Lines from a place on at which ``before`` is still True, or from the first line."""
        low, high = 0, os.fstat(self._descriptor).st_size
        while high - low > _NEAR:
            middle = (low + high) // 2
            found = self.line_from(middle)
            if found is not None and before(found[1]):
                low = found[0]
            else:
                high = middle
        while (found := self.line_from(low)) is not None:
            yield found
            low = found[0] + len(found[1]) + 1

    def line(self, number: int) -> bytes | None:
        """The line with a number; None where the segment has none."""
        for _, line in self._bisect(lambda line: (line_number(line) or 0) < number):
            at = line_number(line)
            if at is not None and at >= number:
                return line if at == number else None
        return None

    def offset_after(self, number: int) -> int:
        """Where the lines begin whose number is beyond ``number``."""
        offset = 0
        for start, line in self._bisect(lambda line: (line_number(line) or 0) <= number):
            offset = start
            if (line_number(line) or 0) > number:
                return offset
            offset = start + len(line) + 1
        return offset

    def offset_of_time(self, moment: int) -> int:
        """A place before which nothing was recorded at ``moment`` (Unix ms) or later."""
        moment -= _DISORDER
        start = 0

        def before(line: bytes) -> bool:
            recorded = _recorded(line)
            return recorded is not None and recorded < moment

        for start, line in self._bisect(before):
            recorded = _recorded(line)
            if recorded is None or recorded >= moment:
                return start
        return start

    # --- events -----------------------------------------------------------------------------------------------------

    def remember(self, line: bytes) -> None:
        """Take a definition from a line that the caller has, so that it need not be looked for."""
        number = line_number(line)
        if number is not None and line.startswith(b'"define":', _after_number(line)):
            self._define(number, line)

    def event(self, line: bytes) -> Event | None:
        """What a line tells; None for definitions and for what is no line of a log."""
        kind = _kind(line)
        try:
            if kind == b'"ev':
                return _events.decode(expand_event(line_number(line) or 0, line[line.index(b'"event":') + 8 : -1]))
            if kind != b'"id':
                return None
            execution = _executions.decode(line)
            session, ruling = self._definition(execution.session), self._definition(execution.ruling)
            if session.session is None or ruling.ruling is None:
                return None
            return execution_event(execution, self._text(execution)[0], session.session, ruling.ruling)
        except (msgspec.DecodeError, LookupError, ValueError):
            return None

    def expand(self, line: bytes) -> bytes | None:
        """The whole event of a line as JSON, without line feed; None as for ``event``."""
        kind = _kind(line)
        try:
            if kind == b'"ev':
                return expand_event(line_number(line) or 0, line[line.index(b'"event":') + 8 : -1])
            if kind != b'"id':
                return None
            execution = _executions.decode(line)
            session, ruling = self._definition(execution.session), self._definition(execution.ruling)
            text, cut = self._text(execution)
            return expand_execution(execution, text, cut, session.body, ruling.body, self.product)
        except (msgspec.DecodeError, LookupError, ValueError):
            return None

    @property
    def product(self) -> Product:
        """Who wrote the segment, from its first line."""
        if self._product is None:
            found = self.line_from(0)
            if found is None:
                return Product()
            self._product = msgspec.json.decode(found[1], type=_Header).event.metadata.product
        return self._product

    def _definition(self, number: int) -> _Definition:
        known = self._definitions.get(number)
        if known is not None:
            self._definitions.move_to_end(number)
            return known
        line = self.line(number)
        if line is None:
            raise LookupError(f"no definition {number}")
        return self._define(number, line)

    def _define(self, number: int, line: bytes) -> _Definition:
        session = ruling = None
        body = line[line.index(b'"body":') + len(b'"body":') : -1]
        if line.startswith(b'"define":"session"', _after_number(line)):
            session = session_view(body)
        elif line.startswith(b'"define":"ruling"', _after_number(line)):
            ruling = ruling_view(body)
        definition = self._definitions[number] = _Definition(body, session, ruling)
        if len(self._definitions) > _REMEMBERED:
            self._definitions.popitem(last=False)
        return definition

    def _text(self, execution: Execution) -> tuple[str, Cut | None]:
        if not execution.text_at:
            return execution.text, execution.cut
        known = self._texts.get(execution.text_at)
        if known is None:
            line = self.line(execution.text_at)
            if line is None:
                raise LookupError(f"no text {execution.text_at}")
            other = _executions.decode(line)
            known = self._texts[execution.text_at] = (other.text, other.cut)
            if len(self._texts) > _REMEMBERED:
                self._texts.popitem(last=False)
        return known


def referred(line: bytes) -> tuple[int, ...]:
    """The numbers of the lines that a line refers to. Raises ``ValueError`` where it is none of a log."""
    if _kind(line) != b'"id':
        return ()
    execution = _executions.decode(line)
    return tuple(sorted({execution.session, execution.ruling, execution.text_at} - {0}))


def last_events(directory: Path, wanted: EventFilter, count: int, before: int | None = None) -> list[Found]:
    """The last ``count`` matching events (with numbers below ``before``, if given), oldest first.

    Reads only as far back as it has to. Raises ``AuditError`` where the directory cannot be read.
    """
    found: list[Found] = []
    outside = 0
    for first, path in reversed(_segments(directory)):
        if len(found) >= count:
            break
        if before is not None and first >= before:
            continue
        with ExitStack() as stack:
            reader = _open(path, stack)
            if reader is None:
                continue
            for _, line in reversed_lines(path):
                if len(found) >= count or not line.endswith(b"\n"):
                    if line.endswith(b"\n"):
                        break
                    continue
                line = line[:-1]
                number = line_number(line)
                if number is None or (before is not None and number >= before):
                    continue
                event = reader.event(line)
                if event is None:
                    continue
                if wanted.since is not None and event.recorded < wanted.since - _DISORDER:
                    outside += 1
                    if outside > _ENOUGH:
                        return found[::-1]
                    continue
                outside = 0
                if wanted.matches(event):
                    found.append(_found(reader, event, line))
    return found[::-1]


def iter_events(
    directory: Path,
    wanted: EventFilter,
    *,
    after: int = -1,
    follow: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Found]:
    """Matching events with a number beyond ``after``, oldest first; with ``follow``, for ever.

    Without ``follow`` it stops soon after ``wanted.until``. A line that is being written is waited for. Segments may
    appear and old ones disappear meanwhile. Raises ``AuditError`` where the directory cannot be read.
    """
    offset = current = -1
    outside = 0
    while True:
        seen = False
        for index, (first, path) in enumerate(segments := _segments(directory)):
            following = segments[index + 1][0] if index + 1 < len(segments) else None
            if first < current or (following is not None and following <= after + 1):
                continue
            with ExitStack() as stack:
                reader = _open(path, stack)
                if reader is None:
                    continue
                if first != current:
                    current, offset = first, _begin(reader, wanted, after)
                while (entry := reader.line_from(offset)) is not None:
                    start, line = entry
                    offset = start + len(line) + 1
                    event = reader.event(line)
                    if event is None:
                        continue
                    seen = True
                    if not follow and wanted.until is not None and event.recorded > wanted.until + _DISORDER:
                        outside += 1
                        if outside > _ENOUGH:
                            return
                        continue
                    outside = 0
                    if event.metadata.sequence > after and wanted.matches(event):
                        yield _found(reader, event, line)
        if not follow:
            return
        if not seen:
            sleep(_POLL)


def find_event(directory: Path, which: int | str) -> Found | None:
    """An event by its number, or the last one with that ``metadata.uid``. None where there is none.

    Raises ``AuditError`` where the directory cannot be read.
    """
    for first, path in reversed(_segments(directory)):
        if isinstance(which, int) and first > which:
            continue
        with ExitStack() as stack:
            reader = _open(path, stack)
            if reader is None:
                continue
            if isinstance(which, int):
                line = reader.line(which)
                event = None if line is None else reader.event(line)
                return None if line is None or event is None else _found(reader, event, line)
            mark = which.removesuffix(".intent").encode("utf-8", "backslashreplace")
            for _, raw in reversed_lines(path):
                if mark in raw and raw.endswith(b"\n"):
                    event = reader.event(raw[:-1])
                    if event is not None and event.metadata.uid == which:
                        return _found(reader, event, raw[:-1])
    return None


def _begin(reader: SegmentReader, wanted: EventFilter, after: int) -> int:
    offset = reader.offset_after(after)
    return offset if wanted.since is None else max(offset, reader.offset_of_time(wanted.since))


def _found(reader: SegmentReader, event: Event, line: bytes) -> Found:
    return Found(event, (reader.expand(line) or b"{}") + b"\n")


def _open(path: Path, stack: ExitStack) -> SegmentReader | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    stack.callback(os.close, descriptor)
    return SegmentReader(descriptor)


def _segments(directory: Path) -> list[tuple[int, Path]]:
    try:
        return list_segments(directory)
    except OSError as error:
        raise AuditError(f"cannot read the audit log in {directory}: {error.strerror}") from None


def _after_number(line: bytes) -> int:
    """Where the second attribute of a line begins."""
    return line.find(b",") + 1


def _kind(line: bytes) -> bytes:
    """The beginning of a line's second attribute, which tells what it is."""
    at = _after_number(line)
    return line[at : at + 3]


def _recorded(line: bytes) -> int | None:
    """When a line was recorded, Unix ms; None for definitions."""
    kind = _kind(line)
    try:
        if kind == b'"id':
            timed = msgspec.json.decode(line, type=_Timed)
            return timed.at + timed.us // 1000
        if kind == b'"ev':
            return _events.decode(expand_event(0, line[line.index(b'"event":') + 8 : -1])).recorded
    except (msgspec.DecodeError, ValueError):
        pass
    return None

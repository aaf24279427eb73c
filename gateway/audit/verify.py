"""Is the log complete and unchanged? Answered from the files alone.

Every line is checked for its own fingerprint, its number, and the fingerprint of the line before it; the segments for
gaps; the end against ``head.json``. What cannot be found without a second place that remembers: a log whose whole end,
head included, was put back to an earlier state, and a chain that was computed anew from its beginning.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.chain import Link, read_link
from gateway.audit.segments import HEAD_NAME, Head, list_segments, read_head
from gateway.errors import AuditError

_LONGEST_LINE: Final = 64 * 1024 * 1024
_MAX_PROBLEMS: Final = 1000
_RECOVERED: Final = b'"event_code":"audit.recovered"'


class ProblemKind(StrEnum):
    """What is wrong with a place in the log."""

    ALTERED = "altered"
    """The line's bytes are not those that its fingerprint was made of."""
    MALFORMED = "malformed"
    """Not an audit line at all."""
    MISSING = "missing"
    """Numbers are left out: lines or whole segments were removed."""
    OUT_OF_ORDER = "out_of_order"
    """The line belongs further up."""
    REPEATED = "repeated"
    """A number is there a second time: the line was copied or added."""
    UNLINKED = "unlinked"
    """The line names another line before it: one of the two was replaced or added."""
    FOREIGN = "foreign"
    """The line belongs to another chain."""
    MISNAMED = "misnamed"
    """The segment's name is not the number of its first event."""
    TORN = "torn"
    """The last line was not written to its end, as after a crash."""
    TRUNCATED = "truncated"
    """The log ends before its head."""
    HEAD = "head"
    """The head cannot be read, is missing, or names another fingerprint than the log has."""
    LOST = "lost"
    """A start of the gateway found events missing or damaged and said so in the log."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. ``line`` counts from 1; 0 speaks of the whole file."""

    kind: ProblemKind
    file: str
    line: int
    message: str

    def describe(self) -> str:
        """One line for people: where, what kind, what."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.kind.value}: {self.message}"


@dataclass(slots=True)
class VerifyReport:
    """What was looked at and what was found. ``notes`` are worth knowing and break nothing."""

    directory: Path
    segments: int = 0
    events: int = 0
    first: int | None = None
    last: int | None = None
    fingerprint: str = ""
    """Of the last line."""
    chain_uid: str = ""
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    more_problems: int = 0
    """Problems beyond the first thousand, which are only counted."""

    @property
    def ok(self) -> bool:
        """Whether nothing was changed, dropped, added or reordered, as far as the files can tell."""
        return not self.problems


def verify(directory: Path, *, first: int = 0) -> VerifyReport:
    """Check all segments of ``directory``.

    ``first`` is the event that the log should begin with: 0, or where the oldest segment kept begins after others were
    archived. Works beside a running gateway. Memory does not grow with the log. Raises ``AuditError`` where the
    directory cannot be read or holds no log.
    """
    try:
        writing = _is_locked(directory)
        # The head before the segments: a log in use only grows, so it cannot be behind the head that was read.
        try:
            head: Head | ValueError | None = read_head(directory)
        except ValueError as error:
            head = error
        segments = list_segments(directory)
        if not segments and head is None:
            raise AuditError(f"no audit log in {directory}")
        checker = _Checker(VerifyReport(directory), first, head if isinstance(head, Head) else None)
        for number, path in segments:
            checker.segment(number, path, newest=path == segments[-1][1], writing=writing)
    except OSError as error:
        raise AuditError(f"cannot read the audit log in {directory}: {error.strerror or error}") from None
    checker.finish(head)
    return checker.report


def _is_locked(directory: Path) -> bool:
    """Whether a gateway has the directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            yield number, line


@dataclass(slots=True)
class _Gap:
    """Numbers first … last (inclusive) that were not there where they should have been."""

    first: int
    last: int
    file: str
    line: int


class _Checker:
    def __init__(self, report: VerifyReport, first: int, head: Head | None) -> None:
        self.report = report
        self._expected = first
        self._previous: Link | None = None
        self._gaps: list[_Gap] = []
        self._head = head

    def segment(self, number: int, path: Path, *, newest: bool, writing: bool) -> None:
        """Check one file."""
        self.report.segments += 1
        begun = False
        for line_number, line in _lines(path):
            if not line.endswith(b"\n"):
                self._torn(path.name, line_number, len(line), newest=newest, writing=writing)
                continue
            link = read_link(line)
            if link is None:
                self._problem(ProblemKind.MALFORMED, path.name, line_number, "not an audit line")
                self._previous = None
                continue
            if not begun:
                begun = True
                if link.sequence != number:
                    message = f"the first event is {link.sequence}"
                    self._problem(ProblemKind.MISNAMED, path.name, 0, message)
            self._line(path.name, line_number, link)
            if _RECOVERED in line and link.intact:
                self._recovered(path.name, line_number, line)

    def _line(self, file: str, number: int, link: Link) -> None:
        report = self.report
        report.events += 1
        if not report.chain_uid:
            report.chain_uid = link.chain_uid
        if not link.intact:
            # Nothing that the line says can be believed, so it counts as the one that is due.
            message = f"the bytes of event {self._expected} are not those that were recorded"
            self._problem(ProblemKind.ALTERED, file, number, message)
            report.last = self._expected
            self._expected += 1
            self._previous = None
            return
        if link.chain_uid != report.chain_uid:
            message = f"chain {link.chain_uid} in the log of chain {report.chain_uid}"
            self._problem(ProblemKind.FOREIGN, file, number, message)
        if self._in_order(file, number, link):
            previous = self._previous
            linked = link.previous == ("" if previous is None else previous.fingerprint)
            if not linked and (previous is not None or link.sequence == 0):
                message = f"event {link.sequence} does not follow the line before it"
                self._problem(ProblemKind.UNLINKED, file, number, message)
            self._previous = link
            self._met(file, number, link)

    def _in_order(self, file: str, number: int, link: Link) -> bool:
        """Compare the line's number with the one that is due; True where the chain goes on with this line."""
        sequence = link.sequence
        if sequence < self._expected:
            kind, message = ProblemKind.REPEATED, f"event {sequence} is there a second time"
            if self._fill(sequence):
                kind, message = ProblemKind.OUT_OF_ORDER, f"event {sequence} belongs further up"
            self._problem(kind, file, number, message)
            # Which of the two lines the next one follows is open.
            self._previous = None
            return False
        if sequence > self._expected:
            self._gaps.append(_Gap(self._expected, sequence - 1, file, number))
            self._previous = None
        self._expected = sequence + 1
        return True

    def _met(self, file: str, number: int, link: Link) -> None:
        report = self.report
        if report.first is None:
            report.first = link.sequence
        report.last = link.sequence
        report.fingerprint = link.fingerprint
        head = self._head
        if head is not None and head.sequence == link.sequence and head.fingerprint != link.fingerprint:
            message = f"event {link.sequence} has another fingerprint than {HEAD_NAME} says"
            self._problem(ProblemKind.HEAD, file, number, message)

    def _fill(self, sequence: int) -> bool:
        """Take a number that turned up late out of the gaps."""
        for index, gap in enumerate(self._gaps):
            if gap.first <= sequence <= gap.last:
                rest = (
                    _Gap(gap.first, sequence - 1, gap.file, gap.line),
                    _Gap(sequence + 1, gap.last, gap.file, gap.line),
                )
                self._gaps[index : index + 1] = [part for part in rest if part.first <= part.last]
                return True
        return False

    def _torn(self, file: str, line: int, size: int, *, newest: bool, writing: bool) -> None:
        if newest and writing:
            self.report.notes.append(f"{file}:{line}: the gateway is writing this line now")
            return
        what = "the last line was not written to its end" if newest else "the segment does not end with a whole line"
        self._problem(ProblemKind.TORN, file, line, f"{what} ({size} bytes)")

    def _recovered(self, file: str, line: int, data: bytes) -> None:
        details = msgspec.json.decode(data, type=_RecoveredEvent).unmapped
        if details.torn_bytes:
            self.report.notes.append(
                f"{file}:{line}: a torn line of {details.torn_bytes} bytes was cut off at this start"
            )
        if details.damaged_lines:
            message = f"{details.damaged_lines} damaged lines were set aside in {details.damaged_file} at this start"
            self._problem(ProblemKind.LOST, file, line, message)
        if details.missing_events:
            whose = f" of chain {details.lost_chain}" if details.lost_chain else ""
            message = f"{details.missing_events} events{whose} were missing at this start"
            self._problem(ProblemKind.LOST, file, line, message)
        if details.head_mismatch:
            self._problem(ProblemKind.LOST, file, line, f"the log's end did not agree with {HEAD_NAME} at this start")

    def finish(self, head: Head | ValueError | None) -> None:
        """What can only be said at the end."""
        for gap in self._gaps:
            events = f"event {gap.first} is" if gap.first == gap.last else f"events {gap.first} to {gap.last} are"
            self._problem(ProblemKind.MISSING, gap.file, gap.line, f"{events} missing before this line")
        last = -1 if self.report.last is None else self.report.last
        match head:
            case None:
                self._problem(ProblemKind.HEAD, HEAD_NAME, 0, "is missing")
            case ValueError():
                self._problem(ProblemKind.HEAD, HEAD_NAME, 0, str(head))
            case Head() if self.report.chain_uid and head.chain_uid != self.report.chain_uid:
                self._problem(ProblemKind.HEAD, HEAD_NAME, 0, f"belongs to chain {head.chain_uid}")
            case Head() if head.sequence > last:
                message = f"the log ends with event {last}, but event {head.sequence} was on disk"
                self._problem(ProblemKind.TRUNCATED, HEAD_NAME, 0, message)
            case Head():
                pass

    def _problem(self, kind: ProblemKind, file: str, line: int, message: str) -> None:
        if len(self.report.problems) < _MAX_PROBLEMS:
            self.report.problems.append(Problem(kind, file, line, message))
        else:
            self.report.more_problems += 1


class _RecoveredDetails(msgspec.Struct):
    torn_bytes: int = 0
    damaged_lines: int = 0
    damaged_file: str = ""
    missing_events: int = 0
    head_mismatch: bool = False
    lost_chain: str = ""


class _RecoveredEvent(msgspec.Struct):
    unmapped: _RecoveredDetails

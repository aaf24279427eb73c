"""Is the log complete and unchanged? Answered from the files alone.

Lines are counted by their numbers and hashed into the Merkle tree, whose root must be the signed one at the size of
every checkpoint. What cannot be found without a second place that remembers: that the log and its checkpoints were both
put back to an earlier state. Checkpoints from such a place (``known``) show that too.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.checkpoints import CHECKPOINTS_NAME, Signed, read_checkpoints, torn_bytes
from gateway.audit.keys import PUBLIC_KEY_NAME, read_public_key
from gateway.audit.notes import Checkpoint, VerifierKey
from gateway.audit.segments import content_size, iter_lines, list_segments, read_frontier, read_line
from gateway.audit.tree import Frontier
from gateway.errors import AuditError

_MAX_PROBLEMS: Final = 1000
_TELL: Final = 8 << 20
"""Bytes between two words about how far it is."""
_OFTEN: Final = (1 << 12) - 1
"""Mask over the number of lines between two looks at that."""
_ASIDE: Final = re.compile(r"audit-[0-9]{20}\.jsonl\.damaged-[0-9]+")
_PUT_AWAY: Final = re.compile(r"audit-[0-9]{20}\.jsonl\.(?!damaged-)[^/]+")
_EVENT: Final = b'"event":{"metadata":{"uid":"audit.'


class ProblemKind(StrEnum):
    """What is wrong with a place in the log."""

    ALTERED = "altered"
    """Among the lines up to a checkpoint is one that is not as it was when that was signed."""
    MALFORMED = "malformed"
    """Not an audit line at all."""
    MISSING = "missing"
    """Numbers are left out: lines or whole segments were removed."""
    OUT_OF_ORDER = "out_of_order"
    """The line belongs further up."""
    REPEATED = "repeated"
    """A number is there a second time: the line was copied or added."""
    MISNAMED = "misnamed"
    """The segment's name is not the number of its first line."""
    TREE = "tree"
    """A segment's ``.tree`` does not say what the lines before it say."""
    TORN = "torn"
    """The last line was not written to its end, as after a crash."""
    TRUNCATED = "truncated"
    """The log ends before what a checkpoint covers."""
    CHECKPOINT = "checkpoint"
    """A checkpoint is missing, was put back to an earlier one, cannot be read or is not signed by the log's key."""
    LOST = "lost"
    """A start of the gateway found lines missing or damaged and said so in the log."""


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
    lines: int = 0
    first: int | None = None
    last: int | None = None
    key: VerifierKey | None = None
    signed: Checkpoint | None = None
    """The newest checkpoint, if the log is as it says."""
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    more_problems: int = 0
    """Problems beyond the first thousand, which are only counted."""

    @property
    def ok(self) -> bool:
        """Whether nothing was changed, dropped, added or reordered, as far as the files can tell."""
        return not self.problems

    def encode(self) -> bytes:
        """All of it as one JSON object, for programs."""
        signed = self.signed
        return msgspec.json.encode(
            {
                "ok": self.ok,
                "directory": str(self.directory),
                "segments": self.segments,
                "lines": self.lines,
                "first": self.first,
                "last": self.last,
                "key": str(self.key),
                "signed": None if signed is None else {"origin": signed.origin, "size": signed.size},
                "problems": self.problems,
                "more_problems": self.more_problems,
                "notes": self.notes,
            }
        )


def verify(
    directory: Path,
    *,
    first: int = 0,
    key: VerifierKey | None = None,
    known: Sequence[Signed] = (),
    progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Check all segments of ``directory``.

    ``first`` is the line that the log should begin with: 0, or where the oldest segment kept begins after others were
    archived. ``key`` is the log's key as somebody keeps it elsewhere (None: what the log itself says), ``known`` are
    checkpoints that were kept elsewhere. ``progress`` is told the bytes that were looked at, and how many there are.
    Works beside a running gateway. Memory does not grow with the log, but by a
    few hundred bytes for each checkpoint. Raises ``AuditError`` where the directory cannot be read or holds no log.
    """
    try:
        writing = _is_locked(directory)
        # The checkpoints before the segments: a log in use only grows, so it cannot be behind what was read.
        own = read_public_key(directory)
        believed = key or own
        if believed is None:
            raise AuditError(f"{directory / PUBLIC_KEY_NAME} is missing, and no key was given")
        signed = read_checkpoints(directory, believed)
        segments = list_segments(directory)
    except OSError as error:
        raise AuditError(f"cannot read the audit log in {directory}: {error.strerror}") from None
    report = VerifyReport(directory, key=believed)
    if key is not None and own != key:
        message = "is missing" if own is None else "is not the key that was given"
        report.problems.append(Problem(ProblemKind.CHECKPOINT, PUBLIC_KEY_NAME, 0, message))
    if not segments and not signed and not known:
        raise AuditError(f"there is no audit log in {directory}")
    report.notes += [_unread(name) for name in _put_away(directory)]
    checker = _Checker(report, first, signed, known)
    if not writing and (torn := torn_bytes(directory)):
        message = f"{torn} bytes behind the last checkpoint are none"
        report.problems.append(Problem(ProblemKind.TORN, CHECKPOINTS_NAME, 0, message))
    try:
        checker.progress = _Progress(progress, sum(path.stat().st_size for _, path in segments))
        for index, (number, path) in enumerate(segments):
            if not path.is_file():  # reading a pipe would wait for ever
                raise AuditError(f"{path} is not a file")
            checker.segment(number, path, newest=index == len(segments) - 1, writing=writing)
    except OSError as error:
        raise AuditError(f"cannot read {error.filename or directory}: {error.strerror}") from None
    # Meanwhile more was signed, and the log may tell of it already.
    checker.finish(read_checkpoints(directory, believed) if writing else (), writing=writing)
    return report


def _put_away(directory: Path) -> list[str]:
    """Files that look like segments which somebody compressed or renamed."""
    return sorted(path.name for path in directory.iterdir() if _PUT_AWAY.fullmatch(path.name))


def _unread(name: str) -> str:
    segment = name[: name.index(".jsonl") + len(".jsonl")]
    return f"{name} was not looked at: to have its lines checked, put it back as {segment}, not compressed"


class _Progress:
    """Tells how far the reading is, a few times a second at most."""

    def __init__(self, tell: Callable[[int, int], None] | None, total: int) -> None:
        self._tell = tell
        self._total = total
        self._before = self._told = 0
        if tell is not None:
            tell(0, total)

    def reached(self, offset: int) -> None:
        """So far in the present segment."""
        done = self._before + offset
        if self._tell is not None and done - self._told >= _TELL:
            self._told = done
            self._tell(done, max(done, self._total))

    def finished(self, size: int) -> None:
        """The segment has so many bytes."""
        self.reached(size)
        self._before += size


def _size(path: Path, *, open_ended: bool) -> int:
    """Bytes that should be lines; behind the end of one that was not closed there may be zeros, as room for more."""
    if not open_ended:
        return path.stat().st_size
    with path.open("rb") as file:
        return content_size(file)


def _is_locked(directory: Path) -> bool:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@dataclass(slots=True)
class _Gap:
    """Numbers first … last (inclusive) that were not there where they should have been."""

    first: int
    last: int
    file: str
    line: int


class _Checker:
    def __init__(self, report: VerifyReport, first: int, signed: Sequence[Signed], known: Sequence[Signed]) -> None:
        self.report = report
        self.progress = _Progress(None, 0)
        self._expected = first
        self._gaps: list[_Gap] = []
        self._tree: Frontier | None = Frontier() if first == 0 else None
        """None while it is not known what came before."""
        self._begun = False
        self._checked = first
        """Up to here everything is proven, or already found to be wrong."""
        self._roots: dict[int, list[tuple[str, bytes]]] = {}
        """By size: where a checkpoint of that size stands, and its root."""
        self._own: dict[int, bytes] = {}
        self._claims: list[tuple[int, str, str, int]] = []
        """Checkpoints that the log says were made: size, root, file, line."""
        self._closed_at: tuple[str, int, int] | None = None
        self._largest = 0
        self._take(signed, CHECKPOINTS_NAME, own=True)
        self._take(known, "the checkpoints kept elsewhere", own=False)

    def _take(self, signed: Sequence[Signed], where: str, *, own: bool) -> None:
        before = 0
        for number, item in enumerate(signed, 1):
            checkpoint = item.checkpoint
            if checkpoint is None:
                self._problem(ProblemKind.CHECKPOINT, where, 0, f"note {number}: {item.problem}")
                continue
            if own and checkpoint.size < before:
                message = f"note {number} covers {checkpoint.size} lines, the one before it {before}"
                self._problem(ProblemKind.CHECKPOINT, where, 0, message)
            before = checkpoint.size
            self._roots.setdefault(checkpoint.size, []).append((where, checkpoint.root))
            if own:
                self._own[checkpoint.size] = checkpoint.root
                if checkpoint.size >= self._largest:
                    self._largest, self.report.signed = checkpoint.size, checkpoint

    # --- lines ------------------------------------------------------------------------------------------------------

    def segment(self, number: int, path: Path, *, newest: bool, writing: bool) -> None:
        """Check one file."""
        self.report.segments += 1
        self._enter(number, path)
        line_number = 0
        end = 0
        for offset, line in iter_lines(path):
            line_number += 1
            end = offset + len(line) + 1
            if not line_number & _OFTEN:
                self.progress.reached(end)
            sequence = read_line(line)
            if sequence is None:
                self._problem(ProblemKind.MALFORMED, path.name, line_number, "not an audit line")
            elif line_number == 1 and sequence != number:
                self._problem(ProblemKind.MISNAMED, path.name, 0, f"the first line is {sequence}")
            self._line(path.name, line_number, line, sequence)
            if _EVENT in line[:64]:
                self._own_life(path.name, line_number, line)
        self.progress.finished(end)
        torn = _size(path, open_ended=newest and self._closed_at is None) - end
        if torn > 0 and newest and writing:
            self.report.notes.append(f"{path.name}:{line_number + 1}: the gateway is writing this line now")
        elif torn > 0:
            what = "the last line was not written to its end" if newest else "the last line is not whole"
            self._problem(ProblemKind.TORN, path.name, line_number + 1, f"{what} ({torn} bytes)")

    def _enter(self, number: int, path: Path) -> None:
        """The tree before a segment: as the lines say, or else as the segment's own file says."""
        kept = read_frontier(path, number)
        tree = self._tree
        if tree is not None and tree.size == number:
            if kept != tree:
                what = "is missing or no tree" if kept is None else "does not agree with the lines before the segment"
                self._problem(ProblemKind.TREE, path.with_suffix(".tree").name, 0, what)
            return
        # A gap, or the beginning of what was kept. A wrong tree cannot lead to the next signed root.
        self._tree = kept
        self._checked = number
        if kept is None:
            message = "is missing or no tree: the segment cannot be checked against signed checkpoints"
            self._problem(ProblemKind.TREE, path.with_suffix(".tree").name, 0, message)

    def _line(self, file: str, number: int, line: bytes, sequence: int | None) -> None:
        report = self.report
        report.lines += 1
        self._closed_at = None
        # A line that says nothing readable counts as the one that is due.
        if not self._in_order(file, number, self._expected if sequence is None else sequence):
            return
        present = self._expected - 1
        if report.first is None:
            report.first = present
        report.last = present
        tree = self._tree
        if tree is None:
            return
        if tree.size != present:
            self._tree = None
            return
        tree.add_lines((line,))
        if tree.size in self._roots:
            self._compare(file, number, tree)

    def _compare(self, file: str, number: int, tree: Frontier) -> None:
        root = tree.root()
        for where, signed in self._roots[tree.size]:
            if signed != root:
                message = (
                    f"lines {self._checked} to {tree.size - 1} are not those that were signed at {tree.size}"
                    f" ({where}): at least one of them was changed"
                )
                self._problem(ProblemKind.ALTERED, file, number, message)
                # From here on every root is another. The next segment's tree may know what it should be.
                self._tree = None
        self._checked = tree.size

    def _in_order(self, file: str, number: int, sequence: int) -> bool:
        """Compare the line's number with the one that is due; True where the log goes on with this line."""
        if sequence < self._expected:
            kind, message = ProblemKind.REPEATED, f"line {sequence} is there a second time"
            if self._fill(sequence):
                kind, message = ProblemKind.OUT_OF_ORDER, f"line {sequence} belongs further up"
            self._problem(kind, file, number, message)
            return False
        if sequence > self._expected:
            self._gaps.append(_Gap(self._expected, sequence - 1, file, number))
        self._expected = sequence + 1
        return True

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

    # --- what the log says of itself --------------------------------------------------------------------------------

    def _own_life(self, file: str, number: int, line: bytes) -> None:
        try:
            event = msgspec.json.decode(line, type=_LifeLine).event
        except (msgspec.DecodeError, ValueError):
            return
        details = event.unmapped
        match event.metadata.event_code:
            case "audit.checkpoint":
                self._claims.append((details.size, details.root, file, number))
            case "audit.closed":
                self._closed_at = (file, number, self._expected)
            case "audit.recovered":
                self._recovered(file, number, details)

    def _recovered(self, file: str, line: int, details: _Details) -> None:
        if details.torn_bytes:
            self.report.notes.append(
                f"{file}:{line}: a torn line of {details.torn_bytes} bytes was cut off at this start"
            )
        if details.damaged_lines:
            message = f"{details.damaged_lines} damaged lines were set aside in {details.damaged_file} at this start"
            self._problem(ProblemKind.LOST, file, line, message + self._aside(details))
        if details.missing_events:
            message = f"{details.missing_events} lines that were signed were missing at this start"
            self._problem(ProblemKind.LOST, file, line, message)
        if details.checkpoint_mismatch:
            message = f"the log was not as it was signed at {details.checkpoint_mismatch} at this start"
            self._problem(ProblemKind.LOST, file, line, message)

    def _aside(self, details: _Details) -> str:
        """What has become of the file with the damaged lines, where it is not as the log says."""
        if _ASIDE.fullmatch(details.damaged_file) is None:
            return ""  # no name that a start gives; it leads nowhere
        try:
            with (self.report.directory / details.damaged_file).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return ", and are not there any more"
        except OSError as error:
            return f", and cannot be read ({error.strerror})"
        return "" if digest == details.damaged_sha256 else ", and were changed since"

    def finish(self, later: Sequence[Signed], *, writing: bool) -> None:
        """What can only be said at the end. ``later`` are the log's checkpoints as they are now, if it is in use."""
        report = self.report
        for item in later:
            if item.checkpoint is not None:
                self._own.setdefault(item.checkpoint.size, item.checkpoint.root)
        for gap in self._gaps:
            lines = f"line {gap.first} is" if gap.first == gap.last else f"lines {gap.first} to {gap.last} are"
            self._problem(ProblemKind.MISSING, gap.file, gap.line, f"{lines} missing before this line")
        end = 0 if report.last is None else report.last + 1
        for size, roots in sorted(self._roots.items()):
            if size > end:
                message = f"the log ends with line {end - 1}, but {size} lines were signed"
                self._problem(ProblemKind.TRUNCATED, roots[0][0], 0, message)
                break
        for size, root, file, number in self._claims:
            kept = self._own.get(size)
            if kept is None or base64.b64encode(kept).decode() != root:
                message = f"a checkpoint of {size} lines was made, and {CHECKPOINTS_NAME} does not have it"
                self._problem(ProblemKind.CHECKPOINT, file, number, message)
        unsigned = end - self._largest
        if self._closed_at is not None and unsigned > 0 and not writing:
            file, number, _ = self._closed_at
            message = f"the gateway stopped in order here, and signed all lines: the checkpoint of {end} is missing"
            self._problem(ProblemKind.CHECKPOINT, file, number, message)
        elif unsigned > 0:
            why = "the gateway is running" if writing else "the gateway did not stop in order"
            report.notes.append(f"the last {unsigned} lines are not covered by a checkpoint ({why})")

    def _problem(self, kind: ProblemKind, file: str, line: int, message: str) -> None:
        if len(self.report.problems) < _MAX_PROBLEMS:
            self.report.problems.append(Problem(kind, file, line, message))
        else:
            self.report.more_problems += 1


class _Details(msgspec.Struct):
    size: int = 0
    root: str = ""
    torn_bytes: int = 0
    damaged_lines: int = 0
    damaged_file: str = ""
    damaged_sha256: str = ""
    missing_events: int = 0
    checkpoint_mismatch: int = 0


class _LifeMetadata(msgspec.Struct):
    event_code: str


class _LifeEvent(msgspec.Struct):
    metadata: _LifeMetadata
    unmapped: _Details


class _LifeLine(msgspec.Struct):
    event: _LifeEvent

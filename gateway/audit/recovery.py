"""What happens to a log's end when the gateway starts again.

A crash can leave a torn last line (written in part) and, after a loss of power, damaged lines before it. Torn bytes
were never promised to anybody: they are cut off. Damaged whole lines are set aside in a file of their own, never
deleted. Both are said in the log itself by an ``audit.recovered`` event, and so is a log that does not agree with its
newest checkpoint.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from gateway.audit.checkpoints import cut_torn_note, read_checkpoints
from gateway.audit.notes import Checkpoint, VerifierKey
from gateway.audit.segments import content_size, frontier_before, iter_lines, list_segments, read_line
from gateway.audit.storage import Storage
from gateway.audit.tree import Frontier
from gateway.errors import AuditError


@dataclass(frozen=True, slots=True)
class Recovered:
    """The tree that the log goes on from, and what the start had to do or found (``details``)."""

    frontier: Frontier
    signed: int = 0
    """What the newest checkpoint covers."""
    details: dict[str, object] = field(default_factory=dict)


def recover(directory: Path, storage: Storage, key: VerifierKey) -> Recovered:
    """Bring the log's end in order. The caller holds the directory's lock.

    Reads the last segment. Raises ``AuditError`` where segments are there and none has an intact line, or where the
    tree before the last one is not to be had: going on would hide what happened.
    """
    details: dict[str, object] = {}
    segments = list_segments(directory)
    cut_torn_note(directory, storage)
    newest = None
    for signed in read_checkpoints(directory, key):
        if signed.checkpoint is None:
            details["invalid_checkpoints"] = True
        elif newest is None or signed.checkpoint.size >= newest.size:
            newest = signed.checkpoint
    frontier = None
    while segments and frontier is None:
        frontier = _recover_segment(segments, storage, newest, details)
        if frontier is None:
            segments.pop()
    if frontier is None:
        if "damaged_lines" in details:
            raise AuditError(f"no intact line in the audit log in {directory}; move it away to begin a new one")
        frontier = Frontier()
    if newest is not None and newest.size > frontier.size:
        details["missing_events"] = newest.size - frontier.size
    return Recovered(frontier, 0 if newest is None else newest.size, details)


def _recover_segment(
    segments: list[tuple[int, Path]], storage: Storage, newest: Checkpoint | None, details: dict[str, object]
) -> Frontier | None:
    """The tree up to the last segment's last intact line, after everything behind it has been taken away.

    None where the segment has no intact line: it is gone then.
    """
    first, path = segments[-1]
    frontier = frontier_before(segments, len(segments) - 1)
    if frontier is None:
        raise AuditError(
            f"{path.parent}: the tree before line {first} is not known; put back {path.stem}.tree or the segments"
            " before it, or move the log away to begin a new one"
        )
    with path.open("rb") as file:
        content = content_size(file)
    keep = 0
    if newest is not None and newest.size == first and newest.root != frontier.root():
        details["checkpoint_mismatch"] = first
    for offset, line in iter_lines(path):
        if read_line(line) != frontier.size:
            break
        frontier.add_lines([line])
        keep = offset + len(line) + 1
        if newest is not None and newest.size == frontier.size and newest.root != frontier.root():
            details["checkpoint_mismatch"] = newest.size
    if keep < path.stat().st_size:
        _cut(path, keep, content, storage, details)
    if keep:
        return frontier
    if path.exists():
        path.unlink()
        path.with_suffix(".tree").unlink(missing_ok=True)
    storage.sync_directory(path.parent)
    return None


def _cut(path: Path, keep: int, content: int, storage: Storage, details: dict[str, object]) -> None:
    """Take away everything behind ``keep``; behind ``content`` there are zeros only, which nobody misses."""
    with path.open("rb") as file:
        file.seek(keep)
        removed = file.read(max(0, content - keep))
    damaged = removed.count(b"\n")
    if damaged:
        aside = _free_name(path)
        storage.replace(aside, removed)
        digest = hashlib.sha256(removed).hexdigest()
        details.update(damaged_lines=damaged, damaged_file=aside.name, damaged_sha256=digest)
    elif removed:
        details.update(torn_bytes=len(removed), torn_file=path.name)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        storage.truncate(descriptor, keep)
        storage.sync(descriptor)
    finally:
        os.close(descriptor)


def _free_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return candidate

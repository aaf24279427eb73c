"""What happens to a log's end when the gateway starts again.

A crash can leave a torn last line (written in part) and, after a loss of power, damaged lines before it. Torn bytes
were never promised to anybody: they are cut off. Damaged whole lines are set aside in a file of their own, never
deleted. Both are said in the chain itself by an ``audit.recovered`` event, and so is a log that ends before its head.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from gateway.audit.chain import Link, read_link
from gateway.audit.segments import list_segments, read_head, reversed_lines
from gateway.audit.storage import Storage
from gateway.errors import AuditError


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where the chain goes on (``last`` None: a new one begins) and what the start had to do (``details``)."""

    last: Link | None
    details: dict[str, object] = field(default_factory=dict)


def recover(directory: Path, storage: Storage) -> Recovered:
    """Bring the log's end in order. The caller holds the directory's lock.

    Raises ``AuditError`` where segments are there and none has an intact line, or where the head cannot be read or is
    another chain's: going on would hide what happened.
    """
    details: dict[str, object] = {}
    segments = list_segments(directory)
    last = None
    for _, path in reversed(segments):
        last = _recover_segment(path, storage, details)
        if last is not None:
            break
    if segments and last is None and "damaged_lines" in details:
        raise AuditError(f"no intact line in the audit log in {directory}; move it away to begin a new chain")
    try:
        head = read_head(directory)
    except ValueError as error:
        raise AuditError(f"{directory}: {error}; run 'querygate audit verify', then move the file away") from None
    if head is not None:
        if last is None:
            details.update(lost_chain=head.chain_uid, missing_events=head.sequence + 1)
        elif head.chain_uid != last.chain_uid:
            raise AuditError(f"{directory}: the head belongs to another chain than the segments")
        elif head.sequence > last.sequence:
            details.update(missing_events=head.sequence - last.sequence)
        elif head.sequence == last.sequence and head.fingerprint != last.fingerprint:
            details.update(head_mismatch=True)
    return Recovered(last, details)


def _recover_segment(path: Path, storage: Storage, details: dict[str, object]) -> Link | None:
    """The segment's last intact line, after everything behind it has been taken away."""
    size = path.stat().st_size
    keep = torn_from = size
    damaged = 0
    last = None
    for offset, line in reversed_lines(path):
        if not line.endswith(b"\n"):
            torn_from = offset
            continue
        link = read_link(line)
        if link is not None and link.intact:
            last = link
            keep = offset + len(line)
            break
        damaged += 1
    else:
        keep = 0
    if keep == size and size:
        return last
    if damaged:
        aside = _free_name(path)
        removed = _read_from(path, keep)
        storage.replace(aside, removed)
        details.update(
            damaged_lines=damaged, damaged_file=aside.name, damaged_sha256=hashlib.sha256(removed).hexdigest()
        )
    elif size > torn_from:
        details.update(torn_bytes=size - torn_from, torn_file=path.name)
    if keep:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            storage.truncate(descriptor, keep)
            storage.sync(descriptor)
        finally:
            os.close(descriptor)
    else:
        path.unlink()
    storage.sync_directory(path.parent)
    return last


def _read_from(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read()


def _free_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return candidate

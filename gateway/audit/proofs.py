"""Proofs about single events and about two checkpoints, for people who do not have the log.

An inclusion proof shows that an event is in the log that a checkpoint speaks of; it carries the line of the event and
the lines that it refers to, each with its audit path (RFC 6962, 2.1.1). A consistency proof (2.1.2) shows that one
checkpoint's log begins with another's.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from gateway.audit.checkpoints import Signed, read_checkpoints
from gateway.audit.keys import read_public_key
from gateway.audit.notes import Checkpoint, NoteError, VerifierKey
from gateway.audit.reader import SegmentReader, find_event, referred
from gateway.audit.segments import frontier_before, iter_lines, list_segments
from gateway.audit.tree import (
    Leaves,
    check_consistency,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_by_inclusion,
)
from gateway.errors import AuditError

FORMAT = "querygate-audit-proof/1"


class ProvenLine(msgspec.Struct, frozen=True):
    """A line of the log, its number, and the hashes from it up to the root, in base64."""

    index: int
    line: str
    path: tuple[str, ...]


class InclusionProof(msgspec.Struct, frozen=True):
    """``lines`` has the event's own line first, then those that it refers to. ``event`` is the event for people."""

    format: str
    key: str
    checkpoint: str
    lines: tuple[ProvenLine, ...]
    event: msgspec.Raw

    def encode(self) -> bytes:
        """One JSON object, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises ``ValueError``."""
        proof = msgspec.json.decode(data, type=cls)
        if proof.format != FORMAT:
            raise ValueError(f"format {proof.format} is not known")
        return proof

    def check(self, key: VerifierKey) -> Checkpoint:
        """The checkpoint that all lines are in. Raises ``ValueError`` where the proof does not hold.

        ``event`` is not looked at: what is proven are the lines.
        """
        checkpoint = key.open(self.checkpoint)
        if not self.lines:
            raise ValueError("the proof has no lines")
        for item in self.lines:
            path = [base64.b64decode(step, validate=True) for step in item.path]
            root = root_by_inclusion(item.index, checkpoint.size, leaf_hash(item.line.encode()), path)
            if root != checkpoint.root:
                raise ValueError(f"line {item.index} is not in the log of this checkpoint")
        # Else another session's definition, which is in the log as well, could be shown as this event's.
        event, *others = self.lines
        if tuple(sorted(item.index for item in others)) != referred(event.line.encode()):
            raise ValueError(f"the lines beside line {event.index} are not those that it refers to")
        return checkpoint


@dataclass(frozen=True, slots=True)
class Consistency:
    """Two checkpoints and the proof between them."""

    old: Checkpoint
    new: Checkpoint
    path: tuple[bytes, ...]

    @property
    def holds(self) -> bool:
        """Whether the newer log begins with the older one."""
        return check_consistency(self.old.size, self.old.root, self.new.size, self.new.root, self.path)


def log_key(directory: Path) -> VerifierKey:
    """The log's own key. Raises ``AuditError``."""
    key = read_public_key(directory)
    if key is None:
        raise AuditError(f"there is no audit log in {directory}")
    return key


def prove(directory: Path, which: int | str, *, key: VerifierKey | None = None) -> InclusionProof:
    """Proof that an event (by number or ``metadata.uid``) is in the log, by the first checkpoint that covers it.

    Raises ``AuditError`` where there is no such event, no checkpoint that covers it yet, or where the log is not as the
    checkpoint says.
    """
    key = key or log_key(directory)
    found = find_event(directory, which)
    if found is None:
        raise AuditError(f"there is no event {which} in {directory}")
    index = found.sequence
    signed = _covering(read_checkpoints(directory, key), index)
    segments = _segments(directory)
    position = max(at for at, (first, _) in enumerate(segments) if first <= index)
    descriptor = os.open(segments[position][1], os.O_RDONLY | os.O_CLOEXEC)
    try:
        reader = SegmentReader(descriptor)
        line = reader.line(index)
        if line is None:
            raise AuditError(f"line {index} cannot be read")
        lines = {index: line}
        for number in referred(line):
            needed = reader.line(number)
            if needed is None:
                raise AuditError(f"line {number}, which line {index} refers to, is missing")
            lines[number] = needed
    finally:
        os.close(descriptor)
    if signed.checkpoint is None:
        raise AuditError(signed.problem)
    size = signed.checkpoint.size
    leaves = _leaves(segments, position, size)
    proof = InclusionProof(
        FORMAT,
        str(key),
        signed.note,
        tuple(
            ProvenLine(
                number,
                text.decode(),
                tuple(base64.b64encode(step).decode() for step in inclusion_proof(number, size, leaves.subtree)),
            )
            for number, text in lines.items()
        ),
        msgspec.Raw(found.line.rstrip(b"\n")),
    )
    try:
        proof.check(key)
    except ValueError as error:
        raise AuditError(f"the log is not as it was signed at {size}: {error}") from None
    return proof


def consistency(directory: Path, old: Checkpoint, new: Checkpoint) -> Consistency:
    """The proof between two checkpoints of the log in ``directory``.

    It does not hold if the log is not as both say. Raises ``AuditError`` where lines that it takes are not there.
    """
    if old.size > new.size:
        raise AuditError(f"the old checkpoint covers {old.size} lines, the new one only {new.size}")
    segments = _segments(directory)
    positions = [at for at, (first, _) in enumerate(segments) if first <= old.size]
    if not positions:
        raise AuditError(f"lines before {old.size} are not in {directory} any more")
    leaves = _leaves(segments, positions[-1], new.size)
    try:
        return Consistency(old, new, tuple(consistency_proof(old.size, new.size, leaves.subtree)))
    except LookupError as error:
        raise AuditError(f"the proof cannot be made from what is in {directory}: {error}") from None


def read_checkpoint(text: str, directory: Path, key: VerifierKey) -> Checkpoint:
    """A checkpoint by what a person says: ``latest``, a number of lines, or a file with a note.

    Raises ``AuditError``.
    """
    if text == "latest" or text.isdigit():
        signed = [item.checkpoint for item in read_checkpoints(directory, key) if item.checkpoint is not None]
        if text.isdigit():
            signed = [checkpoint for checkpoint in signed if checkpoint.size == int(text)]
        if not signed:
            raise AuditError(f"{directory} has no checkpoint {'yet' if text == 'latest' else f'of {text} lines'}")
        return signed[-1]
    try:
        return key.open(Path(text).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, NoteError) as error:
        raise AuditError(f"{text}: {error}") from None


def _covering(signed: Sequence[Signed], index: int) -> Signed:
    for item in signed:
        if item.checkpoint is not None and item.checkpoint.size > index:
            return item
    raise AuditError(f"no checkpoint covers event {index} yet; try again in a few seconds, or after the gateway's end")


def _leaves(segments: Sequence[tuple[int, Path]], position: int, size: int) -> Leaves:
    """Hashes of the lines from a segment's first up to ``size``."""
    start = frontier_before(segments, position)
    if start is None:
        raise AuditError(f"the tree before line {segments[position][0]} is not known: its .tree file is missing")
    hashes: list[bytes] = []
    for _, path in segments[position:]:
        for _, line in iter_lines(path):
            if start.size + len(hashes) >= size:
                return Leaves(start, hashes)
            hashes.append(leaf_hash(line))
    if start.size + len(hashes) < size:
        raise AuditError(f"the log ends with line {start.size + len(hashes) - 1}, but {size} lines were signed")
    return Leaves(start, hashes)


def _segments(directory: Path) -> list[tuple[int, Path]]:
    try:
        return list_segments(directory)
    except OSError as error:
        raise AuditError(f"cannot read the audit log in {directory}: {error.strerror}") from None

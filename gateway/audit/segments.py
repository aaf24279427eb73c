"""The files of a log.

::

    audit-00000000000000000000.jsonl    lines 0 …; named by the number of the first
    audit-00000000000000048113.jsonl    lines 48113 …
    audit-00000000000000048113.tree     the Merkle tree's complete subtrees before line 48113
    checkpoints                         signed notes, see ``gateway.audit.checkpoints``
    key.pub                             the key that they are signed with

A segment is never changed after the next one has begun. Until then zeros may follow its lines: room for the next ones,
which no line holds and nobody vouches for. Its ``.tree`` lets whoever has only later segments go on from
there; nobody has to believe it, since a wrong one leads to other roots than the signed ones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from gateway.audit.storage import Storage
from gateway.audit.tree import Frontier

_NAME: Final = re.compile(r"audit-([0-9]{20})\.jsonl")
_LINE: Final = re.compile(rb'\{"seq":(0|[1-9][0-9]{0,18}),"(id|define|event)":')
_BLOCK: Final = 256 * 1024


class _TreeFile(msgspec.Struct, frozen=True):
    size: int
    peaks: tuple[str, ...]


def segment_name(first: int) -> str:
    """The file name of the segment that begins with line ``first``."""
    return f"audit-{first:020}.jsonl"


def list_segments(directory: Path) -> list[tuple[int, Path]]:
    """The segments of a directory as (first line, path), in order."""
    found = []
    for path in directory.iterdir():
        matched = _NAME.fullmatch(path.name)
        if matched is not None:
            found.append((int(matched[1]), path))
    return sorted(found)


def line_number(line: bytes) -> int | None:
    """The number that a line gives itself; None where it does not begin as lines do."""
    matched = _LINE.match(line)
    return None if matched is None else int(matched[1])


def read_line(line: bytes) -> int | None:
    """As ``line_number``, but None also where the line (without line feed) is not one whole JSON object."""
    number = line_number(line)
    if number is None:
        return None
    try:
        msgspec.json.decode(line, type=_Any)
    except msgspec.DecodeError:
        return None
    return number


class _Any(msgspec.Struct):
    """Any object: its syntax is checked, its content skipped."""


def write_frontier(storage: Storage, segment: Path, frontier: Frontier) -> None:
    """Keep what the tree is before a segment."""
    storage.replace(segment.with_suffix(".tree"), _tree_file(frontier))


def read_frontier(segment: Path, first: int) -> Frontier | None:
    """What the tree was before a segment; None where that is not there or is no such thing."""
    if first == 0:
        return Frontier()
    try:
        data = segment.with_suffix(".tree").read_bytes()
        content = msgspec.json.decode(data, type=_TreeFile)
        frontier = Frontier(content.size, [bytes.fromhex(peak) for peak in content.peaks])
    except (FileNotFoundError, msgspec.DecodeError, ValueError):
        return None
    return frontier if frontier.size == first and data == _tree_file(frontier) else None


def _tree_file(frontier: Frontier) -> bytes:
    content = _TreeFile(frontier.size, tuple(peak.hex() for peak in frontier.peaks))
    return msgspec.json.encode(content) + b"\n"


def frontier_before(segments: Sequence[tuple[int, Path]], index: int) -> Frontier | None:
    """What the tree was before ``segments[index]``, worked out from earlier segments where no file says it."""
    first, path = segments[index]
    frontier = read_frontier(path, first)
    if frontier is None and index:
        frontier = frontier_before(segments, index - 1)
        if frontier is not None:
            frontier.add_lines(line for _, line in iter_lines(segments[index - 1][1]))
            if frontier.size != first:
                return None
    return frontier


def content_size(file: BinaryIO) -> int:
    """The size of a file without the zeros at its end.

    When it is known, all bytes before it are there: of what is being written, the beginning might be read before it is
    written and the end afterwards. So what is read here is no content yet, and ``file`` must not have it in its buffer.
    """
    descriptor = file.fileno()
    position = os.fstat(descriptor).st_size
    while position:
        size = min(_BLOCK, position)
        content = os.pread(descriptor, size, position - size).rstrip(b"\0")
        if content:
            return position - size + len(content)
        position -= size
    return 0


def iter_lines(path: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """The whole lines of a file from ``start`` on, without line feeds, each with the offset of its first byte.

    Those that are there now, where the file grows.
    """
    with path.open("rb") as file:
        end = content_size(file)
        file.seek(start)
        for line in file:
            if start + len(line) > end or not line.endswith(b"\n"):
                return
            yield start, line[:-1]
            start += len(line)


def reversed_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file from the last to the first, each with the offset of its first byte.

    A last line without line feed comes first, as it is; zeros behind it do not count.
    """
    with path.open("rb") as file:
        position = content_size(file)
        rest = b""
        step = _BLOCK
        while position:
            size = min(step, position)
            position -= size
            file.seek(position)
            block = file.read(size) + rest
            # The first piece may begin in the block before; everything after its line feed is whole.
            cut = block.find(b"\n") + 1 if position else 0
            if position and (cut == 0 or cut == len(block)):
                rest = block
                step *= 2
                continue
            step = _BLOCK
            end = len(block)
            while end > cut:
                start = max(block.rfind(b"\n", cut, end - 1) + 1, cut)
                yield position + start, block[start:end]
                end = start
            rest = block[:cut]

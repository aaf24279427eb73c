"""The files of a log: segments named by their first event, and the head that says how far the log goes.

::

    audit-00000000000000000000.jsonl    events 0 …
    audit-00000000000000048113.jsonl    events 48113 …
    head.json                           the last event known to be on disk

A segment is never changed after the next one has begun. The head is written after the events it speaks of are durable,
so a log that ends before its head has lost events; it is what a signed checkpoint will stand on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.storage import Storage

HEAD_NAME: Final = "head.json"
_NAME: Final = re.compile(r"audit-([0-9]{20})\.jsonl")
_BLOCK: Final = 256 * 1024


class Head(msgspec.Struct, frozen=True):
    """The last event that is known to be on disk."""

    format: int
    chain_uid: str
    sequence: int
    fingerprint: str


def segment_name(first: int) -> str:
    """The file name of the segment that begins with event ``first``."""
    return f"audit-{first:020}.jsonl"


def list_segments(directory: Path) -> list[tuple[int, Path]]:
    """The segments of a directory as (first event, path), in order."""
    found = []
    for path in directory.iterdir():
        matched = _NAME.fullmatch(path.name)
        if matched is not None:
            found.append((int(matched[1]), path))
    return sorted(found)


def write_head(storage: Storage, directory: Path, head: Head) -> None:
    """Replace the head."""
    storage.replace(directory / HEAD_NAME, msgspec.json.encode(head) + b"\n")


def read_head(directory: Path) -> Head | None:
    """The head, or None where there is none. Raises ``ValueError`` where it cannot be read."""
    try:
        data = (directory / HEAD_NAME).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data, type=Head)
    except msgspec.DecodeError as error:
        raise ValueError(f"{HEAD_NAME} cannot be read: {error}") from None


def reversed_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file from the last to the first, each with the offset of its first byte.

    A last line without line feed comes first, as it is.
    """
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
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

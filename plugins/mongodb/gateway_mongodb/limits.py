"""Rows, changes and time that policies allow, enforced on commands and on batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.domain.masking import Sentinels
from gateway.errors import TooManyChanges
from gateway_mongodb.wire import types
from gateway_mongodb.wire.codec import INT32, INT64, elements, with_elements, without
from gateway_mongodb.wire.codec import element as encoded_element
from gateway_mongodb.wire.scan import ReplyScan

_W1: Final = b"\x03writeConcern\0\x0c\0\0\0\x10w\0\x01\0\0\0\0"
"""The element ``writeConcern: {w: 1}``."""


def with_time_limit(body: bytes, present: int, seconds: float) -> bytes:
    """The command with ``maxTimeMS`` of at most ``seconds``; ``present`` is what it has, 0 for none."""
    allowed = max(1, int(seconds * 1000))
    if 0 < present <= allowed:
        return body
    if present:
        body = without(body, frozenset({b"maxTimeMS"}))
    return with_elements(body, encoded_element(types.INT64, b"maxTimeMS", INT64.pack(allowed)))


def acknowledged(body: bytes) -> bytes:
    """The command with a write concern under which the server says how it went (``w: 1``)."""
    return with_elements(without(body, frozenset({b"writeConcern"})), _W1)


def cut_batch(body: bytes, scan: ReplyScan, rows: int, cursor_id: int) -> bytes:
    """The reply with only the first ``rows`` documents of its batch, and another cursor id.

    ``scan`` is of this very body, which must hold a cursor with a batch.
    """
    if scan.batch is None or scan.cursor_id_at < 0:
        return body
    start, end = scan.batch
    stop = start + 4
    for number, (_, _, _, after) in enumerate(elements(body, start, end), 1):
        if number > rows:
            break
        stop = after
    array = INT32.pack(stop - start + 1) + body[start + 4 : stop] + b"\0"
    shrunk = (end - start) - len(array)
    cursor_start = _start_of_cursor(body)
    out = bytearray(body[:start] + array + body[end:])
    INT32.pack_into(out, 0, len(body) - shrunk)
    INT32.pack_into(out, cursor_start, INT32.unpack_from(body, cursor_start)[0] - shrunk)
    at = scan.cursor_id_at - (shrunk if scan.cursor_id_at > start else 0)
    INT64.pack_into(out, at, cursor_id)
    return bytes(out)


def _start_of_cursor(body: bytes) -> int:
    return next(start for _, name, start, _ in elements(body, 0, len(body)) if name == b"cursor")


def check_changes(command: Mapping[str, Any], most: int) -> None:
    """Refuse a write that may change more than ``most`` documents, or an unknown number: there is no undoing it."""
    name = next(iter(command), "")
    match name:
        case "insert":
            number: int | None = _size(command.get("documents"))
        case "update":
            number = _known(command.get("updates"), lambda item: item.get("multi") is not True)
        case "delete":
            number = _known(command.get("deletes"), lambda item: item.get("limit") == 1)
        case "findAndModify" | "findandmodify":
            number = 1
        case _:
            number = None
    if number is None:
        raise TooManyChanges("a write whose number of changes is not known before it runs, under a limit of changes")
    if number > most:
        raise TooManyChanges(f"a write that may change {number} documents where {most} are allowed")


def _size(items: Any) -> int | None:
    return len(items) if isinstance(items, list) else None


def _known(items: Any, is_one: Callable[[Mapping[str, Any]], bool]) -> int | None:
    if not isinstance(items, list) or not all(isinstance(item, Mapping) and is_one(item) for item in items):
        return None
    return len(items)


def holds_sentinel(value: Any, sentinels: Sentinels) -> bool:
    """Whether a text anywhere in a command is what a mask has shown."""
    match value:
        case str():
            return sentinels.holds(value)
        case Mapping():
            return any(holds_sentinel(item, sentinels) for item in value.values())
        case list():
            return any(holds_sentinel(item, sentinels) for item in value)
        case _:
            return False

"""Cursors that are open in the database, across the sessions of whoever opened them.

A driver reads a cursor over any connection of its pool, so a cursor belongs to a principal on a resource, not to a
session. What was decided for the command that opened it holds for every batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from gateway.domain.ruling import Ruling
from gateway.errors import LimitExceeded
from gateway_mongodb.documents import DocumentMask

MAX_CURSORS: Final = 100_000
"""Cursors remembered; the one that was unused for longest goes first, and its owner is told that it is not found."""

Key = tuple[str, int]
"""Resource and cursor id."""


@dataclass(slots=True, eq=False)
class Cursor:
    """An open cursor: whose it is, what was asked, and what was decided."""

    owner: Hashable
    ruling: Ruling
    body: bytes
    """The command that opened it, without its document sequences: such commands open no cursor that needs more."""
    database: str
    text: str
    mask: DocumentMask | None
    rows_left: int | None = None
    """Rows that a limit still allows; None without a limit."""
    over: LimitExceeded | None = None
    """More rows were there than a limit allows: what the next batch is instead."""


class Cursors:
    """All open cursors that went through this gateway."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, Cursor] = OrderedDict()

    def add(self, resource: str, cursor_id: int, cursor: Cursor) -> None:
        """A cursor was opened."""
        self._known[resource, cursor_id] = cursor
        while len(self._known) > MAX_CURSORS:
            self._known.popitem(last=False)

    def find(self, resource: str, cursor_id: int, owner: Hashable) -> Cursor | None:
        """The cursor, if it is this owner's."""
        key = (resource, cursor_id)
        cursor = self._known.get(key)
        if cursor is None or cursor.owner != owner:
            return None
        self._known.move_to_end(key)
        return cursor

    def drop(self, resource: str, cursor_id: int) -> None:
        """The cursor is exhausted or closed."""
        self._known.pop((resource, cursor_id), None)

    def __len__(self) -> int:
        return len(self._known)

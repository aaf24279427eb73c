"""Whose a logical session is, and whose a connection to the database is.

To the database all principals are one user, the gateway's. Its own rules about whose sessions and operations may be
touched say nothing any more, so the gateway keeps them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

MAX_SESSIONS: Final = 200_000
"""Logical sessions remembered."""

Key = tuple[str, bytes]
"""Resource and session id."""


@dataclass(slots=True)
class LogicalSession:
    """A logical session of the database (``lsid``)."""

    owner: Hashable
    transaction: int = -1
    """Number of the transaction that is open in it, -1 for none."""


class LogicalSessions:
    """Sessions by who used them first. Their ids are random, so nobody can use somebody else's first."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, LogicalSession] = OrderedDict()

    def claim(self, resource: str, session_id: bytes, owner: Hashable) -> LogicalSession | None:
        """The session, which is this owner's from now on; None where it is somebody else's."""
        key = (resource, session_id)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = LogicalSession(owner)
            if len(self._known) > MAX_SESSIONS:
                self._known.popitem(last=False)
        elif found.owner != owner:
            return None
        else:
            self._known.move_to_end(key)
        return found

    def forget(self, resource: str, session_id: bytes) -> None:
        """The session was ended."""
        self._known.pop((resource, session_id), None)

    def owned(self, resource: str, owner: Hashable) -> list[bytes]:
        """The ids of an owner's sessions."""
        return [key[1] for key, found in self._known.items() if key[0] == resource and found.owner == owner]


class Connections:
    """Connections to databases by their address as the database sees it: that is how it names operations."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Hashable] = {}

    def add(self, resource: str, address: str, owner: Hashable) -> None:
        """A connection was made for this owner."""
        self._known[resource, address] = owner

    def remove(self, resource: str, address: str) -> None:
        """The connection is closed."""
        self._known.pop((resource, address), None)

    def owned(self, resource: str, address: str, owner: Hashable) -> bool:
        """Whether the connection is this owner's."""
        return self._known.get((resource, address)) == owner

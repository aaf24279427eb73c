"""Approval requests over a restart: one SQLite file of the data plane's own, one document per request.

All calls are synchronous and belong into one thread, ``Desk`` sees to that. A request is written whole at each change
of its state and is on disk when the call returns (``synchronous=FULL``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateway.approvals.errors import ApprovalError
from gateway.domain.approval import ApprovalRequest, ApprovalState

FILE: Final = "approvals.sqlite"
"""The store's file in ``data_dir``."""
KEY: Final = "approvals.key"
"""File in ``data_dir`` with the key that seals what requests are bound to."""
KEPT_FOR: Final = 90 * 86_400.0
"""Seconds for which requests that are over can be looked up here; the audit keeps them for good."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS requests (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    created REAL NOT NULL,
    principal TEXT NOT NULL,
    resource TEXT NOT NULL,
    document BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS requests_by_time ON requests (created, id);
"""
_LIVE: Final = (ApprovalState.PENDING.value, ApprovalState.APPROVED.value)


class ApprovalStore:
    """The file. Raises ``ApprovalError`` where it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        try:
            # A file of its own mode from the start: statements are in it.
            path.touch(mode=0o600, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise ApprovalError(f"{path}: approvals cannot be kept: {error}") from error
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(ApprovalRequest).decode

    def save(self, requests: Sequence[ApprovalRequest]) -> None:
        """Keep requests in their present state, all or none."""
        rows = [
            (request.id, request.state.value, request.created, request.subject.principal, request.resource, document)
            for request in requests
            for document in (self._encode(request),)
        ]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?, ?)", rows)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise ApprovalError(f"approvals cannot be kept: {error}") from error

    def rewrite(self, change: Callable[[ApprovalRequest], ApprovalRequest | None]) -> None:
        """Change all requests at once (None: as it is); of what was there before, the files keep nothing."""
        changed = [after for before in self._read("SELECT document FROM requests", ()) if (after := change(before))]
        if changed:
            self.save(changed)
            try:
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                raise ApprovalError(f"approvals cannot be kept: {error}") from error

    def live(self) -> list[ApprovalRequest]:
        """What is pending, or granted and not used up."""
        return self._read("SELECT document FROM requests WHERE state IN (?, ?) ORDER BY created", _LIVE)

    def get(self, identifier: str) -> ApprovalRequest | None:
        """One request, or None."""
        found = self._read("SELECT document FROM requests WHERE id = ?", (identifier,))
        return found[0] if found else None

    def page(
        self,
        *,
        states: Sequence[ApprovalState] = (),
        principal: str | None = None,
        resource: str | None = None,
        before: tuple[float, str] | None = None,
        limit: int = 50,
    ) -> list[ApprovalRequest]:
        """Requests from the newest on; ``before`` is (created, id) of the last one of the page before."""
        where, arguments = ["1"], list[object]()
        if states:
            where.append(f"state IN ({', '.join('?' * len(states))})")
            arguments += [state.value for state in states]
        for column, value in (("principal", principal), ("resource", resource)):
            if value is not None:
                where.append(f"{column} = ?")
                arguments.append(value)
        if before is not None:
            where.append("(created, id) < (?, ?)")
            arguments += before
        arguments.append(limit)
        return self._read(
            # Only words of this module go into the text; values are bound.
            f"SELECT document FROM requests WHERE {' AND '.join(where)} ORDER BY created DESC, id DESC LIMIT ?",  # noqa: S608
            arguments,
        )

    def prune(self, before: float) -> None:
        """Forget requests that are over and were made before ``before`` (Unix seconds)."""
        self._connection.execute("DELETE FROM requests WHERE created < ? AND state NOT IN (?, ?)", (before, *_LIVE))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _read(self, text: str, arguments: Sequence[object]) -> list[ApprovalRequest]:
        try:
            return [self._decode(document) for (document,) in self._connection.execute(text, arguments)]
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise ApprovalError(f"approvals cannot be read: {error}") from error

"""COPY TO STDOUT for people under a mask: its query is run, its rows are masked, and spelt as COPY does.

COPY data have no description and no columns, only bytes, so nothing could be masked in them. The rows of a query come
with the server's word on each column's origin, and go the way of every other result. What the client sees is what
COPY would have sent (PostgreSQL documentation 55.2.6, "COPY Operations"; COPY, "File Formats").
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from gateway.domain.copying import CopySpelling
from gateway.domain.ruling import Ruling
from gateway.errors import AccessDenied, RemoteProtocolError
from gateway_postgres.wire.backend import CopyOutResponse, RowDescription
from gateway_postgres.wire.codec import frame

if TYPE_CHECKING or os.environ.get("QUERYGATE_PURE_PYTHON") == "1":
    from gateway_postgres._copied_reference import Spelling, copied_rows
else:
    try:
        from gateway_postgres._copied import Spelling, copied_rows
    except ImportError:
        from gateway_postgres._copied_reference import Spelling, copied_rows

_COPY_DATA: Final = ord("d")
_COMPLETE: Final = ord("C")
_COPY_DONE: Final = frame(ord("c"))
_TOLD: Final = (
    "access denied: the statement could reveal or copy masked data: "
    "a COPY of masked columns has to be a text of its own in the simple protocol"
)


def not_as_rows() -> AccessDenied:
    """The refusal of a COPY of masked columns in whose place its query cannot run."""
    return AccessDenied("a COPY of masked columns can run as its query only", message=_TOLD)


def spelling_of(ruling: Ruling, codec: str | None) -> CopySpelling | None:
    """How a COPY that may only run as its query is spelt; None where it cannot be run.

    ``codec`` is Python's name of the session's client_encoding, None where characters may hold bytes that look like
    delimiters.
    """
    statements = ruling.analysis.statements
    return statements[0].copied if len(statements) == 1 and codec is not None else None


class CopiedRows:
    """Turns one query's answer into that of the COPY."""

    __slots__ = ("_codec", "_kernel", "_spelling")

    def __init__(self, spelling: CopySpelling, codec: str) -> None:
        self._spelling = spelling
        self._codec = codec
        self._kernel: Spelling | None = None

    def begin(self, body: bytes) -> bytes:
        """What a RowDescription (its body) becomes: CopyOutResponse, and the header if there is to be one."""
        spelling, names = self._spelling, [field.name for field in RowDescription.decode(body).fields]
        forced = None if spelling.forced is None else {name.encode(self._codec) for name in spelling.forced}
        self._kernel = self._made(bytes(forced is None or name in forced for name in names))
        started = CopyOutResponse(0, (0,) * len(names)).encode()
        if not spelling.header:
            return started
        plain = self._made(bytes(len(names)))  # the header is never quoted by force
        line = spelling.delimiter.encode().join(plain.spell(name, index) for index, name in enumerate(names))
        return started + frame(_COPY_DATA, line + b"\n")

    def _made(self, forced: bytes) -> Spelling:
        spelling = self._spelling
        marks = (spelling.quote.encode(), spelling.escape.encode(), forced)
        return Spelling(spelling.csv, spelling.delimiter.encode(), spelling.null.encode(self._codec), *marks)

    def rows(self, rows: bytes) -> bytes:
        """Masked DataRow messages as CopyData."""
        if self._kernel is None:
            raise RemoteProtocolError("DataRow without RowDescription")
        return copied_rows(rows, 0, len(rows), self._kernel)

    def end(self, tag: bytes) -> bytes:
        """What the query's CommandComplete (its text) becomes."""
        return _COPY_DONE + frame(_COMPLETE, b"COPY ", tag.rpartition(b" ")[2], b"\0")

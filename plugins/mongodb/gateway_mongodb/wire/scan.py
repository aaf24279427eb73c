"""What the gateway must know of every command and reply, read in one pass over the top level of a document.

This is the hot path: documents inside are jumped over, never decoded.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import RemoteProtocolError
from gateway_mongodb.wire import types
from gateway_mongodb.wire.codec import (
    count_elements,
    elements,
    number,
    text,
)

PASSED: Final = frozenset({b"$db", b"$readPreference", b"$clusterTime", b"$queryOptions"})
"""Generic arguments with a dollar that a client may send. Others impersonate users or steer servers of a cluster."""
INTERNAL: Final = frozenset(
    {
        b"mayBypassWriteBlocking",
        b"databaseVersion",
        b"shardVersion",
        b"maxTimeMSOpOnly",
        b"stmtId",
        b"isTimeseriesNamespace",
        b"coordinator",
        b"tracking_info",
        b"fromMongos",
        b"needsMerge",
        b"requestGossipRoutingCache",
    }
)
"""Arguments that only servers of a cluster send each other."""
_TOLD: Final = frozenset(b"$db lsid txnNumber autocommit startTransaction maxTimeMS".split())
"""Arguments that a ``CommandScan`` tells of."""


class CommandScan:
    """A command's envelope."""

    __slots__ = (
        "autocommit_off",
        "database",
        "forbidden",
        "lsid",
        "max_time",
        "name",
        "start_transaction",
        "txn_number",
        "unacknowledged",
        "value",
        "value_kind",
    )

    def __init__(self) -> None:
        self.name = ""
        self.value: int | str | None = None
        """The first element's value where it is a number or a string."""
        self.value_kind = 0
        self.database = ""
        self.lsid: bytes | None = None
        """The session's id, 16 bytes."""
        self.txn_number = -1
        self.autocommit_off = False
        self.start_transaction = False
        self.max_time = 0
        self.forbidden = ""
        """An argument that the gateway does not let through."""


class ReplyScan:
    """What a reply says about its command."""

    __slots__ = (
        "batch",
        "changed",
        "code",
        "cursor_id",
        "cursor_id_at",
        "has_write_errors",
        "namespace",
        "ok",
        "rows",
        "topology_version",
        "values",
    )

    def __init__(self) -> None:
        self.ok = False
        self.code = 0
        self.cursor_id: int | None = None
        """None where the reply holds no cursor, 0 where it is exhausted."""
        self.cursor_id_at = -1
        self.namespace = ""
        self.rows = 0
        self.batch: tuple[int, int] | None = None
        self.changed = 0
        """``n`` of a write."""
        self.has_write_errors = False
        self.topology_version = False
        self.values: tuple[int, int] | None = None


def scan_command(body: bytes) -> CommandScan:
    """The envelope of a command; ``RemoteProtocolError`` for a body without a name, or with one twice."""
    scan = CommandScan()
    arguments = elements(body, 0, len(body))
    if len({argument[1] for argument in arguments}) != len(arguments):
        # Servers and analysis could each believe another one.
        raise RemoteProtocolError("a command has two arguments of one name")
    for kind, name, start, end in arguments:
        if not scan.name:
            scan.name = name.decode("utf-8", "replace")
            scan.value_kind = kind
            scan.value = text(body, kind, start, end) if kind == types.STRING else number(body, kind, start)
        elif name not in _TOLD:
            if (name.startswith(b"$") and name not in PASSED) or name in INTERNAL:
                scan.forbidden = name.decode("utf-8", "replace")
        elif name == b"$db":
            scan.database = text(body, kind, start, end) or ""
        elif name == b"lsid":
            scan.lsid = _session_id(body, kind, start)
            if scan.lsid is None:
                scan.forbidden = "lsid with more than an id"
        elif name == b"txnNumber":
            found = number(body, kind, start)
            scan.txn_number = -1 if found is None else found
        elif name == b"autocommit":
            scan.autocommit_off = number(body, kind, start) == 0
        elif name == b"startTransaction":
            scan.start_transaction = bool(number(body, kind, start))
        elif name == b"maxTimeMS":
            scan.max_time = number(body, kind, start) or 0
    if not scan.name:
        raise RemoteProtocolError("a command has no name")
    return scan


def _session_id(body: bytes, kind: int, start: int) -> bytes | None:
    """The id in ``lsid``; None for anything but ``{id: UUID}``, such as one that names another user."""
    if kind != types.DOCUMENT:
        return None
    found: bytes | None = None
    for inner, name, at, end in elements(body, start, len(body)):
        if name != b"id" or inner != types.BINARY or end - at != 21 or body[at + 4] != 4:
            return None
        found = body[at + 5 : end]
    return found


def scan_reply(body: bytes, begin: int = 0, *, count_rows: bool = True) -> ReplyScan:
    """What the reply at ``begin`` says; ``RemoteProtocolError`` where it is malformed."""
    scan = ReplyScan()
    for kind, name, start, end in elements(body, begin, len(body)):
        if name == b"ok":
            scan.ok = number(body, kind, start) == 1
        elif name == b"cursor" and kind == types.DOCUMENT:
            _scan_cursor(scan, body, start, end)
        elif name == b"code":
            scan.code = number(body, kind, start) or 0
        elif name == b"n":
            scan.changed = number(body, kind, start) or 0
        elif name == b"writeErrors" or name == b"writeConcernError":
            scan.has_write_errors = True
        elif name == b"topologyVersion":
            scan.topology_version = True
        elif name == b"values" and kind == types.ARRAY:
            scan.values = (start, end)
            if count_rows:
                scan.rows = count_elements(body, start, end)
        elif name == b"value" and kind == types.DOCUMENT:
            scan.rows = 1
    if scan.batch is not None and count_rows:
        scan.rows = count_elements(body, *scan.batch)
    return scan


def _scan_cursor(scan: ReplyScan, body: bytes, start: int, limit: int) -> None:
    for kind, name, at, end in elements(body, start, limit):
        if name in (b"firstBatch", b"nextBatch") and kind == types.ARRAY:
            scan.batch = (at, end)
        elif name == b"id" and kind == types.INT64:
            scan.cursor_id = number(body, kind, at)
            scan.cursor_id_at = at
        elif name == b"ns":
            scan.namespace = text(body, kind, at, end) or ""

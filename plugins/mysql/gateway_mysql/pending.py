"""The command that the database has not answered yet, and prepared statements.

A MySQL session is strictly question and answer: the client's next command waits here until the last answer is whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gateway.domain.approval import ApprovalNote
from gateway.domain.audit import StatementRecord
from gateway.domain.budget import CellMeter
from gateway.domain.ruling import Ruling
from gateway.errors import GatewayError
from gateway.sql.state import MySqlResolution
from gateway_mysql.rowcount import Labels
from gateway_mysql.rows import RowMask


class Kind(IntEnum):
    """What a pending answer answers."""

    QUERY = 1
    PREPARE = 2
    EXECUTE = 3
    FETCH = 4
    FIELD_LIST = 5
    SIMPLE = 6
    """OK, ERR or EOF."""
    STATISTICS = 7
    """One packet of text."""
    PROBE = 8
    """The gateway's own question: nothing of the answer is for the client."""
    CHANGE_USER = 9
    BEFORE = 10
    """The gateway's own beginning of a transaction, or savepoint, before a change."""
    AFTER = 11
    """The gateway's own end of it."""


class Undo(IntEnum):
    """What can take a change back."""

    NONE = 0
    SAVEPOINT = 1
    """The gateway's own, in the client's transaction."""
    TRANSACTION = 2
    """The gateway's own, around a statement that would commit by itself."""


class Stage(IntEnum):
    """What comes next in an answer."""

    FIRST = 0
    DEFINITIONS = 1
    ROWS = 2
    OWN_ROWS = 3
    """Rows for the gateway itself."""


# Looking a member up at its class costs a tenth of a microsecond.
_QUERY: Final = Kind.QUERY
_EXECUTE: Final = Kind.EXECUTE
_FIRST: Final = Stage.FIRST
_NO_UNDO: Final = Undo.NONE


@dataclass(slots=True, eq=False)
class Prepared:
    """A prepared statement. ``types`` are the parameter types of the last execution that sent any."""

    text: bytes
    ruling: Ruling
    state: MySqlResolution
    statement: int = 0
    parameters: int = 0
    types: tuple[int, ...] | None = None
    long_data: dict[int, bytes] | None = None
    """Parameters whose values were sent ahead: for each a digest over its pieces."""
    cursor: Cursor | None = None
    _shown: str | None = None

    @property
    def shown(self) -> str:
        """The text for the audit."""
        shown = self._shown
        if shown is None:
            shown = self._shown = self.text.decode("utf-8", "backslashreplace")
        return shown


@dataclass(slots=True, eq=False)
class Cursor:
    """An open cursor: how its rows are masked, and what of them has been let through."""

    ruling: Ruling
    mask: RowMask | None
    meters: tuple[CellMeter, ...] = ()
    widths: tuple[int, ...] | None = None
    passed: int = 0
    approval: ApprovalNote | None = None


class Pending:
    """One expected answer."""

    __slots__ = (
        "allowance",
        "approved",
        "binary",
        "changes",
        "code",
        "commits",
        "cursor",
        "definitions",
        "definitions_eof",
        "held",
        "index",
        "kind",
        "labels",
        "mask",
        "mask_known",
        "meters",
        "muted",
        "next",
        "outcome",
        "passed",
        "prepared",
        "record",
        "resets",
        "row_limit",
        "rows_before",
        "ruling",
        "shift",
        "stage",
        "timed_out",
        "undo",
        "widths",
    )

    def __init__(
        self,
        kind: Kind,
        *,
        ruling: Ruling | None = None,
        record: StatementRecord | None = None,
        prepared: Prepared | None = None,
        binary: bool = False,
        resets: bool = False,
    ) -> None:
        self.kind = kind
        self.ruling = ruling
        self.record = record
        self.prepared = prepared
        self.binary = binary
        """Whether rows come in binary form."""
        self.resets = resets
        """Whether the session begins anew with the answer."""
        self.stage = _FIRST
        self.definitions = 0
        """Definitions still to come."""
        self.definitions_eof = 0
        """EOF packets still to come among them."""
        self.index = 0
        """Which result of the text is being answered."""
        self.labels: Labels = ()
        """What the names of the first result's columns are changed back from."""
        self.mask: RowMask | None = None
        self.mask_known = ruling is None or not ruling.masked
        """Whether ``mask`` has been worked out; until then no row may pass."""
        self.row_limit = None if ruling is None or ruling.plain else ruling.decision.obligations.row_limit
        self.allowance = None if ruling is None else ruling.allowance
        self.meters: tuple[CellMeter, ...] = ()
        self.widths: tuple[int, ...] | None = None
        """Of binary columns, where cells are counted."""
        self.passed = 0
        """Rows let through so far, for the row limit."""
        self.shift = 0
        """What is added to the server's sequence numbers, modulo 256."""
        self.next = -1
        """The number of the packet that comes next for the client, modulo 256; -1 while it got none."""
        self.muted = False
        """The client has been told that it is over: the rest of the answer is not for it."""
        self.outcome: GatewayError | None = None
        """Why the gateway ended it."""
        self.timed_out = False
        self.code = ""
        """The number of the error that ended it."""
        self.cursor: Cursor | None = None
        self.approved: ApprovalNote | None = None
        self.changes: int | None = None
        """How many rows a statement may change."""
        self.undo = _NO_UNDO
        """What is there to take back what it changes."""
        self.rows_before = 0
        """Rows that were counted before the result that is being answered."""
        self.held = b""
        """The packet that the client gets when it is settled whether the changes last."""
        self.commits = False
        """Whether the gateway's own end makes them last."""

    @property
    def plain(self) -> bool:
        """Whether rows may pass unseen."""
        return not (self.mask or self.muted or self.shift or self.counted) and self.mask_known

    @property
    def definitions_pass(self) -> bool:
        """Whether the definitions still to come may pass unseen: what they begin is a result, and nothing else."""
        return (self.kind is _QUERY or self.kind is _EXECUTE) and not (self.muted or self.shift or self.labels)

    @property
    def counted(self) -> bool:
        """Whether a limit or a budget is on the rows."""
        return self.row_limit is not None or self.allowance is not None or bool(self.meters)

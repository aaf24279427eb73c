"""What the audit is told. Its canonical form on disk is the audit package's business."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.decision import SessionContext
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource
from gateway.domain.ruling import Ruling


class Outcome(StrEnum):
    """How a statement ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    """The database refused it with an error."""
    REFUSED = "refused"
    """The gateway refused it; the database never saw it."""
    LIMITED = "limited"
    """The gateway ended it because a limit was reached."""
    SKIPPED = "skipped"
    """Never ran, because an earlier statement of the same pipeline failed."""
    LOST = "lost"
    """The connection broke before the database answered: it may have happened."""


class SessionEventKind(StrEnum):
    """What happened to a session."""

    LOGIN = "login"
    LOGIN_FAILED = "login_failed"
    REFUSED = "refused"
    CLOSED = "closed"
    CANCEL = "cancel"


@dataclass(slots=True, eq=False)
class StatementRecord:
    """One execution of one statement text. Times: ``started`` Unix nanoseconds, ``duration`` nanoseconds.

    ``intent`` True marks the record that is written before the database sees the statement; the outcome follows in a
    second record with the same ``id``.
    """

    id: str
    ruling: Ruling
    text: str
    started: int
    duration: int = 0
    outcome: Outcome = Outcome.SUCCESS
    code: str = ""
    """The native error code (SQLSTATE …), empty on success."""
    rows: int = 0
    bytes_out: int = 0
    masked_cells: int = 0
    parameters: int = 0
    """How many bound parameters came with the execution."""
    intent: bool = False


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A login, refusal or end of a session. ``detail`` never holds a secret."""

    kind: SessionEventKind
    context: SessionContext
    time: int
    principal: Principal | None = None
    resource: Resource | None = None
    detail: str = ""
    duration: int = 0
    statements: int = 0

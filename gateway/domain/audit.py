"""What the audit is told. Its canonical form on disk is the audit package's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from gateway.domain.approval import ApprovalNote
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


BoundValue = str | int | float | bool | None
"""A bound parameter as the audit shows it: what JSON has no form for as text, bytes as ``\\x`` and hex digits."""


class BoundValues(Protocol):
    """The parameters of one execution, undecoded until somebody wants to see them."""

    def values(self) -> Sequence[BoundValue]:
        """Decode them, in order. Called where the audit keeps values or hashes them, and where an approver sees them.

        Never raises for what a client sent: a value that cannot be read is shown as bytes.
        """


_SUCCESS: Final = Outcome.SUCCESS


@dataclass(slots=True, eq=False, init=False)
class StatementRecord:
    """One execution of one statement text. Times: ``started`` Unix nanoseconds, ``duration`` nanoseconds.

    ``intent`` True marks the record that is written before the database sees the statement; the outcome follows in a
    second record with the same ``id``.
    """

    id: str
    ruling: Ruling
    text: str
    started: int
    duration: int
    outcome: Outcome
    code: str
    """The native error code (SQLSTATE …), empty on success."""
    rows: int
    bytes_out: int
    masked_cells: int
    """Values that a mask changed. NULL stays NULL and is none of them."""
    parameters: int
    """How many bound parameters came with the execution."""
    bound: BoundValues | None
    """Their values."""
    intent: bool
    approval: ApprovalNote | None
    """By whose approval it ran, where it needed one."""
    masked_by_label: dict[str, int] | None
    """``masked_cells`` by the labels that called for the masks; one under several counts for each. None: nothing."""
    shown: tuple[BoundValue, ...] | None
    """The values as the intent's line has them: the audit's own note for the outcome's."""

    # Written out, since what the decorator writes would not be compiled, and every statement makes one.
    def __init__(
        self,
        id: str,
        ruling: Ruling,
        text: str,
        started: int,
        duration: int = 0,
        outcome: Outcome = _SUCCESS,
        code: str = "",
        rows: int = 0,
        bytes_out: int = 0,
        masked_cells: int = 0,
        parameters: int = 0,
        bound: BoundValues | None = None,
        intent: bool = False,
        approval: ApprovalNote | None = None,
        masked_by_label: dict[str, int] | None = None,
        shown: tuple[BoundValue, ...] | None = None,
    ) -> None:
        self.id = id
        self.ruling = ruling
        self.text = text
        self.started = started
        self.duration = duration
        self.outcome = outcome
        self.code = code
        self.rows = rows
        self.bytes_out = bytes_out
        self.masked_cells = masked_cells
        self.parameters = parameters
        self.bound = bound
        self.intent = intent
        self.approval = approval
        self.masked_by_label = masked_by_label
        self.shown = shown

    def count_masked(self, labels: tuple[tuple[str, ...], ...], cells: tuple[int, ...]) -> None:
        """Add masked values: for each column the labels that called for its mask, and how many values it changed."""
        by_label = self.masked_by_label
        for index, number in enumerate(cells):
            if number:
                self.masked_cells += number
                for name in labels[index]:
                    if by_label is None:
                        self.masked_by_label = by_label = {}
                    by_label[name] = by_label.get(name, 0) + number


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


class AdminOutcome(StrEnum):
    """How something that an administrator asked for ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    """It was allowed and could not be done."""
    REFUSED = "refused"
    """The caller was not allowed to, or did not prove who they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminRecord:
    """One thing that an administrator does through the admin API. ``time`` is Unix nanoseconds.

    ``intent`` True marks the record that is on disk before the store is changed; the outcome follows in a second record
    of the same ``id``, so that an intent without one means: it may have happened. ``before`` and ``after`` are the
    object's states as JSON values, without secrets; None where there is none.
    """

    id: str
    time: int
    admin: str
    """Name of the account; empty where nobody proved anything."""
    admin_id: str = ""
    issuer: str = ""
    """The OIDC issuer that vouches for the name; empty for local accounts."""
    roles: tuple[str, ...] = ()
    session: str = ""
    client_address: str
    user_agent: str = ""
    operation: str
    """What is done, such as ``policy.update``."""
    kind: str
    """Kind of the object, such as ``policy``."""
    name: str
    """Which one."""
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    outcome: AdminOutcome = AdminOutcome.SUCCESS
    detail: str = ""
    intent: bool = False

    def ended(self, outcome: AdminOutcome, time: int) -> AdminRecord:
        """The outcome of an intent; the states are in the intent already."""
        return replace(self, intent=False, outcome=outcome, time=time, before=None, after=None)

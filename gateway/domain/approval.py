"""Statements and access that wait for a human: who may decide, what was asked, what was decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class GrantScope(StrEnum):
    """How far an approval reaches."""

    ONCE = "once"
    """This statement with these parameters, one time."""
    WINDOW = "window"
    """Statements of the same shape (fingerprint) by the same principal, until a time."""
    SESSION = "session"
    """Statements that the same policies hold, until the session ends."""


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """What one policy asks for before a statement may run.

    ``count`` different members of the groups ``approvers`` have to say yes within ``timeout`` seconds. An approval that
    nobody waits for stays good for ``valid_for`` seconds. ``hold`` False refuses at once, with the request's id:
    the same statement passes when it is run again after the approval. ``reason`` True: the requester has to say why,
    in a comment of the statement. Members of the groups ``break_glass`` may approve their own statement, with a reason.
    """

    policy: str
    approvers: frozenset[str]
    count: int = 1
    timeout: float = 600.0
    valid_for: float = 3600.0
    hold: bool = True
    reason: bool = False
    scopes: frozenset[GrantScope] = frozenset({GrantScope.ONCE})
    max_window: float = 3600.0
    break_glass: frozenset[str] = frozenset()


class ApprovalState(StrEnum):
    """Where a request is in its life. What is not ``pending`` can only become ``used``, ``expired`` or ``revoked``."""

    PENDING = "pending"
    APPROVED = "approved"
    """Granted; for ``once``, not used yet."""
    USED = "used"
    """Granted once, and the statement has gone to the database."""
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    """The client is gone or gave up, or the gateway is gone or was restarted."""
    REVOKED = "revoked"
    """Granted, and taken back: by somebody, or because an approver is none any more."""


class RequestKind(StrEnum):
    """What is asked for."""

    STATEMENT = "statement"
    ACCESS = "access"
    """Membership of a group for some time."""


@dataclass(frozen=True, slots=True)
class IdentitySource:
    """Who says who an approver is: a local ``account`` (its id), or an OIDC ``issuer`` whose token brought ``groups``.

    With neither it is the name alone: somebody whom a webhook's receiver vouches for.
    """

    account: str = ""
    issuer: str = ""
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Approver:
    """Who decides. ``acts_for`` names whom the approver acts for, who counts as deciding, too."""

    name: str
    groups: frozenset[str] = frozenset()
    acts_for: tuple[str, ...] = ()
    source: IdentitySource = IdentitySource()


@dataclass(frozen=True, slots=True)
class Verdict:
    """One approver's word. ``time`` is Unix seconds; ``groups`` are the approver's at that time.

    ``lapsed`` True: the approver was found to be none any more, and the word does not count.
    """

    approver: str
    groups: frozenset[str]
    approve: bool
    reason: str
    time: float
    break_glass: bool = False
    source: IdentitySource = IdentitySource()
    lapsed: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """Who asks: the principal's name and kind, whom it acts for (nearest first), and where it sits."""

    principal: str
    kind: str
    acts_for: tuple[str, ...] = ()
    session_id: str = ""
    client_address: str = ""
    application: str = ""

    def names(self) -> frozenset[str]:
        """Everybody in whose name the request is made: none of them may decide it."""
        return frozenset((self.principal, *self.acts_for))


@dataclass(frozen=True, slots=True)
class StatementSummary:
    """What an approver sees of a statement. ``before`` are the statements that the session ran last, oldest first."""

    text: str
    fingerprint: str
    normalised: str = ""
    """The text with its literals replaced."""
    actions: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    predicate: str = "not_applicable"
    opaque: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    estimated_rows: int | None = None
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """A request in its present state. Times are Unix seconds.

    ``binding`` is the digest of what exactly was asked for: who, for whom, on what, text, its meaning and parameters;
    ``shape`` that of what statements of a window have in common. On the desk both are sealed by its key.
    ``group`` and ``duration`` (seconds) are what an ``access`` request asks for. ``gateway`` and ``instance`` say whose
    session asks: the name of a linked gateway and the run of it, or nothing for the gateway that has the desk.
    """

    id: str
    kind: RequestKind
    state: ApprovalState
    created: float
    expires: float
    subject: Subject
    resource: str
    environment: str
    protocol: str
    database: str
    rules: tuple[ApprovalRule, ...]
    binding: str
    snapshot: str
    statement: StatementSummary | None = None
    group: str = ""
    duration: float = 0.0
    reason: str = ""
    verdicts: tuple[Verdict, ...] = ()
    scope: GrantScope = GrantScope.ONCE
    valid_until: float | None = None
    """Until when the grant is good; None while there is none."""
    ended: float | None = None
    note: str = ""
    """Why it ended, where nobody decided."""
    gateway: str = ""
    instance: str = ""
    shape: str = ""
    used_by: str = ""
    """The session that a single-use approval let go on, to tell a question asked twice from a second session."""


@dataclass(frozen=True, slots=True)
class ApprovalNote:
    """What the audit event of a statement says about its approval."""

    request: str
    scope: GrantScope
    approvers: tuple[str, ...] = field(default=())
    break_glass: bool = False

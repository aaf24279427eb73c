"""What a relay asks of the driver. The driver is the only interpreter; an effect it does not know ends the session.

``Send`` and ``Close`` are done at once and in order. An ``Ask`` pauses the side it names (its later bytes wait in the
relay's buffer) until the driver comes back with ``Relay.answer``; the other side goes on.

Those that every statement needs have their ``__init__`` written out: what the decorator writes is not compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.domain.audit import SessionEventKind, StatementRecord
from gateway.domain.decision import SessionContext
from gateway.domain.identity import AccessToken, PasswordCredentials
from gateway.domain.masking import ResultColumn
from gateway.domain.principal import Principal
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Analysis

if TYPE_CHECKING:
    from gateway.protocol.adapter import Relay


@dataclass(slots=True, eq=False, init=False)
class SendDownstream:
    """Bytes for the client. Pieces of one burst are coalesced into one write."""

    data: bytes | bytearray | memoryview

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.data = data


@dataclass(slots=True, eq=False, init=False)
class SendUpstream:
    """Bytes for the database."""

    data: bytes | bytearray | memoryview

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.data = data


@dataclass(slots=True, eq=False)
class Close:
    """End the session after everything sent so far has been written. ``error`` is for the log and the audit."""

    error: Exception | None = None


@dataclass(slots=True, eq=False, init=False)
class Record:
    """A statement has ended (or is about to begin, for an intent)."""

    record: StatementRecord

    def __init__(self, record: StatementRecord) -> None:
        self.record = record


@dataclass(slots=True, eq=False)
class RecordSession:
    """Something happened to the session that the audit must hold."""

    kind: SessionEventKind
    detail: str = ""


@dataclass(slots=True, eq=False)
class Identified:
    """The client has proved who it is; ``token`` is what proved it, where that was an access token.

    From ``expires_at`` (Unix seconds) on the driver has the relay take no more statements.
    """

    session: SessionContext
    principal: Principal
    token: AccessToken | None = None
    expires_at: float | None = None


@dataclass(slots=True, eq=False)
class Reidentified:
    """The client of an open session has proved once more who it is, by something with another end."""

    expires_at: float | None


@dataclass(slots=True, eq=False)
class SetDeadline:
    """Call ``Relay.deadline_expired(token)`` after ``seconds`` unless a new ``SetDeadline`` comes; None clears it."""

    seconds: float | None
    token: int = 0


@dataclass(slots=True, eq=False)
class Watching:
    """The client watches the server without logging in, as drivers of some databases do: no login is due.

    It stays among those who have proved nothing, of whom the oldest are sent away when there are too many.
    """


@dataclass(slots=True, eq=False)
class BeginAgain:
    """The client wants to log in anew on the same connection, perhaps as somebody else.

    The session ends, its connection to the database with it, and another one begins in its place; ``make`` makes the
    relay for its id. Nothing is carried over but what that relay was given.
    """

    make: Callable[[str], Relay]


@dataclass(slots=True, eq=False)
class CatalogChanged:
    """A schema change went through: what is known of the database is out of date."""


@dataclass(slots=True, eq=False)
class GoOn:
    """There is more of what a side has sent than the relay unpacks at once, since packed bytes may stand for many.

    Hand the relay ``b""`` from that side as soon as the other side takes bytes. Until then ``wants_downstream`` (or
    ``wants_upstream``) is False.
    """

    downstream: bool


# --- questions: each is answered by one call of Relay.answer -------------------------------------------------------


@dataclass(slots=True, eq=False)
class AskLogin:
    """Who may this user be? Answer: ``Login``, or an exception."""

    session: SessionContext


@dataclass(slots=True, eq=False)
class AskAuthenticate:
    """Check a clear password. Answer: ``Proof``, or an exception."""

    session: SessionContext
    credentials: PasswordCredentials


@dataclass(slots=True, eq=False)
class AskOpen:
    """Authorise the session and connect to the database. Answer: ``Opened``, or an exception."""

    session: SessionContext
    principal: Principal
    resource: str
    database: str | None
    """The upstream's database as the client asked for it; None means the resource's own."""
    options: Hashable = None
    """For ``ServerSpeaksFirst.upstream_greeting``."""


@dataclass(slots=True, eq=False)
class AskRuling:
    """May this text run? Answer: ``Ruling``, or an exception. ``state`` is the protocol's own session state."""

    text: str
    state: Hashable
    key: bytes | None = None
    """What the relay will look the ruling up by (the text's bytes); None keeps the ruling out of the cache."""
    facts: Analysis | None = None
    """An ``Analysis`` that the protocol made itself, for operations without a text."""
    template: bool = False
    """Whether ``key`` stands for all texts with other literals: not kept where policies look at the text."""


@dataclass(slots=True, eq=False)
class AskPlan:
    """How are these result columns masked? Answer: ``MaskingPlan``, or an exception."""

    ruling: Ruling
    columns: Sequence[ResultColumn]
    key: Hashable = None
    """Where the relay keeps the answer in ``Ruling.plans``."""


@dataclass(slots=True, eq=False, init=False)
class AskCommit:
    """Put the audit on disk up to here. Answer: None, or ``AuditError``."""

    records: Sequence[StatementRecord]

    def __init__(self, records: Sequence[StatementRecord] = ()) -> None:
        self.records = records


@dataclass(slots=True, eq=False)
class AskApproval:
    """May this execution run, now that its ruling says that humans have to approve it?

    Asked before the intent is recorded. Answers: first ``ApprovalPending`` where it has to wait (the question stays
    open, the client goes on being read so that its hanging up is noticed), then ``ApprovalNote`` (go on) or an
    exception. ``parameters`` are the bound parameters as they came, ``state`` is what the ruling was asked with.
    ``ahead`` are the statements that the database has and has not answered yet, in their order.
    """

    record: StatementRecord
    state: Hashable
    parameters: bytes = b""
    ahead: tuple[StatementRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalPending:
    """The statement waits. ``text`` is for the client, where the protocol can tell it anything."""

    request: str
    text: str


@dataclass(slots=True, eq=False)
class WithdrawApproval:
    """The client no longer wants what waits for an approval; the question will not be answered."""


@dataclass(slots=True, eq=False)
class AskCancel:
    """A cancel request came in: cancel the session with this key. Answer: always None, so that nobody can try keys."""

    key: bytes


@dataclass(slots=True, eq=False)
class AskCancelUpstream:
    """Cancel what this session is running. Answer: None, once the database has taken the request, so that nothing sent
    after the answer can be hit by it."""


@dataclass(slots=True, eq=False)
class AskKill:
    """Cancel what a session of the same principal on the same resource runs, or end that session (``hard``).

    ``thread`` is one of its numbers (``optional.HasThreads``). Answer: whether there is such a session.
    """

    thread: int
    hard: bool


@dataclass(slots=True, eq=False)
class AskReconnect:
    """Close the connection to the database and open another one for the same session, as after a change of primary.

    Answer: ``UpstreamHandle`` of a connection on which nothing has been said, or an exception.
    """


Ask = (
    AskLogin
    | AskAuthenticate
    | AskOpen
    | AskRuling
    | AskPlan
    | AskApproval
    | AskCommit
    | AskCancel
    | AskCancelUpstream
    | AskKill
    | AskReconnect
)
Effect = (
    SendDownstream
    | SendUpstream
    | Close
    | Record
    | RecordSession
    | Identified
    | Reidentified
    | SetDeadline
    | Watching
    | BeginAgain
    | CatalogChanged
    | WithdrawApproval
    | GoOn
    | Ask
)

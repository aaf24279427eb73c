"""What a relay asks of the driver. The driver is the only interpreter; an effect it does not know ends the session.

``Send`` and ``Close`` are done at once and in order. An ``Ask`` pauses the side it names (its later bytes wait in the
relay's buffer) until the driver comes back with ``Relay.answer``; the other side goes on.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from gateway.domain.audit import SessionEventKind, StatementRecord
from gateway.domain.decision import SessionContext
from gateway.domain.identity import AccessToken, PasswordCredentials
from gateway.domain.masking import ResultColumn
from gateway.domain.principal import Principal
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Analysis


@dataclass(slots=True, eq=False)
class SendDownstream:
    """Bytes for the client. Pieces of one burst are coalesced into one write."""

    data: bytes | bytearray | memoryview


@dataclass(slots=True, eq=False)
class SendUpstream:
    """Bytes for the database."""

    data: bytes | bytearray | memoryview


@dataclass(slots=True, eq=False)
class Close:
    """End the session after everything sent so far has been written. ``error`` is for the log and the audit."""

    error: Exception | None = None


@dataclass(slots=True, eq=False)
class Record:
    """A statement has ended (or is about to begin, for an intent)."""

    record: StatementRecord


@dataclass(slots=True, eq=False)
class RecordSession:
    """Something happened to the session that the audit must hold."""

    kind: SessionEventKind
    detail: str = ""


@dataclass(slots=True, eq=False)
class Identified:
    """The client has proved who it is; ``token`` is what proved it, where that was an access token."""

    session: SessionContext
    principal: Principal
    token: AccessToken | None = None


@dataclass(slots=True, eq=False)
class SetDeadline:
    """Call ``Relay.deadline_expired(token)`` after ``seconds`` unless a new ``SetDeadline`` comes; None clears it."""

    seconds: float | None
    token: int = 0


@dataclass(slots=True, eq=False)
class CatalogChanged:
    """A schema change went through: what is known of the database is out of date."""


# --- questions: each is answered by one call of Relay.answer -------------------------------------------------------


@dataclass(slots=True, eq=False)
class AskLogin:
    """Who may this user be? Answer: ``Login``, or an exception."""

    session: SessionContext


@dataclass(slots=True, eq=False)
class AskAuthenticate:
    """Check a clear password. Answer: ``Principal``, or an exception."""

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


@dataclass(slots=True, eq=False)
class AskRuling:
    """May this text run? Answer: ``Ruling``, or an exception. ``state`` is the protocol's own session state."""

    text: str
    state: Hashable
    key: bytes | None = None
    """What the relay will look the ruling up by (the text's bytes); None keeps the ruling out of the cache."""
    facts: Analysis | None = None
    """An ``Analysis`` that the protocol made itself, for operations without a text."""


@dataclass(slots=True, eq=False)
class AskPlan:
    """How are these result columns masked? Answer: ``MaskingPlan``, or an exception."""

    ruling: Ruling
    columns: Sequence[ResultColumn]
    key: Hashable = None
    """Where the relay keeps the answer in ``Ruling.plans``."""


@dataclass(slots=True, eq=False)
class AskCommit:
    """Put the audit on disk up to here. Answer: None, or ``AuditError``."""

    records: Sequence[StatementRecord] = field(default_factory=tuple)


@dataclass(slots=True, eq=False)
class AskCancel:
    """A cancel request came in: cancel the session with this key. Answer: always None, so that nobody can try keys."""

    key: bytes


@dataclass(slots=True, eq=False)
class AskCancelUpstream:
    """Cancel what this session is running. Answer: None, once the database has taken the request, so that nothing sent
    after the answer can be hit by it."""


Ask = AskLogin | AskAuthenticate | AskOpen | AskRuling | AskPlan | AskCommit | AskCancel | AskCancelUpstream
Effect = (
    SendDownstream | SendUpstream | Close | Record | RecordSession | Identified | SetDeadline | CatalogChanged | Ask
)

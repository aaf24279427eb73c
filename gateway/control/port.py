"""What the control plane may ask of a running data plane, in the same process.

Services (``gateway.services``) get a ``DataPlane`` when they are made. A gateway that is linked to an admin API on
another machine is asked the same things through ``gateway.control.link``.

Call everything inside the gateway's event loop; nothing here blocks, but ``use_snapshot``, which compiles policies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.approvals.desk import Desk
    from gateway.audit.shipping.cursor import Progress
    from gateway.control.document import SnapshotDocument
    from gateway.control.sealing import Sealer
    from gateway.domain.audit import AdminRecord
    from gateway.observability.metrics import StatementMetrics
    from gateway.plugin.load import PluginInfo


@dataclass(frozen=True, slots=True)
class SinkState:
    """A sink that reads the audit log. ``behind`` counts what it has not delivered yet."""

    name: str
    state: str
    """``ok``; ``failing``: it tries again; ``refused``: somebody has to mend the receiver or the sink's settings;
    ``removed``: it is not configured any more, and gets nothing."""
    behind: int


@dataclass(frozen=True, slots=True)
class Health:
    """How the data plane is. ``ready`` False: do not send clients here."""

    ready: bool
    detail: str
    sessions: int
    snapshot: str
    audit: str
    """Empty while the audit can be written, otherwise why not."""
    control: str = ""
    """Empty while the control plane can be reached (or there is none), otherwise since when and why not."""
    sinks: tuple[SinkState, ...] = ()
    """What reads the audit log to bring it elsewhere."""


@dataclass(frozen=True, slots=True)
class LiveSession:
    """One session that is open, or whose login is under way. Times are Unix seconds."""

    id: str
    protocol: str
    client_address: str
    tls: bool
    user: str
    """The user name as the client gave it; a claim until ``principal`` is there."""
    principal: str
    """Empty before anybody has proved anything."""
    acts_for: tuple[str, ...]
    resource: str
    database: str
    application: str
    started: float
    active: float
    """When the client last said something."""
    statements: int
    state: str
    """``login``, ``idle`` or ``active`` (a statement or a transaction is under way)."""
    fingerprint: str
    """Of the statement that was last recorded; empty before the first one."""
    token: str
    """Id of the access token that proved it; empty for other proofs, or where the protocol cannot tell."""


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions: everything that is set must hold. An empty filter is refused, so that nobody ends all by mistake.

    ``principal`` also matches whom the session acts for.
    """

    session: str | None = None
    principal: str | None = None
    resource: str | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a filter that names nothing."""
        if self.session is self.principal is self.resource is self.token is None:
            raise ValueError("name a session, a principal, a resource or a token")

    def matches(self, session: LiveSession) -> bool:
        """Whether the session is meant."""
        return (
            (self.session is None or session.id == self.session)
            and (self.principal is None or self.principal in (session.principal, *session.acts_for))
            and (self.resource is None or session.resource == self.resource)
            and (self.token is None or session.token == self.token)
        )


@dataclass(frozen=True, slots=True)
class Counters:
    """Since the process began."""

    started: float
    """Unix seconds."""
    sessions_opened: int = 0
    sessions_refused: int = 0
    sessions_terminated: int = 0
    """Ended from outside: by an administrator, a revoked token, a changed snapshot."""
    statements: int = 0


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """The snapshot in force. ``number`` and ``name`` are 0 and "" where a configuration file alone is in force."""

    version: str
    """Digest of what decisions are made from, as the audit and ``/health`` name it."""
    number: int = 0
    name: str = ""
    """SHA-256 of the document, in hex."""
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """What a gateway tells the control plane about itself at intervals."""

    health: Health
    snapshot: SnapshotInfo
    counters: Counters
    sessions: tuple[LiveSession, ...] = ()
    token_uses: Mapping[str, float] = field(default_factory=dict)
    """When tokens were last used to log in, by id, Unix seconds: those used since the last report."""


class AdminAudit(Protocol):
    """The part of the audit log that the control plane writes. Raises ``AuditError`` where it cannot."""

    def record_admin(self, record: AdminRecord) -> None:
        """Put what an administrator does into the log; never waits."""

    async def commit(self) -> None:
        """Return when everything recorded so far is on disk."""


class DataPlane(Protocol):
    """A running gateway, to the services beside it."""

    @property
    def audit_directory(self) -> Path:
        """Where the audit log is; ``gateway.audit.reader`` reads it while it is written."""

    @property
    def data_dir(self) -> Path:
        """The installation's own folder, mode 0700."""

    @property
    def listeners(self) -> Mapping[str, tuple[str, int]]:
        """Host and port by protocol, as the configuration has them."""

    @property
    def offers_tls(self) -> bool:
        """Whether clients can connect by TLS."""

    @property
    def audit(self) -> AdminAudit:
        """Where what administrators do is recorded."""

    def plugins(self) -> Sequence[PluginInfo]:
        """What is loaded, in the order in which it is asked."""

    @property
    def desk(self) -> Desk:
        """Where people decide about what waits."""

    @property
    def approvals_waiting(self) -> int:
        """Requests that wait for people: on the desk, or of sessions here that wait at a control plane's."""

    def statement_metrics(self) -> StatementMetrics | None:
        """What was counted of statements; None where nobody counts."""

    def audit_sinks(self) -> Sequence[tuple[str, Progress, int]]:
        """Sinks that read the log behind the gateway's back: name, state, and events that have not arrived there."""

    def audit_witnesses(self) -> Sequence[tuple[str, bool, int]]:
        """Where checkpoints go: name, whether that fails or the place knows better, and what the last one covers."""

    def groups_of(self, principal: str) -> frozenset[str]:
        """The groups of a principal in the snapshot in force; none for somebody who is not in it."""

    def acts_for(self, principal: str) -> tuple[str, ...]:
        """Whom a principal acts for in the snapshot in force, nearest first; nobody for somebody who is not in it."""

    def health(self) -> Health:
        """How it is."""

    def snapshot(self) -> SnapshotInfo:
        """What is in force."""

    def counters(self) -> Counters:
        """What happened so far."""

    def sessions(self) -> Sequence[LiveSession]:
        """All sessions, the oldest first."""

    def terminate(self, which: SessionFilter, reason: str) -> int:
        """End sessions with a native error at once; how many. The reason is for the client and the audit."""

    def revoke_tokens(self, ids: Iterable[str], reason: str) -> int:
        """Refuse access tokens from now on, whatever the snapshot says, and end their sessions; how many ended."""

    def token_uses(self) -> Mapping[str, float]:
        """When tokens were last used to log in (Unix seconds by id): those used since the last call."""

    async def check_snapshot(self, document: SnapshotDocument, sealer: Sealer | None = None) -> tuple[str, ...]:
        """The warnings that using it would give. Raises ``ConfigurationError`` where it cannot be used. ``sealer``
        opens the secrets that are sealed in it."""

    async def use_snapshot(self, document: SnapshotDocument, sealer: Sealer | None = None) -> None:
        """Decide by it from the next statement on. Raises ``ConfigurationError`` and changes nothing where it cannot be
        used, or is older than the one in force."""

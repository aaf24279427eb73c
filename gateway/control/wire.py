"""What a gateway and its control plane say to each other, over HTTPS.

The gateway asks; it needs no open port. Every request carries its credential (``Authorization: Bearer qgw_…``).

===========================================  ===================================================================
``GET  /link/changes?snapshot&after&wait``   waits until there is another snapshot than the named one or a command
                                             beyond ``after``, at most ``wait`` seconds: ``Changes``
``GET  /link/snapshots/{name}``              the signed snapshot; the sealing key comes wrapped for the key in the
                                             request's ``Querygate-Key`` header
``POST /link/report``                        ``LinkReport``: health, sessions, counters
===========================================  ===================================================================
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.control.port import DataPlane, SessionFilter

PREFIX: Final = "/link"
KEY_HEADER: Final = "Querygate-Key"
WRAPPED_HEADER: Final = "Querygate-Wrapped-Key"
CREDENTIAL_PREFIX: Final = "qgw_"
WAIT: Final = 25.0
"""Seconds that a gateway asks to be kept waiting: shorter than what proxies take for a dead connection."""
REPORT_INTERVAL: Final = 5.0
"""Seconds between reports; there is one at once after every change."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Command(_Message):
    """Something to be done at once. Sessions are chosen as in ``SessionFilter``; what is empty does not count."""

    sequence: int
    kind: Literal["terminate", "revoke"]
    reason: str = ""
    session: str | None = None
    principal: str | None = None
    resource: str | None = None
    token: str | None = None
    tokens: tuple[str, ...] = ()
    """Ids of revoked tokens."""

    def carry_out(self, plane: DataPlane) -> None:
        """Do it. A command that chooses nothing does nothing."""
        match self.kind:
            case "revoke":
                plane.revoke_tokens(self.tokens, self.reason)
            case "terminate" if (self.session, self.principal, self.resource, self.token) != (None,) * 4:
                which = SessionFilter(self.session, self.principal, self.resource, self.token)
                plane.terminate(which, self.reason)


class Changes(_Message):
    """What is new. ``after`` is what to ask with the next time."""

    snapshot: str
    """Name of the newest snapshot; empty before the first one."""
    number: int
    signing_key: str
    after: int
    commands: tuple[Command, ...] = ()


class ReportedSink(_Message):
    """``gateway.control.port.SinkState``."""

    name: str = Field(max_length=200)
    state: str = Field(max_length=20)
    behind: int = Field(ge=0)


class ReportedHealth(_Message):
    """``gateway.control.port.Health``."""

    ready: bool
    detail: str = Field(max_length=2000)
    sessions: int = Field(ge=0)
    snapshot: str
    audit: str = Field(default="", max_length=2000)
    control: str = Field(default="", max_length=2000)
    sinks: tuple[ReportedSink, ...] = Field(default=(), max_length=1000)


class ReportedSnapshot(_Message):
    """``gateway.control.port.SnapshotInfo``."""

    version: str
    number: int = 0
    name: str = ""
    created: float = 0.0


class ReportedCounters(_Message):
    """``gateway.control.port.Counters``."""

    started: float
    sessions_opened: int = 0
    sessions_refused: int = 0
    sessions_terminated: int = 0
    statements: int = 0


class ReportedSession(_Message):
    """``gateway.control.port.LiveSession``."""

    id: str
    protocol: str
    client_address: str
    tls: bool
    user: str
    principal: str
    acts_for: tuple[str, ...]
    resource: str
    database: str
    application: str
    started: float
    active: float
    statements: int
    state: str
    fingerprint: str
    token: str


class LinkReport(_Message):
    """How a gateway is. ``sessions`` holds the oldest 10,000 at most; ``health.sessions`` counts all."""

    version: str
    """Of the software."""
    host: str
    health: ReportedHealth
    snapshot: ReportedSnapshot
    counters: ReportedCounters
    sessions: tuple[ReportedSession, ...] = Field(default=(), max_length=10_000)
    token_uses: dict[str, float] = Field(default_factory=dict)
    listeners: dict[str, tuple[str, int]] = Field(default_factory=dict)
    """Host and port by protocol."""
    tls: bool = True
    """Whether the listeners offer TLS."""
    refused_snapshot: str = ""
    """Why the newest snapshot cannot be used here, if it cannot."""

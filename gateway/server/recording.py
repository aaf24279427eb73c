"""How what sessions execute gets into the audit. Compiled, since every statement comes by, under an intent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from gateway.domain.audit import SessionRecord, StatementRecord
from gateway.domain.recorded import Shared
from gateway.errors import AuditError
from gateway.observability.metrics import StatementMetrics
from gateway.protocol.effects import AskCommit

if TYPE_CHECKING:
    from gateway.server.session import Session


class Audit(Protocol):
    """What the data plane needs of the audit."""

    def record(self, record: StatementRecord, context: Shared) -> None:
        """Take a statement; raises ``AuditError`` where it cannot be kept."""

    def record_session(self, record: SessionRecord) -> None:
        """Take an event of a session; raises ``AuditError``."""

    def intend(
        self,
        records: Sequence[StatementRecord],
        context: Shared,
        done: Callable[[AskCommit, AuditError | None], None],
        about: AskCommit,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Take intents, and have ``loop``, which is running, call ``done`` with ``about`` when everything so far is on
        disk, or cannot be.

        Raises ``AuditError``.
        """


class Recorder:
    """Gives statements to the audit, and to whoever else wants to know of them."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self.metrics: StatementMetrics | None = None
        """Set where somebody can ask for them."""
        self.remember: Callable[[str, StatementRecord], None] | None = None
        """Told of each session's statements, where approvers of later ones will be."""

    def record(self, session: Session, record: StatementRecord) -> None:
        """A statement is over; raises ``AuditError``."""
        self._audit.record(record, session.audit_context)
        if self.metrics is not None and session.resource is not None:
            self.metrics.observe(session.resource.name, session.resource.protocol, record)
        if self.remember is not None:
            self.remember(session.id, record)

    def commit(self, session: Session, ask: AskCommit) -> None:
        """Record at once, so that an intent is in the log before whatever becomes of it; answer from the disk."""
        try:
            self._audit.intend(ask.records, session.audit_context, session.answered, ask, session.loop)
        except AuditError as error:
            session.loop.call_soon(session.answered, ask, error)

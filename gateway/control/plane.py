"""The data plane in this process, as services and the link to a control plane see it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from gateway.approvals.desk import Desk
from gateway.assembly import Assembly, shipped_sinks
from gateway.audit.log import AuditLog
from gateway.audit.shipping.cursor import FOLDER, Cursor, Progress
from gateway.config import Config, TlsMode
from gateway.config.documents import JwtDocument
from gateway.config.loader import build_config, plugin_names
from gateway.control.document import SnapshotDocument
from gateway.control.port import Counters, Health, LiveSession, SessionFilter, SinkState, SnapshotInfo
from gateway.control.sealing import Sealer
from gateway.errors import AuditError, ConfigurationError
from gateway.live import Prepared
from gateway.observability.metrics import StatementMetrics
from gateway.plugin.load import PluginInfo
from gateway.server.session import Session

CHECKED_FOR: Final = 5.0
"""Seconds for which what was worked out to check a snapshot is good for using it. Secrets in files may change."""
_log = structlog.get_logger("querygate.control")


@dataclass(frozen=True, slots=True, eq=False)
class _Checked:
    """What a check worked out, and of what. ``until`` is in monotonic seconds."""

    base: Config
    content: str
    sealer: Sealer | None
    until: float
    prepared: Prepared


class LocalDataPlane:
    """Implements ``gateway.control.port.DataPlane`` over an assembled gateway."""

    def __init__(
        self,
        assembly: Assembly,
        *,
        stopping: Callable[[], bool],
        trouble: Callable[[], str] = lambda: "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``trouble`` says why the control plane cannot be reached, if it cannot."""
        self._assembly = assembly
        self._stopping = stopping
        self.trouble = trouble
        self._clock = clock
        self._started = clock()
        self._base = assembly.config
        self._document: SnapshotDocument | None = None
        self._sealer: Sealer | None = None
        self._changing = asyncio.Lock()
        self._checked: _Checked | None = None
        """The newest: a change of the store is checked, committed, and then used."""
        # What is installed does not change under a running process, and looking costs milliseconds.
        self._protocols = plugin_names()

    @property
    def audit_directory(self) -> Path:
        """Where the audit log is."""
        return self.data_dir / "audit"

    @property
    def data_dir(self) -> Path:
        """The installation's own folder."""
        return self._base.data_dir

    @property
    def audit(self) -> AuditLog:
        """Where what administrators do is recorded."""
        return self._assembly.audit

    @property
    def desk(self) -> Desk:
        """Where people decide about what waits."""
        return self._assembly.desk

    @property
    def approvals_waiting(self) -> int:
        """Requests that wait for people."""
        linked = self._assembly.linked
        return self._assembly.desk.waiting if linked is None else linked.waiting

    def statement_metrics(self) -> StatementMetrics | None:
        """What was counted of statements."""
        return self._assembly.gateway.recorder.metrics

    def audit_sinks(self) -> Sequence[tuple[str, Progress, int]]:
        """How far the sinks have come that read the log."""
        configured = self._shipped()
        return [found for found in self._cursors() if found[0] in configured]

    def audit_witnesses(self) -> Sequence[tuple[str, bool, int]]:
        """Where checkpoints go, and how that gets on."""
        return [(item.name, bool(item.failing), item.seen) for item in self._assembly.audit.witnesses]

    def removed_sinks(self) -> Sequence[tuple[str, int]]:
        """Sinks that the configuration has no longer, and how many events they had not got."""
        configured = self._shipped()
        return [(name, behind) for name, _, behind in self._cursors() if name not in configured]

    def _shipped(self) -> frozenset[str]:
        return shipped_sinks(self._assembly.config, self._assembly.components)

    def _cursors(self) -> Sequence[tuple[str, Progress, int]]:
        newest = self._assembly.audit.newest
        found = []
        for path in sorted((self.audit_directory / FOLDER).glob("*.json")):
            try:
                progress = Cursor(path.parent, path.stem).read()
            except AuditError as error:  # the process that ships says so, too, and ships nothing
                progress = Progress(failing=str(error), blocked=True)
            if progress is not None:
                found.append((path.stem, progress, max(0, newest - progress.after)))
        return found

    def groups_of(self, principal: str) -> frozenset[str]:
        """The groups of a principal in the snapshot in force."""
        found = self._assembly.gateway.snapshot.principals.get(principal)
        return frozenset() if found is None else found.groups

    def acts_for(self, principal: str) -> tuple[str, ...]:
        """Whom a principal acts for in the snapshot in force, nearest first."""
        found = self._assembly.gateway.snapshot.principals.get(principal)
        return () if found is None else tuple([person.name for person in found.chain()[1:]])

    @property
    def listeners(self) -> Mapping[str, tuple[str, int]]:
        """Where it listens, by protocol."""
        return self._base.listeners

    @property
    def offers_tls(self) -> bool:
        """Whether clients can connect by TLS."""
        return self._base.tls.mode is not TlsMode.DISABLE

    # --- looking ------------------------------------------------------------------------------------------------

    def plugins(self) -> Sequence[PluginInfo]:
        """What is loaded, in the order in which it is asked."""
        return self._assembly.plugins.infos

    def health(self) -> Health:
        """How the gateway is."""
        gateway, audit = self._assembly.gateway, self._assembly.audit
        trouble = "" if audit.healthy else audit.reason
        control = self.trouble()
        if self._stopping():
            detail = "stopping"
        else:
            detail = "; ".join(filter(None, (trouble or gateway.unready or "serving", control)))
        return Health(
            ready=not trouble and not gateway.unready and not self._stopping(),
            detail=detail,
            sessions=len(gateway.sessions),
            snapshot=gateway.snapshot.version,
            audit=trouble,
            control=control,
            sinks=tuple(
                SinkState(name, "refused" if found.blocked else "failing" if found.failing else "ok", behind)
                for name, found, behind in self.audit_sinks()
            )
            + tuple(SinkState(name, "removed", behind) for name, behind in self.removed_sinks()),
        )

    def snapshot(self) -> SnapshotInfo:
        """What is in force."""
        version, document = self._assembly.gateway.snapshot.version, self._document
        if document is None:
            return SnapshotInfo(version)
        return SnapshotInfo(version, document.number, document.name, document.created.timestamp())

    def counters(self) -> Counters:
        """What happened so far."""
        gateway = self._assembly.gateway
        counts = gateway.counts
        running = sum(session.statements for session in gateway.sessions.values())
        return Counters(
            started=self._started,
            sessions_opened=counts.opened,
            sessions_refused=counts.refused,
            sessions_terminated=counts.terminated,
            statements=counts.statements + running,
        )

    def sessions(self) -> Sequence[LiveSession]:
        """All sessions, the oldest first."""
        # The event loop's clock and the calendar's differ by a constant, as far as anybody can see here.
        offset = self._clock() - asyncio.get_running_loop().time()
        return [describe(session, offset) for session in self._assembly.gateway.sessions.values()]

    def token_uses(self) -> Mapping[str, float]:
        """When tokens were last used, since the last call."""
        uses = dict(self._assembly.gateway.token_uses)
        self._assembly.gateway.token_uses.clear()
        return uses

    def give_back_token_uses(self, uses: Mapping[str, float]) -> None:
        """Take uses back that could not be reported."""
        kept = self._assembly.gateway.token_uses
        for identifier, moment in uses.items():
            kept[identifier] = max(moment, kept.get(identifier, 0.0))

    # --- acting -------------------------------------------------------------------------------------------------

    def terminate(self, which: SessionFilter, reason: str) -> int:
        """End sessions at once; how many."""
        gateway = self._assembly.gateway
        chosen = [live.id for live in self.sessions() if which.matches(live)]
        for identifier in chosen:
            if (session := gateway.sessions.get(identifier)) is not None:
                gateway.terminate(session, reason)
        _log.info("sessions were terminated", count=len(chosen), reason=reason)
        return len(chosen)

    def revoke_tokens(self, ids: Iterable[str], reason: str) -> int:
        """Refuse tokens from now on and end their sessions; how many ended."""
        revoked = frozenset(ids)
        self._assembly.identity.revoke(revoked)
        ended = sum(self.terminate(SessionFilter(token=identifier), reason) for identifier in revoked)
        # Sessions of which it is not known which token proved them.
        self._assembly.gateway.review_soon()
        return ended

    def unready(self, reason: str) -> None:
        """Let nobody in until a snapshot is in force."""
        self._assembly.gateway.unready = reason

    def use_identity_secret(self, secret: bytes) -> None:
        """Derive the salts of user names as the control plane does."""
        self._assembly.identity.use_secret(secret)

    # --- snapshots ----------------------------------------------------------------------------------------------

    async def check_snapshot(self, document: SnapshotDocument, sealer: Sealer | None = None) -> tuple[str, ...]:
        """The warnings that using it would give. Raises ``ConfigurationError``."""
        base, opening = self._base, sealer or self._sealer

        def check() -> _Checked:
            prepared = self._prepare(base, document, opening)
            return _Checked(base, document.content, opening, time.monotonic() + CHECKED_FOR, prepared)

        checked = self._checked = await asyncio.to_thread(check)
        return checked.prepared.config.warnings

    async def use_snapshot(self, document: SnapshotDocument, sealer: Sealer | None = None) -> None:
        """Decide by it from the next statement on. Raises ``ConfigurationError`` and then changes nothing."""
        async with self._changing:
            current = self._document
            if current is not None:
                if document.name == current.name:
                    return
                if document.number <= current.number:
                    raise ConfigurationError(
                        f"snapshot {document.number} is not newer than {current.number}, which is in force"
                    )
            opening = sealer or self._sealer
            checked, self._checked = self._checked, None
            prepared = await asyncio.to_thread(self._checked_or_prepared, checked, document, opening)
            await self._use(prepared)
            self._document, self._sealer = document, sealer or self._sealer
        _log.info("a snapshot is in force", number=document.number, name=document.name[:16])

    async def reload(self, config: Config) -> None:
        """Take a configuration file that was read again, under the snapshot in force if there is one.

        Raises ``ConfigurationError`` and then changes nothing.
        """
        async with self._changing:
            document, sealer = self._document, self._sealer
            if document is None:
                prepared = await asyncio.to_thread(self._assembly.prepare, config)
            else:
                prepared = await asyncio.to_thread(self._prepare, config, document, sealer)
            self._base = config
            await self._use(prepared)

    def _checked_or_prepared(
        self, checked: _Checked | None, document: SnapshotDocument, sealer: Sealer | None
    ) -> Prepared:
        """What the last check worked out, where it was of the same documents under the same configuration just now."""
        base = self._base
        if (
            checked is not None
            and checked.base is base
            and checked.sealer is sealer
            and time.monotonic() <= checked.until
            and checked.content == document.content
        ):
            return checked.prepared
        return self._prepare(base, document, sealer)

    def _prepare(self, base: Config, document: SnapshotDocument, sealer: Sealer | None) -> Prepared:
        sections = dict(document.sections)
        # Checked like those of the file: a snapshot cannot bring an issuer that a file could not.
        issuers = [JwtDocument.model_validate(issuer) for issuer in sections.pop("issuers", ())]
        identity = base.document.identity
        config = build_config(
            base.document.model_copy(
                update={"identity": identity.model_copy(update={"jwt": (*identity.jwt, *issuers)})}
            ),
            sections,
            path=base.path,
            environ=os.environ,
            protocols=self._protocols,
            open_sealed=None if sealer is None else sealer.open,
        )
        return self._assembly.prepare(config)

    async def _use(self, prepared: Prepared) -> None:
        self._assembly.use(prepared)
        self._assembly.gateway.unready = ""


def describe(session: Session, offset: float) -> LiveSession:
    """A session as the control plane sees it. ``offset`` turns the event loop's time into Unix seconds."""
    context, principal, last = session.context, session.principal, session.last
    chain = () if principal is None else principal.chain()
    state = "login" if not session.open else "idle" if session.relay.idle else "active"
    return LiveSession(
        id=session.id,
        protocol=context.protocol,
        client_address=context.client_address,
        tls=context.tls,
        user=context.user,
        principal="" if principal is None else principal.name,
        acts_for=tuple(member.name for member in chain[1:]),
        resource=context.resource if session.resource is None else session.resource.name,
        database=context.database or "",
        application=context.application,
        started=session.started + offset,
        active=session.active + offset,
        statements=session.statements,
        state=state,
        fingerprint="" if last is None else last.ruling.analysis.fingerprint,
        token="" if session.token is None else session.token.id,
    )

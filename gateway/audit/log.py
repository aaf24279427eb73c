"""The audit log: record, commit, close."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Self

from gateway import __version__
from gateway.audit.chain import Pieces, Sealer
from gateway.audit.event import FORMAT_VERSION, EncoderSettings, EventEncoder
from gateway.audit.intake import Intake, Waiter
from gateway.audit.recovery import recover
from gateway.audit.redact import Literals
from gateway.audit.sinks import AttachedSink
from gateway.audit.storage import Storage
from gateway.audit.writer import Writer, WriterSettings
from gateway.domain.audit import Outcome, SessionEventKind, SessionRecord, StatementRecord
from gateway.errors import AuditError

MEBIBYTE: Final = 1024 * 1024
_NEVER_RAN: Final = frozenset({Outcome.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Sizes in bytes, times in seconds.

    ``buffer_bytes`` bounds what waits in memory for the disk; what has already happened may use half as much again.
    Where nobody calls ``commit``, a line waits at most ``flush_interval`` for being written and about ``sync_interval``
    for being on disk.
    """

    directory: Path
    gateway_name: str
    literals: Literals = Literals.KEEP
    literal_key: bytes = b""
    max_text: int = 256 * 1024
    segment_bytes: int = 256 * MEBIBYTE
    buffer_bytes: int = 16 * MEBIBYTE
    flush_interval: float = 0.05
    sync_interval: float = 1.0
    look_interval: float = 1.0
    """Between looks at the room on the disk, and between retries after a failure."""
    min_free_bytes: int = 64 * MEBIBYTE
    max_bytes: int | None = None
    """What the log may take altogether; statements stop there until old segments are archived. None: no bound."""


@dataclass(frozen=True, slots=True)
class AuditCounters:
    """Since the start. ``held`` is the bytes in memory that are not yet on disk."""

    events: int
    bytes: int
    batches: int
    syncs: int
    failures: int
    sink_failures: int
    held: int


class AuditLog:
    """The one writer of a directory. ``record…`` may be called from any thread, ``commit`` from any event loop."""

    def __init__(
        self,
        settings: LogSettings,
        *,
        sinks: Sequence[AttachedSink] = (),
        storage: Storage | None = None,
        now: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        new_chain_uid: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        """Bring the directory in order, begin a segment and write its first line; use ``open``.

        Raises ``AuditError`` where another gateway has the directory, the log's end cannot be understood or nothing can
        be written. Takes as long as the disk takes: call it before serving. Not to be inherited through a fork.
        """
        self._settings = settings
        self._now = now
        self._sinks = sinks
        encoder = EncoderSettings(
            gateway_name=settings.gateway_name,
            version=__version__,
            literals=settings.literals,
            literal_key=settings.literal_key,
            max_text=settings.max_text,
        )
        self._encoder = EventEncoder(encoder)
        storage = storage or Storage()
        lock = _lock(settings.directory, storage)
        self._intake = Intake(
            batch_bytes=min(MEBIBYTE, max(1, settings.buffer_bytes // 8)),
            flush_interval=settings.flush_interval,
            monotonic=monotonic,
        )
        self._writer = Writer(
            WriterSettings(
                directory=settings.directory,
                format_version=FORMAT_VERSION,
                sync_interval=settings.sync_interval,
                look_interval=settings.look_interval,
                unsynced_bytes=settings.buffer_bytes // 4,
                min_free_bytes=settings.min_free_bytes,
                max_bytes=settings.max_bytes,
            ),
            self._intake,
            storage=storage,
            sinks=sinks,
            monotonic=monotonic,
            lock=lock,
            on_resumed=self._resumed,
        )
        try:
            recovered = recover(settings.directory, storage)
        except OSError as error:
            storage.close(lock)
            raise AuditError(f"cannot read the audit log in {settings.directory}: {error.strerror}") from None
        except AuditError:
            storage.close(lock)
            raise
        self._segment_size = 0
        self._limit = settings.buffer_bytes
        self._hard_limit = settings.buffer_bytes + settings.buffer_bytes // 2
        last = recovered.last
        self._sealer = (
            Sealer(new_chain_uid()) if last is None else Sealer(last.chain_uid, last.sequence + 1, last.fingerprint)
        )
        with self._intake.lock:
            self._begin_segment("audit.genesis" if last is None else "audit.started")
            if recovered.details:
                self._lifecycle("audit.recovered", recovered.details)
        try:
            self._writer.start()
        except OSError as error:
            raise AuditError(str(error)) from None

    @classmethod
    def open(cls, settings: LogSettings, *, sinks: Sequence[AttachedSink] = ()) -> Self:
        """The log of ``settings.directory`` on the real disk and clock."""
        return cls(settings, sinks=sinks)

    # --- recording --------------------------------------------------------------------------------------------------

    def record(self, record: StatementRecord, context: bytes) -> None:
        """Put a statement's intent or outcome into the log; ``context`` is what ``encode_session_context`` gave.

        Never waits. Raises ``AuditError`` where the log is unhealthy or its memory full: nothing more may run then. The
        outcome of a statement that reached the database is kept even so, as long as there is memory for it.
        """
        intake = self._intake
        with intake.lock:
            problem = intake.reason or intake.closing or intake.held >= self._limit
            if problem:
                self._admit(not record.intent and record.outcome not in _NEVER_RAN)
            try:
                body = self._encoder.statement(record, context, self._sealer.sequence)
            except (TypeError, ValueError, OverflowError) as error:
                raise AuditError(f"statement {record.id} cannot be recorded: {error}") from None
            self._append(body)
        if problem:
            self._refuse()

    def record_session(self, record: SessionRecord) -> None:
        """Put a login, a refusal, an end or a cancel request into the log. Raises as ``record`` does."""
        intake = self._intake
        with intake.lock:
            problem = intake.reason or intake.closing or intake.held >= self._limit
            if problem:
                self._admit(record.kind is SessionEventKind.CLOSED)
            self._append(self._encoder.session(record, self._sealer.sequence))
        if problem:
            self._refuse()

    async def commit(self) -> None:
        """Return when everything recorded so far is on disk. Raises ``AuditError`` where that failed.

        What was recorded stays in the log's memory even then and is written when that is possible again.
        """
        intake = self._intake
        with intake.lock:
            if intake.reason or intake.closing:
                self._refuse()
            if intake.durable >= intake.recorded:
                return
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            intake.enlist(Waiter(loop, future))
        await future

    def check(self) -> None:
        """Raise ``AuditError`` unless the log is healthy: to be asked before a statement is forwarded."""
        if not self.healthy:
            self._refuse()

    # --- health -----------------------------------------------------------------------------------------------------

    @property
    def healthy(self) -> bool:
        """Whether statements may run."""
        intake = self._intake
        return not (intake.reason or intake.closing) and intake.held < self._limit

    @property
    def reason(self) -> str:
        """Why the log is not healthy, for the operator; empty while it is."""
        if self._intake.reason:
            return self._intake.reason
        if self._intake.closing:
            return "the audit log is closed"
        if self._intake.held >= self._limit:
            return f"{self._intake.held} bytes of events wait for the disk, the limit is {self._limit}"
        return ""

    @property
    def counters(self) -> AuditCounters:
        """Figures for metrics."""
        intake, writer = self._intake, self._writer.counters
        return AuditCounters(
            events=intake.events,
            bytes=intake.bytes,
            batches=writer.batches,
            syncs=writer.syncs,
            failures=writer.failures,
            sink_failures=sum(sink.failures for sink in self._sinks),
            held=intake.held,
        )

    async def close(self) -> None:
        """Write everything, say so in the log, and let go of the directory.

        Raises ``AuditError`` where events could not be written; they are lost then.
        """
        with self._intake.lock:
            if self._intake.closing:
                return
            self._lifecycle("audit.closed", {})
            self._intake.close()
        await asyncio.to_thread(self._writer.join)
        lost = self._intake.recorded - self._intake.durable
        if lost:
            raise AuditError(f"{lost} audit events could not be written: {self._intake.reason}")

    # --- inside, with the intake's lock held ------------------------------------------------------------------------

    def _append(self, body: Pieces) -> None:
        sealer = self._sealer
        sequence = sealer.sequence
        line = sealer.seal(body)
        self._segment_size += len(line)
        self._intake.add(line, sequence)
        if self._segment_size >= self._settings.segment_bytes:
            self._begin_segment("audit.segment")

    def _begin_segment(self, code: str) -> None:
        self._intake.begin_segment(self._sealer.sequence)
        self._segment_size = 0
        self._lifecycle(code, {})

    def _lifecycle(self, code: str, details: Mapping[str, object]) -> None:
        sequence = self._sealer.sequence
        line = self._sealer.seal(self._encoder.lifecycle(code, sequence, self._now(), details))
        self._segment_size += len(line)
        self._intake.add(line, sequence)

    def _admit(self, happened: bool) -> None:
        """Refuse at once, unless the event tells of something that has happened and there is memory for it."""
        if not happened or self._intake.closing or self._intake.held >= self._hard_limit:
            self._refuse()

    def _refuse(self) -> NoReturn:
        raise AuditError(self.reason or "the audit log was unhealthy a moment ago")

    def _resumed(self, reason: str) -> None:
        """Called by the writer when a failure is over."""
        with self._intake.lock:
            if not self._intake.closing:
                self._lifecycle("audit.interrupted", {"reason": reason})


def _lock(directory: Path, storage: Storage) -> int:
    try:
        storage.make_directory(directory)
        return storage.lock(directory)
    except BlockingIOError:
        raise AuditError(f"another gateway writes the audit log in {directory}") from None
    except OSError as error:
        raise AuditError(f"cannot use {directory} for the audit log: {error.strerror}") from None

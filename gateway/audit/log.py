"""The audit log: record, commit, close."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Self, TypeVar

from gateway import __version__
from gateway.audit.event import EventEncoder
from gateway.audit.fastpath import FastPath
from gateway.audit.intake import Done, Intake, Waiter
from gateway.audit.keys import SIGNING_KEY_NAME, load_signer
from gateway.audit.notes import Checkpoint
from gateway.audit.records import RecordEncoder, RecordSettings, event_line
from gateway.audit.recovery import recover
from gateway.audit.redact import Literals
from gateway.audit.segments import list_segments
from gateway.audit.sinks import AttachedSink
from gateway.audit.storage import QuickStorage, Storage
from gateway.audit.witness import Witness
from gateway.audit.writer import Writer, WriterSettings
from gateway.domain.audit import AdminOutcome, AdminRecord, Outcome, SessionEventKind, SessionRecord, StatementRecord
from gateway.domain.recorded import Shared
from gateway.errors import AuditError

MEBIBYTE: Final = 1024 * 1024
_NEVER_RAN: Final = frozenset({Outcome.REFUSED})

Asked = TypeVar("Asked")
"""What somebody waits for the disk with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Sizes in bytes, times in seconds.

    ``buffer_bytes`` bounds what waits in memory for the disk; what has already happened may use half as much again.
    Where nobody calls ``commit``, a line waits at most ``flush_interval`` for being written and about ``sync_interval``
    for being on disk.
    """

    directory: Path
    gateway_name: str
    signing_key: Path | None = None
    """Where the private key is that signs checkpoints; None: ``audit-signing.key`` beside the directory."""
    literals: Literals = Literals.KEEP
    literal_key: bytes = b""
    max_text: int = 256 * 1024
    segment_bytes: int = 256 * MEBIBYTE
    buffer_bytes: int = 16 * MEBIBYTE
    flush_interval: float = 0.05
    sync_interval: float = 1.0
    checkpoint_interval: float = 10.0
    """Between signed checkpoints, as long as there is something new."""
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
    checkpoints: int
    sink_failures: int
    witness_failures: int
    held: int


class AuditLog:
    """The one writer of a directory. ``record…`` may be called from any thread, ``commit`` from any event loop."""

    def __init__(
        self,
        settings: LogSettings,
        *,
        sinks: Sequence[AttachedSink] = (),
        witnesses: Sequence[Witness] = (),
        storage: Storage | None = None,
        now: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Bring the directory in order, begin a segment and write its first line; use ``open``.

        Raises ``AuditError`` where another gateway has the directory, the log's end cannot be understood or nothing can
        be written. Takes as long as the disk takes: call it before serving. Not to be inherited through a fork.
        """
        self._settings = settings
        self._now = now
        self._sinks = sinks
        self._witnesses = witnesses
        self._encoder = EventEncoder(settings.gateway_name, __version__)
        self._records = RecordEncoder(
            RecordSettings(literals=settings.literals, literal_key=settings.literal_key, max_text=settings.max_text)
        )
        storage = storage or QuickStorage()
        directory = settings.directory
        lock = _lock(directory, storage)
        try:
            has_log = any(path.stat().st_size for _, path in list_segments(directory))
            key = settings.signing_key or directory.parent / SIGNING_KEY_NAME
            signer = load_signer(key, directory, settings.gateway_name, storage, has_log=has_log)
            recovered = recover(directory, storage, signer.key)
        except OSError as error:
            storage.close(lock)
            raise AuditError(f"cannot read the audit log in {directory}: {error.strerror}") from None
        except AuditError:
            storage.close(lock)
            raise
        self._intake = Intake(
            batch_bytes=min(MEBIBYTE, max(1, settings.buffer_bytes // 8)),
            flush_interval=settings.flush_interval,
            monotonic=monotonic,
        )
        self._storage = storage
        self._monotonic = monotonic
        self._fast_path: FastPath | None = None
        self._writer = Writer(
            WriterSettings(
                directory=directory,
                sync_interval=settings.sync_interval,
                checkpoint_interval=settings.checkpoint_interval,
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
            signer=signer,
            tree=recovered.frontier,
            on_resumed=self._resumed,
            on_checkpoint=self._signed,
        )
        self._segment_size = 0
        self._events = 0
        self._limit = settings.buffer_bytes
        self._hard_limit = settings.buffer_bytes + settings.buffer_bytes // 2
        self._turn_of: asyncio.AbstractEventLoop | None = None
        """The loop at the end of whose turn the writer is told to hurry."""
        self._sequence = recovered.frontier.size
        """The number of the next line."""
        with self._intake.lock:
            details: dict[str, object] = {"log": signer.key.name, "key": str(signer.key)}
            if recovered.frontier.size > recovered.signed:
                details["unsigned_events"] = recovered.frontier.size - recovered.signed
            self._begin_segment("audit.started" if recovered.frontier.size else "audit.genesis", details)
            if recovered.details:
                self._lifecycle("audit.recovered", recovered.details)
        try:
            self._writer.start()
        except OSError as error:
            raise AuditError(str(error)) from None
        for witness in witnesses:
            witness.start()

    @classmethod
    def open(
        cls, settings: LogSettings, *, sinks: Sequence[AttachedSink] = (), witnesses: Sequence[Witness] = ()
    ) -> Self:
        """The log of ``settings.directory`` on the real disk and clock."""
        return cls(settings, sinks=sinks, witnesses=witnesses)

    # --- recording --------------------------------------------------------------------------------------------------

    def record(self, record: StatementRecord, context: Shared) -> None:
        """Put a statement's intent or outcome into the log; ``context`` is what ``encode_session_context`` gave.

        Never waits. Raises ``AuditError`` where the log is unhealthy or its memory full: nothing more may run then. The
        outcome of a statement that reached the database is kept even so, as long as there is memory for it.
        """
        with self._intake.lock:
            healthy = self._take(record, context)
        if not healthy:
            self._refuse()

    def intend(
        self,
        records: Sequence[StatementRecord],
        context: Shared,
        done: Callable[[Asked, AuditError | None], None],
        about: Asked,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """``record`` intents, and ``commit`` without a task: ``done`` is called later with ``about`` by ``loop``, which
        is the one that runs.

        Raises ``AuditError`` where nothing can be promised; ``done`` is then not called.
        """
        intake = self._intake
        with intake.lock:
            for record in records:
                if not self._take(record, context):
                    self._refuse()
            if self._enlist(done, about, loop):
                return
        loop.call_soon(done, about, None)

    def record_session(self, record: SessionRecord) -> None:
        """Put a login, a refusal, an end or a cancel request into the log. Raises as ``record`` does."""
        intake = self._intake
        with intake.lock:
            problem = intake.reason or intake.closing or intake.held >= self._limit
            if problem:
                self._admit(record.kind is SessionEventKind.CLOSED)
            self._event(self._encoder.session(record, self._sequence))
        if problem:
            self._refuse()

    def record_admin(self, record: AdminRecord) -> None:
        """Put what an administrator does into the log. Raises as ``record`` does."""
        intake = self._intake
        with intake.lock:
            problem = intake.reason or intake.closing or intake.held >= self._limit
            if problem:
                self._admit(not record.intent and record.outcome is not AdminOutcome.REFUSED)
            try:
                event = self._encoder.admin(record, self._sequence)
            except (TypeError, ValueError, OverflowError) as error:
                raise AuditError(f"admin event {record.id} cannot be recorded: {error}") from None
            self._event(event)
        if problem:
            self._refuse()

    async def commit(self) -> None:
        """Return when everything recorded so far is on disk. Raises ``AuditError`` where that failed.

        What was recorded stays in the log's memory even then and is written when that is possible again.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        intake = self._intake
        with intake.lock:
            if intake.reason or intake.closing:
                self._refuse()
            waiting = self._enlist(_resolve, future, loop)
        if waiting:
            await future

    def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the fast path with commits of ``loop``, which is to run until the log is closed, in the same loop.

        Where the system has no eventfd, the writer's thread does them like everybody else's.
        """
        if hasattr(os, "eventfd"):
            self._fast_path = FastPath(loop, self._intake, self._writer, self._storage, self._monotonic)
            self._writer.give_fast_path(self._fast_path)

    def _end_turn(self) -> None:
        """Everybody who wanted the disk in this turn of the loop has said so: one sync serves them all."""
        self._turn_of = None
        self._intake.hurry()

    def check(self) -> None:
        """Raise ``AuditError`` unless the log is healthy: to be asked before a statement is forwarded."""
        if not self.healthy:
            self._refuse()

    # --- health -----------------------------------------------------------------------------------------------------

    @property
    def newest(self) -> int:
        """The number of the last line; -1 where there is none."""
        return self._sequence - 1

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
            events=self._events,
            bytes=intake.bytes,
            batches=writer.batches,
            syncs=writer.syncs,
            failures=writer.failures,
            checkpoints=writer.checkpoints,
            sink_failures=sum(sink.failures for sink in self._sinks),
            witness_failures=sum(witness.failures for witness in self._witnesses),
            held=intake.held,
        )

    @property
    def witnesses(self) -> Sequence[Witness]:
        """Where checkpoints go, and how that gets on."""
        return self._witnesses

    async def close(self) -> None:
        """Write everything, say so in the log, and let go of the directory.

        Raises ``AuditError`` where lines could not be written; they are lost then.
        """
        with self._intake.lock:
            if self._intake.closing:
                return
            self._lifecycle("audit.closed", {})
            self._intake.close()
        await asyncio.to_thread(self._writer.join)
        if self._fast_path is not None:
            self._fast_path.close()
        for witness in self._witnesses:
            await asyncio.to_thread(witness.close)
        lost = self._intake.recorded - self._intake.durable
        if lost:
            raise AuditError(f"{lost} audit lines could not be written: {self._intake.reason}")

    # --- inside, with the intake's lock held ------------------------------------------------------------------------

    def _take(self, record: StatementRecord, context: Shared) -> bool:
        """Append a statement's lines. False where that was for the last time, since the log is not well.

        Raises ``AuditError`` where they are not taken.
        """
        intake = self._intake
        healthy = not (intake.reason or intake.closing or intake.held >= self._limit)
        if not healthy:
            self._admit(not record.intent and record.outcome not in _NEVER_RAN)
        try:
            lines = self._records.statement(record, context, self._sequence)
        except (TypeError, ValueError, OverflowError) as error:
            raise AuditError(f"statement {record.id} cannot be recorded: {error}") from None
        self._events += 1
        for line in lines:
            self._append(line)
        if self._segment_size >= self._settings.segment_bytes:
            self._begin_segment("audit.segment", {})
        return healthy

    def _enlist(self, done: Done, about: object, loop: asyncio.AbstractEventLoop) -> bool:
        """Have ``done`` called when everything is on disk; False where it is."""
        intake = self._intake
        if intake.durable >= intake.recorded:
            return False
        intake.enlist(Waiter(loop, done, about))
        fast_path = self._fast_path
        if fast_path is not None and fast_path.loop is loop:
            fast_path.asked()
        elif self._turn_of is not loop:
            self._turn_of = loop
            loop.call_soon(self._end_turn)
        return True

    def _append(self, line: bytes) -> None:
        self._segment_size += len(line) + 1
        self._intake.add(line, self._sequence)
        self._sequence += 1

    def _event(self, event: bytes) -> None:
        self._events += 1
        self._append(event_line(self._sequence, event))

    def _begin_segment(self, code: str, details: Mapping[str, object]) -> None:
        self._intake.begin_segment(self._sequence)
        self._records.begin_segment()
        self._segment_size = 0
        self._lifecycle(code, details)

    def _lifecycle(self, code: str, details: Mapping[str, object]) -> None:
        self._event(self._encoder.lifecycle(code, self._sequence, self._now(), details))

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

    def _signed(self, checkpoint: Checkpoint, note: str) -> None:
        """Called by the writer with each checkpoint. The log tells of it, so that its removal shows."""
        for witness in self._witnesses:
            witness.offer(checkpoint, note)
        details = {"size": checkpoint.size, "root": base64.b64encode(checkpoint.root).decode()}
        with self._intake.lock:
            if not self._intake.closing:
                self._lifecycle("audit.checkpoint", details)


def _resolve(future: asyncio.Future[None], error: AuditError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _lock(directory: Path, storage: Storage) -> int:
    try:
        storage.make_directory(directory)
        return storage.lock(directory)
    except BlockingIOError:
        raise AuditError(f"another gateway writes the audit log in {directory}") from None
    except OSError as error:
        raise AuditError(f"cannot use {directory} for the audit log: {error.strerror}") from None

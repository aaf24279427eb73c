"""Records as the relay would give them, and logs with a disk that can be made to fail."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gateway.audit.event import encode_ruling, encode_session_context
from gateway.audit.events import EventFilter, Found
from gateway.audit.log import AuditLog, LogSettings
from gateway.audit.notes import Signer
from gateway.audit.reader import iter_events
from gateway.audit.sinks import AttachedSink
from gateway.audit.storage import Storage
from gateway.audit.witness import Witness
from gateway.domain.audit import Outcome, SessionEventKind, SessionRecord, StatementRecord
from gateway.domain.decision import Decision, Effect, Mode, Obligations, PolicyHit, SessionContext
from gateway.domain.masking import MaskSpec
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.recorded import Shared
from gateway.domain.resource import Resource
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, Analysis, ColumnRef, ObjectRef, Predicate, StatementFacts
from gateway.errors import AccessDenied

ANA = Principal("ana@example.com", groups=frozenset({"analysts"}))
COPILOT = Principal("copilot", PrincipalKind.AGENT, groups=frozenset({"agents"}), acts_for=ANA)
SHOP = Resource(
    "shop-prod", "postgres", "db.example.com", 5432, "shop", "production", MappingProxyType({"team": "shop"})
)
SESSION = SessionContext(
    id="s-1",
    protocol="postgres",
    client_address="10.0.0.7:50123",
    tls=True,
    user="ana@example.com",
    database="shop",
    application="psql",
)
FACTS = StatementFacts(
    "select",
    frozenset({Action.READ}),
    objects_read=frozenset({ObjectRef("public", "customers")}),
    columns_read=frozenset({ColumnRef("public", "customers", "id"), ColumnRef("public", "customers", "email")}),
    columns_filtered=frozenset({ColumnRef("public", "customers", "id")}),
    predicate=Predicate.PRESENT,
)
TEXT = "SELECT id, email FROM customers WHERE id = 4711"
ANALYSIS = Analysis((FACTS,), False, "3f2a9c0d1e5b7a68", "SELECT id, email FROM customers WHERE id = ?")
DECISION = Decision(
    Effect.ALLOW,
    "allowed by readers-may-read",
    hits=(
        PolicyHit("readers-may-read", Effect.ALLOW),
        PolicyHit("mask-pii", Effect.MASK),
        PolicyHit("soon", Effect.DENY, Mode.DRAFT),
    ),
    obligations=Obligations(masks=MappingProxyType({"pii.email": frozenset({MaskSpec("partial", (("last", 4),))})})),
)
DENIED = Decision(
    Effect.DENY, "denied by no-destruction", hits=(PolicyHit("no-destruction", Effect.DENY),), message="not here"
)


def ruling(analysis: Analysis = ANALYSIS, decision: Decision = DECISION) -> Ruling:
    refusal = AccessDenied(decision.reason) if decision.effect is Effect.DENY else None
    return Ruling(
        decision=decision,
        analysis=analysis,
        refusal=refusal,
        masked=bool(decision.obligations.masks),
        redact_messages=False,
        intent=False,
        audit=encode_ruling(analysis, decision, refusal=refusal),
    )


RULING = ruling()
CONTEXT = encode_session_context(SESSION, ANA, SHOP, "gw-1")


def statement(number: int = 0, **changes: Any) -> StatementRecord:
    values: dict[str, Any] = {
        "id": f"s-1.{number}",
        "ruling": RULING,
        "text": TEXT,
        "started": 1_795_420_800_123_456_789,
        "duration": 812_345,
        "rows": 1,
        "bytes_out": 89,
    }
    return StatementRecord(**{**values, **changes})


def refused(number: int = 0, **changes: Any) -> StatementRecord:
    return statement(number, ruling=ruling(decision=DENIED), outcome=Outcome.REFUSED, rows=0, code="42501", **changes)


def session(kind: SessionEventKind, **changes: Any) -> SessionRecord:
    record = SessionRecord(kind, SESSION, 1_795_420_800_000_000_000, principal=ANA, resource=SHOP)
    return replace(record, **changes)


class FaultyStorage(Storage):
    """A real disk until told otherwise. ``room`` is how many more bytes may be written (None: any number)."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.write_errno = errno.ENOSPC
        self.sync_errno = 0
        self.truncate_errno = 0
        self.free = 1 << 40
        self.longest_write = 1 << 30
        self.sync_delay = 0.0
        self.gate = threading.Event()
        """While clear, writes hang."""
        self.gate.set()
        self.hanging = 0
        """How many do."""

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        self.hanging += 1
        assert self.gate.wait(20)
        self.hanging -= 1
        size = min(len(data), self.longest_write)
        if self.room is not None:
            size = min(size, self.room)
            if size == 0:
                raise OSError(self.write_errno, os.strerror(self.write_errno))
            self.room -= size
        return super().write(descriptor, data[:size], offset)

    def sync(self, descriptor: int) -> None:
        time.sleep(self.sync_delay)
        if self.sync_errno:
            raise OSError(self.sync_errno, os.strerror(self.sync_errno))
        super().sync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        if self.truncate_errno:
            raise OSError(self.truncate_errno, os.strerror(self.truncate_errno))
        super().truncate(descriptor, size)

    def free_bytes(self, directory: Path) -> int:
        return min(self.free, super().free_bytes(directory))


class BrokenStorage(Storage):
    """A real disk until its code has a bug."""

    broken = False

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        if self.broken:
            raise RuntimeError("bug")
        return super().write(descriptor, data, offset)


def open_log(
    directory: Path,
    *,
    storage: Storage | None = None,
    sinks: tuple[AttachedSink, ...] = (),
    witnesses: tuple[Witness, ...] = (),
    now: Callable[[], int] = time.time_ns,
    **changes: Any,
) -> AuditLog:
    """A log that looks at the disk and retries fifty times a second."""
    values: dict[str, Any] = {
        "directory": directory,
        "gateway_name": "gw-1",
        "signing_key": directory.parent / f"{directory.name}.key",
        "flush_interval": 0.005,
        "look_interval": 0.02,
        "min_free_bytes": 0,
    }
    return AuditLog(LogSettings(**{**values, **changes}), storage=storage, sinks=sinks, witnesses=witnesses, now=now)


def lines_of(directory: Path) -> list[bytes]:
    """All whole events of all segments, in order."""
    return [found.line for found in iter_events(directory, EventFilter())]


def found_of(record: StatementRecord | SessionRecord, context: Shared = CONTEXT) -> Found:
    """What a reader finds of one record."""
    with tempfile.TemporaryDirectory() as folder:
        log = open_log(Path(folder) / "audit")
        if isinstance(record, SessionRecord):
            log.record_session(record)
        else:
            log.record(record, context)
        asyncio.run(log.close())
        return next(
            found
            for found in iter_events(Path(folder) / "audit", EventFilter())
            if not found.event.metadata.event_code.startswith("audit.")
        )


def raw_lines(directory: Path) -> list[bytes]:
    """All lines of all segments as they are on disk, in the order of the segments."""
    return [
        line
        for path in sorted(directory.glob("audit-*.jsonl"))
        for line in path.read_bytes().rstrip(b"\0").splitlines(keepends=True)
    ]


def signer(name: str = "querygate.audit/gw-1/1") -> Signer:
    return Signer(name, bytes(range(32)))

"""Events as whoever reads them looks at them, and which of them are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway.audit.execution import Execution
from gateway.policy.globs import Globs


class _Named(msgspec.Struct, frozen=True):
    name: str = ""


class _Metadata(msgspec.Struct, frozen=True):
    sequence: int
    uid: str
    event_code: str
    correlation_uid: str = ""


class _Session(msgspec.Struct, frozen=True):
    uid: str = ""


class _Actor(msgspec.Struct, frozen=True):
    user: _Named = _Named()
    session: _Session = _Session()


class _Endpoint(msgspec.Struct, frozen=True):
    name: str = ""
    ip: str = ""
    svc_name: str = ""


class _Query(msgspec.Struct, frozen=True):
    query_string: str = ""
    uid: str = ""
    bytes: int = 0


class _Hit(msgspec.Struct, frozen=True):
    policy: str
    effect: str
    mode: str = "enforce"


class _Decision(msgspec.Struct, frozen=True):
    effect: str = ""
    reason: str = ""
    policies: tuple[_Hit, ...] = ()


class _Statement(msgspec.Struct, frozen=True):
    kind: str = ""
    actions: tuple[str, ...] = ()


class _SessionDetails(msgspec.Struct, frozen=True):
    authenticated: bool = True
    acts_for: tuple[_Named, ...] = ()


class _Unmapped(msgspec.Struct, frozen=True):
    """Of a session's definition only ``session`` is there, of a ruling's ``statements`` and ``decision``."""

    rows: int = 0
    masked_cells: int = 0
    masked_by_label: dict[str, int] | None = None
    duration_us: int = 0
    statements: tuple[_Statement, ...] = ()
    decision: _Decision = _Decision()
    session: _SessionDetails = _SessionDetails()
    reason: str = ""


class Event(msgspec.Struct, frozen=True):
    """What reading needs of an event. ``time`` is Unix milliseconds, ``duration`` milliseconds."""

    metadata: _Metadata
    time: int
    duration: int = 0
    status_detail: str = ""
    status_code: str = ""
    message: str = ""
    actor: _Actor = _Actor()
    src_endpoint: _Endpoint = _Endpoint()
    dst_endpoint: _Endpoint = _Endpoint()
    database: _Named = _Named()
    query_info: _Query = _Query()
    resources: tuple[_Named, ...] = ()
    unmapped: _Unmapped = _Unmapped()

    @property
    def recorded(self) -> int:
        """When it was recorded, Unix milliseconds: when a statement had ended, a session was over."""
        return self.time + self.duration

    @property
    def principals(self) -> tuple[str, ...]:
        """Who acted, and for whom, in order."""
        return (self.actor.user.name, *(person.name for person in self.unmapped.session.acts_for))

    @property
    def actions(self) -> frozenset[str]:
        """What the statement does."""
        return frozenset(action for statement in self.unmapped.statements for action in statement.actions)

    @property
    def masked_by_label(self) -> Mapping[str, int]:
        """How many values were masked for each label; empty for events of before this was counted."""
        return self.unmapped.masked_by_label or {}

    @property
    def outcome(self) -> str:
        """``success``, ``refused`` …; for a session event its kind; for the log's own events their code."""
        return self.status_detail or self.metadata.event_code


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """What to show: everything that is set must hold.

    ``since`` and ``until`` (exclusive) bound the moment of recording, which is the end of a statement, in Unix
    milliseconds: in that order the log can be searched without reading all of it.

    ``principal`` matches whoever acted and whoever they acted for; ``action`` is one word of the statement's actions;
    ``text`` a part of the statement, letter case ignored; ``masked`` a pattern over labels (``pii.*``), of which one
    must have had a value masked.
    """

    principal: str | None = None
    resource: str | None = None
    action: str | None = None
    outcome: str | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None
    masked: str | None = None

    def matches(self, event: Event) -> bool:
        """Whether the event is to be shown."""
        return (
            (self.since is None or event.recorded >= self.since)
            and (self.until is None or event.recorded < self.until)
            and (self.principal is None or self.principal in event.principals)
            and (self.resource is None or self.resource == event.dst_endpoint.name)
            and (self.action is None or self.action in event.actions)
            and (self.outcome is None or self.outcome == event.outcome)
            and (self.text is None or self.text.casefold() in event.query_info.query_string.casefold())
            and (self.masked is None or any(Globs((self.masked,)).select(event.masked_by_label)))
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A matching event, and all of it: one line of JSON with its line feed."""

    event: Event
    line: bytes

    @property
    def sequence(self) -> int:
        """The event's number, which is the cursor for going on behind it."""
        return self.event.metadata.sequence


class SessionView(msgspec.Struct, frozen=True):
    """What the events of a session share, decoded once."""

    actor: _Actor = _Actor()
    src_endpoint: _Endpoint = _Endpoint()
    dst_endpoint: _Endpoint = _Endpoint()
    database: _Named = _Named()
    unmapped: _Unmapped = _Unmapped()


class RulingView(msgspec.Struct, frozen=True):
    """What the executions of a ruling share, decoded once."""

    fingerprint: str = ""
    unmapped: _Unmapped = _Unmapped()


def session_view(body: bytes) -> SessionView:
    """Raises ``msgspec.DecodeError``."""
    return msgspec.json.decode(body, type=SessionView)


def ruling_view(body: bytes) -> RulingView:
    """Raises ``msgspec.DecodeError``."""
    return msgspec.json.decode(body, type=RulingView)


def execution_event(execution: Execution, text: str, session: SessionView, ruling: RulingView) -> Event:
    """A statement's event, without going through JSON."""
    intent = execution.intent
    return Event(
        metadata=_Metadata(
            execution.seq,
            f"{execution.id}.intent" if intent else execution.id,
            "statement.intent" if intent else "statement",
            execution.id if intent else "",
        ),
        time=execution.at,
        duration=execution.us // 1000,
        status_detail="intent" if intent else execution.outcome.value,
        status_code=execution.code,
        actor=session.actor,
        src_endpoint=session.src_endpoint,
        dst_endpoint=session.dst_endpoint,
        database=session.database,
        query_info=_Query(text, ruling.fingerprint, execution.bytes),
        unmapped=_Unmapped(
            rows=execution.rows,
            masked_cells=execution.masked,
            masked_by_label=execution.by_label,
            duration_us=execution.us,
            statements=ruling.unmapped.statements,
            decision=ruling.unmapped.decision,
            session=session.unmapped.session,
        ),
    )

"""Searching the audit's files, in threads, by pages and as a stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from admin_api.audit_events.models import SearchIn
from gateway.audit.events import EventFilter
from gateway.audit.reader import iter_events, last_events

BUDGET: Final = 2.0
"""Seconds that one page may take: a rare thing in a long log is found over several pages, some of them empty."""
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class EventPage:
    """The newest first. ``before`` is where the next page goes on; None at the beginning of the log."""

    events: list[dict[str, Any]]
    before: int | None


def find_events(directory: Path, search: SearchIn, limit: int, before: int | None) -> EventPage:
    """One page, read backwards from the event ``before``. Raises ``AuditError`` where the log cannot be read."""
    deadline = time.monotonic() + BUDGET
    wanted = _filter(search)
    found: list[dict[str, Any]] = []
    while True:
        chunk = last_events(directory, wanted, _CHUNK, before)
        for item in reversed(chunk):
            before = item.event.metadata.sequence
            event = msgspec.json.decode(item.line)
            if _matches(event, search):
                found.append(event)
                if len(found) == limit:
                    return EventPage(found, before)
        if len(chunk) < _CHUNK:
            return EventPage(found, None)
        if time.monotonic() > deadline:
            return EventPage(found, before)


def export_events(directory: Path, search: SearchIn) -> Iterator[bytes]:
    """All of them, oldest first, a line each. Raises ``AuditError`` where the log cannot be read."""
    for item in iter_events(directory, _filter(search)):
        if not _needs_more(search) or _matches(msgspec.json.decode(item.line), search):
            yield item.line


def _filter(search: SearchIn) -> EventFilter:
    return EventFilter(
        principal=search.person,
        resource=search.resource,
        action=search.action,
        outcome=search.outcome,
        since=_milliseconds(search.since),
        until=_milliseconds(search.until),
        text=search.text,
        masked=search.masked,
    )


def _milliseconds(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    # A time without a zone is UTC here, as everywhere in the gateway.
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _needs_more(search: SearchIn) -> bool:
    return not (search.object is search.decision is search.kind is None)


def _matches(event: dict[str, Any], search: SearchIn) -> bool:
    unmapped = event.get("unmapped", {})
    code = str(event["metadata"].get("event_code", ""))
    return (
        (search.kind is None or code.startswith(search.kind))
        and (search.decision is None or unmapped.get("decision", {}).get("effect") == search.decision)
        and (search.object is None or search.object in _objects(unmapped))
    )


def _objects(unmapped: dict[str, Any]) -> set[str]:
    """As ``gateway.audit.facts`` writes them, and without their kind: ``view:public.staff`` and ``public.staff``."""
    written = [
        name
        for statement in unmapped.get("statements", ())
        for key in ("reads", "writes")
        for name in statement.get(key, ())
    ]
    return {*written, *(name.partition(":")[2] for name in written if ":" in name)}

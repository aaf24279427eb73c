"""From a segment's line to the whole OCSF event.

A statement's event is made of three JSON objects, which are joined by slicing at fixed places, so that what the session
and the ruling share is decoded by nobody::

    {"metadata": …, "time": …, "query_info": …,                    the execution
     "actor": …, "database": …, "unmapped": {"session": …,         the session
     "duration_us": …, "rows": …, "masked_cells": …,               the execution
     "statements": …, "decision": …}, "activity_id": …}            the ruling
"""

from __future__ import annotations

from typing import Final, assert_never

import msgspec

from gateway.audit.event import OCSF_VERSION, PROFILES, Product
from gateway.audit.execution import Cut, Execution
from gateway.domain.approval import ApprovalNote
from gateway.domain.audit import BoundValue, Outcome

_METADATA: Final = b'{"metadata":{'
_encode = msgspec.json.Encoder().encode


class RulingBody(msgspec.Struct, frozen=True):
    """What expanding needs to know of a ruling's definition."""

    fingerprint: str


class _Metadata(msgspec.Struct, omit_defaults=True):
    sequence: int
    uid: str
    event_code: str
    version: str
    product: Product
    profiles: tuple[str, ...]
    correlation_uid: str = ""
    """The statement's id, on its intent. The outcome has it as its ``uid``."""
    is_truncated: bool = False
    untruncated_size: int = 0
    labels: tuple[str, ...] = ()


class _QueryInfo(msgspec.Struct, omit_defaults=True):
    query_string: str
    bytes: int
    uid: str = ""
    """Left out for a text that cannot be read, which has no fingerprint."""


class _Head(msgspec.Struct, omit_defaults=True):
    metadata: _Metadata
    time: int
    duration: int
    severity_id: int
    status_id: int
    status_detail: str
    action_id: int
    disposition_id: int
    query_info: _QueryInfo
    status_code: str = ""


class _Counts(msgspec.Struct, omit_defaults=True):
    duration_us: int
    rows: int = 0
    text_bytes: int = 0
    masked_cells: int = 0
    masked_by_label: dict[str, int] | None = None
    parameters: int = 0
    parameter_values: tuple[BoundValue, ...] = ()
    approval: ApprovalNote | None = None


def expand_execution(
    execution: Execution, text: str, cut: Cut | None, session: bytes, ruling: bytes, product: Product
) -> bytes:
    """The event of a statement, without line feed.

    ``session`` and ``ruling`` are the bodies that it refers to, ``text`` and ``cut`` those of the line that has the
    text. Raises ``msgspec.DecodeError`` where the ruling's body is none.
    """
    fingerprint = msgspec.json.decode(ruling, type=RulingBody).fingerprint
    # The fingerprint comes first in the body: what is behind it begins with ``"unmapped":{``.
    shared = ruling[ruling.index(b',"unmapped":{') + len(b',"unmapped":{') :]
    severity, status, action, disposition = _status(execution.outcome)
    if execution.masked and action == 1:
        action, disposition = 4, 11
    if execution.intent:
        severity, status, action, disposition = 1, 0, 1, 1
    metadata = _Metadata(
        execution.seq,
        f"{execution.id}.intent" if execution.intent else execution.id,
        "statement.intent" if execution.intent else "statement",
        OCSF_VERSION,
        product,
        PROFILES,
        correlation_uid=execution.id if execution.intent else "",
    )
    if cut is not None:
        metadata.is_truncated = True
        metadata.untruncated_size = -(-cut.size // 1024)  # OCSF counts the event's kilobytes: nearly all are the text's
        metadata.labels = (f"text_sha256:{cut.sha256}",)
    head = _Head(
        metadata,
        execution.at,
        execution.us // 1000,
        severity,
        status,
        "intent" if execution.intent else execution.outcome.value,
        action,
        disposition,
        _QueryInfo(text, execution.bytes, fingerprint),
        execution.code,
    )
    values = execution.values if isinstance(execution.values, tuple) else ()
    counts = _Counts(
        execution.us,
        execution.rows,
        0 if cut is None else cut.size,
        execution.masked,
        execution.by_label,
        execution.parameters,
        values,
        execution.approval,
    )
    return b"".join((_encode(head)[:-1], b",", session[1:-2], b",", _encode(counts)[1:-1], b",", shared))


def expand_event(sequence: int, event: bytes) -> bytes:
    """The event of a line that holds it whole, without line feed: it only lacks its number."""
    return b'{"metadata":{"sequence":%d,%b' % (sequence, event[len(_METADATA) :])


def _status(outcome: Outcome) -> tuple[int, int, int, int]:
    """severity_id, status_id, action_id (1 allowed, 2 denied, 4 modified), disposition_id."""
    match outcome:
        case Outcome.SUCCESS:
            return 1, 1, 1, 1
        case Outcome.FAILURE:
            return 1, 2, 1, 1
        case Outcome.REFUSED:
            return 3, 2, 2, 2
        case Outcome.LIMITED:
            return 2, 2, 2, 6
        case Outcome.SKIPPED:
            return 1, 0, 1, 16
        case Outcome.LOST:
            return 2, 0, 1, 1
        case _:
            assert_never(outcome)

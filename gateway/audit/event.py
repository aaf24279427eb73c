"""The canonical form of audit events: OCSF 1.7 in one JSON object per line.

Statements are Datastore Activity (class 6005), logins and their ends Authentication (3002), the log's own life
Application Lifecycle (6002). What OCSF has no attribute for stands under ``unmapped``, as OCSF says. ``docs/audit.md``
lists every field.

A statement event is put together from four pieces, so that the hot path encodes only what is new::

    {"metadata": …, "time": …, "query_info": …,                    the execution
     "actor": …, "database": …, "unmapped": {"session": …,         the session: encode_session_context
     "rows": …, "masked_cells": …, "duration_us": …,               the execution
     "statements": …, "decision": …}, "activity_id": …}            the ruling: encode_ruling

The session's piece is an object that ends with ``unmapped``, the ruling's one that begins with it; both are whole JSON
objects by themselves, and joining them is slicing at fixed places. Bodies are returned in pieces and without their
closing brace: ``gateway.audit.chain`` appends the attestation and closes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, assert_never

import msgspec

from gateway.audit.chain import Pieces
from gateway.audit.encoding import clean_text, to_json
from gateway.audit.facts import facts_form
from gateway.audit.ocsf import (
    CONNECT,
    OTHER,
    ActorForm,
    NamedForm,
    PolicyForm,
    SessionForm,
    activity,
    client_endpoint,
    database_form,
    decision_form,
    resource_endpoint,
    user_form,
    who_form,
)
from gateway.audit.redact import Literals, redact_text
from gateway.domain.audit import Outcome, SessionEventKind, SessionRecord, StatementRecord
from gateway.domain.decision import Decision, Mode, SessionContext
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Analysis
from gateway.errors import ConfigurationError, GatewayError

OCSF_VERSION: Final = "1.7.0"
FORMAT_VERSION: Final = 1
"""Version of the line format: raised when a reader of the old format could misread a new line."""

_CLASS_DATASTORE: Final = 6005
_CLASS_AUTHENTICATION: Final = 3002
_CLASS_LIFECYCLE: Final = 6002
_UNMAPPED_PREFIX: Final = len(b'{"unmapped":{')
_NOT_ENCODED: Final = b"{}"
_NANOSECONDS_PER_MILLISECOND: Final = 1_000_000

_encode = msgspec.json.Encoder().encode


class _Metadata(msgspec.Struct):
    sequence: int
    uid: str
    event_code: str
    version: str
    product: msgspec.Raw
    profiles: msgspec.Raw
    correlation_uid: str | msgspec.UnsetType = msgspec.UNSET
    """The statement's id, on its intent. The outcome has it as its ``uid``."""
    is_truncated: bool | msgspec.UnsetType = msgspec.UNSET
    untruncated_size: int | msgspec.UnsetType = msgspec.UNSET
    labels: list[str] | msgspec.UnsetType = msgspec.UNSET


class _QueryInfo(msgspec.Struct):
    query_string: str
    uid: str
    bytes: int


class _Execution(msgspec.Struct):
    metadata: _Metadata
    time: int
    duration: int
    severity_id: int
    status_id: int
    status_detail: str
    action_id: int
    disposition_id: int
    query_info: _QueryInfo
    status_code: str | msgspec.UnsetType = msgspec.UNSET


class _Counts(msgspec.Struct, omit_defaults=True):
    """What is 0 is left out: every byte of an event is hashed, copied and kept."""

    duration_us: int
    rows: int = 0
    masked_cells: int = 0
    parameters: int = 0


def encode_session_context(
    context: SessionContext, principal: Principal | None, resource: Resource | None, gateway_name: str
) -> bytes:
    """What all events of a session share, as a JSON object whose last attribute is ``unmapped``.

    Call it once, when the session has been authorised (or refused), and give the bytes to ``AuditLog.record`` with
    every statement. ``principal`` None means that nobody has proved anything: the user name is then only a claim.
    """
    return to_json(_session_fields(context, principal, resource, gateway_name))


def _session_fields(
    context: SessionContext, principal: Principal | None, resource: Resource | None, gateway_name: str
) -> dict[str, object]:
    return {
        "actor": ActorForm(
            user=user_form(principal, context.user), session={"uid": context.id}, app_name=context.application
        ),
        "src_endpoint": client_endpoint(context.client_address),
        "dst_endpoint": resource_endpoint(context, resource),
        "database": database_form(context, resource),
        "unmapped": {
            "session": SessionForm(
                gateway=gateway_name,
                tls=context.tls,
                authenticated=principal is not None,
                user="" if principal is not None and principal.name == context.user else context.user,
                attributes={} if principal is None else dict(sorted(principal.attributes.items())),
                acts_for=[] if principal is None else [who_form(person) for person in principal.chain()[1:]],
                resource_labels={} if resource is None else dict(sorted(resource.labels.items())),
            )
        },
    }


def encode_ruling(analysis: Analysis, decision: Decision, *, refusal: GatewayError | None = None) -> bytes:
    """What all executions of one ruling share, as a JSON object whose first attribute is ``unmapped``.

    Keep it in ``Ruling.audit``. ``refusal`` is the error behind a refusal, if any; its detail is recorded.
    """
    activity_id = activity(analysis.actions)
    deciding = next((hit for hit in decision.hits if hit.effect is decision.effect and hit.mode is Mode.ENFORCE), None)
    shared: dict[str, object] = {
        "unmapped": {
            "statements": [facts_form(facts) for facts in analysis.statements],
            "decision": decision_form(decision, refusal),
        },
        "class_uid": _CLASS_DATASTORE,
        "category_uid": _CLASS_DATASTORE // 1000,
        "activity_id": activity_id,
        "type_uid": _CLASS_DATASTORE * 100 + activity_id,
    }
    if deciding is not None:
        shared["policy"] = PolicyForm(name=deciding.policy, is_applied=True)
    return to_json(shared)


def _results() -> dict[tuple[Outcome, bool, bool], tuple[int, int, int, int, str]]:
    """severity, status, action, disposition and word for (outcome, were cells masked, is it an intent)."""
    table = {}
    for outcome in Outcome:
        severity, status, action, disposition = _status(outcome)
        table[outcome, False, False] = (severity, status, action, disposition, outcome.value)
        masked = (4, 11) if action == 1 else (action, disposition)
        table[outcome, True, False] = (severity, status, *masked, outcome.value)
        table[outcome, False, True] = table[outcome, True, True] = (1, 0, 1, 1, "intent")
    return table


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


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """How statement texts are kept. ``max_text`` is in characters; a longer text is cut and its digest kept."""

    gateway_name: str
    version: str
    literals: Literals = Literals.KEEP
    literal_key: bytes = b""
    max_text: int = 256 * 1024

    def __post_init__(self) -> None:
        """Raises ``ConfigurationError``: an unkeyed hash of a value can be guessed."""
        if self.literals is Literals.HASH and not self.literal_key:
            raise ConfigurationError("audit.literals: hash needs a key")


class EventEncoder:
    """Makes event bodies (in pieces, without closing brace) from records. Pure: same input, same bytes."""

    def __init__(self, settings: EncoderSettings) -> None:
        self._settings = settings
        self._max_text = settings.max_text
        self._keep = settings.literals is Literals.KEEP
        self._results = _results()
        self._product = {"name": "Querygate", "vendor_name": "Querygate", "version": settings.version}
        self._product_raw = msgspec.Raw(to_json(self._product))
        self._profiles = msgspec.Raw(to_json(["security_control", "record_integrity"]))

    def statement(self, record: StatementRecord, context: bytes, sequence: int) -> Pieces:
        """The body of a statement event. ``context`` is what ``encode_session_context`` gave; it may not be empty."""
        if not context:
            raise ValueError("the session's part of the event is missing")
        ruling = record.ruling
        text = record.text if self._keep else self._redacted(record)
        metadata = _Metadata(sequence, record.id, "statement", OCSF_VERSION, self._product_raw, self._profiles)
        if record.intent:
            metadata.uid = f"{record.id}.intent"
            metadata.event_code = "statement.intent"
            metadata.correlation_uid = record.id
        if len(text) > self._max_text:
            text = self._cut(text, metadata)
        masked = record.masked_cells
        duration = record.duration // 1000
        severity, status, action, disposition, word = self._results[record.outcome, masked > 0, record.intent]
        execution = _Execution(
            metadata,
            record.started // 1_000_000,
            duration // 1000,
            severity,
            status,
            word,
            action,
            disposition,
            _QueryInfo(text, ruling.analysis.fingerprint, record.bytes_out),
        )
        if record.code:
            execution.status_code = record.code
        try:
            head = _encode(execution)
        except UnicodeEncodeError:
            head = _encode(_cleaned(execution))
        audit = ruling.audit
        if audit == _NOT_ENCODED:
            audit = _encode_late(ruling)
        counts = _encode(_Counts(duration, record.rows, masked, record.parameters))
        return head[:-1], b",", context[1:-2], b",", counts[1:-1], b",", audit[_UNMAPPED_PREFIX:-1]

    def session(self, record: SessionRecord, sequence: int) -> Pieces:
        """The body of a login, a refusal, an end or a cancel request."""
        class_uid, activity_id, severity, status, action = _session_class(record.kind)
        kind = record.kind.value
        fields: dict[str, object] = {
            "class_uid": class_uid,
            "category_uid": class_uid // 1000,
            "activity_id": activity_id,
            "type_uid": class_uid * 100 + activity_id,
            "time": record.time // _NANOSECONDS_PER_MILLISECOND,
            "duration": record.duration // _NANOSECONDS_PER_MILLISECOND,
            "severity_id": severity,
            "status_id": status,
            "status_detail": kind,
            "action_id": action,
            "disposition_id": action,
        }
        if activity_id == OTHER:
            fields["activity_name"] = kind
        if record.detail:
            fields["message"] = record.detail
        shared = _session_fields(record.context, record.principal, record.resource, self._settings.gateway_name)
        if class_uid == _CLASS_AUTHENTICATION:
            # OCSF's Authentication has no database attribute.
            del shared["database"]
            fields["user"] = user_form(record.principal, record.context.user)
            fields["service"] = NamedForm(name=record.context.protocol)
            fields["session"] = {"uid": record.context.id}
        head = self._head(f"session.{kind}", f"{record.context.id}.{kind}.{sequence}", sequence)
        fields.update(shared)
        return head, b",", to_json(fields)[1:-2], b',"statement_count":%d}' % record.statements

    def lifecycle(self, code: str, sequence: int, time: int, details: Mapping[str, object]) -> Pieces:
        """The body of an event about the log itself. ``code`` is its ``event_code``; ``time`` Unix nanoseconds."""
        activity_id = {"audit.started": 3, "audit.genesis": 3, "audit.closed": 4}.get(code, OTHER)
        fields: dict[str, object] = {
            "class_uid": _CLASS_LIFECYCLE,
            "category_uid": _CLASS_LIFECYCLE // 1000,
            "activity_id": activity_id,
            "type_uid": _CLASS_LIFECYCLE * 100 + activity_id,
            "time": time // _NANOSECONDS_PER_MILLISECOND,
            "severity_id": 1,
            "status_id": 1,
            "app": self._product,
            "unmapped": {"format": FORMAT_VERSION, "gateway": self._settings.gateway_name, **details},
        }
        if activity_id == OTHER:
            fields["activity_name"] = code
        return self._head(code, f"{code}.{sequence}", sequence), b",", to_json(fields)[1:-1]

    def _head(self, code: str, uid: str, sequence: int) -> bytes:
        metadata = _Metadata(sequence, clean_text(uid), code, OCSF_VERSION, self._product_raw, self._profiles)
        return b'{"metadata":%b' % to_json(metadata)

    def _redacted(self, record: StatementRecord) -> str:
        mode = self._settings.literals
        if mode is Literals.HASH and len(record.text) > self._max_text:
            # A cut text ends inside a literal as likely as not, and hashing megabytes would hold up everybody.
            mode = Literals.DROP
        return redact_text(record.text, mode, self._settings.literal_key, record.ruling.analysis.normalised)

    def _cut(self, text: str, metadata: _Metadata) -> str:
        whole = text.encode("utf-8", "surrogatepass")
        metadata.is_truncated = True
        metadata.untruncated_size = len(whole)
        metadata.labels = [f"text_sha256:{hashlib.sha256(whole).hexdigest()}"]
        return text[: self._max_text]


def _cleaned(execution: _Execution) -> _Execution:
    """The same with text that has a JSON form, see ``gateway.audit.encoding``."""
    metadata, query = execution.metadata, execution.query_info
    metadata.uid = clean_text(metadata.uid)
    if isinstance(metadata.correlation_uid, str):
        metadata.correlation_uid = clean_text(metadata.correlation_uid)
    query.query_string = clean_text(query.query_string)
    query.uid = clean_text(query.uid)
    if isinstance(execution.status_code, str):
        execution.status_code = clean_text(execution.status_code)
    return execution


def _encode_late(ruling: Ruling) -> bytes:
    """A ruling that nobody encoded (one made outside the chain) is encoded with its first execution."""
    ruling.audit = encode_ruling(ruling.analysis, ruling.decision, refusal=ruling.refusal)
    return ruling.audit


def _session_class(kind: SessionEventKind) -> tuple[int, int, int, int, int]:
    """class_uid, activity_id, severity_id, status_id, action_id."""
    match kind:
        case SessionEventKind.LOGIN:
            return _CLASS_AUTHENTICATION, 1, 1, 1, 1
        case SessionEventKind.LOGIN_FAILED:
            return _CLASS_AUTHENTICATION, 1, 3, 2, 2
        case SessionEventKind.CLOSED:
            return _CLASS_AUTHENTICATION, 2, 1, 1, 1
        case SessionEventKind.REFUSED:
            return _CLASS_DATASTORE, CONNECT, 3, 2, 2
        case SessionEventKind.CANCEL:
            return _CLASS_DATASTORE, OTHER, 1, 1, 1
        case _:
            assert_never(kind)

"""OCSF 1.7 bodies: what sessions and rulings share, and the events that are recorded whole.

Statements are Datastore Activity (class 6005), logins and their ends Authentication (3002), the log's own life
Application Lifecycle (6002). What OCSF has no attribute for stands under ``unmapped``, as OCSF says. ``docs/audit.md``
lists every field.

A statement's event is put together by ``gateway.audit.expand`` when somebody reads it. The log holds its three parts
apart: what the session shares (``encode_session_context``) and what the ruling shares (``encode_ruling``), each once
per segment, and the execution itself (``gateway.audit.records``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

import msgspec

from gateway.audit.admin import admin_code, admin_fields
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
from gateway.domain.audit import AdminRecord, SessionEventKind, SessionRecord
from gateway.domain.decision import Decision, Mode, SessionContext
from gateway.domain.principal import Principal
from gateway.domain.recorded import Shared
from gateway.domain.resource import Resource
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Analysis
from gateway.errors import GatewayError

OCSF_VERSION: Final = "1.7.0"
FORMAT_VERSION: Final = 2
"""Version of the files' format: raised when a reader of the old format could misread a new line."""
PROFILES: Final = ("security_control",)

_CLASS_DATASTORE: Final = 6005
_CLASS_AUTHENTICATION: Final = 3002
_CLASS_LIFECYCLE: Final = 6002
_NANOSECONDS_PER_MILLISECOND: Final = 1_000_000


class Product(msgspec.Struct, frozen=True):
    """OCSF ``product``: who wrote the log."""

    name: str = "Querygate"
    vendor_name: str = "Querygate"
    version: str = ""


class _Metadata(msgspec.Struct):
    uid: str
    event_code: str
    version: str
    product: Product
    profiles: tuple[str, ...]
    correlation_uid: str | msgspec.UnsetType = msgspec.UNSET


def encode_session_context(
    context: SessionContext, principal: Principal | None, resource: Resource | None, gateway_name: str
) -> Shared:
    """What all events of a session share: an object whose last attribute is ``unmapped``.

    Call it once, when the session has been authorised (or refused), and give the answer to ``AuditLog.record`` with
    every statement. ``principal`` None means that nobody has proved anything: the user name is then only a claim.
    """
    return Shared("session", to_json(_session_fields(context, principal, resource, gateway_name)))


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


def encode_ruling(analysis: Analysis, decision: Decision, *, refusal: GatewayError | None = None) -> Shared:
    """What all executions of one ruling share: an object whose first attributes are ``fingerprint`` and ``unmapped``.

    Keep it in ``Ruling.audit``. ``refusal`` is the error behind a refusal, if any; its detail is recorded.
    """
    activity_id = activity(analysis.actions)
    deciding = next((hit for hit in decision.hits if hit.effect is decision.effect and hit.mode is Mode.ENFORCE), None)
    shared: dict[str, object] = {
        "fingerprint": analysis.fingerprint,
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
    return Shared("ruling", to_json(shared))


def encode_late(ruling: Ruling) -> Shared:
    """A ruling that nobody encoded (one made outside the chain) is encoded with its first execution."""
    ruling.audit = encode_ruling(ruling.analysis, ruling.decision, refusal=ruling.refusal)
    return ruling.audit


class EventEncoder:
    """Makes the bodies of events that are recorded whole. Pure: same input, same bytes."""

    def __init__(self, gateway_name: str, version: str) -> None:
        self._gateway_name = gateway_name
        self._product = Product(version=version)

    def session(self, record: SessionRecord, sequence: int) -> bytes:
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
        shared = _session_fields(record.context, record.principal, record.resource, self._gateway_name)
        if class_uid == _CLASS_AUTHENTICATION:
            # OCSF's Authentication has no database attribute.
            del shared["database"]
            fields["user"] = user_form(record.principal, record.context.user)
            fields["service"] = NamedForm(name=record.context.protocol)
            fields["session"] = {"uid": record.context.id}
        fields.update(shared)
        body = to_json(fields)[1:-2] + b',"statement_count":%d}}' % record.statements
        return self._head(f"session.{kind}", f"{record.context.id}.{kind}.{sequence}") + body

    def admin(self, record: AdminRecord, sequence: int) -> bytes:
        """The body of an event about what an administrator does. ``TypeError`` for states that are not JSON values."""
        uid = f"{record.id}.intent" if record.intent else f"{record.id}.{sequence}"
        head = self._head(admin_code(record), uid, correlation=record.id)
        return head + to_json(admin_fields(record, self._gateway_name))[1:]

    def lifecycle(self, code: str, sequence: int, time: int, details: Mapping[str, object]) -> bytes:
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
            "unmapped": {"format": FORMAT_VERSION, "gateway": self._gateway_name, **details},
        }
        if activity_id == OTHER:
            fields["activity_name"] = code
        return self._head(code, f"{code}.{sequence}") + to_json(fields)[1:]

    def _head(self, code: str, uid: str, *, correlation: str | None = None) -> bytes:
        metadata = _Metadata(clean_text(uid), code, OCSF_VERSION, self._product, PROFILES)
        if correlation is not None:
            metadata.correlation_uid = correlation
        return b'{"metadata":%b,' % to_json(metadata)


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

"""Events about what administrators do: OCSF API Activity (class 6003)."""

from __future__ import annotations

from typing import Final

from gateway.audit.ocsf import OTHER, ActorForm, NamedForm, UserForm, client_endpoint
from gateway.domain.audit import AdminOutcome, AdminRecord

CLASS_API: Final = 6003
_ACTIVITIES: Final = {"create": 1, "read": 2, "update": 3, "delete": 4}
_STATUS: Final = {
    AdminOutcome.SUCCESS: (1, 1, 1),
    AdminOutcome.FAILURE: (2, 2, 1),
    AdminOutcome.REFUSED: (3, 2, 2),
}
"""severity_id, status_id, action_id (1 allowed, 2 denied)."""


def admin_code(record: AdminRecord) -> str:
    """The event's code: ``admin.`` and what was done; ``.intent`` before it is done."""
    return f"admin.{record.operation}" + (".intent" if record.intent else "")


def admin_fields(record: AdminRecord, gateway_name: str) -> dict[str, object]:
    """The body of the event, but for its metadata."""
    activity_id = _ACTIVITIES.get(record.operation.rpartition(".")[2], OTHER)
    severity, status, action = (1, 0, 1) if record.intent else _STATUS[record.outcome]
    api: dict[str, object] = {
        "operation": record.operation,
        "service": NamedForm(name="Querygate admin API"),
        "request": {"uid": record.id},
    }
    fields: dict[str, object] = {
        "class_uid": CLASS_API,
        "category_uid": CLASS_API // 1000,
        "activity_id": activity_id,
        "type_uid": CLASS_API * 100 + activity_id,
        "time": record.time // 1_000_000,
        "severity_id": severity,
        "status_id": status,
        "status_detail": "intent" if record.intent else record.outcome.value,
        "action_id": action,
        "disposition_id": action,
        "actor": ActorForm(
            user=UserForm(
                name=record.admin or "unknown",
                type_id=2 if record.admin else 0,
                groups=[NamedForm(name=role) for role in record.roles],
            ),
            session={"uid": record.session} if record.session else {},
            app_name=record.user_agent,
        ),
        "src_endpoint": client_endpoint(record.client_address),
        "api": api,
        "resources": [{"type": record.kind, "name": record.name}],
    }
    if activity_id == OTHER:
        fields["activity_name"] = record.operation
    if record.detail:
        fields["message"] = record.detail
    changed: dict[str, object] = {"kind": record.kind, "name": record.name}
    if record.before is not None:
        changed["before"] = record.before
    if record.after is not None:
        changed["after"] = record.after
    fields["unmapped"] = {
        "gateway": gateway_name,
        "admin": {"id": record.admin_id, "issuer": record.issuer, "roles": list(record.roles)},
        "change": changed,
    }
    return fields

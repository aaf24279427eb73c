"""Events about what administrators do."""

from __future__ import annotations

from typing import Any

from gateway.audit.event import EventEncoder
from gateway.audit.expand import expand_event
from gateway.domain.audit import AdminOutcome, AdminRecord
from tests.gateway.audit.test_event import event

RECORD = AdminRecord(
    id="req-1",
    time=1_795_420_800_123_000_000,
    admin="olga@example.com",
    admin_id="adm-1",
    roles=("policy-admin",),
    session="ses-1",
    client_address="10.0.0.7:50123",
    user_agent="curl/8",
    operation="policy.update",
    kind="policy",
    name="mask-pii",
    before={"mode": "draft"},
    after={"mode": "enforce"},
    intent=True,
)


def encoded(record: AdminRecord) -> dict[str, Any]:
    return event(expand_event(7, EventEncoder("gw-1", "0.1.0").admin(record, 7)))


def test_a_change_is_an_ocsf_api_activity() -> None:
    found = encoded(RECORD)
    assert (found["class_uid"], found["activity_id"], found["type_uid"]) == (6003, 3, 600303)
    assert found["metadata"]["event_code"] == "admin.policy.update.intent"
    assert found["metadata"]["correlation_uid"] == "req-1"
    assert found["time"] == 1_795_420_800_123
    assert found["actor"]["user"]["name"] == "olga@example.com"
    assert found["src_endpoint"] == {"ip": "10.0.0.7", "port": 50123}
    assert found["api"]["operation"] == "policy.update"
    assert found["resources"] == [{"type": "policy", "name": "mask-pii"}]
    change = found["unmapped"]["change"]
    assert (change["before"], change["after"]) == ({"mode": "draft"}, {"mode": "enforce"})


def test_its_outcome_refers_to_it_and_does_not_repeat_it() -> None:
    found = encoded(RECORD.ended(AdminOutcome.FAILURE, RECORD.time + 1_000_000))
    assert found["metadata"]["event_code"] == "admin.policy.update"
    assert found["metadata"]["correlation_uid"] == "req-1"
    assert (found["status_id"], found["status_detail"]) == (2, "failure")
    assert found["unmapped"]["change"] == {"kind": "policy", "name": "mask-pii"}


def test_what_was_refused_is_denied_and_says_why() -> None:
    record = AdminRecord(
        id="req-2",
        time=1,
        admin="",
        client_address="unknown",
        operation="auth.login",
        kind="admin",
        name="root",
        outcome=AdminOutcome.REFUSED,
        detail="wrong password",
    )
    found = encoded(record)
    assert (found["activity_id"], found["activity_name"], found["action_id"]) == (99, "auth.login", 2)
    assert found["actor"]["user"] == {"name": "unknown", "type_id": 0}
    assert found["message"] == "wrong password"

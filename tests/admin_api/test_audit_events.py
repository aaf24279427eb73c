"""Searching and exporting the audit through the API."""

from __future__ import annotations

import json

from tests.admin_api.test_documents import ANA, READ
from tests.fixtures.admin import AdminApi


def test_changes_are_found_by_person_kind_and_time(api: AdminApi) -> None:
    token = api.admin("policy-admin")
    name = api.get("/v1/auth/me", token=token).json()["name"]
    api.made("/v1/principals", ANA, token=token)
    api.clock.forward(minutes=5)
    api.made("/v1/policies", READ, token=token)
    found = api.get("/v1/audit-events", person=name, kind="admin.", limit=50).json()["items"]
    codes = [event["metadata"]["event_code"] for event in found]
    assert codes[:2] == ["admin.policy.create", "admin.policy.create.intent"], "the newest first"
    assert "admin.principal.create" in codes
    late = api.get("/v1/audit-events", person=name, kind="admin.", since="2026-03-01T12:04:00Z").json()["items"]
    assert {event["api"]["operation"] for event in late} == {"policy.create"}
    early = api.get("/v1/audit-events", person=name, kind="admin.principal", until="2026-03-01T12:04:00Z").json()
    assert [event["status_detail"] for event in early["items"]] == ["success", "intent"]
    assert early["items"][1]["unmapped"]["change"]["after"]["groups"] == ["analysts"]


def test_pages_go_back_to_the_beginning_and_each_event_is_seen_once(api: AdminApi) -> None:
    for number in range(4):
        api.made("/v1/principals", {"name": f"person-{number}"})
    seen: list[str] = []
    cursor = None
    while True:
        page = api.get("/v1/audit-events", kind="admin.principal.create", person="root", limit=3, cursor=cursor).json()
        seen += [event["metadata"]["uid"] for event in page["items"]]
        cursor = page["next"]
        # What is recorded meanwhile is newer and does not move anything.
        api.post("/v1/principals", {"name": f"late-{len(seen)}"})
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    mine = [event["metadata"]["uid"] for event in api.events("admin.principal.create")]
    assert [uid for uid in seen if uid in mine] == [uid for uid in reversed(mine) if uid in seen]
    assert len([uid for uid in seen if uid in mine]) == 8


def test_a_cursor_is_for_its_own_search(api: AdminApi) -> None:
    api.made("/v1/principals", ANA)
    cursor = api.get("/v1/audit-events", limit=1).json()["next"]
    assert api.get("/v1/audit-events", limit=1, cursor=cursor).status_code == 200
    assert api.get("/v1/audit-events", limit=1, cursor=cursor, person="root").status_code == 400
    assert api.get("/v1/audit-events", cursor="made-up").status_code == 400
    assert api.get("/v1/audit-events", since="yesterday").status_code == 422


def test_an_export_is_one_line_an_event_and_is_recorded_itself(api: AdminApi) -> None:
    api.made("/v1/principals", ANA)
    answer = api.get("/v1/audit-events/export", kind="admin.principal")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["metadata"]["event_code"] for line in lines][-2:] == [
        "admin.principal.create.intent",
        "admin.principal.create",
    ]
    (event,) = api.events("admin.audit.read")
    assert event["unmapped"]["change"]["after"] == {"kind": "admin.principal"}
    assert api.get("/v1/audit-events/export", token=api.admin("viewer")).status_code == 403

"""Searching and exporting the audit through the API."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gateway.audit.event import encode_session_context
from gateway.domain.audit import Outcome
from tests.admin_api.test_documents import ANA, READ
from tests.fixtures.admin import AdminApi
from tests.gateway.audit.builders import ANA as ANALYST
from tests.gateway.audit.builders import COPILOT, SESSION, SHOP, refused, statement


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


@pytest.fixture
def searched(api: AdminApi) -> str:
    """A resource of which there are these statements: Ana reads, is refused and fails, her agent reads."""
    resource = replace(SHOP, name=f"searched-{api.start_of_audit}")
    context = encode_session_context(SESSION, ANALYST, resource, "gw-1")
    agent = encode_session_context(SESSION, COPILOT, resource, "gw-1")
    audit = api.assembly.audit
    audit.record(statement(1), context)
    audit.record(refused(2, text="DROP TABLE Customers"), context)
    audit.record(statement(3, outcome=Outcome.FAILURE, code="42P01"), context)
    audit.record(statement(4), agent)
    return resource.name


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ({}, [4, 3, 2, 1]),
        ({"person": "ana@example.com"}, [4, 3, 2, 1]),
        ({"person": "copilot"}, [4]),
        ({"object": "public.customers"}, [4, 3, 2, 1]),
        ({"object": "public.orders"}, []),
        ({"action": "read"}, [4, 3, 2, 1]),
        ({"action": "drop"}, []),
        ({"decision": "deny"}, [2]),
        ({"decision": "allow"}, [4, 3, 1]),
        ({"outcome": "refused"}, [2]),
        ({"outcome": "failure", "decision": "allow"}, [3]),
        ({"text": "drop table"}, [2]),
        ({"text": "nowhere"}, []),
        ({"decision": "deny", "person": "copilot"}, []),
    ],
)
def test_statements_are_found_by_everything_that_is_known_of_them(
    api: AdminApi, searched: str, search: dict[str, str], expected: list[int]
) -> None:
    wanted = {"resource": searched, "kind": "statement", **search}
    items = api.get("/v1/audit-events", limit=50, **wanted).json()["items"]
    assert [int(event["metadata"]["uid"].rpartition(".")[2]) for event in items] == expected

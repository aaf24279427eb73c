"""Documents in the store: their life, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel.ext.asyncio.session import AsyncSession

from gateway.errors import AuditError
from tests.fixtures.admin import AdminApi

SHOP: dict[str, Any] = {
    "name": "shop-prod",
    "protocol": "postgres",
    "address": "127.0.0.1:5432",
    "database": "shop",
    "credentials": {"username": "gateway", "password": "hunter2-hunter2"},
    "tls": {"mode": "disable"},
    "environment": "production",
}
ANA = {"name": "ana@example.com", "groups": ["analysts"]}
READ = {"name": "readers-may-read", "effect": "allow", "match": {"groups": ["analysts"], "actions": ["read"]}}
MASK = {"name": "mask-pii", "effect": "mask", "match": {"labels": ["pii.*"]}, "mask": {"function": "redact"}}
EMAIL = {"resource": "shop-prod", "label": "pii.email", "columns": ["public.customers.email"]}


def test_a_change_is_in_force_at_once_and_in_the_audit_without_its_secret(any_api: AdminApi) -> None:
    api = any_api
    made = api.made("/v1/resources", SHOP)
    assert made["credentials"] == {"username": "gateway", "password": {"sealed": True}}
    assert made["meta"]["created_by"] == "root"
    for path, document in (("principals", ANA), ("classifications", EMAIL), ("policies", READ), ("policies", MASK)):
        api.made(f"/v1/{path}", document)
    snapshot = api.assembly.gateway.snapshot
    assert list(snapshot.resources) == ["shop-prod"]
    assert snapshot.principals["ana@example.com"].groups == {"analysts"}
    assert [policy.name for policy in snapshot.policies.policies] == ["mask-pii", "readers-may-read"]
    assert snapshot.label_index("shop-prod").all_labels == {"pii.email"}
    assert api.assembly.config.credentials["shop-prod"].password == "hunter2-hunter2"
    codes = [event["metadata"]["event_code"] for event in api.events("admin.resource")]
    assert codes == ["admin.resource.create.intent", "admin.resource.create"]
    text = str(api.events(""))
    assert "hunter2" not in text
    assert "hunter2" not in api.get("/v1/resources/shop-prod").text
    assert b"hunter2" not in b"".join(path.read_bytes() for path in api.folder.rglob("control.db*"))


def test_replacing_needs_what_was_read(any_api: AdminApi) -> None:
    api = any_api
    answer = api.post("/v1/resources", SHOP)
    tag = answer.headers["etag"]
    document = answer.json()
    document["environment"] = "staging"
    without = api.request("PUT", "/v1/resources/shop-prod", document)
    assert (without.status_code, without.json()["code"]) == (428, "precondition_required")
    replaced = api.put("/v1/resources/shop-prod", document, tag)
    assert replaced.status_code == 200, replaced.text
    assert replaced.json()["environment"] == "staging"
    assert replaced.json()["meta"]["version"] == 2
    assert api.assembly.config.credentials["shop-prod"].password == "hunter2-hunter2", "a shown secret is kept"
    stale = api.put("/v1/resources/shop-prod", document, tag)
    assert (stale.status_code, stale.headers["etag"]) == (412, '"2"')
    assert api.delete("/v1/resources/shop-prod", tag).status_code == 412
    same = api.get("/v1/resources/shop-prod", headers={"If-None-Match": '"2"'})
    assert (same.status_code, same.content) == (304, b"")
    assert api.delete("/v1/resources/shop-prod", '"2"').status_code == 204
    assert api.get("/v1/resources/shop-prod").status_code == 404
    changes = [event["unmapped"]["change"] for event in api.events("admin.resource.update.intent")]
    assert changes[0]["before"]["environment"] == "production"
    assert changes[0]["after"]["environment"] == "staging"


def test_a_sealed_password_does_not_go_to_another_server(api: AdminApi) -> None:
    document = api.made("/v1/resources", SHOP)
    moved = api.put("/v1/resources/shop-prod", {**document, "address": "10.0.0.66:5432"})
    assert moved.status_code == 422
    assert moved.json()["errors"][0]["pointer"] == "/credentials/password"
    given = {**document, "address": "10.0.0.66:5432", "credentials": {"username": "x", "password": "another"}}
    assert api.put("/v1/resources/shop-prod", given).status_code == 200


@pytest.mark.parametrize("password", [{"env": "PATH"}, {"file": "/etc/passwd"}, {"file": "../../etc/passwd"}])
def test_documents_name_no_secret_of_the_machine_that_is_not_theirs(api: AdminApi, password: object) -> None:
    answer = api.post("/v1/resources", {**SHOP, "credentials": {"username": "x", "password": password}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/credentials/password")


def test_what_a_file_would_be_refused_for_is_refused_here_with_its_place(api: AdminApi) -> None:
    api.made("/v1/resources", SHOP)
    unknown = api.post("/v1/policies", {**READ, "match": {"resources": ["shop-prd"]}})
    assert unknown.status_code == 422
    (wrong,) = unknown.json()["errors"]
    assert wrong["pointer"] == "/match/resources/0"
    assert 'did you mean "shop-prod"?' in wrong["detail"]
    condition = api.post("/v1/policies", {**READ, "match": {"when": "statement.has_predicat"}})
    assert condition.json()["errors"][0]["pointer"] == "/match/when"
    function = api.post("/v1/policies", {**MASK, "mask": {"function": "redct"}})
    assert "redact" in function.text
    shape = api.post("/v1/policies", {**READ, "efect": "allow"})
    assert [wrong["pointer"] for wrong in shape.json()["errors"]] == ["/efect"]
    assert api.get("/v1/policies").json()["items"] == []


def test_what_others_need_is_not_taken_away(api: AdminApi) -> None:
    api.made("/v1/resources", SHOP)
    api.made("/v1/policies", {**READ, "match": {"resources": ["shop-prod"], "actions": ["read"]}})
    refused = api.delete("/v1/resources/shop-prod")
    assert refused.status_code == 409
    assert "readers-may-read" in refused.text
    assert api.get("/v1/resources/shop-prod").status_code == 200


def test_names_are_taken_once_and_for_good(api: AdminApi) -> None:
    api.made("/v1/principals", ANA)
    assert api.post("/v1/principals", ANA).status_code == 409
    renamed = api.put("/v1/principals/ana@example.com", {**ANA, "name": "bea@example.com"})
    assert renamed.status_code == 422
    first = api.made("/v1/classifications", EMAIL)
    assert api.post("/v1/classifications", EMAIL).status_code == 409
    changed = api.put(f"/v1/classifications/{first['meta']['id']}", {**EMAIL, "columns": ["public.staff.email"]})
    assert changed.json()["columns"] == ["public.staff.email"]
    assert api.put(f"/v1/classifications/{first['meta']['id']}", {**EMAIL, "label": "x"}).status_code == 422


def test_a_doubtful_document_is_taken_and_its_author_told(api: AdminApi) -> None:
    made = api.made("/v1/classifications", {**EMAIL, "resource": "nowhere"})
    assert any("nowhere" in warning for warning in made["meta"]["warnings"])


def test_lists_are_filtered_sorted_and_go_on_while_others_insert(any_api: AdminApi) -> None:
    api = any_api
    for number in range(7):
        kind = "service" if number % 2 else "human"
        api.made("/v1/principals", {"name": f"person-{number}", **({} if kind == "human" else {"kind": kind})})
        api.clock.forward(seconds=1)

    def names(**query: Any) -> list[str]:
        found: list[str] = []
        cursor = None
        while True:
            page = api.get("/v1/principals", limit=2, cursor=cursor, **query).json()
            assert len(page["items"]) <= 2
            found += [item["name"] for item in page["items"]]
            cursor = page["next"]
            if cursor is None:
                return found
            if len(found) == 2:
                # Before and behind the cursor.
                api.post("/v1/principals", {"name": "person-0a"})
                api.post("/v1/principals", {"name": "person-99"})

    assert names() == [f"person-{number}" for number in range(7)] + ["person-99"]
    assert names(sort="-name")[0] == "person-99"
    assert names(sort="-created_at", kind="service") == ["person-5", "person-3", "person-1"]
    assert names(text="ERSON-0") == ["person-0", "person-0a"]
    assert "person-99" in names(kind="human")


def test_a_cursor_is_for_its_own_question_only(api: AdminApi) -> None:
    for number in range(3):
        api.made("/v1/principals", {"name": f"person-{number}"})
    cursor = api.get("/v1/principals", limit=1).json()["next"]
    assert api.get("/v1/principals", limit=1, cursor=cursor, sort="-name").status_code == 400
    assert api.get("/v1/principals", limit=1, cursor=cursor[:-2] + "AA").status_code == 400
    assert api.get("/v1/principals", cursor="nonsense").status_code == 400
    assert api.get("/v1/principals", sort="document").status_code == 400
    assert api.get("/v1/resources", cursor=cursor).status_code == 400


def test_a_creation_that_is_sent_twice_happens_once(any_api: AdminApi) -> None:
    api = any_api
    headers = {"Idempotency-Key": "create-shop"}
    first = api.post("/v1/resources", SHOP, headers=headers)
    again = api.post("/v1/resources", SHOP, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["idempotency-replayed"] == "true"
    other = api.post("/v1/resources", {**SHOP, "name": "other"}, headers=headers)
    assert other.status_code == 409
    stranger = api.post("/v1/resources", SHOP, headers=headers, token=api.admin("policy-admin"))
    assert stranger.status_code == 409, "another caller's key is another key"
    assert "already" in stranger.json()["detail"]
    api.clock.forward(hours=25)
    api.token = api.log_in("root")["access_token"]
    assert api.post("/v1/resources", SHOP, headers=headers).status_code == 409, "forgotten, so it is a new request"


def test_groups_come_with_their_members(any_api: AdminApi) -> None:
    api = any_api
    api.made("/v1/principals", ANA)
    group = api.get("/v1/groups/analysts")
    assert group.json()["members"] == ["ana@example.com"]
    changed = api.request(
        "PATCH", "/v1/groups/analysts", {"description": "read, masked"}, headers={"If-Match": group.headers["etag"]}
    )
    assert changed.json()["description"] == "read, masked"
    assert api.delete("/v1/groups/analysts").status_code == 409
    api.put("/v1/principals/ana@example.com", {"name": "ana@example.com"})
    assert api.delete("/v1/groups/analysts").status_code == 204
    api.made("/v1/groups", {"name": "dba", "description": "may approve"})
    assert [item["name"] for item in api.get("/v1/groups").json()["items"]] == ["dba"]


def test_a_policy_goes_through_its_life_and_back(any_api: AdminApi) -> None:
    api = any_api
    api.made("/v1/policies", {**READ, "mode": "draft"})
    path = "/v1/policies/readers-may-read"
    for mode in ("warn", "enforce"):
        answer = api.put(f"{path}/mode", {"mode": mode})
        assert (answer.status_code, answer.json()["mode"]) == (200, mode)
    wider = api.put(path, {**READ, "match": {"groups": ["analysts"], "actions": ["read", "update"]}})
    assert wider.json()["meta"]["version"] == 4
    back = api.post(f"{path}/rollback", {"version": 1}, headers={"If-Match": '"4"'})
    assert back.json()["mode"] == "draft"
    versions = api.get(f"{path}/versions").json()["items"]
    assert versions[0]["created_at"] == api.get(path).json()["meta"]["updated_at"], "times have one form"
    assert [(item["version"], item["note"]) for item in versions] == [
        (5, "rolled back to version 1"),
        (4, ""),
        (3, "mode enforce"),
        (2, "mode warn"),
        (1, ""),
    ]
    assert api.delete(path).status_code == 204
    assert len(api.get(f"{path}/versions").json()["items"]) == 5
    restored = api.post(f"{path}/rollback", {"version": 4})
    assert restored.json()["match"]["actions"] == ["read", "update"]
    assert restored.json()["meta"]["version"] == 6
    assert api.get(f"{path}/versions/4").json()["document"]["match"]["actions"] == ["read", "update"]
    assert api.post(f"{path}/rollback", {"version": 99}).status_code == 404
    assert api.get("/v1/policies/never/versions").status_code == 404


def test_ready_policies_can_be_taken_as_they_are(api: AdminApi) -> None:
    ready = api.get("/v1/policy-library").json()["items"]
    assert ready
    for document in ready:
        made = api.post("/v1/policies", document)
        assert made.status_code == 201, made.text


def test_nothing_is_kept_that_cannot_be_recorded(api: AdminApi, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        raise AuditError("disk full")

    monkeypatch.setattr(api.assembly.audit, "commit", fail)
    refused = api.post("/v1/principals", ANA)
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    monkeypatch.undo()
    assert api.get("/v1/principals").json()["items"] == []
    assert list(api.assembly.gateway.snapshot.principals) == []


def test_a_commit_that_fails_is_recorded_as_a_failure(api: AdminApi, monkeypatch: pytest.MonkeyPatch) -> None:
    real = api.context.database.transaction

    @asynccontextmanager
    async def lost(*, write: bool = False) -> AsyncIterator[AsyncSession]:
        async with real(write=write) as session:
            yield session
            if write:
                raise OperationalError("COMMIT", {}, OSError("the disk is gone"))

    monkeypatch.setattr(api.context.database, "transaction", lost)
    refused = api.post("/v1/principals", ANA)
    monkeypatch.undo()
    assert refused.status_code == 503
    assert "disk" not in refused.text
    assert [event["status_detail"] for event in api.events("admin.principal.create")] == ["intent", "failure"]
    assert api.get("/v1/principals").json()["items"] == []

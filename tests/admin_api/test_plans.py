"""Plan, apply, export and restore: the store changed as a whole or not at all."""

from __future__ import annotations

from typing import Any

from tests.fixtures.admin import AdminApi

RESOURCE: dict[str, Any] = {
    "name": "shop",
    "protocol": "postgres",
    "address": "127.0.0.1:5432",
    "credentials": {"username": "gateway", "password": "s3cret-of-the-shop"},
    "tls": {"mode": "disable"},
}
ANA: dict[str, Any] = {"name": "ana@example.com", "kind": "human", "groups": ["analysts"]}
READ: dict[str, Any] = {
    "name": "readers",
    "effect": "allow",
    "match": {"groups": ["analysts"], "actions": ["read", "session"]},
}


def sections(**changes: Any) -> dict[str, Any]:
    return {"resources": [RESOURCE], "principals": [ANA], "classifications": [], "policies": [READ], **changes}


def apply(api: AdminApi, wanted: dict[str, Any], status: int = 200, **more: Any) -> dict[str, Any]:
    answer = api.post("/v1/apply", {"sections": wanted, **more})
    assert answer.status_code == status, answer.text
    value: dict[str, Any] = answer.json()
    return value


def names(api: AdminApi, section: str) -> list[str]:
    return [item["name"] for item in api.get(f"/v1/{section}").json()["items"]]


def test_a_plan_says_what_apply_does_and_changes_nothing(api: AdminApi) -> None:
    plan = api.post("/v1/plan", {"sections": sections()}).json()
    assert [(item["section"], item["operation"]) for item in plan["changes"]] == [
        ("resources", "create"),
        ("principals", "create"),
        ("policies", "create"),
    ]
    assert not plan["applied"]
    assert names(api, "policies") == []
    assert api.events("admin.policy") == [], "what was only planned is nobody's deed"
    done = apply(api, sections(), revision=plan["revision"])
    assert done["applied"]
    assert done["changes"] == plan["changes"]
    assert names(api, "policies") == ["readers"]
    again = api.post("/v1/plan", {"sections": sections()}).json()
    assert [item["name"] for item in again["changes"]] in ([], ["shop"]), "a secret that is sent again is sealed again"


def test_secrets_are_neither_shown_nor_lost(api: AdminApi) -> None:
    answer = apply(api, sections())
    assert "s3cret" not in str(answer)
    exported = api.get("/v1/export").json()["sections"]
    assert exported["resources"][0]["credentials"]["password"] == {"sealed": True}
    same = api.post("/v1/plan", {"sections": exported}).json()
    assert same["changes"] == [], "an export applied again changes nothing"


def test_all_or_nothing(api: AdminApi) -> None:
    broken = {**READ, "name": "broken", "match": {"groups": ["analysts"], "when": "statement.nonsense"}}
    answer = apply(api, sections(policies=[READ, broken]), 422)
    assert answer["errors"][0]["pointer"].startswith("/sections/policies/1")
    assert names(api, "resources") == []
    shapeless = apply(api, sections(policies=[{**READ, "efect": "deny"}]), 422)
    assert shapeless["errors"][0]["pointer"] == "/sections/policies/0/efect"
    assert apply(api, sections(principals=[{"kind": "human"}]), 422)["errors"]
    assert apply(api, sections(policies=[READ, READ]), 422)["errors"][0]["detail"] == '"readers" is there twice'


def test_deletes_only_where_it_is_told_to(api: AdminApi) -> None:
    apply(api, sections())
    kept = apply(api, sections(policies=[]))
    assert kept["unmanaged"] == [{"section": "policies", "name": "readers"}]
    assert names(api, "policies") == ["readers"]
    gone = apply(api, sections(policies=[]), prune=True)
    assert [item["operation"] for item in gone["changes"] if item["section"] == "policies"] == ["delete"]
    assert names(api, "policies") == []


def test_refuses_a_plan_for_another_store(api: AdminApi) -> None:
    plan = api.post("/v1/plan", {"sections": sections()}).json()
    api.made("/v1/principals", {"name": "bob@example.com"})
    assert "plan again" in apply(api, sections(), 409, revision=plan["revision"])["detail"]


def test_nobody_locks_themselves_out_by_accident(api: AdminApi) -> None:
    me = api.get("/v1/auth/me").json()["name"]
    mine = {"name": me, "kind": "human", "groups": ["analysts"]}
    apply(api, sections(principals=[mine]))
    elsewhere = {**READ, "match": {"groups": ["others"], "actions": ["read"]}}
    refused = apply(api, sections(principals=[mine], policies=[elsewhere]), 409)
    assert "shop" in refused["detail"]
    assert api.get("/v1/policies/readers").json()["match"]["groups"] == ["analysts"]
    apply(api, sections(principals=[mine], policies=[elsewhere]), allow_lockout=True)


def test_goes_back_to_a_snapshot(api: AdminApi) -> None:
    apply(api, sections())
    before = api.get("/v1/snapshots").json()["items"][0]
    deny = {"name": "nothing", "effect": "deny", "match": {"groups": ["analysts"]}}
    apply(api, sections(policies=[deny]), prune=True)
    assert names(api, "policies") == ["nothing"]
    answer = api.post(f"/v1/snapshots/{before['number']}/restore")
    assert answer.status_code == 200, answer.text
    assert names(api, "policies") == ["readers"]
    shown = api.get(f"/v1/snapshots/{before['number']}").json()
    assert "s3cret" not in str(shown)
    assert shown["sections"]["policies"] == [READ]
    assert api.get("/v1/snapshots/9999").status_code == 404


def test_what_was_only_planned_is_never_in_force(api: AdminApi) -> None:
    planned = api.post("/v1/plan", {"sections": {"principals": [{"name": "bob", "groups": ["dba"]}]}})
    assert planned.status_code == 200, planned.text
    api.made("/v1/principals", {"name": "ana", "groups": ["analysts"]})
    assert api.context.plane.groups_of("ana") == {"analysts"}
    assert api.context.plane.groups_of("bob") == frozenset()
    api.made("/v1/principals", {"name": "bob", "groups": ["staff"]})
    assert api.context.plane.groups_of("bob") == {"staff"}

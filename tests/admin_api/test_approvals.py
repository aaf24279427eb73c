"""Deciding over HTTP: who may, what is told to those who may not or come too late, and what webhooks bring back."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy.exc import OperationalError

from admin_api.admins.repository import AdminRepository
from admin_api.approvals.approvers import ApproverDirectory
from admin_api.security import Identity
from gateway.approvals.errors import ApprovalRefused
from gateway.approvals.signature import HEADER, sign
from gateway.config.approvals import AccessOffer, ApprovalSettings, WebhookFormat, WebhookSettings
from gateway.config.secrets import Secret
from gateway.control.plane import LocalDataPlane
from gateway.domain.approval import (
    ApprovalRequest,
    ApprovalRule,
    ApprovalState,
    GrantScope,
    IdentitySource,
    RequestKind,
    StatementSummary,
    Subject,
    Verdict,
)
from tests.fixtures.admin import AdminApi

SECRET = "w" * 32
RULE = ApprovalRule("schema-change", frozenset({"dba"}), timeout=600)


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> dict[str, frozenset[str]]:
    """Groups of principals in the snapshot, by name."""
    found: dict[str, frozenset[str]] = {}
    monkeypatch.setattr(LocalDataPlane, "groups_of", lambda self, name: found.get(name, frozenset()))
    return found


@pytest.fixture
def desk_api(api: AdminApi) -> AdminApi:
    settings = ApprovalSettings(
        webhooks=(
            WebhookSettings("https://ops.example/x", Secret(SECRET), users={"U1": "dora@example.com"}),
            WebhookSettings(
                "https://slack.example/x", Secret("s" * 32), WebhookFormat.SLACK, users={"U2": "dora@example.com"}
            ),
        ),
        access=(
            AccessOffer(
                "pii-readers", frozenset({"analysts"}), frozenset({"shop-prod"}), 3600.0, replace(RULE, hold=False)
            ),
        ),
    )
    api.context.config = replace(api.context.config, approvals=settings)
    return api


def ask(api: AdminApi, **changes: Any) -> ApprovalRequest:
    """A statement that waits."""
    now = time.time()
    request = ApprovalRequest(
        id=api.assembly.desk.new_id(),
        kind=RequestKind.STATEMENT,
        state=ApprovalState.PENDING,
        created=now,
        expires=now + 600,
        subject=Subject("ana@example.com", "human", session_id="s1"),
        resource="shop-prod",
        environment="production",
        protocol="postgres",
        database="shop",
        rules=(RULE,),
        binding=f"b-{now}",
        snapshot="v1",
        statement=StatementSummary("ALTER TABLE t ADD c int", "f1", actions=("alter",), writes=("public.t",)),
    )
    return api.run(api.assembly.desk.submit(replace(request, **changes)))


def approver(api: AdminApi, groups: dict[str, frozenset[str]], *names: str) -> str:
    token = api.admin("approver")
    groups[api.get("/v1/auth/me", token=token).json()["name"]] = frozenset(names)
    return token


def test_an_approver_finds_looks_and_decides(desk_api, groups):
    api = desk_api
    request = ask(api)
    token = approver(api, groups, "dba")
    listed = api.get("/v1/approvals", state="pending", token=token).json()["items"]
    assert request.id in [item["id"] for item in listed]
    shown = api.get(f"/v1/approvals/{request.id}", token=token).json()
    assert shown["statement"]["text"] == "ALTER TABLE t ADD c int"
    assert (shown["approvals_missing"], shown["rules"][0]["approvers"]) == (1, ["dba"])
    decided = api.post(f"/v1/approvals/{request.id}/decision", {"decision": "approve", "reason": "ok"}, token=token)
    assert (decided.status_code, decided.json()["state"]) == (200, "approved")
    late = api.post(f"/v1/approvals/{request.id}/decision", {"decision": "reject"}, token=token)
    assert late.status_code == 409
    codes = [event["metadata"]["event_code"] for event in api.events("admin.approval")]
    assert codes == ["admin.approval.requested", "admin.approval.approved"]


def test_who_may_not_decide_is_told_who_may(desk_api, groups):
    api = desk_api
    request = ask(api)
    stranger = approver(api, groups, "sales")
    refused = api.post(f"/v1/approvals/{request.id}/decision", {"decision": "approve"}, token=stranger)
    assert refused.status_code == 403
    assert "dba" in refused.json()["detail"]
    for role in ("viewer", "auditor", "policy-admin"):
        token = api.admin(role)
        assert api.get("/v1/approvals", token=token).status_code == 403
    assert api.get("/v1/approvals/nothing", token=stranger).status_code == 404
    assert api.post("/v1/approvals/nothing/decision", {"decision": "approve"}, token=stranger).status_code == 404
    wide = {"decision": "approve", "scope": "session"}
    token = approver(api, groups, "dba")
    assert api.post(f"/v1/approvals/{request.id}/decision", wide, token=token).status_code == 400


def test_pages_go_back_in_time(desk_api, groups):
    api = desk_api
    made = [ask(api, binding=f"page-{number}", resource="paged").id for number in range(5)]
    token = approver(api, groups, "dba")
    seen, cursor = [], None
    while True:
        page = api.get("/v1/approvals", resource="paged", limit=2, cursor=cursor, token=token).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == made[::-1]
    assert api.get("/v1/approvals", cursor="x", token=token).status_code == 400


def test_a_webhooks_receiver_decides_by_signature_alone(desk_api, groups):
    api = desk_api
    groups["dora@example.com"] = frozenset({"dba"})
    request = ask(api)
    path = f"/v1/approvals/{request.id}/callback"
    body = json.dumps({"id": request.id, "user": "U1", "decision": "reject", "reason": "no"}).encode()
    good = {HEADER: sign(SECRET, body, api.clock().timestamp())}
    for headers, content, status in (
        ({}, body, 401),
        ({HEADER: sign("x" * 32, body, api.clock().timestamp())}, body, 401),
        ({HEADER: sign(SECRET, body, api.clock().timestamp() - 400)}, body, 401),
        (good, body + b" ", 401),
        (good, body, 200),
        (good, body, 409),
    ):
        answer = api.request("POST", path, content=content, headers=headers, token="")
        assert answer.status_code == status, answer.text
    stranger = json.dumps({"id": request.id, "user": "U9", "decision": "approve"}).encode()
    signed = {HEADER: sign(SECRET, stranger, api.clock().timestamp())}
    assert api.request("POST", path, content=stranger, headers=signed, token="").status_code == 403


def test_a_signed_decision_is_good_for_its_own_request_only(desk_api, groups):
    api = desk_api
    groups["dora@example.com"] = frozenset({"dba"})
    meant, other = ask(api), ask(api, database="elsewhere")
    for content, request, status in (
        ({"id": meant.id, "user": "U1", "decision": "approve"}, other, 403),
        ({"user": "U1", "decision": "approve"}, other, 400),
        ({"id": meant.id, "user": "U1", "decision": "approve"}, meant, 200),
    ):
        body = json.dumps(content).encode()
        headers = {HEADER: sign(SECRET, body, api.clock().timestamp())}
        answer = api.request("POST", f"/v1/approvals/{request.id}/callback", content=body, headers=headers, token="")
        assert answer.status_code == status, answer.text
    assert api.run(api.assembly.desk.get(other.id)).state is ApprovalState.PENDING


def test_who_has_left_the_group_decides_no_more(desk_api, groups):
    api = desk_api
    groups["dora@example.com"] = frozenset({"dba"})
    request = ask(api)
    body = json.dumps({"id": request.id, "user": "U1", "decision": "approve"}).encode()
    headers = {HEADER: sign(SECRET, body, api.clock().timestamp())}
    del groups["dora@example.com"]
    answer = api.request("POST", f"/v1/approvals/{request.id}/callback", content=body, headers=headers, token="")
    assert answer.status_code == 403
    assert api.run(api.assembly.desk.get(request.id)).state is ApprovalState.PENDING


def test_a_button_in_slack(desk_api, groups):
    import hashlib
    import hmac

    api = desk_api
    groups["dora@example.com"] = frozenset({"dba"})
    request = ask(api)
    payload = {"user": {"id": "U2"}, "actions": [{"action_id": "approve", "value": request.id}]}
    body = urlencode({"payload": json.dumps(payload)}).encode()
    moment = str(int(api.clock().timestamp()))
    digest = hmac.new(b"s" * 32, b"v0:" + moment.encode() + b":" + body, hashlib.sha256).hexdigest()
    headers = {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": f"v0={digest}"}
    assert api.request("POST", "/v1/approvals/slack", content=body, headers={}, token="").status_code == 401
    answer = api.request("POST", "/v1/approvals/slack", content=body, headers=headers, token="")
    assert answer.status_code == 200
    assert api.run(api.assembly.desk.get(request.id)).state is ApprovalState.APPROVED


def test_access_is_asked_for_only_where_it_is_offered(desk_api, groups):
    api = desk_api
    api.clock.now = datetime.now(UTC)  # the desk's clock goes on
    api.token = api.log_in("root")["access_token"]
    token = api.admin("viewer")
    name = api.get("/v1/auth/me", token=token).json()["name"]
    wish = {"group": "pii-readers", "resource": "shop-prod", "duration_seconds": 600, "reason": "INC-42"}
    assert api.post("/v1/access-requests", wish, token=token).status_code == 403
    groups[name] = frozenset({"analysts"})
    assert api.post("/v1/access-requests", {**wish, "duration_seconds": 7200}, token=token).status_code == 400
    assert api.post("/v1/access-requests", {**wish, "resource": "other"}, token=token).status_code == 403
    asked = api.made("/v1/access-requests", wish, token=token)
    assert (asked["kind"], asked["state"], asked["group"]) == ("access", "pending", "pii-readers")
    dba = approver(api, groups, "dba")
    assert api.post(f"/v1/approvals/{asked['id']}/decision", {"decision": "approve"}, token=dba).status_code == 200
    assert api.assembly.desk.granted_groups(name, "shop-prod") == {"pii-readers"}


def account(api: AdminApi, *names: str, role: str = "approver") -> tuple[str, str]:
    """The path and the access token of a new administrator who belongs to groups."""
    token = api.admin(role)
    made = next(a for a in api.get("/v1/admins", limit=500).json()["items"] if a["name"] == me(api, token))
    change(api, path := f"/v1/admins/{made['id']}", groups=list(names))
    return path, token


def me(api: AdminApi, token: str) -> str:
    return str(api.get("/v1/auth/me", token=token).json()["name"])


def change(api: AdminApi, path: str, **what: Any) -> None:
    answer = api.request("PATCH", path, what, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text


def decide(api: AdminApi, request: ApprovalRequest, token: str, **more: Any) -> Any:
    answer = api.post(f"/v1/approvals/{request.id}/decision", {"decision": "approve", **more}, token=token)
    assert answer.status_code == 200, answer.text
    return answer.json()


LEAVING = {
    "left the group": lambda api, path: change(api, path, groups=["sales"]),
    "is disabled": lambda api, path: change(api, path, disabled=True),
    "is no approver": lambda api, path: change(api, path, roles=["viewer"]),
    "is deleted": lambda api, path: api.delete(path),
}


@pytest.mark.parametrize("how", LEAVING)
def test_the_word_of_an_approver_who_is_none_any_more_does_not_count(desk_api, how):
    api = desk_api
    request = ask(api, rules=(replace(RULE, count=2),))
    path, first = account(api, "dba")
    name = me(api, first)
    assert decide(api, request, first)["approvals_missing"] == 1
    LEAVING[how](api, path)
    after = decide(api, request, account(api, "dba")[1])
    assert (after["state"], after["approvals_missing"]) == ("pending", 1)
    assert [(v["approver"] == name, v["lapsed"]) for v in after["verdicts"]] == [(True, True), (False, False)]
    assert decide(api, request, account(api, "dba")[1])["state"] == "approved"
    recorded = api.events("admin.approval")[-1]["unmapped"]["change"]["after"]["verdicts"]
    assert [verdict.get("lapsed", False) for verdict in recorded] == [True, False, False]


def test_an_approver_by_the_principals_groups_counts_while_the_principal_has_them(desk_api, groups):
    api = desk_api
    request = ask(api, rules=(replace(RULE, count=2),))
    first = approver(api, groups, "dba")
    decide(api, request, first)
    del groups[me(api, first)]
    assert decide(api, request, approver(api, groups, "dba"))["state"] == "pending"


def test_whoever_is_locked_out_decides_by_no_webhook(desk_api, groups):
    api = desk_api
    groups["dora@example.com"] = frozenset({"dba"})
    made = api.made("/v1/admins", {"name": "dora@example.com", "password": "a long pass phrase", "roles": ["viewer"]})
    request = ask(api, rules=(replace(RULE, hold=False),))
    other = ask(api)

    def by_webhook(request: ApprovalRequest) -> int:
        body = json.dumps({"id": request.id, "user": "U1", "decision": "approve"}).encode()
        signed = {HEADER: sign(SECRET, body, api.clock().timestamp())}
        path = f"/v1/approvals/{request.id}/callback"
        return api.request("POST", path, content=body, headers=signed, token="").status_code

    assert by_webhook(request) == 200
    change(api, f"/v1/admins/{made['id']}", disabled=True)
    assert by_webhook(other) == 403
    with pytest.raises(ApprovalRefused, match="may not decide any more"):
        api.run(api.assembly.desk.claim(request.id, "s1"))
    api.delete(f"/v1/admins/{made['id']}")


def test_an_issuers_word_counts_while_the_issuer_is_configured(desk_api):
    """An issuer cannot be asked again about somebody's groups."""
    context = desk_api.context
    configured = ApproverDirectory(context.database, context.plane, frozenset({"https://idp.example"}))
    word = configured.of_caller(Identity("dora@idp.example", issuer="https://idp.example", groups=frozenset({"dba"})))
    assert word.source == IdentitySource(issuer="https://idp.example", groups=frozenset({"dba"}))
    verdict = Verdict(word.name, word.groups, True, "", 0.0, source=word.source)
    assert desk_api.run(configured.standing([verdict])) == [{"dba"}]
    without = ApproverDirectory(context.database, context.plane, frozenset())
    assert desk_api.run(without.standing([verdict])) == [frozenset()]


def test_grants_are_revoked_by_who_could_have_decided_and_by_owners(desk_api, groups):
    api = desk_api
    wide = replace(RULE, scopes=frozenset(GrantScope))
    dba, stranger = approver(api, groups, "dba"), approver(api, groups, "sales")
    for by, status in ((stranger, 403), (api.admin("viewer"), 403), (dba, 200), (None, 200)):
        request = ask(api, rules=(wide,))
        path = f"/v1/approvals/{request.id}/revocation"
        assert api.post(path, {}, token=dba).status_code == 409, "there is nothing to revoke yet"
        decide(api, request, dba, scope="window")
        answer = api.post(path, {"reason": "dora has left"}, token=by)
        assert answer.status_code == status, answer.text
        if status == 200:
            assert (answer.json()["state"], answer.json()["note"].endswith(": dora has left")) == ("revoked", True)
            assert api.post(path, {}, token=by).status_code == 409
            assert api.events("admin.approval")[-1]["metadata"]["event_code"] == "admin.approval.revoked"
            assert request.id in [i["id"] for i in api.get("/v1/approvals", state="revoked").json()["items"]]
    assert api.post("/v1/approvals/nothing/revocation", {}).status_code == 404


def test_while_the_store_is_away_nothing_is_decided_on_former_words(desk_api, groups, monkeypatch):
    api = desk_api
    request = ask(api, rules=(replace(RULE, count=2),))
    decide(api, request, approver(api, groups, "dba"))
    second = approver(api, groups, "dba")

    async def away(self: AdminRepository, identifier: str) -> None:
        raise OperationalError("SELECT", {}, OSError("gone"))

    # What finds the caller comes first, and must find one.
    real, calls = AdminRepository.find_id, itertools.count()
    monkeypatch.setattr(
        AdminRepository, "find_id", lambda self, identifier: (real if next(calls) == 0 else away)(self, identifier)
    )
    answer = api.post(f"/v1/approvals/{request.id}/decision", {"decision": "approve"}, token=second)
    assert answer.status_code == 503, answer.text
    monkeypatch.undo()
    assert len(api.run(api.assembly.desk.get(request.id)).verdicts) == 1


def test_an_agent_decides_nothing_for_whom_it_acts(desk_api, groups, monkeypatch):
    api = desk_api
    token = approver(api, groups, "dba")
    acts_for = {me(api, token): ("ana@example.com",)}
    monkeypatch.setattr(LocalDataPlane, "acts_for", lambda self, name: acts_for.get(name, ()))
    mine = api.post(f"/v1/approvals/{ask(api).id}/decision", {"decision": "approve"}, token=token)
    assert (mine.status_code, "their own name" in mine.json()["detail"]) == (403, True)
    other = ask(api, subject=Subject("sam@example.com", "human", session_id="s1"))
    assert decide(api, other, token)["state"] == "approved"

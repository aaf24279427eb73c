"""Access tokens through the API, proved at the gateway's own identity provider."""

from __future__ import annotations

import base64
from typing import Any

from gateway.domain.decision import SessionContext
from gateway.domain.identity import PasswordCredentials
from gateway.domain.principal import Principal
from gateway.identity.scram import derive_verifier, format_verifier
from gateway.testing.servers import PostgresServer
from tests.admin_api.test_documents import ANA, SHOP
from tests.fixtures.admin import AdminApi, StartApi, fresh_store, with_owner


def prove(api: AdminApi, token: str, user: str = "ana@example.com", resource: str = "shop-prod") -> Principal | None:
    """Who a client with this password is to the gateway."""
    session = SessionContext(
        id="s", protocol="postgres", client_address="127.0.0.1:1", tls=True, user=user, resource=resource
    )
    api.assembly.identity._clock = lambda: api.clock().timestamp()
    proof = api.assembly.identity.authenticate(session, PasswordCredentials(user, token))
    return None if proof is None else proof.principal


def prepare(api: AdminApi) -> None:
    api.made("/v1/resources", SHOP)
    api.made("/v1/principals", ANA)


def test_a_token_opens_what_it_is_for_until_it_ends(any_api: AdminApi) -> None:
    api = any_api
    prepare(api)
    api.made("/v1/resources", {**SHOP, "name": "other"})
    body = {"principal": "ana@example.com", "resources": ["shop-prod"], "ttl": "8h", "description": "laptop"}
    issued = api.made("/v1/tokens", body)
    assert issued["token"].startswith("qg_")
    assert issued["state"] == "active"
    assert prove(api, issued["token"]) is not None
    assert prove(api, issued["token"], resource="other") is None
    assert prove(api, issued["token"], user="bea@example.com") is None
    assert prove(api, issued["token"][:-1]) is None
    listed = api.get("/v1/tokens", principal="ana@example.com")
    assert [item["id"] for item in listed.json()["items"]] == [issued["id"]]
    assert issued["token"] not in listed.text
    assert "SCRAM" not in listed.text
    api.clock.forward(hours=8)
    api.token = api.log_in("root")["access_token"]
    assert prove(api, issued["token"]) is None
    assert api.get(f"/v1/tokens/{issued['id']}").json()["state"] == "expired"
    stored = b"".join(path.read_bytes() for path in api.folder.rglob("control.db*"))
    assert issued["token"].encode() not in stored


def test_a_revoked_token_opens_nothing(any_api: AdminApi) -> None:
    api = any_api
    prepare(api)
    issued = api.made("/v1/tokens", {"principal": "ana@example.com"})
    assert prove(api, issued["token"]) is not None
    assert api.post(f"/v1/tokens/{issued['id']}/revoke").json()["state"] == "revoked"
    assert prove(api, issued["token"]) is None
    assert api.post(f"/v1/tokens/{issued['id']}/revoke").status_code == 200, "again changes nothing"
    assert [item["state"] for item in api.get("/v1/tokens", state="revoked").json()["items"]] == ["revoked"]
    assert api.get("/v1/tokens", state="active").json()["items"] == []
    codes = [event["metadata"]["event_code"] for event in api.events("admin.token")]
    assert codes == [
        "admin.token.create.intent",
        "admin.token.create",
        "admin.token.revoke.intent",
        "admin.token.revoke",
    ]


def test_tokens_end_with_their_principal(api: AdminApi) -> None:
    prepare(api)
    issued = api.made("/v1/tokens", {"principal": "ana@example.com"})
    assert api.delete("/v1/principals/ana@example.com").status_code == 204
    assert api.get(f"/v1/tokens/{issued['id']}").json()["state"] == "revoked"
    api.made("/v1/principals", ANA)
    assert prove(api, issued["token"]) is None, "somebody new of that name does not inherit them"


def test_one_issues_tokens_for_oneself_only_unless_policy_admin(api: AdminApi) -> None:
    prepare(api)
    viewer = api.admin("viewer")
    name = api.get("/v1/auth/me", token=viewer).json()["name"]
    api.made("/v1/principals", {"name": name})
    assert api.post("/v1/tokens", {"principal": "ana@example.com"}, token=viewer).status_code == 403
    own = api.made("/v1/tokens", {"principal": name}, token=viewer)
    other = api.made("/v1/tokens", {"principal": "ana@example.com"}, token=api.admin("policy-admin"))
    assert api.post(f"/v1/tokens/{other['id']}/revoke", token=viewer).status_code == 403
    assert api.post(f"/v1/tokens/{own['id']}/revoke", token=viewer).status_code == 200


def test_what_cannot_be_issued(api: AdminApi) -> None:
    prepare(api)

    def pointers(body: dict[str, Any]) -> list[str]:
        answer = api.post("/v1/tokens", body)
        assert answer.status_code == 422
        return [wrong["pointer"] for wrong in answer.json()["errors"]]

    assert pointers({"principal": "nobody"}) == ["/principal"]
    assert pointers({"principal": "ana@example.com", "resources": ["shop-prod", "none"]}) == ["/resources/1"]
    assert pointers({"principal": "ana@example.com", "ttl": "400d"}) == ["/ttl"]
    assert pointers({"principal": "ana@example.com", "ttl": "0"}) == ["/ttl"]
    assert pointers({"principal": "ana@example.com", "ttl": 8}) == ["/ttl"]


def test_a_token_that_is_asked_for_twice_is_issued_once_and_shown_once(api: AdminApi) -> None:
    prepare(api)
    headers = {"Idempotency-Key": "mine"}
    api.made("/v1/tokens", {"principal": "ana@example.com"}, headers=headers)
    again = api.post("/v1/tokens", {"principal": "ana@example.com"}, headers=headers)
    assert again.status_code == 409
    assert "shown once" in again.json()["detail"]
    assert len(api.get("/v1/tokens").json()["items"]) == 1


def test_last_use_is_known(api: AdminApi) -> None:
    prepare(api)
    issued = api.made("/v1/tokens", {"principal": "ana@example.com"})
    moment = api.clock().timestamp()
    api.assembly.gateway.token_uses[issued["id"]] = moment
    (item,) = api.get("/v1/tokens").json()["items"]
    assert item["last_used_at"] == "2026-03-01T12:00:00Z"


def test_all_tokens_of_a_principal_share_a_salt_whatever_replica_issued_them(
    start_api: StartApi, postgres_server: PostgresServer
) -> None:
    store = fresh_store(postgres_server)
    key = {"key": base64.b64encode(b"k" * 32).decode()}
    first = with_owner(start_api(database=store, control_plane=key))
    prepare(first)
    second = start_api(database=store, control_plane=key)
    assert first.context.install_secret != second.context.install_secret
    tokens = [
        api.made("/v1/tokens", {"principal": "ana@example.com"}, token=first.token)["token"] for api in (first, second)
    ]
    assert all(prove(second, token) is not None for token in tokens)
    verifiers = {token.scram.salt for token in second.assembly.config.tokens if token.scram is not None}
    assert len(second.assembly.config.tokens) == 2
    assert len(verifiers) == 1


def test_a_verifier_in_a_principal_is_not_shown_and_can_be_kept(api: AdminApi) -> None:
    verifier = format_verifier(derive_verifier("secret", salt=b"0123456789abcdef", iterations=4096))
    made = api.made("/v1/principals", {**ANA, "token": {"verifier": verifier}})
    assert made["token"] == {"sealed": True}
    assert api.put("/v1/principals/ana@example.com", {**made, "groups": ["support"]}).status_code == 200
    assert api.assembly.config.tokens[0].scram is not None

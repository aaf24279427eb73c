"""Who gets in and who may do what."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi.routing import APIRoute
from starlette.routing import Route

from admin_api.auth.bootstrap import FILE
from admin_api.deps import get_reading, get_work
from admin_api.gateways.link import GatewayCredential
from admin_api.openapi import endpoints, needs
from admin_api.security import GRANTS, Need, Public, Role
from gateway.identity.issue import new_key, sign
from gateway.testing.servers import PostgresServer
from tests.fixtures.admin import PASSWORD, AdminApi, StartApi, fresh_store, with_owner

PUBLIC = {
    "/health",
    "/health/live",
    "/metrics",
    "/docs",
    "/docs/page.{kind}",
    "/openapi.json",
    "/v1/approvals/{identifier}/callback",
    "/v1/approvals/slack",
    "/v1/auth/bootstrap",
    "/v1/auth/login",
    "/v1/auth/refresh",
    "/oauth/token",
    "/.well-known/jwks.json",
}
ANY_ROLE = {
    "/v1/access-requests",
    "/v1/approvals/{identifier}/break-glass",
    "/v1/auth/logout",
    "/v1/auth/me",
    "/v1/auth/password",
    "/v1/connect/{resource}",
}
ENDLESS = {"/v1/approvals/events"}
"""Answers that end with their client."""


def operations(api: AdminApi) -> list[tuple[str, APIRoute]]:
    return [(method, route) for route in endpoints(api.app) for method in sorted(route.methods or ())]


def test_every_endpoint_says_what_it_needs(api: AdminApi) -> None:
    found = set()
    for method, route in operations(api):
        if route.include_in_schema:
            found.add((route.path_format, method.lower()))
        declared = list(needs(route.dependant))
        assert len(declared) == 1, f"{route.path} declares {declared}"
        match declared[0]:
            case Public():
                assert route.path in PUBLIC
            case GatewayCredential():
                assert route.path.startswith("/link/")
            case Need(role=None):
                assert route.path in ANY_ROLE
            case _:
                assert route.path not in PUBLIC | ANY_ROLE
    described = api.app.openapi()["paths"]
    assert found == {(path, method) for path, item in described.items() for method in item}, "all are looked at"
    plain = {getattr(route, "path", None) for route in api.app.routes if isinstance(route, Route)}
    assert plain <= PUBLIC, "what else is served is public on purpose"


def test_nobody_opens_a_transaction_before_they_are_known(api: AdminApi) -> None:
    for method, route in operations(api):
        calls = [inner.call for inner in route.dependant.dependencies]
        if any(isinstance(call, Public) for call in calls):
            assert not {get_work, get_reading} & set(calls)
            continue
        first = next(index for index, call in enumerate(calls) if isinstance(call, Need))
        assert first == 0, f"{method} {route.path}: the caller comes first"


def test_the_matrix_of_roles_and_endpoints(api: AdminApi) -> None:
    """Every endpoint with every role: 403 exactly where the declared role is not among those that the caller has."""
    tokens = {role: api.admin(role.value) for role in Role}
    for method, route in operations(api):
        (needed,) = needs(route.dependant)
        path = route.path
        for parameter in route.param_convertors:
            path = path.replace("{" + parameter + ":path}", "none").replace("{" + parameter + "}", "1")
        if isinstance(needed, Public) or route.path in ANY_ROLE:
            continue
        assert isinstance(needed, Need)
        if isinstance(needed, GatewayCredential):
            for token in ("", *tokens.values()):
                assert api.request(method, path, {}, token=token).status_code == 401, f"{method} {path}"
            continue
        assert needed.role is not None
        assert api.request(method, path, {}, token="").status_code == 401, f"{method} {path} with nobody"
        for role, token in tokens.items():
            if path in ENDLESS and needed.role in GRANTS[role]:
                continue
            status = api.request(method, path, {}, token=token).status_code
            assert status < 500 or status == 503, f"{method} {path} as {role}: {status}"
            refused = status == 403
            assert refused == (needed.role not in GRANTS[role]), f"{method} {path} as {role}: {status}"


def test_a_refused_request_is_in_the_audit(api: AdminApi) -> None:
    api.post("/v1/principals", {"name": "ana"}, token=api.admin("viewer"))
    (event,) = [event for event in api.events() if event["status_detail"] == "refused"]
    assert event["api"]["operation"] == "POST /v1/principals"
    assert event["actor"]["user"]["name"].startswith("viewer-")
    assert event["src_endpoint"]["ip"] == "127.0.0.1"


def test_nobody_fills_the_audit_with_refusals(api: AdminApi) -> None:
    for number in range(40):
        assert api.get("/v1/principals", token=f"qg_guess-{number}", address="10.0.0.9").status_code == 401
    assert 1 <= len([event for event in api.events() if event["status_detail"] == "refused"]) < 40


def test_roles_are_looked_up_at_each_request(api: AdminApi) -> None:
    token = api.admin("policy-admin")
    name = api.get("/v1/auth/me", token=token).json()["name"]
    (account,) = [item for item in api.get("/v1/admins").json()["items"] if item["name"] == name]
    path = f"/v1/admins/{account['id']}"
    assert api.post("/v1/principals", {"name": "one"}, token=token).status_code == 201
    api.request("PATCH", path, {"roles": ["viewer"]}, headers={"If-Match": "*"})
    assert api.post("/v1/principals", {"name": "two"}, token=token).status_code == 403
    api.request("PATCH", path, {"disabled": True}, headers={"If-Match": "*"})
    assert api.get("/v1/principals", token=token).status_code == 401
    assert api.post("/v1/auth/login", {"name": name, "password": PASSWORD}, token="").status_code == 401


def test_there_is_always_an_owner(api: AdminApi) -> None:
    (root,) = api.get("/v1/admins").json()["items"]
    path, match = f"/v1/admins/{root['id']}", {"If-Match": "*"}
    assert api.request("PATCH", path, {"roles": ["viewer"]}, headers=match).status_code == 409
    assert api.request("PATCH", path, {"disabled": True}, headers=match).status_code == 409
    assert api.delete(path).status_code == 409
    api.made("/v1/admins", {"name": "second", "password": PASSWORD, "roles": ["owner"]})
    assert api.delete(path).status_code == 204
    assert api.get("/v1/auth/me").status_code == 401, "a deleted account's tokens are worth nothing"


# --- tokens that must be refused --------------------------------------------------------------------------------------


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (header, claims))


def _encode(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _private(api: AdminApi) -> tuple[str, str]:
    key = api.context.tokens._keys[-1]
    return key.private, key.kid


def _public(api: AdminApi, encoding: Encoding) -> bytes:
    key = serialization.load_pem_private_key(_private(api)[0].encode(), None)
    return key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def _changed(api: AdminApi, **changes: object) -> str:
    """Signed with the right key: only the claims are wrong."""
    _, claims = _parts(api.token)
    claims |= changes
    return sign({name: value for name, value in claims.items() if value is not None}, *_private(api))


def _hmac(api: AdminApi, key: bytes, **header: object) -> str:
    old, claims = _parts(api.token)
    signed = f"{_encode(old | {'alg': 'HS256'} | header)}.{_encode(claims)}"
    return f"{signed}.{_encode(hmac.digest(key, signed.encode(), hashlib.sha256))}"


def _unsigned(api: AdminApi, algorithm: str) -> str:
    header, claims = _parts(api.token)
    return f"{_encode(header | {'alg': algorithm})}.{_encode(claims)}."


def _tampered(api: AdminApi) -> str:
    header, _claims, signature = api.token.split(".")
    _, content = _parts(api.token)
    return f"{header}.{_encode(content | {'sub': 'adm-somebody-else'})}.{signature}"


def _with_header(api: AdminApi, **header: object) -> str:
    from jose import jws

    _, claims = _parts(api.token)
    private, kid = _private(api)
    token: str = jws.sign(claims, private, headers={"kid": kid, **header}, algorithm="ES256")
    return token


def _twice(api: AdminApi) -> str:
    header, claims, signature = api.token.split(".")
    doubled = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)).replace(b"{", b'{"sub":"x",', 1)
    return f"{header}.{_encode(doubled)}.{signature}"


NOW = 1772366400
BAD_TOKENS: dict[str, Callable[[AdminApi], str]] = {
    "HS256 with the public key in PEM": lambda api: _hmac(api, _public(api, Encoding.PEM)),
    "HS256 with the public key in DER": lambda api: _hmac(api, _public(api, Encoding.DER)),
    "HS256 with an empty key": lambda api: _hmac(api, b""),
    "HS256 without a key id": lambda api: _hmac(api, _public(api, Encoding.PEM), kid=None),
    "none": lambda api: _unsigned(api, "none"),
    "None, spelt another way": lambda api: _unsigned(api, "nOnE"),
    "no signature": lambda api: _unsigned(api, "ES256"),
    "tampered": _tampered,
    "a claim twice": _twice,
    "foreign key": lambda api: sign(_parts(api.token)[1], new_key(), _private(api)[1]),
    "foreign key id": lambda api: sign(_parts(api.token)[1], new_key(), "key-of-somebody"),
    "right key, unknown id": lambda api: sign(_parts(api.token)[1], _private(api)[0], "key-of-somebody"),
    "key in the header": lambda api: _with_header(api, jwk={"kty": "EC"}, kid="x"),
    "critical header": lambda api: _with_header(api, crit=["exp"]),
    "another type": lambda api: _with_header(api, typ="logout+jwt"),
    "wrong audience": lambda api: _changed(api, aud="another-api"),
    "no audience": lambda api: _changed(api, aud=None),
    "wrong issuer": lambda api: _changed(api, iss="https://elsewhere.example.com"),
    "no issuer": lambda api: _changed(api, iss=None),
    "expired": lambda api: _changed(api, exp=NOW - 31),
    "no expiry": lambda api: _changed(api, exp=None),
    "expiry as text": lambda api: _changed(api, exp=str(NOW + 600)),
    "from the future": lambda api: _changed(api, iat=NOW + 120),
    "no time of issue": lambda api: _changed(api, iat=None),
    "not yet": lambda api: _changed(api, nbf=NOW + 120),
    "no subject": lambda api: _changed(api, sub=None),
    "another account": lambda api: _changed(api, sub="adm-somebody-else"),
    "no session": lambda api: _changed(api, sid=None),
    "another session": lambda api: _changed(api, sid="ses-somebody-else"),
    "too long": lambda api: _changed(api, padding="x" * 9000),
    "not a token": lambda api: "qg_something",
    "empty parts": lambda api: "..",
}


def test_every_bad_token_is_refused_and_the_good_one_is_not(api: AdminApi) -> None:
    for what, make in BAD_TOKENS.items():
        answer = api.get("/v1/auth/me", token=make(api))
        assert answer.status_code == 401, f"{what}: {answer.status_code} {answer.text}"
        assert answer.json()["detail"] == "a valid access token is needed", "one text for every reason"
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert api.get("/v1/auth/me").status_code == 200
    assert api.get("/v1/auth/me", token=_changed(api)).status_code == 200, "what the changes are made from is good"


def test_an_access_token_is_short_lived(api: AdminApi) -> None:
    api.clock.forward(seconds=600 + 29)
    assert api.get("/v1/auth/me").status_code == 200, "clocks may differ a little"
    api.clock.forward(seconds=2)
    assert api.get("/v1/auth/me").status_code == 401


def test_keys_rotate_and_old_tokens_stay_good_until_they_expire(api: AdminApi) -> None:
    api.clock.forward(days=29, hours=23, minutes=59)
    old = api.log_in("root")["access_token"]
    api.clock.forward(minutes=2)
    new = api.log_in("root")["access_token"]
    assert _parts(new)[0]["kid"] != _parts(old)[0]["kid"]
    assert api.get("/v1/auth/me", token=old).status_code == 200
    assert api.get("/v1/auth/me", token=new).status_code == 200


def test_another_replica_accepts_what_this_one_signs(start_api: StartApi, postgres_server: PostgresServer) -> None:
    store = fresh_store(postgres_server)
    first = with_owner(start_api(database=store))
    second = start_api(database=store, data_of=first)
    assert second.get("/v1/auth/me", token=first.token).status_code == 200
    first.clock.forward(days=31)
    second.clock.forward(days=31)
    token = first.log_in("root")["access_token"]
    assert second.get("/v1/auth/me", token=token).status_code == 200, "also by a key that was made in the meantime"


# --- logging in -------------------------------------------------------------------------------------------------------


def test_the_first_administrator_needs_the_token_in_the_file(start_api: StartApi) -> None:
    from admin_api.auth.bootstrap import write_bootstrap_token

    api = start_api()
    path = write_bootstrap_token(api.context.config.data_dir, api.context.random)
    assert path.stat().st_mode & 0o777 == 0o600
    wanted = {"token": "qgb_wrong", "name": "root", "password": PASSWORD}
    assert api.post("/v1/auth/bootstrap", wanted, token="").status_code == 401
    wanted["token"] = path.read_text().strip()
    assert api.post("/v1/auth/bootstrap", {**wanted, "password": "short"}, token="").status_code == 422
    assert api.post("/v1/auth/bootstrap", wanted, token="").status_code == 201
    assert not (api.context.config.data_dir / FILE).exists()
    again = api.post("/v1/auth/bootstrap", {**wanted, "name": "mallory"}, token="")
    assert again.status_code == 401


def test_a_wrong_password_and_an_unknown_account_look_the_same(api: AdminApi) -> None:
    wrong = api.post("/v1/auth/login", {"name": "root", "password": "wrong"}, token="")
    unknown = api.post("/v1/auth/login", {"name": "nobody", "password": "wrong"}, token="")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    messages = [event.get("message") for event in api.events("admin.auth.login")]
    assert messages == ["wrong password", "unknown account"]


def test_logins_are_slowed_down_by_account_and_address(api: AdminApi) -> None:
    def attempt(name: str, password: str, address: str) -> int:
        body = {"name": name, "password": password}
        return api.post("/v1/auth/login", body, token="", address=address).status_code

    assert [attempt("root", "wrong", "10.0.0.1") for _ in range(5)] == [401] * 5
    assert attempt("root", PASSWORD, "10.0.0.1") == 429, "even the right one waits"
    assert attempt("root", PASSWORD, "10.0.0.2") == 200, "its owner elsewhere does not"
    api.clock.forward(seconds=2)
    assert attempt("root", PASSWORD, "10.0.0.1") == 200
    statuses = [attempt(f"guess-{number}", "wrong", "10.0.0.9") for number in range(40)]
    assert statuses.count(429) >= 5, "one address that tries many accounts"


def test_behind_a_trusted_proxy_logins_are_slowed_down_by_the_client(start_api: StartApi) -> None:
    api = with_owner(start_api(control_plane={"proxies": {"trusted": ["10.0.0.0/24"]}}))

    def attempt(password: str, client: str, proxy: str = "10.0.0.1") -> int:
        body, headers = {"name": "root", "password": password}, {"X-Forwarded-For": client}
        return api.post("/v1/auth/login", body, token="", address=proxy, headers=headers).status_code

    assert [attempt("wrong", "192.0.2.66") for _ in range(5)] == [401] * 5
    assert attempt(PASSWORD, "192.0.2.66") == 429
    assert attempt(PASSWORD, "192.0.2.66", proxy="10.0.0.2") == 429, "whichever proxy it comes through"
    assert attempt(PASSWORD, "192.0.2.7") == 200, "others behind the proxy do not wait"
    stranger = "198.51.100.9"
    assert [attempt("wrong", f"192.0.2.{number}", proxy=stranger) for number in range(100, 105)] == [401] * 5
    assert attempt(PASSWORD, "192.0.2.200", proxy=stranger) == 429, "who is no proxy cannot claim another address"
    found = [event["src_endpoint"] for event in api.events("admin.auth.login")]
    assert [endpoint["ip"] for endpoint in found] == ["192.0.2.66"] * 5 + ["192.0.2.7"] + [stranger] * 5


def test_nothing_is_believed_of_a_proxy_that_nobody_named(api: AdminApi) -> None:
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        body = {"name": "root", "password": "wrong"}
        api.post("/v1/auth/login", body, token="", headers={header: "for=192.0.2.1"}, address="10.9.9.9")
    assert {event["src_endpoint"]["ip"] for event in api.events("admin.auth.login")} == {"10.9.9.9"}


def test_a_refresh_token_is_good_once_and_its_theft_ends_the_session(any_api: AdminApi) -> None:
    api = any_api
    first = api.log_in("root")
    second = api.post("/v1/auth/refresh", {"refresh_token": first["refresh_token"]}, token="").json()
    assert api.get("/v1/auth/me", token=second["access_token"]).status_code == 200
    stolen = api.post("/v1/auth/refresh", {"refresh_token": first["refresh_token"]}, token="")
    assert stolen.status_code == 401
    assert api.get("/v1/auth/me", token=second["access_token"]).status_code == 401, "the whole family is ended"
    assert api.post("/v1/auth/refresh", {"refresh_token": second["refresh_token"]}, token="").status_code == 401
    assert api.get("/v1/auth/me").status_code == 200, "another session is not"
    assert any("used twice" in event.get("message", "") for event in api.events("admin.auth.refresh"))
    made_up = api.post("/v1/auth/refresh", {"refresh_token": "qgr_made-up"}, token="")
    assert made_up.status_code == 401


def test_sessions_end(api: AdminApi) -> None:
    tokens = api.log_in("root")
    assert api.post("/v1/auth/logout", token=tokens["access_token"]).status_code == 204
    assert api.get("/v1/auth/me", token=tokens["access_token"]).status_code == 401
    assert api.post("/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}, token="").status_code == 401
    late = api.log_in("root")
    api.clock.forward(hours=13)
    assert api.post("/v1/auth/refresh", {"refresh_token": late["refresh_token"]}, token="").status_code == 401


def test_a_new_password_ends_the_other_sessions(api: AdminApi) -> None:
    other = api.log_in("root")["access_token"]
    change = {"current": PASSWORD, "new": "another pass phrase of mine"}
    assert api.post("/v1/auth/password", {**change, "current": "wrong"}).status_code == 403
    assert api.post("/v1/auth/password", change).status_code == 204
    assert api.get("/v1/auth/me", token=other).status_code == 401
    assert api.get("/v1/auth/me").status_code == 200
    api.log_in("root", "another pass phrase of mine")


def test_passwords_and_tokens_are_kept_as_digests_only(api: AdminApi) -> None:
    tokens = api.log_in("root")
    api.events()
    folders = (api.folder, api.assembly.config.data_dir)
    stored = b"".join(path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file())
    assert PASSWORD.encode() not in stored
    assert tokens["refresh_token"].encode() not in stored
    assert b"BEGIN PRIVATE KEY" not in b"".join(path.read_bytes() for path in api.folder.rglob("control.db*"))
    assert b"$argon2id$" in stored

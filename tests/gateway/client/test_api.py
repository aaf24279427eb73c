"""Asking the API: logins are renewed once, problems are told in full, and nothing goes out in clear."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from gateway.client.api import ApiClient, ApiProblem, make_http
from gateway.client.session import VARIABLE, ClientSession, OidcLogin, SessionFile
from gateway.errors import ConfigurationError

URL = "http://127.0.0.1:1"


def client(
    tmp_path: Path, answer: Callable[[httpx2.Request], httpx2.Response], **changes: object
) -> tuple[ApiClient, SessionFile]:
    file = SessionFile({VARIABLE: str(tmp_path / "session.json")})
    values: dict[str, object] = {"url": URL, "name": "ana", "access_token": "old", "expires": 1000.0}
    session = ClientSession(**{**values, "refresh_token": "r1", **changes})  # type: ignore[arg-type]
    file.save(session)
    http = httpx2.Client(base_url=URL, transport=httpx2.MockTransport(answer))
    return ApiClient(file, session, http=http, clock=lambda: 500.0), file


def test_renews_a_login_that_is_over_and_keeps_the_new_one(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(f"{request.url.path} {request.headers.get('authorization', '')}")
        if request.url.path == "/v1/auth/refresh":
            assert json.loads(request.content) == {"refresh_token": "r1"}
            return httpx2.Response(200, json={"access_token": "new", "refresh_token": "r2", "expires_in": 600})
        return httpx2.Response(200, json={"name": "ana"})

    api, file = client(tmp_path, answer, expires=510.0)
    assert api.get("/v1/auth/me") == {"name": "ana"}
    assert asked == ["/v1/auth/refresh ", "/v1/auth/me Bearer new"]
    kept = file.load()
    assert kept is not None
    assert (kept.access_token, kept.refresh_token, kept.expires) == ("new", "r2", 1100.0)


def test_takes_what_another_command_renewed(tmp_path: Path) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.url.path != "/v1/auth/refresh", "that would use up a refresh token twice"
        good = request.headers["authorization"] == "Bearer theirs"
        return httpx2.Response(200 if good else 401, json={})

    api, file = client(tmp_path, answer)
    file.save(ClientSession(url=URL, name="ana", access_token="theirs", expires=9000.0, refresh_token="r9"))
    assert api.get("/v1/x") == {}


def test_renews_at_the_issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/token":
            assert b"grant_type=refresh_token" in request.content
            return httpx2.Response(200, json={"access_token": "new", "expires_in": 60})
        return httpx2.Response(200, json={"token": request.headers["authorization"]})

    transport = httpx2.MockTransport(answer)
    monkeypatch.setattr("gateway.client.api.make_http", lambda url, ca: httpx2.Client(transport=transport))
    oidc = OidcLogin("https://id.example.com/token", "querygate")
    api, file = client(tmp_path, answer, expires=0.0, oidc=oidc)
    assert api.get("/v1/x") == {"token": "Bearer new"}
    kept = file.load()
    assert kept is not None
    assert kept.refresh_token == "r1", "an issuer that gives no new one leaves the old one good"


def test_says_when_the_login_is_over(tmp_path: Path) -> None:
    api, _ = client(tmp_path, lambda request: httpx2.Response(401, json={}))
    with pytest.raises(ConfigurationError, match="run querygate login again"):
        api.get("/v1/x")


def test_tells_every_part_of_a_problem(tmp_path: Path) -> None:
    problem = {"detail": "this would not work", "errors": [{"pointer": "/match", "detail": "unknown key"}]}
    api, _ = client(tmp_path, lambda request: httpx2.Response(422, json=problem))
    with pytest.raises(ApiProblem, match="this would not work\n  /match: unknown key") as caught:
        api.post("/v1/x", {})
    assert caught.value.status == 422


def test_goes_through_all_pages(tmp_path: Path) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        cursor = request.url.params.get("cursor")
        return httpx2.Response(200, json={"items": [cursor], "next": None if cursor == "b" else "b"})

    api, _ = client(tmp_path, answer)
    assert api.pages("/v1/x", principal=None) == [None, "b"]


def test_nothing_goes_out_in_clear() -> None:
    with pytest.raises(ConfigurationError, match="must be https"):
        make_http("http://qg.example.com", None)


def test_an_api_that_is_not_there_is_one_readable_line(tmp_path: Path) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("Connection refused")

    api, _ = client(tmp_path, answer)
    with pytest.raises(ConfigurationError, match="cannot be reached: Connection refused"):
        api.get("/v1/x")

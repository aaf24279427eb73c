"""Token exchange: an agent gets a token for a person who proved themselves, and for nobody else."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from admin_api.exchange.tokens import AUDIENCE
from gateway.errors import AuthenticationError
from gateway.identity.claims import principal_of
from gateway.identity.jwks import FixedKeys
from gateway.identity.jwt import BearerVerifier, read_unverified
from tests.fixtures.admin import AdminApi

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"


class Issuer:
    issuer = "querygate"
    audience = AUDIENCE
    algorithms = ("ES256",)
    username_claim = "sub"
    groups_claim = None
    groups = None
    users: tuple[str, ...] = ()


@pytest.fixture
def people(api: AdminApi) -> dict[str, str]:
    """Access tokens of ana and her copilot."""
    api.made("/v1/principals", {"name": "ana@example.com"})
    api.made("/v1/principals", {"name": "bob@example.com"})
    api.made(
        "/v1/principals",
        {"name": "copilot", "kind": "agent", "groups": ["agents"], "acts_for": "ana@example.com", "bearer": True},
    )
    return {
        name: api.made("/v1/tokens", {"principal": name})["token"]
        for name in ("ana@example.com", "bob@example.com", "copilot")
    }


def exchange(api: AdminApi, people: dict[str, str], **changes: str | None) -> httpx2.Response:
    subject = changes.pop("subject", "ana@example.com") or ""
    form = {
        "grant_type": GRANT,
        "subject_token": people[subject],
        "subject_token_type": ACCESS,
        "subject_name": subject,
        "actor_token": people["copilot"],
        "actor_token_type": ACCESS,
        "actor_name": "copilot",
    } | changes
    content = urlencode({key: value for key, value in form.items() if value is not None}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return api.request("POST", "/oauth/token", content=content, token="", headers=headers)


def test_gives_the_agent_a_token_that_names_both(api: AdminApi, people: dict[str, str]) -> None:
    answer = exchange(api, people)
    assert answer.status_code == 200, answer.text
    given = answer.json()
    assert given["expires_in"] == 900
    keys = api.get("/.well-known/jwks.json", token="").json()["keys"]
    verifier = BearerVerifier(Issuer(), FixedKeys(keys), clock=lambda: api.clock().timestamp())
    claims = verifier.verify(given["access_token"])
    assert (claims["sub"], claims["act"]) == ("ana@example.com", {"sub": "copilot"})
    principals = api.context.plane._assembly.gateway.snapshot.principals  # type: ignore[attr-defined]
    principal = principal_of(claims, username_claim="sub", groups_claim=None, principals=principals)
    assert [member.name for member in principal.chain()] == ["copilot", "ana@example.com"]
    [event] = [item for item in api.events() if item["api"]["operation"] == "token.exchange"]
    assert event["actor"]["user"]["name"] == "copilot"


def test_it_is_no_key_to_the_api(api: AdminApi, people: dict[str, str]) -> None:
    token = exchange(api, people).json()["access_token"]
    assert api.get("/v1/policies", token=token).status_code == 401
    keys = api.get("/.well-known/jwks.json", token="").json()["keys"]
    verifier = BearerVerifier(Issuer(), FixedKeys(keys), clock=lambda: api.clock().timestamp())
    with pytest.raises(AuthenticationError):
        verifier.verify(api.token)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"actor_token": None}, "invalid_request"),
        ({"subject_token_type": "urn:x"}, "invalid_request"),
        ({"subject_name": None}, "invalid_request"),
        ({"audience": "elsewhere"}, "invalid_target"),
        ({"expires_in": "30d"}, "invalid_request"),
        ({"subject_token": "qg_wrong"}, "invalid_grant"),
        ({"subject_name": "bob@example.com"}, "invalid_grant"),
        ({"subject": "bob@example.com"}, "invalid_grant"),
        ({"subject": "copilot"}, "invalid_request"),
        ({"subject_token": "eyJ.bad.jwt"}, "invalid_grant"),
    ],
)
def test_refuses(api: AdminApi, people: dict[str, str], changes: dict[str, Any], error: str) -> None:
    answer = exchange(api, people, **changes)
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] == error
    assert "qg_" not in answer.json()["error_description"].replace("(qg_…)", "")


def test_lifetime_and_expiry(api: AdminApi, people: dict[str, str]) -> None:
    answer = exchange(api, people, expires_in="2m")
    _, claims = read_unverified(answer.json()["access_token"])
    assert claims["exp"] - claims["iat"] == 120  # type: ignore[operator]
    api.clock.forward(hours=9)
    assert exchange(api, people).status_code == 401, "ana's own token has expired"

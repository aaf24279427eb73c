"""People of an OIDC issuer: a real one over TLS, and an issuer under the test's hands for what it may get wrong."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from admin_api.oidc.keys import FRESH, LONGEST, RETRY, Fetch, RemoteKeys, https_fetch
from gateway.config import OidcIssuer
from gateway.errors import AuthenticationError
from gateway.identity.issue import new_key, public_jwk, sign
from tests.fixtures.admin import AdminApi, StartApi

ISSUER = "https://id.example.com"
NOW = 1772366400


class Issuer:
    """Answers fetches, and counts them."""

    def __init__(self) -> None:
        self.keys = {"k1": new_key()}
        self.fetches = 0
        self.discovery: dict[str, Any] = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
        self.down = False

    def fetcher(self, _: OidcIssuer | None = None) -> Fetch:
        async def fetch(address: str) -> bytes:
            self.fetches += 1
            await asyncio.sleep(0)
            if self.down:
                raise OSError("connection refused")
            if address.endswith("/.well-known/openid-configuration"):
                return json.dumps(self.discovery).encode()
            assert address == f"{ISSUER}/keys"
            return json.dumps({"keys": [public_jwk(key, kid) for kid, key in self.keys.items()]}).encode()

        return fetch

    def token(self, *, kid: str = "k1", **changes: Any) -> str:
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": "querygate",
            "sub": "1234",
            "email": "olga@example.com",
            "groups": ["dba", "staff"],
            "iat": NOW,
            "exp": NOW + 3600,
        } | changes
        return sign({name: value for name, value in claims.items() if value is not None}, self.keys[kid], kid)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def oidc_api(start_api: StartApi, issuer: Issuer) -> AdminApi:
    settings = {"issuer": ISSUER, "audience": "querygate", "roles": {"dba": "policy-admin", "audit": "auditor"}}
    return start_api(control_plane={"oidc": [settings]}, fetch=issuer.fetcher)


def test_claims_become_roles(oidc_api: AdminApi, issuer: Issuer) -> None:
    me = oidc_api.get("/v1/auth/me", token=issuer.token())
    assert me.json() == {"name": "olga@example.com", "roles": ["policy-admin"], "issuer": ISSUER}
    assert oidc_api.post("/v1/principals", {"name": "ana"}, token=issuer.token()).status_code == 201
    (event,) = oidc_api.events("admin.principal.create.intent")
    assert event["unmapped"]["admin"]["issuer"] == ISSUER
    both = issuer.token(groups=["dba", "audit"])
    assert oidc_api.get("/v1/auth/me", token=both).json()["roles"] == ["auditor", "policy-admin"]
    assert oidc_api.get("/v1/admins", token=both).status_code == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://elsewhere.example.com"},
        {"iss": ISSUER + "/"},
        {"exp": NOW - 31},
        {"exp": None},
        {"iat": NOW + 60},
        {"nbf": NOW + 60},
        {"groups": ["nobody"]},
        {"groups": None},
        {"email": None},
        {"email": "a\nb"},
        {"email_verified": False},
        {"sub": None},
    ],
    ids=str,
)
def test_a_token_that_is_not_as_pinned_is_refused(oidc_api: AdminApi, issuer: Issuer, changes: dict[str, Any]) -> None:
    assert oidc_api.get("/v1/auth/me", token=issuer.token(**changes)).status_code == 401


def test_the_api_s_own_tokens_and_the_issuer_s_are_not_mixed_up(oidc_api: AdminApi, issuer: Issuer) -> None:
    posing = issuer.token(iss="querygate", aud="querygate-admin-api", sid="ses-1")
    assert oidc_api.get("/v1/auth/me", token=posing).status_code == 401


def run(story: Any) -> Any:
    return asyncio.run(story)


class Ticks:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_keys_rotate_without_a_restart_and_the_issuer_is_not_hammered(issuer: Issuer) -> None:
    ticks = Ticks()
    keys = RemoteKeys(ISSUER, issuer.fetcher(), monotonic=ticks)

    async def story() -> None:
        (await keys.current("k1")).find("k1", "ES256")
        assert issuer.fetches == 2
        await asyncio.gather(*(keys.current("made-up") for _ in range(50)))
        assert issuer.fetches == 2, "within the pause nobody causes a fetch"
        issuer.keys["k2"] = new_key()
        ticks.now += RETRY
        found = await asyncio.gather(*(keys.current("k2") for _ in range(50)))
        assert issuer.fetches == 4, "fifty that ask at once are one fetch"
        found[0].find("k2", "ES256")
        del issuer.keys["k1"]
        ticks.now += FRESH + 1
        with pytest.raises(AuthenticationError):
            (await keys.current("k1")).find("k1", "ES256")

    run(story())


def test_the_last_good_keys_stay_while_the_issuer_is_down_but_not_for_ever(issuer: Issuer) -> None:
    ticks = Ticks()
    keys = RemoteKeys(ISSUER, issuer.fetcher(), monotonic=ticks)

    async def story() -> None:
        await keys.current("k1")
        issuer.down = True
        ticks.now += FRESH + 1
        (await keys.current("k1")).find("k1", "ES256")
        ticks.now += LONGEST
        with pytest.raises(AuthenticationError, match="cannot be had"):
            await keys.current("k1")
        issuer.down = False
        ticks.now += RETRY
        (await keys.current("k1")).find("k1", "ES256")

    run(story())


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://elsewhere.example.com", "jwks_uri": f"{ISSUER}/keys"},
        {"issuer": ISSUER, "jwks_uri": "http://id.example.com/keys"},
        {"issuer": ISSUER},
        {"issuer": ISSUER, "jwks_uri": 7},
    ],
)
def test_a_discovery_document_that_does_not_fit_gives_no_keys(issuer: Issuer, discovery: dict[str, Any]) -> None:
    issuer.discovery = discovery
    with pytest.raises(AuthenticationError):
        run(RemoteKeys(ISSUER, issuer.fetcher(), monotonic=Ticks()).current("k1"))


@pytest.fixture
def https_server(tmp_path: Path) -> Iterator[Callable[[Callable[[str], tuple[int, bytes]]], str]]:
    """Serves ``answer(path) -> status, body`` over TLS on loopback; the authority is in ``tmp_path/ca.pem``."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[str], tuple[int, bytes]]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answer(self.path)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"https://localhost:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_keys_are_fetched_over_verified_tls(
    tmp_path: Path, https_server: Callable[[Callable[[str], tuple[int, bytes]]], str]
) -> None:
    key = new_key()
    address = ""

    def answer(path: str) -> tuple[int, bytes]:
        if path == "/.well-known/openid-configuration":
            return 200, json.dumps({"issuer": address, "jwks_uri": f"{address}/keys"}).encode()
        return 200, json.dumps({"keys": [public_jwk(key, "k1")]}).encode()

    address = https_server(answer)
    trusted = RemoteKeys(address, https_fetch(tmp_path / "ca.pem"), monotonic=Ticks())
    run(trusted.current("k1")).find("k1", "ES256")
    with pytest.raises(AuthenticationError):
        run(RemoteKeys(address, https_fetch(None), monotonic=Ticks()).current("k1"))


@pytest.mark.parametrize(
    "answer", [(302, b""), (500, b"{}"), (200, b"x" * (1 << 20) + b"x"), (200, b"[]"), (200, b"no")]
)
def test_an_answer_that_is_none_gives_no_keys(
    tmp_path: Path,
    https_server: Callable[[Callable[[str], tuple[int, bytes]]], str],
    answer: tuple[int, bytes],
) -> None:
    address = https_server(lambda path: answer)
    with pytest.raises(AuthenticationError):
        run(RemoteKeys(address, https_fetch(tmp_path / "ca.pem"), monotonic=Ticks()).current("k1"))


def test_only_https_is_fetched() -> None:
    with pytest.raises(ValueError, match="not https"):
        run(https_fetch(None)("http://127.0.0.1:1/"))

"""The device flow (RFC 8628) against an issuer that says what issuers say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest

from gateway.client.device import GRANT, DeviceTokens, Prompt, log_in_by_device
from gateway.errors import ConfigurationError

ISSUER = "http://127.0.0.1:9"
DISCOVERY = {
    "issuer": ISSUER,
    "device_authorization_endpoint": f"{ISSUER}/device",
    "token_endpoint": f"{ISSUER}/token",
}
DEVICE = {
    "device_code": "secret-code",
    "user_code": "ABCD-EFGH",
    "verification_uri": f"{ISSUER}/activate",
    "expires_in": 60,
    "interval": 2,
}


def run(
    *answers: tuple[int, dict[str, Any]], discovery: dict[str, Any] = DISCOVERY, **options: Any
) -> tuple[DeviceTokens, list[float], list[Prompt]]:
    waited: list[float] = []
    shown: list[Prompt] = []
    given: Iterator[tuple[int, dict[str, Any]]] = iter(answers)

    def answer(request: httpx2.Request) -> httpx2.Response:
        match request.url.path:
            case "/.well-known/openid-configuration":
                return httpx2.Response(200, json=discovery)
            case "/device":
                assert parse_qs(request.content.decode())["client_id"] == ["querygate"]
                return httpx2.Response(200, json=DEVICE)
            case _:
                form = parse_qs(request.content.decode())
                assert (form["grant_type"], form["device_code"]) == ([GRANT], ["secret-code"])
                status, body = next(given)
                return httpx2.Response(status, json=body)

    clock: Callable[[], float] = lambda: sum(waited)  # noqa: E731
    tokens = log_in_by_device(
        ISSUER,
        "querygate",
        scope="openid",
        ca=None,
        show=shown.append,
        http=httpx2.Client(base_url=ISSUER, transport=httpx2.MockTransport(answer)),
        sleep=waited.append,
        clock=clock,
        **options,
    )
    return tokens, waited, shown


PENDING = (400, {"error": "authorization_pending"})
GOOD = (200, {"access_token": "at", "id_token": "it", "refresh_token": "rt", "expires_in": 300})


def test_waits_until_somebody_has_logged_in() -> None:
    tokens, waited, shown = run(PENDING, PENDING, GOOD)
    assert (tokens.access_token, tokens.refresh_token, tokens.expires_in) == ("at", "rt", 300)
    assert waited == [2, 2, 2]
    assert shown == [Prompt(f"{ISSUER}/activate", "ABCD-EFGH", None)]


def test_slows_down_when_it_is_told() -> None:
    assert run((400, {"error": "slow_down"}), PENDING, GOOD)[1] == [2, 7, 7]


def test_can_use_the_id_token() -> None:
    assert run(GOOD, use_id_token=True)[0].access_token == "it"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((400, {"error": "access_denied"}), "refused"),
        ((400, {"error": "expired_token"}), "expired"),
        ((500, {}), "answered 500"),
        ((200, {"token_type": "Bearer"}), "no token"),
    ],
)
def test_says_why_it_did_not_work(answer: tuple[int, dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        run(answer)


def test_gives_up_when_the_code_has_expired() -> None:
    with pytest.raises(ConfigurationError, match="expired"):
        run(*[PENDING] * 40)


def test_an_issuer_speaks_for_itself_only() -> None:
    with pytest.raises(ConfigurationError, match="another issuer"):
        run(discovery={**DISCOVERY, "issuer": "https://elsewhere.example.com"})
    with pytest.raises(ConfigurationError, match="device_authorization_endpoint"):
        run(discovery={"issuer": ISSUER})

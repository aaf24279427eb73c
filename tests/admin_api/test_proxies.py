"""Whose address a proxy's headers are taken to say."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_api.proxies import TrustedProxies
from gateway.config import ProxySettings

PROXY = "10.0.0.1"
SETTINGS = {
    name: ProxySettings((ip_network("10.0.0.0/24"), ip_network("2001:db8:1::/48")), name)
    for name in ("X-Forwarded-For", "Forwarded")
}


def client(*lines: str, header: str = "X-Forwarded-For", peer: str = PROXY, sent: str | None = None) -> tuple[str, int]:
    """The client of a request with these lines of a header, where ``header`` is the one that proxies write."""
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    name = (sent or header).lower().encode()
    headers = [(name, line.encode("latin-1")) for line in lines]
    scope = {"type": "http", "client": (peer, 50123), "headers": headers}
    asyncio.run(TrustedProxies(app, SETTINGS[header])(scope, None, None))  # type: ignore[arg-type]
    found: tuple[str, int] = seen[0]["client"]
    return found


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["192.0.2.1"], ("192.0.2.1", 0)),
        (["192.0.2.1:4711"], ("192.0.2.1", 4711)),
        (["2001:db8::7"], ("2001:db8::7", 0)),
        (["[2001:DB8::7]:4711"], ("2001:db8::7", 4711)),
        (["::ffff:192.0.2.1"], ("192.0.2.1", 0)),
        (["192.0.2.1, 10.0.0.7"], ("192.0.2.1", 0)),
        (["192.0.2.1", "2001:db8:1::2,10.0.0.7"], ("192.0.2.1", 0)),
        # What the client wrote itself stands to the left of what the first proxy saw.
        (["203.0.113.9, 192.0.2.1"], ("192.0.2.1", 0)),
        (["203.0.113.9", "192.0.2.1"], ("192.0.2.1", 0)),
        (["10.0.0.9, 192.0.2.1"], ("192.0.2.1", 0)),
        # What cannot be read hides whatever is behind it.
        (["192.0.2.1, unknown"], (PROXY, 50123)),
        (["192.0.2.1, unknown, 10.0.0.7"], ("10.0.0.7", 0)),
        (["192.0.2.1,"], (PROXY, 50123)),
        ([""], (PROXY, 50123)),
        (["fe80::1%eth0"], (PROXY, 50123)),
        (["localhost"], (PROXY, 50123)),
        (["192.0.2.1:port"], (PROXY, 50123)),
        ([], (PROXY, 50123)),
    ],
)
def test_the_nearest_address_that_no_trusted_proxy_has(lines: list[str], expected: tuple[str, int]) -> None:
    assert client(*lines) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["for=192.0.2.1"], ("192.0.2.1", 0)),
        (['For="192.0.2.1:4711";proto=https;by=10.0.0.1'], ("192.0.2.1", 4711)),
        (['for="[2001:db8::7]:4711"'], ("2001:db8::7", 4711)),
        (["for=203.0.113.9, for=192.0.2.1;host=x", "for=10.0.0.7"], ("192.0.2.1", 0)),
        (["for=_hidden"], (PROXY, 50123)),
        (["proto=https"], (PROXY, 50123)),
        (["for=192.0.2.1;for=192.0.2.2"], (PROXY, 50123)),
        # A host that the client chose, quoted by the proxy.
        (['for=192.0.2.1;host="a,for=203.0.113.9"'], (PROXY, 50123)),
        (['for=192.0.2.1;host="a,for=203.0.113.9;b"'], (PROXY, 50123)),
        (['for=192.0.2.1;host="a,for=203.0.113.9,b"'], (PROXY, 50123)),
        ([r'for=192.0.2.1;host="a\",for=203.0.113.9;b=\"c"'], (PROXY, 50123)),
    ],
)
def test_the_same_in_the_standard_s_form(lines: list[str], expected: tuple[str, int]) -> None:
    assert client(*lines, header="Forwarded") == expected


def test_only_the_header_that_the_proxy_writes_is_read() -> None:
    assert client("for=192.0.2.1", header="X-Forwarded-For", sent="Forwarded") == (PROXY, 50123)
    assert client("192.0.2.1", header="Forwarded", sent="X-Forwarded-For") == (PROXY, 50123)


@pytest.mark.parametrize("peer", ["192.0.2.66", "10.0.1.1", "2001:db8:2::1", "::ffff:192.0.2.66", "testclient"])
def test_others_than_proxies_speak_for_themselves(peer: str) -> None:
    assert client("203.0.113.9", peer=peer) == (peer, 50123)


def test_a_proxy_is_known_by_either_form_of_its_address() -> None:
    assert client("192.0.2.1", peer="::ffff:10.0.0.1") == ("192.0.2.1", 0)


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n")), st.sampled_from(sorted(SETTINGS)))
def test_no_text_that_the_client_writes_hides_what_the_proxy_saw(text: str, header: str) -> None:
    mine = "192.0.2.1" if header == "X-Forwarded-For" else "for=192.0.2.1"
    assert client(text, mine, header=header) == ("192.0.2.1", 0)
    assert client(f"{text}, {mine}", header=header) == ("192.0.2.1", 0)

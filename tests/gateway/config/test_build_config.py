"""Configurations whose documents come from a store: checked as a file is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config import build_config, load_config
from gateway.config.documents import ConfigDocument
from gateway.errors import ConfigurationError
from gateway.identity.scram import derive_verifier, format_verifier
from gateway.policy.problems import PolicyProblems

BASE = ConfigDocument.model_validate(
    {
        "listeners": {"postgres": "127.0.0.1:6432"},
        "admin_api": "127.0.0.1:8080",
        "control_plane": {},
        "resources": [{"name": "of-the-file", "protocol": "postgres", "address": "127.0.0.1:1"}],
    }
)
SHOP: dict[str, Any] = {
    "name": "shop",
    "protocol": "postgres",
    "address": "127.0.0.1:5432",
    "credentials": {"username": "gateway", "password": {"sealed": "terces"}},
}
VERIFIER = format_verifier(derive_verifier("secret", salt=b"0123456789abcdef", iterations=4096))


def build(tmp_path: Path, **sections: list[Any]) -> Any:
    return build_config(
        BASE, sections, path=tmp_path / "querygate.yaml", environ={}, open_sealed=lambda text: text[::-1]
    )


def test_takes_the_documents_of_the_store_and_the_rest_of_the_file(tmp_path: Path) -> None:
    config = build(tmp_path, resources=[SHOP])
    assert list(config.resources) == ["shop"], "the file's own are not added"
    assert config.admin_api == ("127.0.0.1", 8080)
    assert config.credentials["shop"].password == "secret"


def test_what_a_resource_of_the_store_says_of_its_audit_counts(tmp_path: Path) -> None:
    audit = {"literals": {"labels": {"pii.*": "hash"}}, "durability": {"read": "before_forward"}}
    config = build(tmp_path, resources=[SHOP | {"audit": audit}])
    assert config.audit.literals_of("shop", ("pii.email",)) == "hash"
    assert config.audit.literals_of("shop", ("team",)) == config.audit.literals_of("other", ("pii.email",)) == "keep"
    assert config.audit.durability_of("shop").read == "before_forward"


def test_issued_tokens_keep_their_names_and_die_with_their_principal(tmp_path: Path) -> None:
    tokens = [
        {
            "id": "tok-1",
            "principal": "ana",
            "verifier": VERIFIER,
            "resources": ["shop"],
            "expires": "2027-01-01T00:00:00Z",
        },
        {"id": "tok-2", "principal": "gone", "verifier": VERIFIER},
    ]
    config = build(tmp_path, resources=[SHOP], principals=[{"name": "ana"}], tokens=tokens)
    (token,) = config.tokens
    assert (token.id, token.principal.name, token.resources) == ("tok-1", "ana", {"shop"})
    assert token.expires_at == 1798761600.0


def test_problems_name_section_and_position(tmp_path: Path) -> None:
    policies = [{"name": "p", "effect": "allow", "match": {"resources": ["shpo"]}}]
    with pytest.raises(PolicyProblems) as caught:
        build(tmp_path, resources=[SHOP], policies=policies)
    assert [(problem.location, "shop" in problem.message) for problem in caught.value.problems] == [
        (("policies", 0, "match", "resources", 0), True)
    ]
    with pytest.raises(PolicyProblems) as caught:
        build(tmp_path, resources=[{**SHOP, "adress": "x"}])
    assert caught.value.problems[0].location == ("resources", 0, "adress")


def test_a_secret_that_cannot_be_opened_is_a_problem_without_the_secret(tmp_path: Path) -> None:
    def fail(text: str) -> str:
        raise ConfigurationError("bad " + text)

    with pytest.raises(PolicyProblems) as caught:
        build_config(BASE, {"resources": [SHOP]}, path=tmp_path / "q.yaml", environ={}, open_sealed=fail)
    assert "sealed" in str(caught.value)
    assert "terces" not in str(caught.value)


def test_a_file_with_a_control_plane_has_no_documents_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "querygate.yaml"
    path.write_text(
        "listeners: {postgres: 127.0.0.1:6432}\nadmin_api: 127.0.0.1:8080\ncontrol_plane: {}\n"
        "principals: [{name: ana}]\n"
    )
    with pytest.raises(ConfigurationError, match=r"querygate.yaml:4: principals: .*querygate apply"):
        load_config(path, environ={})
    path.write_text("listeners: {postgres: 127.0.0.1:6432}\ncontrol_plane: {}\n")
    with pytest.raises(ConfigurationError, match="needs admin_api"):
        load_config(path, environ={})
    path.write_text("listeners: {postgres: 127.0.0.1:6432}\nadmin_api: 127.0.0.1:8080\ncontrol_plane: {}\n")
    assert load_config(path, environ={}).control_plane is not None


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "10.0.0.5:8080", "[::]:8080", "127.example.com:8080"])
def test_an_admin_api_in_clear_on_a_network_must_be_asked_for(tmp_path: Path, address: str) -> None:
    path = tmp_path / "querygate.yaml"
    text = f"tls: {{mode: disable}}\nadmin_api: '{address}'\ncontrol_plane: {{plaintext: false}}\n"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"querygate.yaml:2: admin_api: .*plaintext: true"):
        load_config(path, environ={})
    path.write_text(text.replace("false", "true"))
    (in_clear,) = [line for line in load_config(path, environ={}).warnings if "plaintext" in line]
    assert "querygate.yaml:3: control_plane.plaintext: " in in_clear


@pytest.mark.parametrize(
    "text",
    [
        "tls: {mode: disable}\nadmin_api: 127.0.0.1:8080\ncontrol_plane: {}\n",
        "tls: {mode: disable}\nadmin_api: '[::1]:8080'\ncontrol_plane: {}\n",
        "tls: {mode: disable}\nadmin_api: localhost:8080\ncontrol_plane: {}\n",
        "admin_api: 0.0.0.0:8080\ncontrol_plane: {}\n",
        # Health alone, which has no secrets.
        "tls: {mode: disable}\nadmin_api: 0.0.0.0:8080\n",
    ],
)
def test_an_admin_api_that_gives_nothing_away(tmp_path: Path, text: str) -> None:
    path = tmp_path / "querygate.yaml"
    path.write_text(text)
    config = load_config(path, environ={})
    assert config.control_plane is None or not config.control_plane.plaintext


@pytest.mark.parametrize(
    ("proxies", "message"),
    [
        ("{trusted: [0.0.0.0/0]}", "everybody"),
        ("{trusted: ['::/0']}", "everybody"),
        ("{trusted: [10.0.0.5/8]}", "host bits"),
        ("{trusted: [proxy.example.com]}", "proxies.trusted"),
        ("{trusted: []}", "proxies.trusted"),
        ("{}", '"trusted" is missing'),
        ("{trusted: [10.0.0.5], header: X-Real-IP}", "proxies.header"),
    ],
)
def test_proxies_that_may_say_where_requests_come_from_are_named(tmp_path: Path, proxies: str, message: str) -> None:
    path = tmp_path / "querygate.yaml"
    text = "admin_api: 127.0.0.1:8080\ncontrol_plane: {proxies: PROXIES}\n"
    path.write_text(text.replace("PROXIES", proxies))
    with pytest.raises(ConfigurationError, match=message):
        load_config(path, environ={})
    path.write_text(text.replace("PROXIES", "{trusted: [10.0.0.5, '2001:db8::/32']}"))
    plane = load_config(path, environ={}).control_plane
    assert plane is not None
    assert plane.proxies is not None
    assert [str(network) for network in plane.proxies.trusted] == ["10.0.0.5/32", "2001:db8::/32"]

"""What the API tells about the gateway beside it."""

from __future__ import annotations

from tests.fixtures.admin import AdminApi, StartApi, with_owner


def test_settings_are_those_in_force_and_hold_no_secret(start_api: StartApi) -> None:
    key = "a2V5" * 10 + "a2U="
    plane = {"key": key, "access_token_ttl": "5m", "proxies": {"trusted": ["10.0.0.0/24"]}}
    api = with_owner(start_api(control_plane=plane))
    answer = api.get("/v1/settings", token=api.admin("viewer"))
    settings = answer.json()
    assert (settings["store"], settings["access_token_ttl"], settings["refresh_token_ttl"]) == ("sqlite", 300, 43200)
    assert (settings["listeners"], settings["tls"]) == ({"postgres": "127.0.0.1:6432"}, "self_signed")
    assert settings["trusted_proxies"] == ["10.0.0.0/24"]
    assert settings["gateway_snapshot"] == api.assembly.gateway.snapshot.version
    assert key not in answer.text
    before = settings["revision"]
    api.made("/v1/principals", {"name": "ana@example.com"})
    assert api.get("/v1/settings").json()["revision"] == before + 1


def test_plugins_are_listed_in_the_order_in_which_they_are_asked(api: AdminApi) -> None:
    plugins = api.get("/v1/plugins").json()["items"]
    assert [plugin["name"] for plugin in plugins] == [info.name for info in api.assembly.plugins.infos]
    found = {plugin["name"]: plugin for plugin in plugins}
    assert "register_protocols" in found["postgres"]["hooks"]
    assert {plugin["distribution"] for plugin in plugins} == {"querygate"}

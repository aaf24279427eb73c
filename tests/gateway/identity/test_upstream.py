"""Upstream credentials: fetched when needed, shown to nobody."""

from __future__ import annotations

import pluggy
import pytest

from gateway import PROJECT_NAME, hookspecs
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.errors import ConfigurationError
from gateway.identity.upstream import ConfiguredCredentials, from_environment, from_file

ANA = Principal("ana@example.com")
READY = UpstreamCredentials("gateway", "hunter2")


def resource(name: str) -> Resource:
    return Resource(name, "postgres", "127.0.0.1", 5432)


def test_it_is_a_valid_plugin_and_follows_the_configuration():
    sources = {"shop-prod": READY}
    provider = ConfiguredCredentials(lambda: sources)
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(provider)
    manager.check_pending()
    assert manager.hook.provide_upstream_credentials(resource=resource("shop-prod"), principal=ANA) == [READY]
    sources.clear()
    assert provider.provide_upstream_credentials(resource("shop-prod"), ANA) is None


def test_the_environment_is_read_at_call_time():
    environ = {"SHOP_PASSWORD": "one"}
    provider = ConfiguredCredentials(lambda: {"shop": from_environment("gateway", "SHOP_PASSWORD", environ=environ)})
    environ["SHOP_PASSWORD"] = "two"
    assert provider.provide_upstream_credentials(resource("shop"), ANA) == UpstreamCredentials("gateway", "two")
    environ["SHOP_PASSWORD"] = ""
    with pytest.raises(ConfigurationError, match="SHOP_PASSWORD"):
        provider.provide_upstream_credentials(resource("shop"), ANA)


@pytest.mark.parametrize(
    ("content", "password"), [(b"pw", "pw"), (b"pw\n", "pw"), (b"pw\r\n", "pw"), (b" pw \n\n", " pw \n")]
)
def test_a_file_is_read_at_call_time(tmp_path, content, password):
    path = tmp_path / "password"
    fetch = from_file("gateway", path)
    path.write_bytes(content)
    assert fetch() == UpstreamCredentials("gateway", password)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff", b"x" * 70_000])
def test_an_unusable_file_is_named_and_not_shown(tmp_path, content):
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="password"):
        from_file("gateway", path)()


def test_credentials_do_not_show_the_password():
    assert "hunter2" not in repr(READY)

"""Loading plugins: whatever is not exactly as announced stops the start."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from gateway import hookimpl
from gateway.errors import PluginError
from gateway.plugin import load
from gateway.plugin.components import collect
from gateway.plugin.load import API_VERSION, load_plugins


@dataclass
class Distribution:
    name: str
    version: str = "1.0"


@dataclass
class Point:
    """Stands for an entry point."""

    name: str
    value: str
    plugin: object
    dist: Distribution

    def load(self) -> object:
        if isinstance(self.plugin, Exception):
            raise self.plugin
        return self.plugin


def module(**contents: object) -> types.ModuleType:
    made = types.ModuleType("plugin_under_test")
    made.API_VERSION = API_VERSION  # type: ignore[attr-defined]
    for name, value in contents.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[Point]:
    points: list[Point] = []

    def available() -> Mapping[str, list[Point]]:
        return {name: [point for point in points if point.name == name] for name in {p.name for p in points}}

    monkeypatch.setattr(load, "available", available)
    return points


def announce(points: list[Point], plugin: object, *, name: str = "extra", owner: str = "someone") -> None:
    points.append(Point(name, "someone.plugin", plugin, Distribution(owner)))


def test_only_enabled_plugins_are_loaded(announced: list[Point]) -> None:
    announce(announced, module(), name="wanted")
    announce(announced, RuntimeError("must not be imported"), name="unwanted")
    assert [info.name for info in load_plugins(["wanted"], {}, {}).infos] == ["wanted"]


def test_refuses_an_enabled_plugin_that_nobody_announces(announced: list[Point]) -> None:
    announce(announced, module(), name="postgres")
    with pytest.raises(PluginError, match=r"'postgress' is enabled but no installed .*there are: postgres"):
        load_plugins(["postgress"], {}, {})


def test_refuses_a_name_that_two_distributions_announce(announced: list[Point]) -> None:
    announce(announced, module(), name="postgres", owner="querygate")
    announce(announced, module(), name="postgres", owner="evil-postgres")
    with pytest.raises(PluginError, match="evil-postgres, querygate"):
        load_plugins(["postgres"], {}, {})


def test_refuses_a_plugin_that_does_not_import(announced: list[Point]) -> None:
    announce(announced, ImportError("no such module"))
    with pytest.raises(PluginError, match="cannot be imported"):
        load_plugins(["extra"], {}, {})


@pytest.mark.parametrize("version", [None, 0, API_VERSION + 1])
def test_refuses_another_api_version(announced: list[Point], version: int | None) -> None:
    plugin = module()
    plugin.API_VERSION = version  # type: ignore[attr-defined]
    announce(announced, plugin)
    with pytest.raises(PluginError, match="plugin API"):
        load_plugins(["extra"], {}, {})


def test_refuses_a_misspelt_hook(announced: list[Point]) -> None:
    @hookimpl
    def authorise_statement(request: object) -> None:
        return None

    announce(announced, module(authorise_statement=authorise_statement))
    with pytest.raises(PluginError, match="authorise_statement"):
        load_plugins(["extra"], {}, {})


def test_refuses_an_argument_that_the_hook_does_not_have(announced: list[Point]) -> None:
    @hookimpl
    def authorize_statement(statement: object) -> None:
        return None

    announce(announced, module(authorize_statement=authorize_statement))
    with pytest.raises(PluginError, match="statement"):
        load_plugins(["extra"], {}, {})


def test_refuses_wrappers_around_decisions(announced: list[Point]) -> None:
    @hookimpl(wrapper=True)
    def authorize_statement(request: object) -> object:
        return (yield)

    announce(announced, module(authorize_statement=authorize_statement))
    with pytest.raises(PluginError, match="may not be a wrapper"):
        load_plugins(["extra"], {}, {})


def test_refuses_an_asynchronous_registration(announced: list[Point]) -> None:
    @hookimpl
    async def register_protocols() -> list[object]:
        return []

    announce(announced, module(register_protocols=register_protocols))
    with pytest.raises(PluginError, match="plain function"):
        load_plugins(["extra"], {}, {})


def test_refuses_a_component_that_two_plugins_register(announced: list[Point]) -> None:
    def plugin() -> types.ModuleType:
        @hookimpl
        def register_masking_functions() -> Mapping[str, object]:
            return {"redact": object()}

        return module(register_masking_functions=register_masking_functions)

    announce(announced, plugin(), name="one")
    announce(announced, plugin(), name="two")
    loaded = load_plugins(["one", "two"], {}, {})
    with pytest.raises(PluginError, match="'redact' comes from both 'one' and 'two'"):
        collect(loaded.manager)


def test_a_registration_that_fails_stops_the_start(announced: list[Point]) -> None:
    @hookimpl
    def register_audit_sinks() -> Mapping[str, object]:
        raise OSError("no network")

    announce(announced, module(register_audit_sinks=register_audit_sinks))
    loaded = load_plugins(["extra"], {}, {})
    with pytest.raises(PluginError, match="no network"):
        collect(loaded.manager)


def test_the_installed_postgres_plugin_loads() -> None:
    loaded = load_plugins(["postgres"], {}, {})
    assert list(collect(loaded.manager).protocols) == ["postgres"]
    assert loaded.infos[0].distribution == "querygate"

"""Loading plugins: only those on the list, each name once, every hook known.

pluggy's own entry-point loader skips a name that is there twice, so that a foreign distribution could take the place
of a built-in protocol, and it ignores a misspelt hook; in a gateway both mean "unprotected". Here both stop the start.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import pluggy

from gateway import PROJECT_NAME, hookspecs
from gateway.errors import PluginError

GROUP = "querygate.plugins"
"""The entry-point group in which distributions announce plugins."""

API_VERSION = 1
"""Plugins state the ``API_VERSION`` that they were written for; another major version is refused."""


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What ``querygate plugins list`` shows."""

    name: str
    distribution: str
    version: str
    hooks: tuple[str, ...]
    builtin: bool


@dataclass(frozen=True, slots=True)
class LoadedPlugins:
    """The plugin manager, with every plugin registered and checked, and what is known of each."""

    manager: pluggy.PluginManager
    infos: tuple[PluginInfo, ...]


def available() -> Mapping[str, Sequence[EntryPoint]]:
    """All announced plugins by name; more than one entry point under a name is somebody's attempt or accident."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def load_plugins(
    enabled: Iterable[str], builtins: Mapping[str, object], fallbacks: Mapping[str, object]
) -> LoadedPlugins:
    """Register the built-in plugins, then the enabled ones in their order, then the built-in ones that have an answer
    for everything.

    Raises ``PluginError`` for a name that is not there, there twice, does not import, speaks another API version, or
    implements a hook that does not exist.
    """
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    infos: list[PluginInfo] = []
    for name, plugin in builtins.items():
        _register(manager, name, plugin)
        infos.append(PluginInfo(name, "querygate", "", _hooks(manager, plugin), builtin=True))
    points = available()
    for name in enabled:
        candidates = points.get(name, [])
        if not candidates:
            known = ", ".join(sorted(points)) or "none"
            raise PluginError(
                f"plugin {name!r} is enabled but no installed distribution announces it (there are: {known})"
            )
        if len(candidates) > 1:
            owners = ", ".join(sorted(_owner(point)[0] for point in candidates))
            raise PluginError(
                f"plugin {name!r} is announced by more than one distribution: {owners}; uninstall all but one"
            )
        point = candidates[0]
        try:
            plugin = point.load()
        except Exception as error:
            raise PluginError(f"plugin {name!r} ({point.value}) cannot be imported: {error!r}") from error
        version = getattr(plugin, "API_VERSION", None)
        if version != API_VERSION:
            raise PluginError(f"plugin {name!r} was written for plugin API {version}, this gateway has {API_VERSION}")
        _register(manager, name, plugin)
        infos.append(PluginInfo(name, *_owner(point), _hooks(manager, plugin), builtin=False))
    for name, plugin in fallbacks.items():
        _register(manager, name, plugin)
        infos.append(PluginInfo(name, "querygate", "", _hooks(manager, plugin), builtin=True))
    return LoadedPlugins(manager, tuple(infos))


def _register(manager: pluggy.PluginManager, name: str, plugin: object) -> None:
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except (ValueError, pluggy.PluginValidationError) as error:
        raise PluginError(f"plugin {name!r}: {error}") from error
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            if implementation.hookwrapper or implementation.wrapper:
                raise PluginError(f"plugin {name!r}: hook {caller.name} may not be a wrapper")
            if caller.name.startswith("register_") and inspect.iscoroutinefunction(implementation.function):
                raise PluginError(f"plugin {name!r}: hook {caller.name} must be a plain function")


def _hooks(manager: pluggy.PluginManager, plugin: object) -> tuple[str, ...]:
    return tuple(sorted(caller.name for caller in manager.get_hookcallers(plugin) or ()))


def _owner(point: EntryPoint) -> tuple[str, str]:
    distribution = point.dist
    return ("unknown", "") if distribution is None else (distribution.name, distribution.version)

"""The components that plugins register: protocols, masking functions, audit sinks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from gateway.errors import PluginError

if TYPE_CHECKING:
    from gateway.audit.sinks import AuditSink
    from gateway.masking.functions import MaskingFunctionFactory
    from gateway.protocol.adapter import ProtocolAdapter

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Components:
    """Everything that plugins registered, by name."""

    protocols: Mapping[str, ProtocolAdapter]
    masking_functions: Mapping[str, MaskingFunctionFactory]
    audit_sinks: Mapping[str, type[AuditSink]]


def collect(manager: pluggy.PluginManager) -> Components:
    """Ask every plugin. Raises ``PluginError`` where a name is there twice or a plugin fails."""
    return Components(
        protocols=_united(
            manager.hook.register_protocols, lambda answer: {adapter.name: adapter for adapter in answer}
        ),
        masking_functions=_united(manager.hook.register_masking_functions, dict),
        audit_sinks=_united(manager.hook.register_audit_sinks, dict),
    )


def _united(caller: Any, named: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for implementation in caller.get_hookimpls():
        owner = implementation.plugin_name
        try:
            answer = named(implementation.function())
        except Exception as error:
            raise PluginError(f"plugin {owner!r}: {caller.name} failed: {error!r}") from error
        for name, component in answer.items():
            if name in found:
                raise PluginError(f"{caller.name}: {name!r} comes from both {owners[name]!r} and {owner!r}")
            found[name], owners[name] = component, owner
    return found

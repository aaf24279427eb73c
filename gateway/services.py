"""Services that run beside the data plane in one process, such as the admin API.

They are found by the entry-point group ``querygate.services``, so that the data plane never imports the control plane.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Protocol

from gateway.config import Config
from gateway.control.port import DataPlane, Health
from gateway.errors import PluginError

__all__ = ["GROUP", "DataPlane", "Health", "Service", "ServiceFactory", "create_services"]

GROUP = "querygate.services"


class Service(Protocol):
    """Something that is started with the gateway and stopped with it."""

    async def start(self) -> str:
        """Begin to serve; returns a line for the operator, empty for none. Raises ``OSError``.

        Called before the gateway listens: what a service decides the data plane by is in force for the first client.
        """

    async def stop(self) -> None:
        """Stop serving."""


ServiceFactory = Callable[[Config, DataPlane], Service | None]
"""Makes a service for a configuration, or None where the configuration does not want it."""


def create_services(config: Config, plane: DataPlane) -> list[Service]:
    """All announced services that the configuration wants. Raises ``PluginError`` where one cannot be made."""
    services = []
    for point in entry_points(group=GROUP):
        try:
            factory: ServiceFactory = point.load()
            service = factory(config, plane)
        except Exception as error:
            raise PluginError(f"service {point.name!r} ({point.value}) cannot be made: {error!r}") from error
        if service is not None:
            services.append(service)
    return services

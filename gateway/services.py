"""Services that run beside the data plane in one process, such as the admin API.

They are found by the entry-point group ``querygate.services``, so that the data plane never imports the control plane.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

from gateway.config import Config
from gateway.errors import PluginError

GROUP = "querygate.services"


@dataclass(frozen=True, slots=True)
class Health:
    """How the data plane is. ``ready`` False: do not send clients here."""

    ready: bool
    detail: str
    sessions: int
    snapshot: str
    audit: str
    """Empty while the audit can be written, otherwise why not."""


class Service(Protocol):
    """Something that is started with the gateway and stopped with it."""

    async def start(self) -> str:
        """Begin to serve; returns a line for the operator, empty for none. Raises ``OSError``."""

    async def stop(self) -> None:
        """Stop serving."""


ServiceFactory = Callable[[Config, Callable[[], Health]], Service | None]
"""Makes a service for a configuration, or None where the configuration does not want it."""


def create_services(config: Config, health: Callable[[], Health]) -> list[Service]:
    """All announced services that the configuration wants. Raises ``PluginError`` where one cannot be made."""
    services = []
    for point in entry_points(group=GROUP):
        try:
            factory: ServiceFactory = point.load()
            service = factory(config, health)
        except Exception as error:
            raise PluginError(f"service {point.name!r} ({point.value}) cannot be made: {error!r}") from error
        if service is not None:
            services.append(service)
    return services

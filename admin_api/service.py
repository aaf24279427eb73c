"""The admin API as a service of ``querygate serve`` (entry point ``querygate.services``)."""

from __future__ import annotations

from gateway.config import Config
from gateway.services import DataPlane, Service


def create(config: Config, plane: DataPlane) -> Service | None:
    """The service, where the configuration has an ``admin_api`` address. Nothing is loaded where it has none."""
    if config.admin_api is None:
        return None
    from admin_api.server import AdminService

    return AdminService(config, plane, config.admin_api)

"""Queries over gateways."""

from __future__ import annotations

from admin_api.gateways.models import GatewayRow
from admin_api.repository import NamedRepository


class GatewayRepository(NamedRepository[GatewayRow]):
    """Those that may ask for snapshots."""

    row = GatewayRow

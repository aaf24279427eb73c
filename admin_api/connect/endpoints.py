"""``/v1/connect``: where a client program reaches a resource."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from admin_api.deps import WorkDep
from admin_api.documents.endpoints import problems
from admin_api.documents.repository import DocumentRepository
from admin_api.errors import NotFound
from admin_api.gateways.deps import FleetDep
from admin_api.gateways.repository import GatewayRepository
from admin_api.resources.models import ResourceRow
from admin_api.security import Anybody
from gateway.config.resolve import is_loopback

router = APIRouter(prefix="/v1/connect", tags=["connect"])

_WILDCARDS: Final = {"0.0.0.0", "::"}  # noqa: S104 - recognised, not listened on


class RouteOut(BaseModel):
    """Where a gateway listens for the resource's protocol."""

    resource: str = Field(examples=["shop-prod"])
    protocol: str = Field(examples=["postgres"])
    host: str = Field(description="Empty where no gateway is known", examples=["10.1.2.3"])
    port: int = Field(description="0 where no gateway is known", examples=[6432])
    tls: bool
    gateway: str = Field(description="Empty: the one beside this API", examples=["gw-eu-1"])


@router.get("/{resource}", responses=problems(404))
async def read_route(
    who: Anybody,
    work: WorkDep,
    fleet: FleetDep,
    request: Request,
    resource: Annotated[str, Path(max_length=63, examples=["shop-prod"])],
) -> RouteOut:
    """Where to connect to. Whether the database may be used is decided there, at the login."""
    row = await DocumentRepository(work.session, ResourceRow).find(resource)
    if row is None:
        raise NotFound(f'there is no resource "{resource}"')
    protocol = str(row.document["protocol"])
    plane = work.context.plane
    if (own := plane.listeners.get(protocol)) is not None:
        host = _reachable(own[0], request.url.hostname or "127.0.0.1")
        return RouteOut(resource=resource, protocol=protocol, host=host, port=own[1], tls=plane.offers_tls, gateway="")
    for gateway in await GatewayRepository(work.session).all():
        reported = fleet.reports.of(gateway)
        if reported is None or (address := reported.report.listeners.get(protocol)) is None:
            continue
        host = _reachable(address[0], reported.address.rpartition(":")[0].strip("[]"))
        return RouteOut(
            resource=resource,
            protocol=protocol,
            host=host,
            port=address[1],
            tls=reported.report.tls,
            gateway=gateway.name,
        )
    return RouteOut(resource=resource, protocol=protocol, host="", port=0, tls=True, gateway="")


def _reachable(listening: str, seen: str) -> str:
    """A listener's host as others see it: one that says nothing of the machine is where the machine was met."""
    return seen if listening in _WILDCARDS or (is_loopback(listening) and not is_loopback(seen)) else listening

"""``/v1/gateways``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Response
from fastapi.responses import JSONResponse

from admin_api.deps import WorkDep
from admin_api.documents.endpoints import problems
from admin_api.gateways.deps import FleetDep
from admin_api.gateways.models import GatewayIn, GatewayIssued, GatewayOut
from admin_api.gateways.service import GatewayService
from admin_api.idempotency import OnceDep
from admin_api.pages import Page
from admin_api.security import Owner, Viewer

router = APIRouter(prefix="/v1/gateways", tags=["gateways"])

Name = Annotated[str, Path(max_length=63, examples=["gw-eu-1"])]


@router.get("", response_model=Page[GatewayOut])
async def list_gateways(who: Viewer, work: WorkDep, fleet: FleetDep) -> Any:
    """The gateways on other machines, with how they are. The one beside this API is in `/health`."""
    return JSONResponse({"items": await fleet.service(work).list(), "next": None})


@router.post("", status_code=201, response_model=GatewayIssued, responses=problems(400, 409, 413, 422))
async def create_gateway(
    who: Owner, work: WorkDep, fleet: FleetDep, body: Annotated[GatewayIn, Body()], once: OnceDep
) -> Response:
    """Let a gateway in. Its credential is shown once: put it, with this API's address, under `control` in its file.

    Whoever has a gateway's credential gets the databases' passwords, so that only owners can do this.
    """
    service: GatewayService = fleet.service(work)

    async def create() -> JSONResponse:
        row, credential = await service.create(body.name, body.description)
        headers = {"Location": f"/v1/gateways/{row.name}"}
        return JSONResponse(service.issued(row, credential), 201, headers=headers)

    return await once(create, secret=True)


@router.get("/{name}", response_model=GatewayOut, responses=problems(404))
async def read_gateway(who: Viewer, work: WorkDep, fleet: FleetDep, name: Name) -> Any:
    """One of them."""
    service = fleet.service(work)
    return JSONResponse(service.answer(await service.get(name)))


@router.post("/{name}/rotate", response_model=GatewayIssued, responses=problems(404))
async def rotate_gateway(who: Owner, work: WorkDep, fleet: FleetDep, name: Name) -> Any:
    """Another credential. The old one is worth nothing from now on."""
    service = fleet.service(work)
    row = await service.get(name)
    return JSONResponse(service.issued(row, await service.rotate(row)))


@router.delete("/{name}", status_code=204, responses=problems(404))
async def delete_gateway(who: Owner, work: WorkDep, fleet: FleetDep, name: Name) -> Response:
    """Let it in no more. It serves what it has until it is stopped: stop it first."""
    service = fleet.service(work)
    await service.delete(await service.get(name))
    return Response(status_code=204)

"""``/v1/resources``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from admin_api.deps import WorkDep
from admin_api.documents.endpoints import Sent, Text, created, deleted, problems, read, replaced
from admin_api.idempotency import OnceDep
from admin_api.pages import Page, Paging, get_paging
from admin_api.preconditions import IfMatch, IfNoneMatch
from admin_api.resources.models import EXAMPLE, ResourceIn, ResourceOut
from admin_api.resources.service import ResourceService, filters
from admin_api.security import PolicyAdmin, Viewer

router = APIRouter(prefix="/v1/resources", tags=["resources"])

Name = Annotated[str, Path(max_length=63, examples=["shop-prod"])]
BodyIn = Annotated[ResourceIn, Body(openapi_examples={"postgres": {"value": EXAMPLE}})]


@router.get("", response_model=Page[ResourceOut], responses=problems(400))
async def list_resources(
    who: Viewer,
    work: WorkDep,
    paging: Annotated[Paging, Depends(get_paging)],
    text: Text = None,
    protocol: Annotated[str | None, Query(max_length=32, examples=["postgres"])] = None,
    environment: Annotated[str | None, Query(max_length=1000, examples=["production"])] = None,
) -> Any:
    """The databases behind the gateway, by name."""
    return JSONResponse(await ResourceService(work).page(paging, filters(protocol, environment), text))


@router.post("", status_code=201, response_model=ResourceOut, responses=problems(400, 409, 413, 422))
async def create_resource(who: PolicyAdmin, work: WorkDep, body: BodyIn, sent: Sent, once: OnceDep) -> Response:
    """Put a database behind the gateway. It can be reached as soon as a policy lets somebody."""
    return await created(ResourceService(work), sent, once, lambda row: f"/v1/resources/{row.name}")


@router.get("/{name}", response_model=ResourceOut, responses=problems(404))
async def read_resource(who: Viewer, work: WorkDep, name: Name, if_none_match: IfNoneMatch = None) -> Response:
    """One of them. Its password is never shown."""
    return await read(ResourceService(work), name, if_none_match)


@router.put("/{name}", response_model=ResourceOut, responses=problems(400, 404, 412, 413, 422, 428))
async def replace_resource(
    who: PolicyAdmin, work: WorkDep, name: Name, body: BodyIn, sent: Sent, if_match: IfMatch = None
) -> Response:
    """Replace its document. A password shown as `{sealed: true}` stays as it is, unless the server is another one."""
    return await replaced(ResourceService(work), name, sent, if_match)


@router.delete("/{name}", status_code=204, responses=problems(404, 409, 412, 428))
async def delete_resource(who: PolicyAdmin, work: WorkDep, name: Name, if_match: IfMatch = None) -> Response:
    """Take it away. Refused where policies name it."""
    return await deleted(ResourceService(work), name, if_match)

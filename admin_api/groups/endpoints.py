"""``/v1/groups``."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body, Depends, Path, Response
from fastapi.responses import JSONResponse

from admin_api.deps import WorkDep
from admin_api.documents.endpoints import problems
from admin_api.groups.models import GroupChange, GroupIn, GroupOut
from admin_api.groups.service import GroupService
from admin_api.idempotency import OnceDep
from admin_api.pages import Page, Paging, get_paging
from admin_api.preconditions import IfMatch, IfNoneMatch, not_modified, tagged
from admin_api.security import PolicyAdmin, Viewer

router = APIRouter(prefix="/v1/groups", tags=["groups"])

Name = Annotated[str, Path(max_length=1000, examples=["analysts"])]


@router.get("", response_model=Page[GroupOut], responses=problems(400))
async def list_groups(who: Viewer, work: WorkDep, paging: Annotated[Paging, Depends(get_paging)]) -> Any:
    """Groups with their members. A principal's groups come to be with it; people of an OIDC issuer are not listed."""
    return JSONResponse(await GroupService(work).page(paging))


@router.post("", status_code=201, response_model=GroupOut, responses=problems(400, 409, 413, 422))
async def create_group(who: PolicyAdmin, work: WorkDep, body: Annotated[GroupIn, Body()], once: OnceDep) -> Response:
    """A group that nobody is in yet. Principals are put into it by their own documents."""
    service = GroupService(work)

    async def create() -> JSONResponse:
        row = await service.create(body.name, body.description)
        return tagged(await service.answer(row), row.version, 201, f"/v1/groups/{quote(row.name)}")

    return await once(create)


@router.get("/{name}", response_model=GroupOut, responses=problems(404))
async def read_group(who: Viewer, work: WorkDep, name: Name, if_none_match: IfNoneMatch = None) -> Response:
    """One group."""
    service = GroupService(work)
    row = await service.get(name)
    return not_modified(if_none_match, row.version) or tagged(await service.answer(row), row.version)


@router.patch("/{name}", response_model=GroupOut, responses=problems(400, 404, 412, 413, 422, 428))
async def describe_group(
    who: PolicyAdmin, work: WorkDep, name: Name, body: Annotated[GroupChange, Body()], if_match: IfMatch = None
) -> Response:
    """Change its description."""
    service = GroupService(work)
    row = await service.describe(await service.get(name), body.description, if_match)
    return tagged(await service.answer(row), row.version)


@router.delete("/{name}", status_code=204, responses=problems(404, 409, 412, 428))
async def delete_group(who: PolicyAdmin, work: WorkDep, name: Name, if_match: IfMatch = None) -> Response:
    """Take an empty group away."""
    service = GroupService(work)
    await service.delete(await service.get(name), if_match)
    return Response(status_code=204)

"""``/v1/admins``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Response
from fastapi.responses import JSONResponse

from admin_api.admins.models import AdminChange, AdminIn, AdminOut
from admin_api.admins.service import AdminService, answer
from admin_api.deps import WorkDep
from admin_api.documents.endpoints import problems
from admin_api.idempotency import OnceDep
from admin_api.pages import Page, Paging, get_paging
from admin_api.preconditions import IfMatch, IfNoneMatch, not_modified, tagged
from admin_api.security import Owner

router = APIRouter(prefix="/v1/admins", tags=["admins"])

Id = Annotated[str, Path(max_length=60, examples=["adm-0192f0c1a2b3d4e5f60718293a4b"])]


@router.get("", response_model=Page[AdminOut], responses=problems(400))
async def list_admins(who: Owner, work: WorkDep, paging: Annotated[Paging, Depends(get_paging)]) -> Any:
    """Local administrators. People of an OIDC issuer have no account here."""
    return JSONResponse(await AdminService(work).page(paging))


@router.post("", status_code=201, response_model=AdminOut, responses=problems(400, 409, 413, 422))
async def create_admin(who: Owner, work: WorkDep, body: Annotated[AdminIn, Body()], once: OnceDep) -> Response:
    """A new administrator."""
    service = AdminService(work)

    async def create() -> JSONResponse:
        row = await service.create(body)
        return tagged(answer(row), row.version, 201, f"/v1/admins/{row.id}")

    return await once(create)


@router.get("/{id}", response_model=AdminOut, responses=problems(404))
async def read_admin(who: Owner, work: WorkDep, id: Id, if_none_match: IfNoneMatch = None) -> Response:
    """One of them."""
    row = await AdminService(work).get(id)
    return not_modified(if_none_match, row.version) or tagged(answer(row), row.version)


@router.patch("/{id}", response_model=AdminOut, responses=problems(400, 404, 409, 412, 413, 422, 428))
async def change_admin(
    who: Owner, work: WorkDep, id: Id, body: Annotated[AdminChange, Body()], if_match: IfMatch = None
) -> Response:
    """Change roles, groups or password, or disable the account. It takes effect with the next request."""
    service = AdminService(work)
    row = await service.change(await service.get(id), body, if_match)
    return tagged(answer(row), row.version)


@router.delete("/{id}", status_code=204, responses=problems(404, 409, 412, 428))
async def delete_admin(who: Owner, work: WorkDep, id: Id, if_match: IfMatch = None) -> Response:
    """Take an account away. There must be another owner left."""
    service = AdminService(work)
    await service.delete(await service.get(id), if_match)
    return Response(status_code=204)

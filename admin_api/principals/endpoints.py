"""``/v1/principals``."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body, Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from admin_api.deps import WorkDep
from admin_api.documents.endpoints import Sent, Text, created, deleted, problems, read, replaced
from admin_api.idempotency import OnceDep
from admin_api.pages import Page, Paging, get_paging
from admin_api.preconditions import IfMatch, IfNoneMatch
from admin_api.principals.models import AGENT_EXAMPLE, EXAMPLE, PrincipalIn, PrincipalOut
from admin_api.principals.service import PrincipalService
from admin_api.security import PolicyAdmin, Viewer
from gateway.domain.principal import PrincipalKind

router = APIRouter(prefix="/v1/principals", tags=["principals"])

Name = Annotated[str, Path(max_length=1000, examples=["ana@example.com"])]
BodyIn = Annotated[PrincipalIn, Body(openapi_examples={"human": {"value": EXAMPLE}, "agent": {"value": AGENT_EXAMPLE}})]


@router.get("", response_model=Page[PrincipalOut], responses=problems(400))
async def list_principals(
    who: Viewer,
    work: WorkDep,
    paging: Annotated[Paging, Depends(get_paging)],
    text: Text = None,
    kind: Annotated[PrincipalKind | None, Query()] = None,
    acts_for: Annotated[str | None, Query(max_length=1000, examples=["ana@example.com"])] = None,
) -> Any:
    """Who may come through the gateway, by name."""
    return JSONResponse(await PrincipalService(work).page(paging, {"kind": kind, "acts_for": acts_for}, text))


@router.post("", status_code=201, response_model=PrincipalOut, responses=problems(400, 409, 413, 422))
async def create_principal(who: PolicyAdmin, work: WorkDep, body: BodyIn, sent: Sent, once: OnceDep) -> Response:
    """Let somebody come. What they may do is up to the policies; `POST /v1/tokens` gives them a password."""
    return await created(PrincipalService(work), sent, once, lambda row: f"/v1/principals/{quote(row.name)}")


@router.get("/{name:path}", response_model=PrincipalOut, responses=problems(404))
async def read_principal(who: Viewer, work: WorkDep, name: Name, if_none_match: IfNoneMatch = None) -> Response:
    """One of them."""
    return await read(PrincipalService(work), name, if_none_match)


@router.put("/{name:path}", response_model=PrincipalOut, responses=problems(400, 404, 412, 413, 422, 428))
async def replace_principal(
    who: PolicyAdmin, work: WorkDep, name: Name, body: BodyIn, sent: Sent, if_match: IfMatch = None
) -> Response:
    """Replace their document."""
    return await replaced(PrincipalService(work), name, sent, if_match)


@router.delete("/{name:path}", status_code=204, responses=problems(404, 409, 412, 428))
async def delete_principal(who: PolicyAdmin, work: WorkDep, name: Name, if_match: IfMatch = None) -> Response:
    """Take them away; their access tokens are revoked and their sessions end."""
    return await deleted(PrincipalService(work), name, if_match)

"""``/v1/tokens``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from admin_api.deps import WorkDep
from admin_api.documents.endpoints import problems
from admin_api.idempotency import OnceDep
from admin_api.pages import Page, Paging, get_paging
from admin_api.security import Viewer
from admin_api.tokens.models import TokenIn, TokenIssued, TokenOut
from admin_api.tokens.service import TokenService, answer

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])

Id = Annotated[str, Path(max_length=60, examples=["tok-0192f0c1a2b3"])]


@router.get("", response_model=Page[TokenOut], responses=problems(400))
async def list_tokens(
    who: Viewer,
    work: WorkDep,
    paging: Annotated[Paging, Depends(get_paging)],
    principal: Annotated[str | None, Query(max_length=1000, examples=["ana@example.com"])] = None,
    resource: Annotated[str | None, Query(max_length=63, description="Those that are good for it")] = None,
    state: Annotated[Literal["active", "expired", "revoked"] | None, Query()] = None,
) -> Any:
    """Access tokens that were issued, the newest first. The tokens themselves are not kept."""
    return JSONResponse(await TokenService(work).page(paging, principal, resource, state))


@router.post("", status_code=201, response_model=TokenIssued, responses=problems(400, 403, 409, 413, 422))
async def issue_token(who: Viewer, work: WorkDep, body: Annotated[TokenIn, Body()], once: OnceDep) -> Response:
    """Issue a database password. It is shown once. For oneself with any role, for others as policy-admin."""
    service = TokenService(work)

    async def create() -> JSONResponse:
        row, secret = await service.issue(body)
        content = {**answer(row, work.context.clock()), "token": secret}
        return JSONResponse(content, 201, headers={"Location": f"/v1/tokens/{row.id}"})

    return await once(create, secret=True)


@router.get("/{id}", response_model=TokenOut, responses=problems(404))
async def read_token(who: Viewer, work: WorkDep, id: Id) -> Any:
    """One of them."""
    return JSONResponse(answer(await TokenService(work).get(id), work.context.clock()))


@router.post("/{id}/revoke", response_model=TokenOut, responses=problems(403, 404))
async def revoke_token(who: Viewer, work: WorkDep, id: Id) -> Any:
    """Make it useless and end the sessions that it opened. One's own with any role, others' as policy-admin."""
    service = TokenService(work)
    row = await service.get(id)
    await service.revoke(row)
    return JSONResponse(answer(row, work.context.clock()))

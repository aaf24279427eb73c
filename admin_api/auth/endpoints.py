"""``/v1/auth``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from admin_api.auth.models import BootstrapIn, LoginIn, Me, PasswordIn, RefreshIn, Tokens
from admin_api.auth.service import AuthService, change_password, log_out
from admin_api.deps import ContextDep, WorkDep
from admin_api.documents.endpoints import problems
from admin_api.security import Anybody, public

router = APIRouter(prefix="/v1/auth", tags=["auth"])


@router.post("/bootstrap", status_code=201, dependencies=[public], responses=problems(400, 401, 409, 413, 422, 429))
async def bootstrap(context: ContextDep, request: Request, body: Annotated[BootstrapIn, Body()]) -> Tokens:
    """Make the first administrator, with the token that the first start wrote to `data_dir/bootstrap-token`."""
    return await AuthService(context, request).bootstrap(body)


@router.post("/login", dependencies=[public], responses=problems(400, 401, 413, 422, 429))
async def login(context: ContextDep, request: Request, body: Annotated[LoginIn, Body()]) -> Tokens:
    """Log in with name and password."""
    return await AuthService(context, request).login(body.name, body.password)


@router.post("/refresh", dependencies=[public], responses=problems(400, 401, 413, 422))
async def refresh(context: ContextDep, request: Request, body: Annotated[RefreshIn, Body()]) -> Tokens:
    """New tokens for old. A refresh token is good once; one that comes twice ends the session."""
    return await AuthService(context, request).refresh(body.refresh_token)


@router.post("/logout", status_code=204)
async def logout(who: Anybody, work: WorkDep) -> Response:
    """End this session: its tokens are worth nothing from now on."""
    await log_out(work)
    return Response(status_code=204)


@router.get("/me")
async def read_me(who: Anybody) -> Me:
    """Who you are to this API."""
    return Me(name=who.name, roles=sorted(who.roles), issuer=who.issuer)


@router.post("/password", status_code=204, responses=problems(400, 403, 413, 422, 429))
async def set_password(who: Anybody, work: WorkDep, body: Annotated[PasswordIn, Body()]) -> Response:
    """Change your own password. Your other sessions end."""
    await change_password(work, body.current, body.new)
    return Response(status_code=204)

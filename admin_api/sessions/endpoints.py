"""``/v1/sessions``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, BackgroundTasks, Body, Path, Query
from fastapi.responses import JSONResponse

from admin_api.deps import WorkDep
from admin_api.documents.endpoints import problems
from admin_api.errors import NotFound
from admin_api.gateways.deps import FleetDep
from admin_api.pages import Page
from admin_api.security import PolicyAdmin, Viewer
from admin_api.sessions.models import SessionOut, TerminateIn, TerminateOut
from admin_api.sessions.service import SessionService, show

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])


@router.get("", response_model=Page[SessionOut])
async def list_sessions(
    who: Viewer,
    work: WorkDep,
    fleet: FleetDep,
    principal: Annotated[str | None, Query(max_length=1000, description="Also those that act for it")] = None,
    resource: Annotated[str | None, Query(max_length=63)] = None,
    gateway: Annotated[str | None, Query(max_length=63, description="Empty: the one beside this API")] = None,
    state: Annotated[Literal["login", "idle", "active"] | None, Query()] = None,
) -> Any:
    """Who is connected now, the longest first. Other gateways' sessions are as of their last report (5 s at most)."""
    items = await SessionService(work, fleet).find(principal=principal, resource=resource, gateway=gateway, state=state)
    return JSONResponse({"items": items, "next": None})


@router.get("/{id}", response_model=SessionOut, responses=problems(404))
async def read_session(who: Viewer, work: WorkDep, fleet: FleetDep, id: Annotated[str, Path(max_length=100)]) -> Any:
    """One of them."""
    for placed in await SessionService(work, fleet).all():
        if placed.session.id == id:
            return JSONResponse(show(placed, work.context.clock()))
    raise NotFound(f'there is no session "{id}"')


@router.post("/terminate", response_model=TerminateOut, responses=problems(400, 413, 422))
async def terminate_sessions(
    who: PolicyAdmin, work: WorkDep, fleet: FleetDep, body: Annotated[TerminateIn, Body()], after: BackgroundTasks
) -> Any:
    """End sessions with a native error. They may come back: revoke tokens or change a policy to prevent that."""
    service = SessionService(work, fleet)
    count = await service.terminate(body)
    # After the commit, so that the audit has it first.
    after.add_task(service.carry_out, body)
    return TerminateOut(ended=count)

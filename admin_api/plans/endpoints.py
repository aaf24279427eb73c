"""``/v1/plan``, ``/v1/apply`` and ``/v1/export``: the store as a whole, from files and back to files."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse

from admin_api.deps import WorkDep
from admin_api.documents.endpoints import problems
from admin_api.plans.models import ExportOut, PlanIn, PlanOut
from admin_api.plans.service import PlanService
from admin_api.security import PolicyAdmin, Viewer

router = APIRouter(prefix="/v1", tags=["plans"])


@router.post("/plan", response_model=PlanOut, responses=problems(400, 413, 422))
async def plan(who: Viewer, work: WorkDep, body: Annotated[PlanIn, Body()]) -> Any:
    """What `apply` would change, checked as `apply` checks it. Nothing is changed."""
    found = await PlanService(work).plan(body.sections.model_dump(), prune=body.prune)
    return JSONResponse(found.model_dump(mode="json"))


@router.post("/apply", response_model=PlanOut, responses=problems(400, 409, 413, 422))
async def apply(who: PolicyAdmin, work: WorkDep, body: Annotated[PlanIn, Body()]) -> Any:
    """Make the store what the documents say, all or nothing, in force at once as one snapshot."""
    done = await PlanService(work).apply(
        body.sections.model_dump(), prune=body.prune, allow_lockout=body.allow_lockout, revision=body.revision
    )
    return JSONResponse(done.model_dump(mode="json"))


@router.get("/export", response_model=ExportOut)
async def export(who: Viewer, work: WorkDep) -> Any:
    """All documents, in the form in which they can be applied. Secrets are not shown, and kept when applied again."""
    return JSONResponse(await PlanService(work).export())

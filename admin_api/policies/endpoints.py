"""``/v1/policies``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from admin_api.deps import WorkDep
from admin_api.documents.endpoints import Sent, Text, changed, created, deleted, problems, read, replaced
from admin_api.idempotency import OnceDep
from admin_api.pages import Page, Paging, get_paging
from admin_api.policies.models import (
    ALLOW_EXAMPLE,
    EXAMPLE,
    ModeIn,
    PolicyIn,
    PolicyOut,
    PolicyVersionOut,
    RollbackIn,
)
from admin_api.policies.service import PolicyService
from admin_api.preconditions import IfMatch, IfNoneMatch
from admin_api.security import PolicyAdmin, Viewer
from gateway.domain.decision import Effect, Mode
from gateway.policy.documents import PolicyDocument
from gateway.policy.library import library_names, load_library

router = APIRouter(prefix="/v1/policies", tags=["policies"])

Name = Annotated[str, Path(max_length=100, examples=["mask-pii"])]
BodyIn = Annotated[PolicyIn, Body(openapi_examples={"mask": {"value": EXAMPLE}, "allow": {"value": ALLOW_EXAMPLE}})]


@router.get("", response_model=Page[PolicyOut], responses=problems(400))
async def list_policies(
    who: Viewer,
    work: WorkDep,
    paging: Annotated[Paging, Depends(get_paging)],
    text: Text = None,
    effect: Annotated[Effect | None, Query()] = None,
    mode: Annotated[Mode | None, Query()] = None,
) -> Any:
    """The policies in force, by name."""
    return JSONResponse(await PolicyService(work).page(paging, {"effect": effect, "mode": mode}, text))


@router.post("", status_code=201, response_model=PolicyOut, responses=problems(400, 409, 413, 422))
async def create_policy(who: PolicyAdmin, work: WorkDep, body: BodyIn, sent: Sent, once: OnceDep) -> Response:
    """A new policy, in force at once. With `mode: draft` it decides nothing, and the audit says what it would do."""
    return await created(PolicyService(work), sent, once, lambda row: f"/v1/policies/{row.name}")


@router.get("/{name}", response_model=PolicyOut, responses=problems(404))
async def read_policy(who: Viewer, work: WorkDep, name: Name, if_none_match: IfNoneMatch = None) -> Response:
    """One of them."""
    return await read(PolicyService(work), name, if_none_match)


@router.put("/{name}", response_model=PolicyOut, responses=problems(400, 404, 412, 413, 422, 428))
async def replace_policy(
    who: PolicyAdmin, work: WorkDep, name: Name, body: BodyIn, sent: Sent, if_match: IfMatch = None
) -> Response:
    """Replace its document: a new version, in force at once."""
    return await replaced(PolicyService(work), name, sent, if_match)


@router.delete("/{name}", status_code=204, responses=problems(404, 409, 412, 428))
async def delete_policy(who: PolicyAdmin, work: WorkDep, name: Name, if_match: IfMatch = None) -> Response:
    """Take it out of force. Its versions are kept."""
    return await deleted(PolicyService(work), name, if_match)


@router.put("/{name}/mode", response_model=PolicyOut, responses=problems(400, 404, 412, 413, 422, 428))
async def set_policy_mode(
    who: PolicyAdmin, work: WorkDep, name: Name, body: Annotated[ModeIn, Body()], if_match: IfMatch = None
) -> Response:
    """Move it along its life: draft, warn, enforce, in any order."""
    service = PolicyService(work)
    return changed(service, await service.set_mode(await service.get(name), body.mode, if_match))


@router.get("/{name}/versions", response_model=Page[PolicyVersionOut], responses=problems(400, 404))
async def list_policy_versions(
    who: Viewer, work: WorkDep, name: Name, paging: Annotated[Paging, Depends(get_paging)]
) -> Any:
    """All versions that a policy had, the newest first; also those of a policy that was deleted."""
    return JSONResponse(await PolicyService(work).version_page(name, paging))


@router.get("/{name}/versions/{version}", response_model=PolicyVersionOut, responses=problems(404))
async def read_policy_version(
    who: Viewer, work: WorkDep, name: Name, version: Annotated[int, Path(ge=1, le=2_147_483_647, examples=[1])]
) -> Any:
    """One version."""
    return JSONResponse(await PolicyService(work).version(name, version))


@router.post("/{name}/rollback", response_model=PolicyOut, responses=problems(400, 404, 409, 412, 413, 422, 428))
async def roll_back_policy(
    who: PolicyAdmin, work: WorkDep, name: Name, body: Annotated[RollbackIn, Body()], if_match: IfMatch = None
) -> Response:
    """Make it what it was at a version, as a new version. A policy that was deleted comes back."""
    service = PolicyService(work)
    return changed(service, await service.roll_back(name, body.version, if_match))


library = APIRouter(prefix="/v1/policy-library", tags=["policies"])


@library.get("", response_model=Page[PolicyDocument])
async def list_library(who: Viewer) -> Any:
    """Ready policies, to be taken as they are or changed, and sent to `POST /v1/policies`."""
    items = [
        document.model_dump(mode="json", exclude_unset=True)
        for name in library_names()
        for document in load_library(name)
    ]
    return JSONResponse({"items": items, "next": None})

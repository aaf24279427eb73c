"""``/v1/classifications``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from admin_api.classifications.models import EXAMPLE, ClassificationIn, ClassificationOut
from admin_api.classifications.service import ClassificationService
from admin_api.deps import WorkDep
from admin_api.documents.endpoints import Sent, Text, created, deleted, problems, read, replaced
from admin_api.idempotency import OnceDep
from admin_api.pages import Page, Paging, get_paging
from admin_api.preconditions import IfMatch, IfNoneMatch
from admin_api.security import PolicyAdmin, Viewer

router = APIRouter(prefix="/v1/classifications", tags=["classifications"])

Id = Annotated[str, Path(max_length=60, examples=["cls-0192f0c1a2b3d4e5f60718293a4b"])]
BodyIn = Annotated[ClassificationIn, Body(openapi_examples={"columns": {"value": EXAMPLE}})]


@router.get("", response_model=Page[ClassificationOut], responses=problems(400))
async def list_classifications(
    who: Viewer,
    work: WorkDep,
    paging: Annotated[Paging, Depends(get_paging)],
    text: Text = None,
    resource: Annotated[str | None, Query(max_length=63, examples=["shop-prod"])] = None,
    label: Annotated[str | None, Query(max_length=1000, examples=["pii.email"])] = None,
) -> Any:
    """Labels on columns and paths, by resource and label."""
    return JSONResponse(await ClassificationService(work).page(paging, {"resource": resource, "label": label}, text))


@router.post("", status_code=201, response_model=ClassificationOut, responses=problems(400, 409, 413, 422))
async def create_classification(who: PolicyAdmin, work: WorkDep, body: BodyIn, sent: Sent, once: OnceDep) -> Response:
    """Put a label on columns (`schema.table.column`) or paths (`database.collection.path`) of a resource."""
    return await created(ClassificationService(work), sent, once, lambda row: f"/v1/classifications/{row.id}")


@router.get("/{id}", response_model=ClassificationOut, responses=problems(404))
async def read_classification(who: Viewer, work: WorkDep, id: Id, if_none_match: IfNoneMatch = None) -> Response:
    """One of them."""
    return await read(ClassificationService(work), id, if_none_match)


@router.put("/{id}", response_model=ClassificationOut, responses=problems(400, 404, 412, 413, 422, 428))
async def replace_classification(
    who: PolicyAdmin, work: WorkDep, id: Id, body: BodyIn, sent: Sent, if_match: IfMatch = None
) -> Response:
    """Say anew which columns or paths carry the label."""
    return await replaced(ClassificationService(work), id, sent, if_match)


@router.delete("/{id}", status_code=204, responses=problems(404, 409, 412, 428))
async def delete_classification(who: PolicyAdmin, work: WorkDep, id: Id, if_match: IfMatch = None) -> Response:
    """Take the label away: what it protected is no longer masked."""
    return await deleted(ClassificationService(work), id, if_match)

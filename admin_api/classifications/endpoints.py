"""``/v1/classifications``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from admin_api.classifications.models import EXAMPLE, ClassificationIn, ClassificationOut
from admin_api.classifications.service import ClassificationService
from admin_api.deps import WorkDep
from admin_api.documents.endpoints import Sent, Text, answer, problems
from admin_api.idempotency import OnceDep
from admin_api.pages import Page, Paging, get_paging
from admin_api.preconditions import IfMatch, IfNoneMatch, not_modified
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
    service = ClassificationService(work)

    async def create() -> JSONResponse:
        row, warnings = await service.create(sent)
        return answer(service.answer(row, warnings), row, 201, f"/v1/classifications/{row.id}")

    return await once(create)


@router.get("/{id}", response_model=ClassificationOut, responses=problems(404))
async def read_classification(who: Viewer, work: WorkDep, id: Id, if_none_match: IfNoneMatch = None) -> Response:
    """One of them."""
    service = ClassificationService(work)
    row = await service.get(id)
    return not_modified(if_none_match, row.version) or answer(service.answer(row), row)


@router.put("/{id}", response_model=ClassificationOut, responses=problems(400, 404, 412, 413, 422, 428))
async def replace_classification(
    who: PolicyAdmin, work: WorkDep, id: Id, body: BodyIn, sent: Sent, if_match: IfMatch = None
) -> Response:
    """Say anew which columns or paths carry the label."""
    service = ClassificationService(work)
    row, warnings = await service.replace(await service.get(id), sent, if_match)
    return answer(service.answer(row, warnings), row)


@router.delete("/{id}", status_code=204, responses=problems(404, 409, 412, 428))
async def delete_classification(who: PolicyAdmin, work: WorkDep, id: Id, if_match: IfMatch = None) -> Response:
    """Take the label away: what it protected is no longer masked."""
    service = ClassificationService(work)
    await service.delete(await service.get(id), if_match)
    return Response(status_code=204)

"""``/v1/snapshots``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query
from fastapi.responses import JSONResponse

from admin_api.deps import WorkDep
from admin_api.documents.endpoints import problems
from admin_api.documents.sections import TABLES
from admin_api.errors import BadRequest, NotFound
from admin_api.gateways.deps import FleetDep
from admin_api.gateways.fleet import Fleet
from admin_api.gateways.repository import GatewayRepository
from admin_api.pages import Page, read_cursor, write_cursor
from admin_api.plans.kinds import shown_document
from admin_api.plans.models import PlanOut
from admin_api.plans.service import PlanService
from admin_api.security import PolicyAdmin, Viewer
from admin_api.snapshots.models import RestoreIn, SigningKeyOut, SnapshotContent, SnapshotOut, SnapshotRow
from admin_api.snapshots.repository import SnapshotRepository, signed_bytes
from gateway.control.signing import SignedSnapshot

router = APIRouter(prefix="/v1/snapshots", tags=["snapshots"])

Number = Annotated[int, Path(ge=1, le=2_147_483_647, examples=[42])]


@router.get("", response_model=Page[SnapshotOut], responses=problems(400))
async def list_snapshots(
    who: Viewer,
    work: WorkDep,
    fleet: FleetDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> Any:
    """What was published, the newest first. Old ones that differ from a newer one in tokens only are not kept."""
    before = None if cursor is None else read_cursor(work.context, cursor).get("snapshot")
    if cursor is not None and not isinstance(before, int):
        raise BadRequest("cursor: of another list; begin without it")
    rows = await SnapshotRepository(work.session).list(limit + 1, before)
    where = await _places(work, fleet)
    more = len(rows) > limit
    items = [_show(row, fleet, where) for row in rows[:limit]]
    place = write_cursor(work.context, {"snapshot": rows[limit - 1].number}) if more else None
    return JSONResponse({"items": items, "next": place})


@router.get("/signing-key")
async def read_signing_key(who: Viewer, fleet: FleetDep) -> SigningKeyOut:
    """The key that snapshots are signed with, for `control.trust` of gateways."""
    return SigningKeyOut(key=fleet.publisher.signing_key)


@router.get("/{number}", response_model=SnapshotContent, responses=problems(404))
async def read_snapshot(who: Viewer, work: WorkDep, fleet: FleetDep, number: Number) -> Any:
    """One of them with its documents."""
    row = await _find(work, number)
    document = SignedSnapshot.decode(signed_bytes(row), trusted=fleet.publisher.signing_key).document
    sections = {name: [shown_document(name, item) for item in document.sections[name]] for name in TABLES}
    return JSONResponse({**_show(row, fleet, await _places(work, fleet)), "sections": sections})


@router.post("/{number}/restore", response_model=PlanOut, responses=problems(400, 404, 409, 413, 422))
async def restore_snapshot(
    who: PolicyAdmin, work: WorkDep, fleet: FleetDep, number: Number, body: Annotated[RestoreIn | None, Body()] = None
) -> Any:
    """Make all documents what they were. Tokens stay as they are. It is a change like any other, and a new snapshot."""
    row = await _find(work, number)
    document = SignedSnapshot.decode(signed_bytes(row), trusted=fleet.publisher.signing_key).document
    sections = {name: [dict(item) for item in document.sections[name]] for name in TABLES}
    plan = await PlanService(work).apply(
        sections,
        prune=True,
        allow_lockout=body is not None and body.allow_lockout,
        stored=True,
        note=f"restored from snapshot {number}",
    )
    return JSONResponse(plan.model_dump(mode="json"))


async def _find(work: WorkDep, number: int) -> SnapshotRow:
    row = await SnapshotRepository(work.session).find(number)
    if row is None:
        raise NotFound(f"there is no snapshot {number}, or it is not kept any more")
    return row


async def _places(work: WorkDep, fleet: Fleet) -> dict[int, list[str]]:
    """Names of gateways by the number of the snapshot that they decide by."""
    found: dict[int, list[str]] = {}
    for row in await GatewayRepository(work.session).all():
        if (reported := fleet.reports.of(row)) is not None:
            found.setdefault(reported.report.snapshot.number, []).append(row.name)
    return found


def _show(row: SnapshotRow, fleet: Fleet, places: dict[int, list[str]]) -> dict[str, Any]:
    return SnapshotOut(
        number=row.number,
        name=row.name,
        created_at=row.created_at,
        size=row.size,
        current=row.number == fleet.publisher.announced.number,
        gateways=places.get(row.number, []),
    ).model_dump(mode="json")

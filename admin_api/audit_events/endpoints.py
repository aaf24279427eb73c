"""``/v1/audit-events``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, StreamingResponse

from admin_api.audit_events.models import EventOut, SearchIn
from admin_api.audit_events.reading import export_events, find_events
from admin_api.deps import ContextDep, RequestDep, admin_record
from admin_api.documents.endpoints import problems
from admin_api.errors import BadRequest
from admin_api.pages import MAX_LIMIT, Page, read_cursor, write_cursor
from admin_api.security import Auditor
from gateway.errors import AuditError

router = APIRouter(prefix="/v1/audit-events", tags=["audit events"])

_BATCH = 256 * 1024


@router.get("", response_model=Page[EventOut], responses=problems(400, 503))
async def search_events(
    who: Auditor,
    context: ContextDep,
    search: Annotated[SearchIn, Query()],
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> Any:
    """Search the audit of the gateway beside this API, the newest first.

    A page may hold fewer events than asked for, or none, and still have a `next`: a search looks a bounded time.
    """
    question = search.model_dump(mode="json", exclude_none=True)
    before: int | None = None
    if cursor is not None:
        place = read_cursor(context, cursor)
        if place.get("audit") != question:
            raise BadRequest("cursor: of another search; begin without it")
        before = int(place["before"])
    with suppress(AuditError):  # whoever made a change finds it; where the log takes nothing more, what it has is shown
        await context.audit.commit()
    page = await asyncio.to_thread(find_events, context.plane.audit_directory, search, limit, before)
    following = None if page.before is None else write_cursor(context, {"audit": question, "before": page.before})
    return JSONResponse({"items": page.events, "next": following})


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}, **problems(503)},
)
async def export(
    who: Auditor, context: ContextDep, request: RequestDep, search: Annotated[SearchIn, Query()]
) -> StreamingResponse:
    """All events that match, oldest first, one JSON object a line. The export itself is in the audit."""
    asked = search.model_dump(mode="json", exclude_none=True)
    context.audit.record_admin(admin_record(context, request, who, "audit.read", "audit", "export", after=asked))
    await context.audit.commit()
    lines = export_events(context.plane.audit_directory, search)
    return StreamingResponse(_batches(lines), media_type="application/x-ndjson")


async def _batches(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    while batch := await asyncio.to_thread(_take, lines):
        yield batch


def _take(lines: Iterator[bytes]) -> bytes:
    taken, size = [], 0
    for line in lines:
        taken.append(line)
        size += len(line)
        if size >= _BATCH:
            break
    return b"".join(taken)

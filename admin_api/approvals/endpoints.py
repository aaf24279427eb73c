"""``/v1/approvals`` and ``/v1/access-requests``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse

from admin_api.approvals.callbacks import MAX_BODY, take_callback, take_slack
from admin_api.approvals.models import AccessIn, ApprovalOut, CallbackIn, DecisionIn, RevocationIn, approval_out
from admin_api.approvals.service import ApprovalService
from admin_api.auth.callers import recognise
from admin_api.deps import ContextDep
from admin_api.documents.endpoints import problems
from admin_api.errors import BadRequest, Unauthenticated
from admin_api.pages import Page, Paging, get_paging
from admin_api.security import Anybody, Approver, Role, public
from gateway.approvals.signature import HEADER
from gateway.domain.approval import ApprovalState

router = APIRouter(prefix="/v1/approvals", tags=["approvals"])
access_router = APIRouter(prefix="/v1/access-requests", tags=["approvals"])

Identifier = Annotated[str, Path(min_length=1, max_length=100, examples=["5f0c9a51d2"])]
_KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a stream says that it lives."""


@router.get("", response_model=Page[ApprovalOut], responses=problems(400))
async def list_approvals(
    who: Approver,
    context: ContextDep,
    paging: Annotated[Paging, Depends(get_paging)],
    state: Annotated[list[ApprovalState] | None, Query(description="Any of these", examples=[["pending"]])] = None,
    principal: Annotated[str | None, Query(max_length=200)] = None,
    resource: Annotated[str | None, Query(max_length=200)] = None,
) -> Any:
    """Requests, the newest first."""
    found, following = await ApprovalService(context).page(
        paging, states=state or (), principal=principal, resource=resource
    )
    items = [approval_out(request).model_dump(mode="json") for request in found]
    return JSONResponse({"items": items, "next": following})


@router.get("/events", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def watch_approvals(request: Request, who: Approver, context: ContextDep) -> StreamingResponse:
    """Every request at every change from now on, as server-sent events whose data is a request.

    It ends with the token and with what lets its bearer in.
    """
    token = request.headers.get("Authorization", "").partition(" ")[2]

    async def may_go_on() -> bool:
        try:
            return (await recognise(context, token)).may(Role.APPROVER)
        except Unauthenticated:
            return False

    async def stream() -> AsyncIterator[str]:
        changes = aiter(context.plane.desk.changes())
        yield ": connected\n\n"
        coming = asyncio.ensure_future(anext(changes))  # noqa: TID251 - awaited or cancelled below, in this request
        try:
            while True:
                done, _ = await asyncio.wait({coming}, timeout=_KEEP_ALIVE)
                if not await may_go_on():
                    return
                if not done:
                    yield ": still here\n\n"
                    continue
                try:
                    changed = coming.result()
                except StopAsyncIteration:
                    return
                yield f"event: approval\nid: {changed.id}\ndata: {approval_out(changed).model_dump_json()}\n\n"
                coming = asyncio.ensure_future(anext(changes))  # noqa: TID251
        finally:
            coming.cancel()

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@router.get("/{identifier}", response_model=ApprovalOut, responses=problems(404))
async def read_approval(who: Approver, context: ContextDep, identifier: Identifier) -> ApprovalOut:
    """One request with all that an approver should know."""
    return approval_out(await ApprovalService(context).get(identifier))


@router.post("/{identifier}/decision", response_model=ApprovalOut, responses=problems(400, 403, 404, 409, 422))
async def decide(
    who: Approver, context: ContextDep, identifier: Identifier, body: Annotated[DecisionIn, Body()]
) -> ApprovalOut:
    """Approve or reject, as a member of a group that the policy names. With more approvals to come it stays pending."""
    return approval_out(await ApprovalService(context).decide(identifier, context.approvers.of_caller(who), body))


@router.post("/{identifier}/revocation", response_model=ApprovalOut, responses=problems(403, 404, 409, 422))
async def revoke(
    who: Approver, context: ContextDep, identifier: Identifier, body: Annotated[RevocationIn, Body()]
) -> ApprovalOut:
    """Take back what was granted: nothing begins on it any more, and membership of a group is over.

    Members of the groups that decide it may, the requester, and owners. A statement that runs already goes on.
    """
    return approval_out(await ApprovalService(context).revoke(identifier, who, body.reason))


@router.post("/{identifier}/break-glass", response_model=ApprovalOut, responses=problems(400, 403, 404, 409, 422))
async def break_glass(
    who: Anybody, context: ContextDep, identifier: Identifier, body: Annotated[DecisionIn, Body()]
) -> ApprovalOut:
    """Approve your own request in an emergency, where the policy lets your group do so. It needs a reason."""
    service = ApprovalService(context)
    request = await service.get(identifier)
    if who.name not in request.subject.names() or body.decision != "approve":
        raise BadRequest("only the requester can break the glass, and only to approve")
    return approval_out(await service.decide(identifier, context.approvers.of_caller(who), body))


@router.post(
    "/{identifier}/callback",
    response_model=ApprovalOut,
    dependencies=[public],
    responses=problems(400, 401, 403, 404, 409),
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": CallbackIn.model_json_schema()}}}},
)
async def callback(request: Request, context: ContextDep, identifier: Identifier) -> ApprovalOut:
    """A decision from a webhook's receiver, signed by the webhook's secret in `Querygate-Signature`."""
    body = await _bounded(request)
    return approval_out(await take_callback(context, identifier, body, request.headers.get(HEADER, "")))


@router.post("/slack", dependencies=[public], responses=problems(400, 401, 403, 404, 409))
async def slack(request: Request, context: ContextDep) -> JSONResponse:
    """A pressed button of a Slack message; give this address to Slack as the interactivity request URL."""
    body = await _bounded(request)
    decided = await take_slack(context, body, {name.lower(): value for name, value in request.headers.items()})
    return JSONResponse({"text": f"{decided.id} is {decided.state.value}"})


@access_router.post("", status_code=201, response_model=ApprovalOut, responses=problems(400, 403, 422))
async def ask_for_access(who: Anybody, context: ContextDep, body: Annotated[AccessIn, Body()]) -> ApprovalOut:
    """Ask for a group for some time. It holds for sessions that begin after it is granted, and ends them at its end."""
    return approval_out(await ApprovalService(context).ask_for_access(who, body))


async def _bounded(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise BadRequest(f"the body is longer than {MAX_BODY} bytes")
    return bytes(body)

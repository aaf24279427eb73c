"""``/link/approvals``: sessions of linked gateways wait for people. The form is ``gateway.control.approval_wire``'s."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Body

from admin_api.deps import ContextDep
from admin_api.documents.endpoints import problems
from admin_api.errors import Conflict, Forbidden
from admin_api.gateways.deps import FleetDep
from admin_api.gateways.link import GatewayDep
from gateway.approvals.errors import ApprovalError, ApprovalRefused, NotEligible
from gateway.approvals.grants import Demand
from gateway.approvals.outcome import refused
from gateway.control import approval_wire as wire
from gateway.domain.approval import ApprovalRequest, ApprovalState

router = APIRouter(prefix=wire.PREFIX, tags=["link"])


@router.post("", response_model=wire.Submitted, responses=problems(400, 401, 403, 409, 422))
async def submit(gateway: GatewayDep, fleet: FleetDep, body: Annotated[wire.Submission, Body()]) -> wire.Submitted:
    """A statement waits for people. The same request may be submitted again."""
    with _understood():
        fleet.instances.seen(gateway.name, body.instance, body.replaces)
        request = await fleet.instances.submit(gateway.name, body.instance, body.request)
    return wire.Submitted(request=request, url=fleet.instances.url)


@router.post("/grant", response_model=wire.Found, responses=problems(401, 403, 409, 422))
async def find_grant(gateway: GatewayDep, fleet: FleetDep, body: Annotated[wire.Question, Body()]) -> wire.Found:
    """An approval that was given before. It is not used by this: one for a single use is to be claimed."""
    demand = Demand(
        names=body.names,
        resource=body.resource,
        database=body.database,
        session_id=body.session,
        binding=body.binding,
        shape=body.shape,
        rules=body.rules,
        instance=body.instance,
    )
    with _understood():
        fleet.instances.seen(gateway.name, body.instance, body.replaces)
        return wire.Found(note=fleet.instances.find(gateway.name, demand))


@router.post("/claim", response_model=wire.Claimed, responses=problems(401, 403, 409, 422))
async def claim(gateway: GatewayDep, fleet: FleetDep, body: Annotated[wire.Claim, Body()]) -> wire.Claimed:
    """A session is about to go on with an approval. The same session may ask again, and no other may have it."""
    with _understood():
        fleet.instances.seen(gateway.name, body.instance, body.replaces)
        try:
            note = await fleet.instances.claim(gateway.name, body.instance, body.id, body.session)
        except ApprovalRefused as error:
            return wire.Claimed(detail=str(error), message=error.message)
    return wire.Claimed(note=note)


@router.post("/poll", response_model=wire.News, responses=problems(401, 403, 409, 422))
async def poll(
    gateway: GatewayDep, context: ContextDep, fleet: FleetDep, body: Annotated[wire.Poll, Body()]
) -> wire.News:
    """Decisions and changes of granted access, as soon as there are any."""
    instances, desk = fleet.instances, context.plane.desk

    def granted() -> tuple[wire.Access, ...]:
        return tuple(
            wire.Access(
                id=request.id,
                principal=request.subject.principal,
                resource=request.resource,
                group=request.group,
                until=request.valid_until or 0.0,
            )
            for request in desk.granted_access()
        )

    def changed() -> bool:
        return wire.digest(granted()) != body.access

    with _understood():
        instances.seen(gateway.name, body.instance, body.replaces)
        found = await instances.poll(gateway.name, body.instance, body.waiting, changed, min(body.wait, wire.LEASE / 2))
    access = granted()
    name = wire.digest(access)
    return wire.News(
        decisions=tuple(map(_decision, found)),
        access=name,
        granted=None if name == body.access else access,
        now=desk.clock(),
        url=instances.url,
    )


@router.post("/ended", responses=problems(401, 403, 409, 422))
async def ended(gateway: GatewayDep, fleet: FleetDep, body: Annotated[wire.Ended, Body()]) -> dict[str, bool]:
    """Sessions are over, and nobody waits for requests any more."""
    with _understood():
        fleet.instances.seen(gateway.name, body.instance, body.replaces)
        await fleet.instances.ended(gateway.name, body.instance, body.sessions, body.given_up, leaving=body.leaving)
    return {"ok": True}


def _decision(found: ApprovalRequest | str) -> wire.Decision:
    if isinstance(found, str):
        return wire.Decision(
            id=found,
            state=ApprovalState.WITHDRAWN,
            detail=f"approval request {found} is not on the control plane's desk",
            message="the control plane does not know the request for approval any more; run the statement again",
        )
    if found.state is ApprovalState.APPROVED:
        return wire.Decision(id=found.id, state=found.state)
    error = refused(found)
    return wire.Decision(id=found.id, state=found.state, detail=str(error), message=error.message)


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except NotEligible as error:
        raise Forbidden(str(error)) from None
    except ApprovalError as error:
        raise Conflict(str(error)) from None

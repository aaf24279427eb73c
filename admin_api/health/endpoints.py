"""``/health``: for load balancers and orchestrators, and public for that reason."""

from __future__ import annotations

from typing import Literal, cast

from fastapi import APIRouter, Request, Response, status
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from admin_api.security import public
from gateway import __version__
from gateway.control.port import DataPlane
from gateway.observability.metrics import CONTENT_TYPE, exposition
from gateway.services import Health

router = APIRouter(tags=["health"], dependencies=[public])


class HealthAnswer(BaseModel):
    """What ``GET /health`` answers."""

    status: Literal["ok", "unavailable"] = Field(examples=["ok"])
    detail: str = Field(examples=["serving"])
    version: str = Field(examples=[__version__])
    sessions: int = Field(ge=0, examples=[12])
    snapshot: str = Field(description="Version of the policies in force", examples=["3f9a0c1d"])
    audit: str = Field(description="Why the audit cannot be written; empty while it can", examples=[""])
    sinks: list[SinkAnswer] = Field(description="What brings the audit elsewhere; none of it keeps clients out")


class SinkAnswer(BaseModel):
    """A sink that reads the audit log."""

    name: str = Field(examples=["siem"])
    state: str = Field(
        description="`ok`; `failing`: it tries again; `refused`: the receiver or the sink's settings have to be "
        "mended; `removed`: it is not configured any more",
        examples=["ok"],
    )
    behind: int = Field(ge=0, description="Events that it has not delivered yet", examples=[0])


class LiveAnswer(BaseModel):
    """What ``GET /health/live`` answers."""

    status: Literal["ok"] = "ok"


@router.get("/health", responses={503: {"model": HealthAnswer}})
async def read_health(request: Request, response: Response) -> HealthAnswer:
    """Whether the gateway takes clients: 200 if it does, 503 with the reason if it does not."""
    now = cast(Health, request.app.state.health())
    if not now.ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return HealthAnswer(
        status="ok" if now.ready else "unavailable",
        detail=now.detail,
        version=__version__,
        sessions=now.sessions,
        snapshot=now.snapshot,
        audit=now.audit,
        sinks=[SinkAnswer(name=item.name, state=item.state, behind=item.behind) for item in now.sinks],
    )


@router.get("/health/live")
async def read_live() -> LiveAnswer:
    """Whether the process answers at all."""
    return LiveAnswer()


@router.get("/metrics", response_class=PlainTextResponse)
async def read_metrics(request: Request) -> Response:
    """Prometheus metrics. They name resources and nothing of what is in them."""
    plane = cast(DataPlane | None, request.app.state.plane)
    if plane is None:
        return Response(status_code=status.HTTP_404_NOT_FOUND)
    return Response(exposition(plane), media_type=CONTENT_TYPE)

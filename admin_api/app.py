"""The FastAPI application. So far it answers whether the gateway lives and whether it is ready for clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from fastapi import FastAPI, Response, status
from pydantic import BaseModel, Field

from gateway import __version__
from gateway.services import Health


class HealthAnswer(BaseModel):
    """What ``GET /health`` answers."""

    status: Literal["ok", "unavailable"] = Field(examples=["ok"])
    detail: str = Field(examples=["serving"])
    version: str = Field(examples=[__version__])
    sessions: int = Field(ge=0, examples=[12])
    snapshot: str = Field(description="Version of the policies in force", examples=["3f9a0c1d"])
    audit: str = Field(description="Why the audit cannot be written; empty while it can", examples=[""])


class LiveAnswer(BaseModel):
    """What ``GET /health/live`` answers."""

    status: Literal["ok"] = "ok"


def create_app(health: Callable[[], Health]) -> FastAPI:
    """The application; ``health`` is asked at every request, inside the event loop."""
    app = FastAPI(title="Querygate admin API", version=__version__, docs_url="/docs", redoc_url=None)

    @app.get("/health", tags=["health"], responses={503: {"model": HealthAnswer}})
    async def read_health(response: Response) -> HealthAnswer:
        """Whether the gateway takes clients: 200 if it does, 503 with the reason if it does not."""
        now = health()
        if not now.ready:
            response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return HealthAnswer(
            status="ok" if now.ready else "unavailable",
            detail=now.detail,
            version=__version__,
            sessions=now.sessions,
            snapshot=now.snapshot,
            audit=now.audit,
        )

    @app.get("/health/live", tags=["health"])
    async def read_live() -> LiveAnswer:
        """Whether the process answers at all."""
        return LiveAnswer()

    return app

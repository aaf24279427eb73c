"""``/v1/plugins``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from admin_api.deps import ContextDep
from admin_api.pages import Page
from admin_api.security import Viewer
from gateway import __version__

router = APIRouter(prefix="/v1/plugins", tags=["plugins"])


class PluginOut(BaseModel):
    """A plugin that is loaded, in the order in which it is asked."""

    name: str = Field(examples=["postgres"])
    distribution: str = Field(description="What installed it", examples=["querygate"])
    version: str = Field(examples=[__version__])
    builtin: bool
    hooks: list[str] = Field(examples=[["register_protocols"]])


@router.get("", response_model=Page[PluginOut])
async def list_plugins(who: Viewer, context: ContextDep) -> Any:
    """The plugins of the gateway beside this API. `plugins.enabled` of its configuration file says which."""
    items = [
        PluginOut(
            name=info.name,
            distribution=info.distribution or "querygate",
            version=info.version or __version__,
            builtin=info.builtin,
            hooks=list(info.hooks),
        ).model_dump()
        for info in context.plane.plugins()
    ]
    return JSONResponse({"items": items, "next": None})

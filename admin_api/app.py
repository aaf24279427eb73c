"""The FastAPI application: health alone where a configuration file is all there is, the whole API with a store.

What only the store needs is imported only with it: a gateway without one starts quickly, and takes less memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import FastAPI

from admin_api.errors import install_handlers
from admin_api.health.endpoints import router as health_router
from admin_api.limits import Limits
from gateway import __version__
from gateway.control.port import DataPlane
from gateway.services import Health

if TYPE_CHECKING:
    from admin_api.context import Context


def create_app(health: Callable[[], Health], context: Context | None = None, plane: DataPlane | None = None) -> FastAPI:
    """The application; ``health`` is asked at every request, inside the event loop. ``plane`` is for metrics."""
    app = FastAPI(
        title="Querygate admin API",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        swagger_ui_oauth2_redirect_url=None,
    )
    app.state.health = health
    app.state.plane = plane
    app.state.routers = (health_router,)
    install_handlers(app)
    app.add_middleware(Limits)
    if context is not None:
        _add_store(app, context)
    for router in app.state.routers:
        app.include_router(router)
    return app


def _add_store(app: FastAPI, context: Context) -> None:
    from admin_api.explain.service import Explainer
    from admin_api.openapi import describe
    from admin_api.proxies import TrustedProxies
    from admin_api.routers import ROUTERS
    from admin_api.store_errors import install_store_handlers

    app.state.routers += ROUTERS
    app.state.context = context
    app.state.fleet = context.fleet
    app.state.explainer = Explainer()
    install_store_handlers(app)
    if context.settings.proxies is not None:
        app.add_middleware(TrustedProxies, settings=context.settings.proxies)
    describe(app)

"""What the API answers when the store fails."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from admin_api.errors import Unavailable, render

_log = structlog.get_logger("querygate.admin")


def install_store_handlers(app: FastAPI) -> None:
    """503, and the log gets the kind of error: its text may hold what was to be stored."""
    app.add_exception_handler(DBAPIError, _store_error)
    app.add_exception_handler(PoolTimeout, _store_error)


async def _store_error(_: Request, error: Exception) -> JSONResponse:
    _log.error("the store failed", error=type(error).__name__, cause=type(getattr(error, "orig", None)).__name__)
    return render(Unavailable("the store does not answer; try again"))

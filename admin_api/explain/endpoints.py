"""``/v1/explain``."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse

from admin_api.deps import ReadDep
from admin_api.documents.endpoints import problems
from admin_api.explain.models import ExplanationOut, QuestionIn
from admin_api.explain.service import Explainer
from admin_api.security import Viewer

router = APIRouter(prefix="/v1/explain", tags=["explain"])


@router.post("", response_model=ExplanationOut, responses=problems(400, 404, 413, 422, 429, 503))
async def explain_statement(who: Viewer, work: ReadDep, request: Request, body: Annotated[QuestionIn, Body()]) -> Any:
    """What the gateway would do with somebody's statement: facts, decision, policies, and the mask of each column.

    The chain that serves sessions is asked; the statement does not run. The database is asked for its tables only.
    """
    explainer = cast(Explainer, request.app.state.explainer)
    return JSONResponse(await explainer.ask(work, body))

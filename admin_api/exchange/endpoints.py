"""``POST /oauth/token``: token exchange (RFC 8693), and the keys that its tokens are signed with."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from admin_api.deps import ContextDep, admin_record, client_address
from admin_api.exchange.service import JWT, ExchangeError, TokenExchange
from admin_api.security import Identity, public
from gateway.domain.audit import AdminOutcome

router = APIRouter(tags=["exchange"])

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": [
                        "grant_type",
                        "subject_token",
                        "subject_token_type",
                        "actor_token",
                        "actor_token_type",
                    ],
                    "properties": {
                        "grant_type": {"type": "string"},
                        "subject_token": {"type": "string", "description": "Proves the person"},
                        "subject_token_type": {"type": "string"},
                        "subject_name": {"type": "string", "description": "Whose an access token (qg_…) is"},
                        "actor_token": {"type": "string", "description": "Proves the agent"},
                        "actor_token_type": {"type": "string"},
                        "actor_name": {"type": "string"},
                        "expires_in": {"type": "string", "description": "Seconds, or a duration such as 15m"},
                    },
                }
            }
        },
    }
}


class ExchangeOut(BaseModel):
    """RFC 8693 section 2.2.1."""

    access_token: str = Field(description="The agent's database password, inside TLS only")
    issued_token_type: str = Field(default=JWT)
    token_type: str = Field(default="N_A", description="It is no bearer token of this API")
    expires_in: int = Field(description="Seconds", examples=[900])


class OAuthProblem(BaseModel):
    """RFC 6749 section 5.2."""

    error: str = Field(examples=["invalid_grant"])
    error_description: str = Field(examples=["both must be principals"])


@router.post(
    "/oauth/token",
    dependencies=[public],
    response_model=ExchangeOut,
    responses={400: {"model": OAuthProblem}, 401: {"model": OAuthProblem}},
    openapi_extra=_FORM,
)
async def exchange_token(context: ContextDep, request: Request) -> JSONResponse:
    """A person's token and an agent's for one that lets the agent act for the person, for some minutes.

    Each proof is a token of this API, of its OIDC issuers, or an access token (`qg_…`) with its owner's name beside it.
    The agent connects under its own name with the answer as its password; it may do what both of them may, and both
    stand in every audit event.
    """
    try:
        form = dict(parse_qsl((await request.body()).decode(), strict_parsing=True, max_num_fields=20))
    except ValueError:
        return _problem(ExchangeError("invalid_request", "the body is not a form"))
    host = client_address(request).rpartition(":")[0]
    context.throttle.check("", host)
    try:
        found = await TokenExchange(context).exchange(form)
    except ExchangeError as error:
        if error.status == 401:
            context.throttle.failed("", host)
        record = admin_record(
            context,
            request,
            Identity(form.get("actor_name", "")[:200]),
            "token.exchange",
            "token",
            form.get("subject_name", "")[:200],
            outcome=AdminOutcome.REFUSED,
            detail=f"{error.error}: {error}",
        )
        context.audit.record_admin(record)
        return _problem(error)
    record = admin_record(
        context,
        request,
        Identity(found.actor),
        "token.exchange",
        "token",
        found.id,
        after={"subject": found.subject, "actor": found.actor, "expires_in": found.expires_in},
    )
    context.audit.record_admin(record)
    await context.audit.commit()
    answer = ExchangeOut(access_token=found.token, expires_in=found.expires_in)
    return JSONResponse(answer.model_dump(), headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


@router.get("/.well-known/jwks.json", dependencies=[public])
async def read_keys(context: ContextDep) -> dict[str, list[dict[str, str]]]:
    """The public keys of the tokens that this API issues (RFC 7517)."""
    return {"keys": context.tokens.public_keys()}


def _problem(error: ExchangeError) -> JSONResponse:
    content = OAuthProblem(error=error.error, error_description=str(error)).model_dump()
    return JSONResponse(content, error.status, headers={"Cache-Control": "no-store"})

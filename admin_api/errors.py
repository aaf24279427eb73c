"""What the API answers when something is wrong: problem details (RFC 9457), each error class with its own status.

422 is for requests whose content is wrong; everything else has a status of its own. No answer holds a secret, a value
of the request, or the inside of an unexpected error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from gateway.errors import AuditError, ConfigurationError
from gateway.policy.problems import PolicyProblems

MEDIA_TYPE: Final = "application/problem+json"
_log = structlog.get_logger("querygate.admin")


class Wrong(BaseModel):
    """One thing that is wrong in a request."""

    pointer: str = Field(description="JSON pointer into the body, or the parameter's name", examples=["/match/groups"])
    detail: str = Field(examples=["unknown key"])


class ProblemDetails(BaseModel):
    """RFC 9457. ``code`` is stable and meant for programs, ``detail`` for people."""

    type: str = Field(examples=["urn:querygate:problem:not_found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    code: str = Field(examples=["not_found"])
    detail: str = Field(examples=['there is no resource "shop-prod"'])
    errors: list[Wrong] = Field(default=[], description="What is wrong, one by one")


class ApiError(Exception):
    """Base: subclasses fix the status and the code."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal Server Error"

    def __init__(self, detail: str, *, errors: Sequence[Wrong] = (), headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.errors = list(errors)
        self.headers = dict(headers or {})


class BadRequest(ApiError):
    """A header or parameter cannot be understood."""

    status, code, title = 400, "bad_request", "Bad Request"


class Unauthenticated(ApiError):
    """Nobody has proved who they are. One text for all reasons: the audit knows more."""

    status, code, title = 401, "unauthenticated", "Unauthorized"

    def __init__(self, detail: str = "a valid access token is needed") -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="querygate"'})


class Forbidden(ApiError):
    """The caller's roles do not allow it."""

    status, code, title = 403, "forbidden", "Forbidden"


class NotFound(ApiError):
    """There is no such thing."""

    status, code, title = 404, "not_found", "Not Found"


class Conflict(ApiError):
    """It does not fit what is there already."""

    status, code, title = 409, "conflict", "Conflict"


class PreconditionFailed(ApiError):
    """Somebody else changed it in the meantime."""

    status, code, title = 412, "precondition_failed", "Precondition Failed"


class TooLarge(ApiError):
    """The body is larger than the API reads."""

    status, code, title = 413, "too_large", "Content Too Large"


class Invalid(ApiError):
    """The content is understood and wrong."""

    status, code, title = 422, "invalid", "Unprocessable Content"


class PreconditionRequired(ApiError):
    """A change needs ``If-Match``, so that nobody overwrites what they have not seen."""

    status, code, title = 428, "precondition_required", "Precondition Required"


class TooManyRequests(ApiError):
    """Throttled."""

    status, code, title = 429, "too_many_requests", "Too Many Requests"


class Unavailable(ApiError):
    """Not now: the audit or the store cannot be written."""

    status, code, title = 503, "unavailable", "Service Unavailable"


def invalid(error: ConfigurationError, detail: str) -> Invalid:
    """What the gateway's own checks say about a document."""
    if isinstance(error, PolicyProblems):
        errors = [Wrong(pointer=pointer(item.location), detail=item.message) for item in error.problems]
    else:
        errors = [Wrong(pointer="", detail=line) for line in str(error).splitlines()]
    return Invalid(detail, errors=errors)


def install_handlers(app: FastAPI) -> None:
    """Answer every failure in one form."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(AuditError, _audit_error)
    app.add_exception_handler(ConfigurationError, _configuration_error)
    app.add_exception_handler(Exception, _unexpected)


def render(error: ApiError) -> JSONResponse:
    """The answer for an error."""
    return _answer(error.status, error.code, error.title, str(error), error.headers, error.errors)


def _answer(
    status: int, code: str, title: str, detail: str, headers: Mapping[str, str], errors: Sequence[Wrong] = ()
) -> JSONResponse:
    details = ProblemDetails(
        type=f"urn:querygate:problem:{code}", title=title, status=status, code=code, detail=detail, errors=list(errors)
    )
    content = details.model_dump(mode="json", exclude_defaults=True)
    return JSONResponse(content, status, headers=dict(headers), media_type=MEDIA_TYPE)


async def _api_error(_: Request, error: Exception) -> JSONResponse:
    return render(error if isinstance(error, ApiError) else ApiError("internal error"))


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    if any(item["type"] == "json_invalid" for item in found):
        return render(BadRequest("the body is not JSON"))
    errors = []
    for item in found:
        place, *rest = item["loc"] or ("body",)
        where = pointer(rest) if place == "body" else f"{place}: {'.'.join(map(str, rest))}"
        errors.append(Wrong(pointer=where, detail=str(item["msg"]).removeprefix("Value error, ")))
    return render(Invalid("the request is not as it should be", errors=errors))


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict((error.headers if isinstance(error, HTTPException) else None) or {})
    if status == 405:
        # The framework names the methods of the first route that has the path, and there may be several.
        headers["Allow"] = ", ".join(sorted(_allowed(request)))
        return _answer(405, "method_not_allowed", "Method Not Allowed", "not a method of this path", headers)
    if status == 404:
        return render(NotFound("there is nothing at this path"))
    detail = str(getattr(error, "detail", "")) or "refused"
    return _answer(status, "refused", detail, detail, headers)


def _allowed(request: Request) -> set[str]:
    allowed: set[str] = set()
    for router in request.app.state.routers:
        for route in router.routes:
            if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
                allowed |= route.methods or set()
    return allowed


async def _audit_error(_: Request, error: Exception) -> JSONResponse:
    _log.error("a request was refused since the audit cannot be written", error=str(error))
    return render(Unavailable("the audit trail cannot be written, so nothing is changed until it can"))


async def _configuration_error(_: Request, error: Exception) -> JSONResponse:
    known = error if isinstance(error, ConfigurationError) else ConfigurationError("cannot be used")
    return render(invalid(known, "this cannot be used"))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _log.error("unexpected error", path=request.url.path, error=repr(error))
    return render(ApiError("internal error; the log has more"))


def pointer(location: Sequence[str | int]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)

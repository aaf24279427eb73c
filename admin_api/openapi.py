"""The OpenAPI document: what each operation needs, and how errors look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from admin_api.errors import ProblemDetails
from admin_api.security import Need, Public

_DESCRIPTION: Final = """\
Manages what Querygate decides by: resources, principals, groups, classifications, policies and access tokens, and looks
at what it did: the audit.

* Log in with `POST /v1/auth/login` and send `Authorization: Bearer <access token>`, or bring your OIDC issuer's token.
* Lists come in pages: give `next` as `cursor`. Sort with `sort=name` or `sort=-updated_at`.
* A change names what it was made from: send the `ETag` that you read as `If-Match`; 428 without, 412 when it is stale.
* A creation with an `Idempotency-Key` happens once, however often it is sent.
* Errors are problem details (RFC 9457) with a stable `code`.
"""


def describe(app: FastAPI) -> None:
    """Have ``app.openapi()`` tell of roles and of errors, too."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=_DESCRIPTION,
                routes=app.routes,
                openapi_version="3.1.0",
            )
            _complete(app, document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def needs(dependant: Dependant) -> Iterator[Need | Public]:
    """What an endpoint declared that it needs of its caller, in order."""
    for inner in dependant.dependencies:
        if isinstance(inner.call, Need | Public):
            yield inner.call
        yield from needs(inner)


def endpoints(app: FastAPI) -> Iterator[APIRoute]:
    """All endpoints, whatever router they came by."""
    for router in app.state.routers:
        yield from (route for route in router.routes if isinstance(route, APIRoute))


def _complete(app: FastAPI, document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["ProblemDetails"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for route in endpoints(app):
        if not route.include_in_schema:
            continue
        needed = next(needs(route.dependant), None)
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            answers = operation["responses"]
            answers.pop("422", None) if "422" in answers and 422 not in route.responses else None
            if not isinstance(needed, Need):
                continue
            role = None if needed.role is None else needed.role.value
            operation["x-role"] = role
            operation["description"] = operation.get("description", "") + (
                f"\n\nNeeds the role `{role}`." if role else "\n\nNeeds any role."
            )
            answers.setdefault("401", _problem("Nobody has proved who they are"))
            if role is not None:
                answers.setdefault("403", _problem("The caller's roles do not allow it"))
            answers.setdefault("503", _problem("The store or the audit does not answer"))
            if operation.get("parameters"):
                answers.setdefault("422", _problem("A parameter is not as it should be"))


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}

"""What the endpoints of documents share."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.responses import JSONResponse

from admin_api.documents.models import Document, DocumentRow
from admin_api.errors import BadRequest, ProblemDetails
from admin_api.preconditions import etag

Responses = dict[int | str, dict[str, Any]]


async def get_sent(request: Request) -> Document:
    """The body as it was sent: what is stored is what its author wrote, not what a model made of it."""
    value = await request.json()
    if not isinstance(value, dict):
        raise BadRequest("the body is not a JSON object")
    return value


Sent = Annotated[Document, Depends(get_sent)]
Text = Annotated[str | None, Query(max_length=200, description="A part of the name, whatever its letter case")]


def answer(content: Document, row: DocumentRow, status: int = 200, location: str | None = None) -> JSONResponse:
    """A document with its ETag."""
    headers = {"ETag": etag(row.version)}
    if location is not None:
        headers["Location"] = location
    return JSONResponse(content, status, headers=headers)


def problems(*statuses: int) -> Responses:
    """The OpenAPI entries of errors that an endpoint answers with."""
    media = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {status: {"model": ProblemDetails, "content": media} for status in statuses}

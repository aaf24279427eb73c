"""What the endpoints of documents share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from admin_api.documents.models import Document
from admin_api.documents.service import DocumentService, Row
from admin_api.errors import BadRequest, ProblemDetails
from admin_api.idempotency import Once
from admin_api.preconditions import not_modified, tagged

Responses = dict[int | str, dict[str, Any]]


async def get_sent(request: Request) -> Document:
    """The body as it was sent: what is stored is what its author wrote, not what a model made of it."""
    value = await request.json()
    if not isinstance(value, dict):
        raise BadRequest("the body is not a JSON object")
    return value


Sent = Annotated[Document, Depends(get_sent)]
Text = Annotated[str | None, Query(max_length=200, description="A part of the name, whatever its letter case")]


def problems(*statuses: int) -> Responses:
    """The OpenAPI entries of errors that an endpoint answers with."""
    media = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {status: {"model": ProblemDetails, "content": media} for status in statuses}


async def created(
    service: DocumentService[Row], sent: Document, once: Once, location: Callable[[Row], str]
) -> JSONResponse:
    """Create a document, once."""

    async def create() -> JSONResponse:
        row, warnings = await service.create(sent)
        return tagged(service.answer(row, warnings), row.version, 201, location(row))

    return await once(create)


async def read(service: DocumentService[Row], name: str, if_none_match: str | None) -> Response:
    """One document."""
    row = await service.get(name)
    return not_modified(if_none_match, row.version) or tagged(service.answer(row), row.version)


async def replaced(service: DocumentService[Row], name: str, sent: Document, if_match: str | None) -> Response:
    """Put another document in the place of one."""
    return changed(service, await service.replace(await service.get(name), sent, if_match))


def changed(service: DocumentService[Row], done: tuple[Row, tuple[str, ...]]) -> Response:
    """A document after a change, with what is doubtful about it."""
    row, warnings = done
    return tagged(service.answer(row, warnings), row.version)


async def deleted(service: DocumentService[Row], name: str, if_match: str | None) -> Response:
    """Take a document away."""
    await service.delete(await service.get(name), if_match)
    return Response(status_code=204)

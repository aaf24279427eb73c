"""Entity tags (RFC 9110): a change names the version that it is made to, so that nobody overwrites what is unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Header, Response
from fastapi.responses import JSONResponse

from admin_api.errors import PreconditionFailed, PreconditionRequired

IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=200, description="The `ETag` of what is changed, or `*`", examples=['"3"']),
]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", max_length=2000, description="Answer 304 where the `ETag` is this one")
]


def etag(version: int) -> str:
    """The tag of a version."""
    return f'"{version}"'


def tagged(content: Mapping[str, Any], version: int, status: int = 200, location: str | None = None) -> JSONResponse:
    """An answer with the tag of its version."""
    headers = {"ETag": etag(version)}
    if location is not None:
        headers["Location"] = location
    return JSONResponse(content, status, headers=headers)


def require_match(given: str | None, version: int) -> None:
    """Raise 428 without ``If-Match`` and 412 where it names another version."""
    if given is None:
        raise PreconditionRequired(
            "send If-Match with the ETag of what you change, or * to overwrite whatever is there"
        )
    if given.strip() != "*" and etag(version) not in _tags(given):
        raise PreconditionFailed("it was changed in the meantime; read it again", headers={"ETag": etag(version)})


def not_modified(given: str | None, version: int) -> Response | None:
    """The answer 304 where the caller has this version already."""
    # Weak comparison: the prefix W/ does not count.
    known = given is not None and (given.strip() == "*" or etag(version) in _tags(given.replace("W/", "")))
    return Response(status_code=304, headers={"ETag": etag(version)}) if known else None


def _tags(header: str) -> set[str]:
    return {part.strip() for part in header.split(",")}

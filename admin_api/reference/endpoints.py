"""``/docs``: the reference as a page that needs nothing from elsewhere: no script of a third party sees a token."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final, Literal

from fastapi import APIRouter, Response

from admin_api.security import public

router = APIRouter(dependencies=[public], include_in_schema=False)

_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


@cache
def _content(name: str) -> bytes:
    return (files(__package__) / name).read_bytes()


def _answer(kind: str) -> Response:
    headers = {"Content-Security-Policy": _POLICY}
    return Response(_content(f"page.{kind}"), headers=headers, media_type=_TYPES[kind])


@router.get("/docs")
async def read_docs() -> Response:
    """The page."""
    return _answer("html")


@router.get("/docs/page.{kind}")
async def read_part(kind: Literal["css", "js"]) -> Response:
    """What it is made of."""
    return _answer(kind)

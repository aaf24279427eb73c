"""Lists in pages: filtered, sorted, and gone through by a cursor that stays good while others insert and delete.

A cursor holds the last row's place in the order, not its number, and is signed: it comes back unchanged or not at all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel import SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.context import Context
from admin_api.errors import BadRequest

MAX_LIMIT: Final = 500
_SIGNATURE: Final = 16

T = TypeVar("T")
R = TypeVar("R", bound=SQLModel)


class Page(BaseModel, Generic[T]):
    """Some of the items. ``next`` is the cursor of what follows; null at the end."""

    items: list[T]
    next: str | None = Field(description="Give it as `cursor` to get the next page", examples=[None])


@dataclass(frozen=True, slots=True)
class Paging:
    """What a caller asked for."""

    limit: int
    cursor: str | None
    sort: str | None


def get_paging(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items of a page")] = 50,
    cursor: Annotated[str | None, Query(max_length=2000, description="`next` of the page before")] = None,
    sort: Annotated[
        str | None, Query(max_length=40, description="A field to sort by; `-` before it: descending", examples=["name"])
    ] = None,
) -> Paging:
    """The parameters that all lists share."""
    return Paging(limit, cursor, sort)


def write_cursor(context: Context, place: Mapping[str, object]) -> str:
    """A place in an order as an opaque text."""
    content = json.dumps(place, separators=(",", ":"), sort_keys=True).encode()
    return base64.urlsafe_b64encode(context.sign("cursor", content) + content).decode("ascii").rstrip("=")


def read_cursor(context: Context, cursor: str) -> dict[str, Any]:
    """The place in a cursor of ours. Raises ``BadRequest`` for any other text."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        signature, content = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if not hmac.compare_digest(signature, context.sign("cursor", content)):
            raise ValueError
        place = json.loads(content)
    except (ValueError, binascii.Error):
        raise BadRequest("cursor: not one that this API gave out; begin without it") from None
    if not isinstance(place, dict):
        raise BadRequest("cursor: not one that this API gave out; begin without it")
    return place


async def find_page(
    context: Context,
    session: AsyncSession,
    row: type[R],
    paging: Paging,
    *,
    where: Sequence[ColumnElement[bool]] = (),
    filters: Mapping[str, object] | None = None,
    sortable: Mapping[str, InstrumentedAttribute[Any]],
    key: InstrumentedAttribute[Any],
    default_sort: str,
) -> tuple[list[R], str | None]:
    """One page of rows and the next cursor. ``key`` is unique and breaks ties; ``filters`` is what ``where`` says.

    Raises ``BadRequest`` for a field that cannot be sorted by and for a cursor of another question.
    """
    sort = paging.sort or default_sort
    name = sort.removeprefix("-")
    descending = sort.startswith("-")
    if (column := sortable.get(name)) is None:
        raise BadRequest(f"sort: one of {', '.join(sorted(sortable))}, with - before it for descending")
    asked = json.dumps([row.__tablename__, sort, filters or {}], default=str)
    question = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    conditions = list(where)
    if paging.cursor is not None:
        place = read_cursor(context, paging.cursor)
        if place.get("q") != question:
            raise BadRequest("cursor: of a list with another filter or order; begin without it")
        value = _read_value(place["v"])
        beyond = (column < value, key < place["k"]) if descending else (column > value, key > place["k"])
        conditions.append(or_(beyond[0], and_(column == value, beyond[1])))
    order = (column.desc(), key.desc()) if descending else (column.asc(), key.asc())
    statement = select(row).where(*conditions).order_by(*order).limit(paging.limit + 1)
    rows = list((await session.exec(statement)).all())
    if len(rows) <= paging.limit:
        return rows, None
    rows.pop()
    last = rows[-1]
    place = {"q": question, "v": _write_value(getattr(last, column.key)), "k": getattr(last, key.key)}
    return rows, write_cursor(context, place)


def _write_value(value: object) -> object:
    return {"t": value.astimezone(UTC).isoformat()} if isinstance(value, datetime) else value


def _read_value(value: object) -> object:
    return datetime.fromisoformat(value["t"]) if isinstance(value, dict) else value

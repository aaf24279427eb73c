"""``Idempotency-Key``: a creation that is sent twice, since the first answer was lost, happens once."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, Header
from fastapi.responses import JSONResponse
from sqlmodel import Field, SQLModel, col, delete, select

from admin_api.db import Moment
from admin_api.deps import WorkDep
from admin_api.errors import Conflict

LIFETIME: Final = timedelta(hours=24)
_MAX_KEPT: Final = 64 * 1024


class IdempotencyKey(SQLModel, table=True):
    """One creation that was done, with its answer."""

    __tablename__ = "idempotency_keys"

    key: str = Field(primary_key=True, max_length=64)
    """Digest of caller, method, path and key."""
    request: str = Field(max_length=64)
    """Digest of the body."""
    status: int
    answer: str
    """JSON; empty where the answer held a secret, which is shown once."""
    headers: str = "{}"
    created_at: datetime = Field(sa_type=Moment, index=True)


Create = Callable[[], Awaitable[JSONResponse]]


class Once:
    """Runs a creation, or repeats the answer that it got the first time."""

    def __init__(
        self,
        work: WorkDep,
        key: Annotated[
            str | None,
            Header(
                alias="Idempotency-Key",
                min_length=1,
                max_length=200,
                description="Any text of your own; the same request with the same key is done once within 24 hours",
                examples=["3f1c5a2e-create-shop-prod"],
            ),
        ] = None,
    ) -> None:
        self._work = work
        self._key = key

    async def __call__(self, create: Create, *, secret: bool = False) -> JSONResponse:
        """``secret`` True: the answer is shown once, so that a repetition is told that, and does nothing."""
        if self._key is None:
            return await create()
        work, session = self._work, self._work.session
        request = work.request
        scope = "\0".join((work.who.issuer, work.who.id or work.who.name, request.method, request.url.path, self._key))
        key = hashlib.sha256(scope.encode("utf-8", "surrogatepass")).hexdigest()
        body = hashlib.sha256(await request.body()).hexdigest()
        now = work.context.clock()
        await session.exec(delete(IdempotencyKey).where(col(IdempotencyKey.created_at) < now - LIFETIME))
        known = (await session.exec(select(IdempotencyKey).where(IdempotencyKey.key == key))).first()
        if known is not None:
            return _repeat(known, body)
        answer = await create()
        text = bytes(answer.body).decode()
        kept = "" if secret or len(text) > _MAX_KEPT else text
        headers = {name: value for name, value in answer.headers.items() if name in ("etag", "location")}
        session.add(
            IdempotencyKey(
                key=key,
                request=body,
                status=answer.status_code,
                answer=kept,
                headers=json.dumps(headers),
                created_at=now,
            )
        )
        return answer


def _repeat(known: IdempotencyKey, body: str) -> JSONResponse:
    if known.request != body:
        raise Conflict("this Idempotency-Key was used with another body")
    if not known.answer:
        raise Conflict("this was done already, and its answer held a secret that is shown once; create another one")
    content: Any = json.loads(known.answer)
    return JSONResponse(content, known.status, headers={**json.loads(known.headers), "Idempotency-Replayed": "true"})


OnceDep = Annotated[Once, Depends(Once)]

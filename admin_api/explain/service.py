"""Asks the gateway's own chain, with the store's documents as they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from admin_api.deps import Work
from admin_api.documents.sections import read_sections
from admin_api.errors import NotFound, TooManyRequests, Unavailable
from admin_api.explain.models import QuestionIn
from admin_api.revision import current_revision
from gateway.config import build_config
from gateway.errors import UpstreamError
from gateway.policy.explain import TOLD, Explanations, Question
from gateway.policy.explanation import as_document

AT_A_TIME: Final = 4
"""Each opens connections to the database that is asked about."""
TIMEOUT: Final = 30.0
LONGEST: Final = 60.0
"""Seconds for which one state of the store serves. Secrets in files may change without the store."""
DATABASES: Final = 16
"""Catalogs that are kept for further questions."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """What answers for one revision of the store. ``made`` is in monotonic seconds."""

    revision: int
    made: float
    explanations: Explanations


class Explainer:
    """Bounded: more questions than it has room for are refused, and only the newest state of the store is kept."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._running = 0
        self._building = asyncio.Lock()
        self._kept: _Kept | None = None
        self._doubted: _Kept | None = None
        """With which a database failed: a password or a certificate in a file may be another one by now. It goes soon
        and not at once, since a database that is down is asked often, and others should not pay for it."""

    async def ask(self, work: Work, question: QuestionIn) -> dict[str, Any]:
        """The explanation. Raises 404 for an unknown name and 503 where the database does not tell its catalog."""
        if self._running >= AT_A_TIME:
            raise TooManyRequests("too many explanations at a time", headers={"Retry-After": "1"})
        self._running += 1
        try:
            explanations = await self._explanations(work)
            config = explanations.config
            for kind, name, known in (
                ("principal", question.principal, config.principals),
                ("resource", question.resource, config.resources),
            ):
                if name not in known:
                    raise NotFound(f'there is no {kind} "{name}"')
            asked = Question(
                question.principal,
                question.resource,
                question.statement,
                question.database,
                question.application,
                question.client_address,
            )
            async with asyncio.timeout(TIMEOUT):
                return as_document(await explanations.explain(asked))
        except (UpstreamError, TimeoutError) as error:
            self._doubted = self._kept
            detail = str(error) or f"no answer within {TIMEOUT:g} s"
            raise Unavailable(f'"{question.resource}" cannot be asked for its tables: {detail}') from None
        finally:
            self._running -= 1

    async def _explanations(self, work: Work) -> Explanations:
        """What answers for the store as the transaction sees it: one is made for all who ask at the same time."""
        context = work.context
        async with self._building:
            # Read ahead of the documents: they may be newer than it says, and never older.
            revision = await current_revision(work.session)
            kept = self._kept
            longest = TOLD if kept is self._doubted else LONGEST
            if (
                kept is not None
                and kept.revision == revision
                and self._monotonic() - kept.made < longest
                and len(kept.explanations.databases) <= DATABASES
            ):
                return kept.explanations
            sections = await read_sections(work.session)

            def build() -> Explanations:
                config = build_config(
                    context.config.document,
                    sections,
                    path=context.config.path,
                    environ=context.environ,
                    open_sealed=context.sealer.open,
                )
                return Explanations(config, clock=self._monotonic)

            began = self._monotonic()
            made = await asyncio.to_thread(build)
            self._kept, self._doubted = _Kept(revision, began, made), None
            return made

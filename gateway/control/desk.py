"""The approval desk of a linked gateway: its requests are kept and decided at the control plane.

The gateway holds its sessions and waits; the control plane says what became of them. A statement goes on only when the
control plane has granted its claim, so that an answer that is lost, a control plane that is gone, or a second session
with the same approval never lets anything run. Everything is asked again until the grace is over: then what waits is
refused, with an error that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import structlog
from pydantic import BaseModel

from gateway.approvals.errors import ApprovalRefused
from gateway.approvals.grants import Demand
from gateway.approvals.outcome import held
from gateway.control import approval_wire as wire
from gateway.control.access import GrantedAccess
from gateway.control.line import ControlRefused, ControlUnavailable, Line
from gateway.domain.approval import ApprovalNote, ApprovalRequest, ApprovalState, GrantScope
from gateway.identity.files import write_private
from gateway.server.tasks import Tasks

_log = structlog.get_logger("querygate.approvals")

_A = TypeVar("_A", bound=BaseModel)
INSTANCE: Final = "link.instance"
"""File in ``data_dir`` with the id of the last run."""
TIMEOUT: Final = 5.0
"""Seconds for an answer, beyond what a poll asks to be kept waiting."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 2.0
"""Seconds between attempts while the control plane is gone."""
_ATTEMPTS_TO_FIND: Final = 5
"""Approvals of which another session may be quicker, before a new one is asked for."""
LOST: Final = "the control plane was lost while the statement needed an approval; run it again"


@dataclass(slots=True, eq=False)
class _Waiter:
    """A session that is held. ``taken`` True: the control plane has the request."""

    session: str
    decided: asyncio.Future[None]
    taken: bool = False


class LinkedDesk:
    """Implements ``gateway.approvals.seam.SessionDesk`` over the link.

    ``grace`` is for how many seconds the control plane may be away while statements are held. ``url`` is where people
    decide, if it is not for the control plane to say.
    """

    def __init__(self, line: Line, folder: Path, *, grace: float, url: str, identifier: Callable[[int], str]) -> None:
        self._line = line
        self._file = folder / INSTANCE
        self._grace = grace
        self._configured_url = url.rstrip("/")
        self._plane_url = ""
        self._identifier = identifier
        self._instance = identifier(8)
        self._replaces: str | None = None
        self._waiters: dict[str, _Waiter] = {}
        self._known_sessions: set[str] = set()
        """Those of which the control plane has heard."""
        self._given_up: dict[str, str] = {}
        self._ended: set[str] = set()
        self._to_say = asyncio.Event()
        self._tasks = Tasks()
        self._lost_at: float | None = None
        self._grace_timer: asyncio.TimerHandle | None = None
        self.access = GrantedAccess()

    @property
    def url(self) -> str:
        """Where people decide; empty where nobody has said."""
        return self._configured_url or self._plane_url

    @property
    def waiting(self) -> int:
        """Sessions that are held."""
        return len(self._waiters)

    async def start(self) -> None:
        """Begin to follow the control plane. It is told which run of this gateway this one replaces."""

        def note_run() -> str | None:
            try:
                before = self._file.read_text("ascii").strip()
            except (OSError, ValueError):
                before = ""
            write_private(self._file, self._instance.encode("ascii"))
            return before or None

        self._replaces = await asyncio.to_thread(note_run)
        self._tasks.start(self._follow(), name="control plane: decisions")
        self._tasks.start(self._tell_for_ever(), name="control plane: ended sessions")

    async def stop(self) -> None:
        """Say that this run is over, and let go. Nobody may be waiting any more."""
        await self._tasks.cancel()
        if self._grace_timer is not None:
            self._grace_timer.cancel()
        self.access.stop()
        with contextlib.suppress(ControlUnavailable, TimeoutError):
            async with asyncio.timeout(1):
                await self._tell(leaving=True)
        await self._line.close()

    # --- what sessions ask --------------------------------------------------------------------------------------

    async def use_grant(self, demand: Demand) -> ApprovalNote | None:
        """Let a statement run on an approval that was given before; None where there is none."""
        self._known_sessions.add(demand.session_id)
        question = wire.Question(
            instance=self._instance,
            replaces=self._replaces,
            names=demand.names,
            resource=demand.resource,
            database=demand.database,
            session=demand.session_id,
            binding=demand.binding,
            shape=demand.shape,
            rules=demand.rules,
        )
        for _ in range(_ATTEMPTS_TO_FIND):
            note = (await self._insist("/grant", question, wire.Found)).note
            if note is None or note.scope is not GrantScope.ONCE:
                return note
            claimed = await self._claim(note.request, demand.session_id)
            if claimed.note is not None:
                return claimed.note
        return None

    def new_id(self) -> str:
        """An id for a request about to be submitted."""
        return self._identifier(5)

    async def submit(self, request: ApprovalRequest) -> ApprovalRequest:
        """Put a request on the control plane's desk. The decision may be here before the answer is."""
        session_id = request.subject.session_id
        self._known_sessions.add(session_id)
        waiter = None
        if held(request):
            waiter = _Waiter(session_id, asyncio.get_running_loop().create_future())
            self._waiters[request.id] = waiter
        submission = wire.Submission(instance=self._instance, replaces=self._replaces, request=request)
        try:
            answer = await self._insist(
                "", submission, wire.Submitted, given_up=None if waiter is None else waiter.decided
            )
        except BaseException:
            self._give_up(request.id, "the request did not come through")
            self._waiters.pop(request.id, None)
            raise
        self._plane_url = answer.url
        if waiter is not None:
            waiter.taken = True
        return answer.request

    async def wait(self, identifier: str) -> ApprovalNote:
        """Return when the statement may run. Raises ``ApprovalRefused`` in any other case."""
        waiter = self._waiters.get(identifier)
        if waiter is None:
            raise ApprovalRefused(f"approval request {identifier} is not on the desk")
        try:
            await waiter.decided
        except asyncio.CancelledError:
            self._give_up(identifier, "the client is gone")
            raise
        finally:
            self._waiters.pop(identifier, None)
        claimed = await self._claim(identifier, waiter.session)
        if claimed.note is None:
            raise ApprovalRefused(claimed.detail or "the claim was refused", message=claimed.message)
        return claimed.note

    def withdraw(self, identifier: str, reason: str) -> None:
        """Nobody wants it any more. A decision that is here already counts."""
        waiter = self._waiters.get(identifier)
        if waiter is not None and not waiter.decided.done():
            text = f"approval request {identifier} is withdrawn: {reason}"
            _refuse(waiter, ApprovalRefused(text, message="the request for approval was withdrawn"))
            self._give_up(identifier, reason)

    def session_ended(self, session_id: str) -> None:
        """A session is over: what it waited for is withdrawn, what was granted for it is void."""
        if session_id not in self._known_sessions:
            return
        self._known_sessions.discard(session_id)
        for identifier, waiter in list(self._waiters.items()):
            if waiter.session == session_id:
                self.withdraw(identifier, "the client is gone")
                del self._waiters[identifier]
        self._ended.add(session_id)
        self._to_say.set()

    def granted_groups(self, principal: str, resource: str) -> frozenset[str]:
        """Groups that the principal belongs to on the resource for the time being."""
        return self.access.groups(principal, resource)

    # --- following ----------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                # The first question after a failure is not kept waiting, so that it is soon known that all is well.
                await self._poll(0.0 if self._lost_at is not None else wire.WAIT)
            except ControlUnavailable as error:
                self._lose(str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - following must outlive whatever one answer does to it
                _log.error("following decisions failed", exc_info=error)
                self._lose(type(error).__name__)
                await asyncio.sleep(LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE

    async def _poll(self, wait: float) -> None:
        waiting = [identifier for identifier, waiter in self._waiters.items() if waiter.taken]
        poll = wire.Poll(
            instance=self._instance,
            replaces=self._replaces,
            waiting=tuple(waiting[: wire.MAX_WAITING]),
            access=self.access.digest,
            wait=wait,
        )
        news = await self._ask("/poll", poll, wire.News, timeout=wait + TIMEOUT)
        self._plane_url = news.url
        for decision in news.decisions:
            waiter = self._waiters.get(decision.id)
            if waiter is None or waiter.decided.done():
                continue
            if decision.state is ApprovalState.APPROVED:
                waiter.decided.set_result(None)
            else:
                detail = decision.detail or f"approval request {decision.id} is {decision.state}"
                _refuse(waiter, ApprovalRefused(detail, message=decision.message))
        if news.granted is not None:
            self.access.replace(news.granted, news.access, news.now)

    def _lose(self, reason: str) -> None:
        if self._lost_at is None:
            loop = asyncio.get_running_loop()
            self._lost_at = loop.time()
            self._grace_timer = loop.call_later(self._grace, self._refuse_all)
            _log.warning("the control plane cannot be asked about approvals", reason=reason)

    def _find(self) -> None:
        self._replaces = None  # it has been heard
        if self._lost_at is not None:
            _log.info("the control plane can be asked about approvals again")
            self._lost_at = None
            if self._grace_timer is not None:
                self._grace_timer.cancel()
                self._grace_timer = None

    def _refuse_all(self) -> None:
        for identifier, waiter in list(self._waiters.items()):
            if not waiter.decided.done():
                _refuse(waiter, ApprovalRefused(f"approval request {identifier}: {LOST}", message=LOST))
                self._give_up(identifier, "the gateway lost the control plane")

    # --- asking -------------------------------------------------------------------------------------------------

    async def _claim(self, identifier: str, session_id: str) -> wire.Claimed:
        claim = wire.Claim(instance=self._instance, replaces=self._replaces, id=identifier, session=session_id)
        return await self._insist("/claim", claim, wire.Claimed)

    async def _insist(
        self, path: str, body: BaseModel, answer: type[_A], *, given_up: asyncio.Future[None] | None = None
    ) -> _A:
        """Ask until there is an answer or the grace is over. Raises ``ApprovalRefused``."""
        loop = asyncio.get_running_loop()
        started, pause = loop.time(), FIRST_PAUSE
        while True:
            lost_at = started if self._lost_at is None else min(started, self._lost_at)
            if loop.time() - lost_at >= self._grace:
                raise ApprovalRefused(f"{LOST} (/link/approvals{path})", message=LOST)
            try:
                return await self._ask(path, body, answer, timeout=TIMEOUT)
            except ControlRefused as error:
                message = "the control plane did not take the request for an approval"
                raise ApprovalRefused(f"{message}: {error}", message=message) from error
            except ControlUnavailable as error:
                _log.debug("the control plane did not answer about an approval", error=str(error))
            if given_up is not None and given_up.done():
                given_up.result()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _ask(self, path: str, body: BaseModel, answer: type[_A], *, timeout: float) -> _A:  # noqa: ASYNC109
        sent = await self._send(path, body, timeout=timeout)
        try:
            understood = answer.model_validate_json(sent)
        except ValueError as error:
            raise ControlUnavailable(f"an answer cannot be read: {error}") from None
        self._find()
        return understood

    async def _send(self, path: str, body: BaseModel, *, timeout: float) -> bytes:  # noqa: ASYNC109
        content = body.model_dump_json().encode()
        return (await self._line.ask("POST", wire.PREFIX + path, content=content, timeout=timeout)).content

    # --- telling ------------------------------------------------------------------------------------------------

    def _give_up(self, identifier: str, reason: str) -> None:
        self._given_up[identifier] = reason
        self._to_say.set()

    async def _tell_for_ever(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._to_say.wait()
            try:
                await self._tell()
                pause = FIRST_PAUSE
            except ControlRefused as error:
                _log.warning("the control plane did not take the ends of sessions", error=str(error))
                self._given_up.clear()
                self._ended.clear()
            except ControlUnavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - as for following
                _log.error("telling of ended sessions failed", exc_info=error)
                await asyncio.sleep(LONGEST_PAUSE)
            if not self._given_up and not self._ended:
                self._to_say.clear()

    async def _tell(self, *, leaving: bool = False) -> None:
        given_up = dict(list(self._given_up.items())[: wire.MAX_WAITING])
        ended = tuple(self._ended)[: wire.MAX_WAITING]
        said = wire.Ended(
            instance=self._instance, replaces=self._replaces, sessions=ended, given_up=given_up, leaving=leaving
        )
        await self._send("/ended", said, timeout=TIMEOUT)
        self._find()
        for identifier in given_up:
            self._given_up.pop(identifier, None)
        self._ended.difference_update(ended)


def _refuse(waiter: _Waiter, error: ApprovalRefused) -> None:
    waiter.decided.set_exception(error)
    waiter.decided.exception()  # whoever is not waiting yet may never

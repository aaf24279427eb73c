"""The approval desk: every request in its present state, and the only place where a state changes.

A request is changed in the event loop's thread alone, so whatever comes at the same time comes in some order, and the
first one counts::

    pending ── decide ──▶ approved ── the statement goes on ──▶ used
        │                      └── taken back, or an approver is none any more ──▶ revoked
        ├──── decide ──▶ rejected
        ├──── its time is over ──▶ expired
        └──── client gone, cancelled, gateway gone or restarted ──▶ withdrawn

A decision is on disk and in the audit before anybody learns of it: what cannot be recorded is not decided. While a
decision is being recorded the request's time does not run out. An approval nobody waits for any more can be used by
running the same statement again, until it is stale.

Who has approved is looked at again when the last approval comes, and when a statement claims to go on or spends an
approval for a single use: who has left the group by then does not count. Approvals for a window or a session stay.

Sessions of linked gateways wait here, too: their requests bear the gateway's name and instance, and come and go through
``gateway.approvals.instances``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar

import structlog

from gateway.approvals.binding import is_sealed, seal, sealed
from gateway.approvals.errors import AlreadyDecided, ApprovalError, ApprovalRefused, RequestNotFound
from gateway.approvals.grants import Demand, Grants, is_grant
from gateway.approvals.outcome import good_for, held, note, refused
from gateway.approvals.rules import check_eligible, check_may_revoke, check_scope
from gateway.approvals.standing import Standing, as_they_were, lapsed, look_again
from gateway.approvals.store import KEPT_FOR, ApprovalStore
from gateway.approvals.watchers import Watchers
from gateway.domain.approval import (
    ApprovalNote,
    ApprovalRequest,
    ApprovalState,
    Approver,
    GrantScope,
    RequestKind,
    Verdict,
)
from gateway.server.tasks import Tasks

_log = structlog.get_logger("querygate.approvals")

_R = TypeVar("_R")
RESTARTED: Final = "the gateway was restarted while the statement waited"


class Journal(Protocol):
    """Where every change goes on record."""

    async def record(self, event: str, request: ApprovalRequest, actor: str, *, loud: bool = False) -> None:
        """Return when it is on disk; raises ``AuditError``. ``event`` is ``requested``, ``approved`` …"""


@dataclass(slots=True, eq=False)
class _Entry:
    """A request that is not over. ``deciding`` True: a decision is being recorded."""

    request: ApprovalRequest
    waiter: asyncio.Future[ApprovalRequest] | None = None
    timer: asyncio.TimerHandle | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Desk:
    """All requests of one gateway. ``clock`` gives Unix seconds, ``identifier`` a new request's id.

    ``key`` seals what requests are bound to; with another one, what was granted before fits no statement any more.
    ``url`` is where people decide; it may be empty.
    """

    def __init__(
        self,
        store: ApprovalStore,
        journal: Journal,
        *,
        clock: Callable[[], float],
        identifier: Callable[[], str],
        key: bytes,
        url: str = "",
    ) -> None:
        self.url = url.rstrip("/")
        self._store = store
        self._journal = journal
        self.clock = clock
        self._identifier = identifier
        self._key = key
        self._tasks = Tasks()
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="approvals")
        self._entries: dict[str, _Entry] = {}
        self._by_session: dict[tuple[str, str], set[str]] = {}
        """Ids by instance and session."""
        self._grants = Grants()
        self._access: dict[str, dict[str, ApprovalRequest]] = {}
        self._watchers = Watchers()
        self.access_ended: Callable[[ApprovalRequest], None] = lambda request: None
        """Called when membership of a group that was granted for some time is over."""
        self.told: Callable[[ApprovalRequest], None] = lambda request: None
        """Called with every request at every change, before anybody who watches."""
        self.standing: Standing = as_they_were
        """Asked who approvers are by the time that their word is relied on."""

    async def open(self) -> None:
        """Take up what a former run left: what was waiting is withdrawn, what was granted is still good.

        Sessions of linked gateways outlive this process: what they wait for and what they were granted stays.
        """
        now = self.clock()
        await self._on_disk(lambda: self._store.rewrite(lambda old: None if is_sealed(old) else seal(old, self._key)))
        stale, again = [], []
        for request in await self._on_disk(self._store.live):
            if request.state is ApprovalState.PENDING and held(request) and not request.instance:
                stale.append(replace(request, state=ApprovalState.WITHDRAWN, ended=now, note=RESTARTED))
            elif request.state is ApprovalState.PENDING and request.expires <= now:
                stale.append(replace(request, state=ApprovalState.EXPIRED, ended=now))
            elif is_grant(request) and request.scope is GrantScope.SESSION and not request.instance:
                stale.append(replace(request, state=ApprovalState.USED, ended=now, note=RESTARTED))
            else:
                again.append(request)
        if stale:
            await self._on_disk(lambda: self._store.save(stale))
            for request in stale:
                await self._journal.record(request.state.value, request, "")
        await self._on_disk(lambda: self._store.prune(now - KEPT_FOR))
        for request in again:
            self._keep(_Entry(request))

    async def close(self) -> None:
        """Close the file, once what has ended is recorded. What waits is withdrawn by the next start."""
        for entry in list(self._entries.values()):
            _cancel(entry.timer)
            if entry.waiter is not None and not entry.waiter.done():
                entry.waiter.cancel()
        await self._tasks.finish()
        self._watchers.close()
        await self._on_disk(self._store.close)
        self._disk.shutdown(wait=False)

    # --- statements ---------------------------------------------------------------------------------------------

    async def use_grant(self, demand: Demand) -> ApprovalNote | None:
        """Let a statement run on an approval that was given before; None where there is none."""
        while (request := self.find(demand)) is not None:
            if request.scope is not GrantScope.ONCE:
                return note(request)
            if await self._stands(request):
                await self._use_up(request, demand.session_id)
                return note(request)
        return None

    def find(self, demand: Demand) -> ApprovalRequest | None:
        """An approval that was given before, untouched: whoever goes on with it claims it."""
        binding, shape = sealed(demand.binding, self._key), sealed(demand.shape, self._key)
        return self._grants.find(replace(demand, binding=binding, shape=shape), self.clock())

    async def submit(self, request: ApprovalRequest) -> ApprovalRequest:
        """Put a new request on the desk. One that is pending already, for the very same and by the same, is it.

        Raises ``ApprovalError`` or ``AuditError`` where it cannot be recorded.
        """
        request = seal(request, self._key)
        if request.instance and (known := await self._submitted(request)) is not None:
            return known
        if not held(request):
            for entry in self._entries.values():
                known = entry.request
                if known.state is ApprovalState.PENDING and known.binding == request.binding and not held(known):
                    return known
        entry = self._entries[request.id] = _Entry(request)
        async with entry.lock:  # whoever finds it on disk and decides waits until it is on record
            try:
                await self._on_disk(lambda: self._store.save([request]))
                await self._journal.record("requested", request, request.subject.principal)
            except BaseException:
                del self._entries[request.id]
                unmade = replace(request, state=ApprovalState.WITHDRAWN, ended=self.clock(), note="not recorded")
                self._tasks.start(self._record_end(unmade), name=f"approval {request.id}")
                raise
            if entry.request.state is ApprovalState.PENDING:  # nobody gave it up meanwhile
                self._keep(entry)
                self._tell(request)
        return request

    def new_id(self) -> str:
        """An id for a request about to be submitted."""
        return self._identifier()

    async def wait(self, identifier: str) -> ApprovalNote:
        """Return when the statement may run. Raises ``ApprovalRefused`` in any other case.

        Cancelling the wait withdraws the request, unless it has been decided.
        """
        entry = self._entries.get(identifier)
        if entry is None:
            raise ApprovalRefused(f"approval request {identifier} is not on the desk")
        if entry.request.state is ApprovalState.PENDING:
            entry.waiter = asyncio.get_running_loop().create_future()
            try:
                request = await entry.waiter
            finally:
                entry.waiter = None
        else:
            request = entry.request
        if request.state is not ApprovalState.APPROVED:
            raise refused(request)
        return await self.claim(identifier, request.subject.session_id)

    async def claim(self, identifier: str, session_id: str) -> ApprovalNote:
        """Let a session go on with an approval. Raises ``ApprovalRefused`` where it may not.

        A single-use approval is one session's: it may ask again, where it has not heard the answer, and no other may.
        """
        try:
            request = await self.get(identifier)
        except RequestNotFound as error:
            raise ApprovalRefused(str(error)) from None
        if request.state is ApprovalState.USED:
            if request.scope is GrantScope.ONCE and request.used_by == session_id != "":
                return note(request)
            # Between the decision and now another session ran the same statement on it, or its time was over.
            raise ApprovalRefused(f"approval request {identifier} has been used")
        if request.state is not ApprovalState.APPROVED:
            raise refused(request)
        if identifier not in self._entries:
            raise ApprovalRefused(f"approval request {identifier} is not on the desk")
        if not await self._stands(request):
            return await self.claim(identifier, session_id)  # it is not what it was: used, revoked, or over
        if request.scope is GrantScope.ONCE:
            await self._use_up(request, session_id)
        return note(request)

    def withdraw(self, identifier: str, reason: str) -> None:
        """Nobody wants it any more."""
        entry = self._entries.get(identifier)
        if entry is not None and entry.request.state is ApprovalState.PENDING:
            self._end_later(entry, ApprovalState.WITHDRAWN, reason)

    def session_ended(self, session_id: str, instance: str = "") -> None:
        """A session is over: what it waited for is withdrawn, what was granted for it is void."""
        for identifier in self._by_session.pop((instance, session_id), ()):
            self.withdraw(identifier, "the client is gone")
        for request in self._grants.of_session(session_id, instance):
            self._void(request, "the session is over")

    def instance_gone(self, instance: str, reason: str) -> None:
        """A linked gateway's run is over, and all its sessions with it. Approvals nobody has used are still good."""
        for entry in list(self._entries.values()):
            request = entry.request
            if request.instance != instance:
                continue
            if request.state is ApprovalState.PENDING and held(request):
                self._end_later(entry, ApprovalState.WITHDRAWN, reason)
            elif is_grant(request) and request.scope is GrantScope.SESSION:
                self._void(request, reason)

    def instances(self) -> dict[str, str]:
        """The runs of linked gateways that something here belongs to: their gateways' names by their ids."""
        found = (entry.request for entry in self._entries.values())
        return {request.instance: request.gateway for request in found if request.instance}

    def _void(self, request: ApprovalRequest, reason: str) -> None:
        self._grants.drop(request)
        self._tasks.start(self._finish(request, ApprovalState.USED, reason), name=f"approval {request.id}")

    async def _submitted(self, request: ApprovalRequest) -> ApprovalRequest | None:
        """A request that came before: whoever has not heard the answer submits it again."""
        entry = self._entries.get(request.id)
        if entry is not None:
            async with entry.lock:  # until it is on record, or is not
                known = entry.request if request.id in self._entries else None
        else:
            known = await self._on_disk(lambda: self._store.get(request.id))
        if known is not None and (known.instance, known.binding) != (request.instance, request.binding):
            raise ApprovalError(f"the id {request.id} is taken")
        return known

    # --- access -------------------------------------------------------------------------------------------------

    def granted_groups(self, principal: str, resource: str) -> frozenset[str]:
        """Groups that the principal belongs to on the resource for the time being."""
        now = self.clock()
        return frozenset(
            request.group
            for request in self._access.get(principal, {}).values()
            if request.resource in ("", resource) and request.valid_until is not None and now < request.valid_until
        )

    def granted_access(self) -> list[ApprovalRequest]:
        """All memberships that are granted for the time being."""
        return [request for granted in self._access.values() for request in granted.values()]

    # --- decisions ----------------------------------------------------------------------------------------------

    async def decide(
        self,
        identifier: str,
        approver: Approver,
        *,
        approve: bool,
        reason: str = "",
        scope: GrantScope = GrantScope.ONCE,
        window: float | None = None,
    ) -> ApprovalRequest:
        """Take an approver's word. The request as it is then: with more approvals to come it stays pending.

        Raises ``ApprovalError`` where it cannot be taken, ``AuditError`` where it cannot be recorded; then nothing has
        changed.
        """
        entry = self._entries.get(identifier)
        if entry is None:
            raise await self._why_not(identifier)
        came = self.clock()
        async with entry.lock:
            request = entry.request
            if request.state is ApprovalState.PENDING and came >= request.expires:
                # The clock was set, or the machine slept: the timer does not know it yet.
                _cancel(entry.timer)
                entry.timer = asyncio.get_running_loop().call_later(0.0, self._time_is_over, entry)
                raise AlreadyDecided(f"request {identifier} is expired; nothing is left to decide")
            breaking = check_eligible(request, approver, approve=approve, reason=reason)
            seconds = check_scope(request.rules, scope, window) if approve else None
            now = self.clock()
            verdict = Verdict(approver.name, approver.groups, approve, reason, now, breaking, approver.source)
            if approve:
                decided = await self._with_approval(request, verdict, scope)
                event = "approved_in_part"
                if decided.state is ApprovalState.APPROVED:
                    decided = replace(decided, valid_until=now + good_for(decided, seconds))
                    event = "break_glass" if breaking else "approved"
            else:
                verdicts = (*request.verdicts, verdict)
                decided = replace(request, verdicts=verdicts, state=ApprovalState.REJECTED, ended=now)
                event = "rejected"
            await self._on_disk(lambda: self._store.save([decided]))
            await self._journal.record(event, decided, approver.name, loud=breaking)
            if entry.request.state is not ApprovalState.PENDING:
                # Nobody wanted it any more by the time that the decision was on record: there is nothing to grant.
                await self._on_disk(lambda: self._store.save([entry.request]))
                raise AlreadyDecided(f"request {request.id} was withdrawn while it was being decided")
            self._settle(entry, decided)
            return decided

    async def revoke(
        self, identifier: str, approver: Approver, *, reason: str = "", anyway: bool = False
    ) -> ApprovalRequest:
        """Take back what was granted: nothing begins on it any more, and membership of a group is over.

        Members of the groups that could decide it may, whoever asked for it, and with ``anyway`` True anybody. Raises
        ``ApprovalError`` where it cannot be taken back. Where it cannot be recorded, ``AuditError``, it is over all the
        same, as far as this run goes.
        """
        entry = self._entries.get(identifier)
        if entry is None:
            raise await self._why_not(identifier, "revoke")
        check_may_revoke(entry.request, approver, anyway=anyway)
        why = f"revoked by {approver.name}" + (f": {reason}" if reason else "")
        return await self._finish(entry.request, ApprovalState.REVOKED, why, actor=approver.name)

    async def get(self, identifier: str) -> ApprovalRequest:
        """One request; raises ``RequestNotFound``."""
        entry = self._entries.get(identifier)
        request = entry.request if entry is not None else await self._on_disk(lambda: self._store.get(identifier))
        if request is None:
            raise RequestNotFound(f"there is no approval request {identifier}")
        return request

    async def page(
        self,
        *,
        states: Sequence[ApprovalState] = (),
        principal: str | None = None,
        resource: str | None = None,
        before: tuple[float, str] | None = None,
        limit: int = 50,
    ) -> list[ApprovalRequest]:
        """Requests from the newest on; ``before`` is (created, id) of the last one of the page before."""
        return await self._on_disk(
            lambda: self._store.page(states=states, principal=principal, resource=resource, before=before, limit=limit)
        )

    def changes(self) -> AsyncIterator[ApprovalRequest]:
        """Every request at every change from now on. Ends when the desk closes or the reader is too far behind."""
        return self._watchers.changes()

    @property
    def waiting(self) -> int:
        """Requests that are pending."""
        return sum(1 for entry in self._entries.values() if entry.request.state is ApprovalState.PENDING)

    # --- states -------------------------------------------------------------------------------------------------

    def _keep(self, entry: _Entry) -> None:
        """A request that is not over: on the desk, with its time running."""
        request = entry.request
        self._entries[request.id] = entry
        if held(request):
            self._by_session.setdefault(_whose(request), set()).add(request.id)
        self._file(entry)

    def _file(self, entry: _Entry) -> None:
        """Find the request again by what it is good for, and end it when its time is over."""
        request = entry.request
        _cancel(entry.timer)
        until = request.expires if request.state is ApprovalState.PENDING else request.valid_until or request.expires
        entry.timer = asyncio.get_running_loop().call_later(max(0.0, until - self.clock()), self._time_is_over, entry)
        if is_grant(request):
            self._grants.add(request)
        elif request.state is ApprovalState.APPROVED:
            self._access.setdefault(request.subject.principal, {})[request.id] = request

    def _settle(self, entry: _Entry, request: ApprovalRequest) -> None:
        """A decision is on record: everybody may know."""
        entry.request = request
        if request.state is ApprovalState.APPROVED:
            self._file(entry)
        elif request.state is not ApprovalState.PENDING:
            self._forget(entry)
        if request.state is not ApprovalState.PENDING and entry.waiter is not None and not entry.waiter.done():
            entry.waiter.set_result(request)
        self._tell(request)

    def _forget(self, entry: _Entry) -> None:
        request = entry.request
        _cancel(entry.timer)
        self._entries.pop(request.id, None)
        self._grants.drop(request)
        mine = self._by_session.get(_whose(request))
        if mine is not None:
            mine.discard(request.id)
            if not mine:
                del self._by_session[_whose(request)]
        access = self._access.get(request.subject.principal)
        if access is not None and access.pop(request.id, None) is not None:
            if not access:
                del self._access[request.subject.principal]
            self.access_ended(request)

    def _time_is_over(self, entry: _Entry) -> None:
        request = entry.request
        if entry.lock.locked():
            # Somebody's decision came in time and is being recorded: it counts, unless that fails.
            entry.timer = asyncio.get_running_loop().call_later(0.05, self._time_is_over, entry)
        elif request.state is ApprovalState.PENDING:
            self._end_later(entry, ApprovalState.EXPIRED, "nobody decided in time")
        elif request.state is ApprovalState.APPROVED:
            used = request.scope is not GrantScope.ONCE or request.kind is RequestKind.ACCESS
            state = ApprovalState.USED if used else ApprovalState.EXPIRED
            self._end_later(entry, state, "" if used else "approved, and not run in time")

    def _end_later(self, entry: _Entry, state: ApprovalState, reason: str) -> None:
        """End a request now and record it as soon as can be: nothing runs because of it, so nobody has to wait."""
        before = entry.request
        ended = replace(before, state=state, ended=self.clock(), note=reason)
        entry.request = ended
        self._forget(entry)
        if entry.waiter is not None and not entry.waiter.done():
            entry.waiter.set_result(ended)
        self._tell(ended)
        self._tasks.start(self._record_end(ended), name=f"approval {ended.id}")

    async def _use_up(self, request: ApprovalRequest, session_id: str) -> None:
        """A single-use approval is spent: at once, so that nobody else can, and on disk before the statement runs."""
        self._grants.drop(request)
        await self._finish(replace(request, used_by=session_id), ApprovalState.USED, "")

    async def _with_approval(self, request: ApprovalRequest, verdict: Verdict, scope: GrantScope) -> ApprovalRequest:
        """The request with one more approval: approved, if those whose word still counts are enough by now."""
        groups = await self.standing(request.verdicts)
        verdicts, enough = look_again(request.rules, (*request.verdicts, verdict), (*groups, verdict.groups))
        if scope is not request.scope and any(not before.lapsed for before in verdicts[:-1]):
            raise ApprovalError(f'the first approval was for scope "{request.scope}"; all have to be for the same')
        state = ApprovalState.APPROVED if enough else ApprovalState.PENDING
        return replace(request, verdicts=verdicts, scope=scope, state=state)

    async def _stands(self, request: ApprovalRequest) -> bool:
        """Whether an approval is still what it was, and its approvers may still decide. If they may not, it ends."""
        groups = await self.standing(request.verdicts)
        verdicts, enough = look_again(request.rules, request.verdicts, groups)
        entry = self._entries.get(request.id)
        if entry is None or entry.request is not request:
            return False  # used, revoked or over meanwhile
        if not enough:
            await self._finish(replace(request, verdicts=verdicts), ApprovalState.REVOKED, lapsed(verdicts), actor="")
        return enough

    async def _finish(
        self, request: ApprovalRequest, state: ApprovalState, reason: str, *, actor: str | None = None
    ) -> ApprovalRequest:
        """End a grant, at once, and return when that is on record. ``actor`` None: the requester, by using it."""
        ended = replace(request, state=state, ended=self.clock(), note=reason)
        entry = self._entries.get(request.id)
        if entry is not None:
            entry.request = ended
            self._forget(entry)
        await self._on_disk(lambda: self._store.save([ended]))
        await self._journal.record(state.value, ended, ended.subject.principal if actor is None else actor)
        self._tell(ended)
        return ended

    async def _record_end(self, request: ApprovalRequest) -> None:
        try:
            await self._on_disk(lambda: self._store.save([request]))
            await self._journal.record(request.state.value, request, "")
        except Exception as error:  # noqa: BLE001 - nothing runs because of it; the next start withdraws it again
            _log.error("the end of an approval request could not be recorded", request=request.id, error=str(error))

    async def _why_not(self, identifier: str, wish: str = "decide") -> ApprovalError:
        request = await self.get(identifier)
        return AlreadyDecided(f"request {request.id} is {request.state}; nothing is left to {wish}")

    def _tell(self, request: ApprovalRequest) -> None:
        self.told(request)
        self._watchers.tell(request)

    async def _on_disk(self, work: Callable[[], _R]) -> _R:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)


def _whose(request: ApprovalRequest) -> tuple[str, str]:
    return request.instance, request.subject.session_id


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()

"""Linked gateways at the desk: their sessions wait here, and they go on only when they have claimed an approval.

Each run of a gateway has an id of its own, its instance, and a lease that everything it says renews. When the lease is
over, or the run that replaces it says so, its sessions are gone: what they waited for is withdrawn. Nothing that an
instance says touches what belongs to another gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.approvals.desk import Desk
from gateway.approvals.errors import ApprovalError, NotEligible, RequestNotFound
from gateway.approvals.grants import Demand
from gateway.approvals.outcome import held, note
from gateway.domain.approval import ApprovalNote, ApprovalRequest, ApprovalState, RequestKind

_log = structlog.get_logger("querygate.approvals")

_REMEMBERED: Final = 10_000
"""Ids that an instance gave up before they came, and decisions that it has not fetched."""
LEFT: Final = "the gateway was stopped"
REPLACED: Final = "the gateway was restarted while the statement waited"
GONE: Final = "the gateway that holds the statement has not been heard of"


@dataclass(slots=True, eq=False)
class _Instance:
    """A run of a gateway. ``until`` is the end of its lease by the event loop's clock."""

    gateway: str
    until: float
    turn: int = 0
    """Which poll is the last one: whoever asks again has not heard the answer to the one before."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    decided: dict[str, ApprovalRequest] = field(default_factory=dict)
    given_up: dict[str, None] = field(default_factory=dict)


class Instances:
    """Runs of linked gateways, by id. ``lease`` in seconds."""

    def __init__(self, desk: Desk, *, lease: float) -> None:
        self._desk = desk
        self._lease = lease
        self._known: dict[str, _Instance] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    @property
    def url(self) -> str:
        """Where people decide; may be empty."""
        return self._desk.url

    def start(self) -> None:
        """Begin to listen to the desk. Whoever waited at the last run of the control plane has a lease to come back."""
        self._desk.told = self._told
        for instance, gateway in self._desk.instances().items():
            self._known[instance] = _Instance(gateway, self._now() + self._lease)
        self._look_later()

    def stop(self) -> None:
        """Answer whoever polls. What waits here stays for the next run."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for known in self._known.values():
            known.news.set()

    # --- what gateways say --------------------------------------------------------------------------------------

    async def submit(self, gateway: str, instance: str, request: ApprovalRequest) -> ApprovalRequest:
        """Put a request on the desk under the control plane's own clock. Raises ``ApprovalError``, ``AuditError``."""
        known = self.seen(gateway, instance)
        now = self._desk.clock()
        if request.kind is not RequestKind.STATEMENT or not request.rules:
            raise ApprovalError("a gateway asks for statements, under the rules of its policies")
        if request.id in known.given_up:
            raise ApprovalError(f"request {request.id} was given up before it came")
        # Nothing that only a desk may say is taken from the request.
        fresh = ApprovalRequest(
            id=request.id,
            kind=RequestKind.STATEMENT,
            state=ApprovalState.PENDING,
            created=now,
            expires=now + min(rule.timeout for rule in request.rules),
            subject=request.subject,
            resource=request.resource,
            environment=request.environment,
            protocol=request.protocol,
            database=request.database,
            rules=request.rules,
            binding=request.binding,
            shape=request.shape,
            snapshot=request.snapshot,
            statement=request.statement,
            reason=request.reason,
            gateway=gateway,
            instance=instance,
        )
        submitted = await self._desk.submit(fresh)
        if request.id in known.given_up:  # while it was being recorded
            self._desk.withdraw(request.id, "the client gave it up")
        elif self._known.get(instance) is not known:
            self._desk.withdraw(request.id, GONE)
        return submitted

    def find(self, gateway: str, demand: Demand) -> ApprovalNote | None:
        """An approval that was given before, untouched."""
        self.seen(gateway, demand.instance)
        request = self._desk.find(demand)
        return None if request is None else note(request)

    async def claim(self, gateway: str, instance: str, identifier: str, session_id: str) -> ApprovalNote:
        """Let a session go on with an approval. Raises ``ApprovalRefused`` where it may not."""
        self.seen(gateway, instance)
        return await self._desk.claim(identifier, f"{instance}/{session_id}")

    async def poll(
        self, gateway: str, instance: str, waiting: Sequence[str], changed: Callable[[], bool], wait: float
    ) -> list[ApprovalRequest | str]:
        """What became of requests, as soon as there is anything or ``changed`` says so, at most after ``wait`` seconds.

        An id instead of a request is one that the desk does not know.
        """
        known = self.seen(gateway, instance)
        known.turn = turn = known.turn + 1
        known.news.set()
        deadline = self._now() + wait
        while True:
            known.news.clear()
            found = dict[str, ApprovalRequest | str](known.decided)
            for identifier in waiting:
                if identifier not in found and (request := await self._outcome(identifier, instance)) is not None:
                    found[identifier] = request
            left = deadline - self._now()
            if found or changed() or left <= 0 or self._stopped or known.turn != turn:
                break
            try:
                async with asyncio.timeout(left):
                    await known.news.wait()
            except TimeoutError:
                pass
        if known.turn != turn:
            return []
        for identifier in found:
            known.decided.pop(identifier, None)
        return list(found.values())

    async def ended(
        self, gateway: str, instance: str, sessions: Sequence[str], given_up: Mapping[str, str], *, leaving: bool
    ) -> None:
        """Sessions are over, and nobody waits for requests any more."""
        known = self.seen(gateway, instance)
        for identifier, reason in given_up.items():
            known.given_up[identifier] = None
            if len(known.given_up) > _REMEMBERED:
                del known.given_up[next(iter(known.given_up))]
            try:
                request = await self._desk.get(identifier)
            except RequestNotFound:
                continue  # it may still come, and is refused then
            if request.instance == instance:
                self._desk.withdraw(identifier, reason)
        for session_id in sessions:
            self._desk.session_ended(session_id, instance)
        if leaving:
            self._end(instance, LEFT)

    def seen(self, gateway: str, instance: str, replaces: str | None = None) -> _Instance:
        """An instance has said something: its lease begins anew. Raises ``NotEligible`` for another gateway's."""
        if self._stopped:
            raise ApprovalError("the control plane is being stopped")
        if replaces is not None and replaces != instance:
            old = self._known.get(replaces)
            if old is not None and old.gateway == gateway:
                self._end(replaces, REPLACED)
        known = self._known.get(instance)
        if known is None:
            known = self._known[instance] = _Instance(gateway, 0.0)
        elif known.gateway != gateway:
            raise NotEligible("the instance is another gateway's")
        known.until = self._now() + self._lease
        if self._timer is None:
            self._look_later()
        return known

    # --- the desk and the clock ---------------------------------------------------------------------------------

    def _told(self, request: ApprovalRequest) -> None:
        if request.kind is RequestKind.ACCESS:
            for known in self._known.values():
                known.news.set()
            return
        of = self._known.get(request.instance)
        if of is None or not held(request) or request.state in (ApprovalState.PENDING, ApprovalState.USED):
            return
        of.decided[request.id] = request
        if len(of.decided) > _REMEMBERED:
            del of.decided[next(iter(of.decided))]
        of.news.set()

    async def _outcome(self, identifier: str, instance: str) -> ApprovalRequest | str | None:
        try:
            request = await self._desk.get(identifier)
        except RequestNotFound:
            return identifier
        if request.instance != instance:
            return identifier
        return None if request.state is ApprovalState.PENDING else request

    def _look_later(self) -> None:
        ends = [known.until for known in self._known.values()]
        self._timer = None
        if ends:
            self._timer = asyncio.get_running_loop().call_at(min(ends), self._look)

    def _look(self) -> None:
        now = self._now()
        for instance, known in list(self._known.items()):
            if known.until <= now:
                _log.warning("a linked gateway is gone with all that it held", gateway=known.gateway)
                self._end(instance, GONE)
        self._look_later()

    def _end(self, instance: str, reason: str) -> None:
        known = self._known.pop(instance, None)
        if known is not None:
            known.turn += 1
            known.news.set()
        self._desk.instance_gone(instance, reason)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

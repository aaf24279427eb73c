"""Between HTTP and the gateway's approval desk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from admin_api.approvals.models import AccessIn, DecisionIn
from admin_api.context import Context
from admin_api.errors import BadRequest, Conflict, Forbidden, NotFound, Unavailable
from admin_api.pages import Paging, read_cursor, write_cursor
from admin_api.security import Identity, Role
from gateway.approvals.errors import (
    AlreadyDecided,
    ApprovalError,
    InvalidDecision,
    NotEligible,
    RequestNotFound,
    StandingUnknown,
)
from gateway.domain.approval import (
    ApprovalRequest,
    ApprovalState,
    Approver,
    RequestKind,
    Subject,
)


class ApprovalService:
    """Looks at requests and takes decisions. Raises ``ApiError``."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._desk = context.plane.desk

    async def page(
        self, paging: Paging, *, states: Sequence[ApprovalState], principal: str | None, resource: str | None
    ) -> tuple[list[ApprovalRequest], str | None]:
        """Requests from the newest on, and the cursor of what follows."""
        if paging.sort not in (None, "-created_at"):
            raise BadRequest("sort: only -created_at")
        before = None
        if paging.cursor is not None:
            place = read_cursor(self._context, paging.cursor)
            if place.get("of") != "approvals":
                raise BadRequest("cursor: of another list; begin without it")
            before = (float(place["created"]), str(place["id"]))
        found = await self._desk.page(
            states=states, principal=principal, resource=resource, before=before, limit=paging.limit + 1
        )
        if len(found) <= paging.limit:
            return found, None
        last = found[paging.limit - 1]
        place = {"of": "approvals", "created": last.created, "id": last.id}
        return found[: paging.limit], write_cursor(self._context, place)

    async def get(self, identifier: str) -> ApprovalRequest:
        """One request."""
        try:
            return await self._desk.get(identifier)
        except RequestNotFound as error:
            raise NotFound(str(error)) from None

    async def decide(self, identifier: str, approver: Approver, decision: DecisionIn) -> ApprovalRequest:
        """Take a decision."""
        with _told():
            return await self._desk.decide(
                identifier,
                approver,
                approve=decision.decision == "approve",
                reason=decision.reason,
                scope=decision.scope,
                window=decision.window_seconds,
            )

    async def revoke(self, identifier: str, who: Identity, reason: str) -> ApprovalRequest:
        """Take back what was granted. An owner may, whoever decided it."""
        with _told():
            approver = self._context.approvers.of_caller(who)
            return await self._desk.revoke(identifier, approver, reason=reason, anyway=who.may(Role.OWNER))

    async def ask_for_access(self, who: Identity, wish: AccessIn) -> ApprovalRequest:
        """Ask for a group for some time. Only what the configuration offers to the caller's groups can be asked for."""
        groups = self._context.approvers.of_caller(who).groups
        for offer in self._context.config.approvals.access:
            if (
                offer.group == wish.group
                and groups & offer.groups
                and wish.resource in (offer.resources or {wish.resource})
            ):
                break
        else:
            raise Forbidden(f'nothing offers the group "{wish.group}" on "{wish.resource}" to you')
        if wish.duration_seconds > offer.max_duration:
            raise BadRequest(f"duration_seconds: at most {offer.max_duration:.0f}")
        now = self._context.clock().timestamp()
        return await self._desk.submit(
            ApprovalRequest(
                id=self._desk.new_id(),
                kind=RequestKind.ACCESS,
                state=ApprovalState.PENDING,
                created=now,
                expires=now + offer.rule.timeout,
                subject=Subject(who.name, "human"),
                resource=wish.resource,
                environment="",
                protocol="",
                database="",
                rules=(offer.rule,),
                binding=f"access:{who.name}:{wish.group}:{wish.resource}:{wish.duration_seconds}",
                snapshot=self._context.plane.snapshot().version,
                reason=wish.reason,
                group=wish.group,
                duration=wish.duration_seconds,
            )
        )


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except RequestNotFound as error:
        raise NotFound(str(error)) from None
    except AlreadyDecided as error:
        raise Conflict(str(error)) from None
    except StandingUnknown as error:
        raise Unavailable(f"{error}; try again") from None
    except NotEligible as error:
        raise Forbidden(str(error)) from None
    except (InvalidDecision, ApprovalError) as error:
        raise BadRequest(str(error)) from None

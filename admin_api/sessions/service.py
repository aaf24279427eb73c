"""Sessions of all gateways together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from admin_api.deps import Work
from admin_api.gateways.commands import CommandRepository, terminate_command
from admin_api.gateways.fleet import Fleet
from admin_api.gateways.repository import GatewayRepository
from admin_api.sessions.models import SessionOut, TerminateIn
from gateway.control.port import LiveSession, SessionFilter


@dataclass(frozen=True, slots=True)
class Placed:
    """A session and where it is; ``gateway`` empty for the one beside this API."""

    gateway: str
    session: LiveSession


class SessionService:
    """Within one request."""

    def __init__(self, work: Work, fleet: Fleet) -> None:
        self.work = work
        self._fleet = fleet

    async def all(self) -> list[Placed]:
        """Every session that is known, the oldest first. Those of other gateways are as of their last report."""
        found = [Placed("", session) for session in self.work.context.plane.sessions()]
        for row in await GatewayRepository(self.work.session).all():
            reported = self._fleet.reports.of(row)
            for session in () if reported is None else reported.report.sessions:
                found.append(Placed(row.name, LiveSession(**session.model_dump())))
        return sorted(found, key=lambda placed: (placed.session.started, placed.session.id))

    async def find(
        self, *, principal: str | None, resource: str | None, gateway: str | None, state: str | None
    ) -> list[dict[str, Any]]:
        """Those that fit, as they are shown."""
        now = self.work.context.clock()
        return [show(placed, now) for placed in self._chosen(await self.all(), principal, resource, gateway, state)]

    @staticmethod
    def _chosen(
        all_of_them: list[Placed], principal: str | None, resource: str | None, gateway: str | None, state: str | None
    ) -> Iterator[Placed]:
        for placed in all_of_them:
            session = placed.session
            if (
                (principal is None or principal in (session.principal, *session.acts_for))
                and (resource is None or session.resource == resource)
                and (gateway is None or placed.gateway == gateway)
                and (state is None or session.state == state)
            ):
                yield placed

    async def terminate(self, wanted: TerminateIn) -> int:
        """End sessions everywhere; how many are known to fit. Ended here at once, elsewhere as soon as they hear."""
        which = SessionFilter(wanted.session, wanted.principal, wanted.resource, wanted.token)
        count = sum(which.matches(placed.session) for placed in await self.all())
        named = {key: value for key, value in asdict(which).items() if value is not None}
        self.work.change("session.terminate", "session", ", ".join(named.values()), after={**named, "sessions": count})
        context = self.work.context
        await CommandRepository(self.work.session).add(terminate_command(which, wanted.reason), context.clock())
        return count

    async def carry_out(self, wanted: TerminateIn) -> None:
        """What follows once the command is committed."""
        which = SessionFilter(wanted.session, wanted.principal, wanted.resource, wanted.token)
        self.work.context.plane.terminate(which, wanted.reason)
        await self._fleet.publisher.commanded()


def show(placed: Placed, now: datetime) -> dict[str, Any]:
    """A session as it is shown."""
    session = placed.session
    fields = asdict(session)
    started, active = fields.pop("started"), fields.pop("active")
    return SessionOut(
        gateway=placed.gateway,
        started_at=datetime.fromtimestamp(started, UTC),
        active_at=datetime.fromtimestamp(active, UTC),
        age_seconds=max(0.0, round(now.timestamp() - started, 3)),
        **{**fields, "acts_for": list(session.acts_for)},
    ).model_dump(mode="json")

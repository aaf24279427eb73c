"""The life of gateways: let in, told apart by their credentials, looked at, sent away."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from admin_api.deps import Work
from admin_api.errors import Conflict, NotFound, Unauthenticated
from admin_api.gateways.models import GatewayIssued, GatewayOut, GatewayRow
from admin_api.gateways.reports import Reported, Reports
from admin_api.gateways.repository import GatewayRepository
from admin_api.snapshots.service import SnapshotPublisher
from gateway.control.wire import CREDENTIAL_PREFIX, REPORT_INTERVAL

LOST_AFTER: Final = timedelta(seconds=4 * REPORT_INTERVAL)
"""Without a report for so long, nobody knows how a gateway is."""
_SECRET: Final = 32


class GatewayService:
    """Within one request."""

    def __init__(self, work: Work, publisher: SnapshotPublisher, reports: Reports) -> None:
        self.work = work
        self.repository = GatewayRepository(work.session)
        self._publisher = publisher
        self._reports = reports

    async def get(self, name: str) -> GatewayRow:
        """The row. Raises 404."""
        row = await self.repository.find(name)
        if row is None:
            raise NotFound(f'there is no gateway "{name}"')
        return row

    async def list(self) -> list[dict[str, Any]]:
        """All of them. There are hundreds at most."""
        return [self.answer(row) for row in await self.repository.all()]

    async def create(self, name: str, description: str) -> tuple[GatewayRow, str]:
        """Let one in; the row and its credential, which is kept nowhere."""
        if await self.repository.find(name) is not None:
            raise Conflict(f'there is a gateway "{name}" already')
        context = self.work.context
        credential, digest = new_credential(context.random)
        row = GatewayRow(
            id=context.new_id("gtw"),
            name=name,
            description=description,
            credential=digest,
            created_at=context.clock(),
            created_by=self.work.who.name,
        )
        await self.repository.save(row)
        self.work.change("gateway.create", "gateway", name, after={"name": name, "description": description})
        return row, f"{CREDENTIAL_PREFIX}{row.id}_{credential}"

    async def rotate(self, row: GatewayRow) -> str:
        """Another credential; the old one is worth nothing from now on."""
        credential, row.credential = new_credential(self.work.context.random)
        await self.repository.save(row)
        self.work.change("gateway.rotate", "gateway", row.name)
        return f"{CREDENTIAL_PREFIX}{row.id}_{credential}"

    async def delete(self, row: GatewayRow) -> None:
        """Let it in no more. It keeps serving what it has until it is stopped."""
        await self.repository.delete(row)
        self._reports.forget(row.id)
        self.work.change("gateway.delete", "gateway", row.name, before={"name": row.name})

    def answer(self, row: GatewayRow) -> dict[str, Any]:
        """A gateway as it is shown."""
        shown = describe(row, self._reports.of(row), self._publisher.announced.number, self.work.context.clock())
        return shown.model_dump(mode="json")

    def issued(self, row: GatewayRow, credential: str) -> dict[str, Any]:
        """The same with its credential."""
        answer = {**self.answer(row), "credential": credential, "signing_key": self._publisher.signing_key}
        return GatewayIssued.model_validate(answer).model_dump(mode="json")


def describe(row: GatewayRow, reported: Reported | None, newest: int, now: datetime) -> GatewayOut:
    """A gateway by its last report. ``newest`` is the number of the newest snapshot."""
    base = GatewayOut(
        name=row.name,
        description=row.description,
        created_at=row.created_at,
        created_by=row.created_by,
        seen_at=None,
        state="never_seen",
        detail="",
        address="",
    )
    if reported is None:
        return base
    report = reported.report
    lost = now - reported.at > LOST_AFTER
    refused = [f"the receiver of the audit sink {s.name} refuses" for s in report.health.sinks if s.state == "refused"]
    trouble = (report.refused_snapshot or ("" if report.health.ready else report.health.detail), *refused)
    detail = "; ".join(filter(None, trouble))
    return base.model_copy(
        update={
            "seen_at": reported.at,
            "state": "lost" if lost else "troubled" if detail else "serving",
            "detail": f"no report since {reported.at.isoformat(timespec='seconds')}" if lost else detail,
            "address": reported.address,
            "host": report.host,
            "version": report.version,
            "sessions": report.health.sessions,
            "statements": report.counters.statements,
            "snapshot": report.snapshot.number,
            "up_to_date": report.snapshot.number == newest,
        }
    )


def new_credential(random: Callable[[int], bytes]) -> tuple[str, str]:
    """A secret and what is kept of it. It has 256 random bits, so that a plain hash hides it."""
    secret = random(_SECRET).hex()
    return secret, hashlib.sha256(secret.encode("ascii")).hexdigest()


async def recognise(repository: GatewayRepository, credential: str) -> GatewayRow:
    """Whose credential it is. Raises ``Unauthenticated``."""
    identifier, _, secret = credential.removeprefix(CREDENTIAL_PREFIX).rpartition("_")
    row = await repository.find_id(identifier) if credential.startswith(CREDENTIAL_PREFIX) and identifier else None
    given = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
    # As long for an unknown id, which says nothing to anybody anyway: ids are no secrets.
    if not hmac.compare_digest(given, "0" * 64 if row is None else row.credential) or row is None:
        raise Unauthenticated("a gateway's credential is needed")
    return row

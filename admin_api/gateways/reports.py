"""What gateways last told about themselves.

Two hundred gateways report forty times a second together: reports are kept in memory and written to the store together,
so that other replicas see them and a restart does not forget them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from admin_api.db import Database
from admin_api.gateways.models import GatewayRow
from admin_api.gateways.repository import GatewayRepository
from admin_api.tokens.repository import TokenRepository
from gateway.control.wire import LinkReport
from gateway.server.tasks import Tasks

_log = structlog.get_logger("querygate.gateways")

FLUSH: Final = 1.0
"""Seconds between writes where several replicas share the store."""
FLUSH_ALONE: Final = 15.0
"""The same for one that is alone with its file, where every write is a flush of the disk."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A report, and when and from where it came."""

    at: datetime
    address: str
    report: LinkReport


class Reports:
    """The newest report of each gateway, by the gateway's id."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, Reported] = {}
        self._unwritten: dict[str, Reported] = {}
        self._uses: dict[str, float] = {}
        self._tasks = Tasks()

    def start(self) -> None:
        """Begin to write."""
        self._tasks.start(self._write_for_ever(), name="gateway reports")

    async def stop(self) -> None:
        """Write what is left."""
        await self._tasks.cancel()
        await self._write()

    def take(self, gateway: str, address: str, report: LinkReport) -> None:
        """A gateway told how it is."""
        self._known[gateway] = self._unwritten[gateway] = Reported(self._clock(), address, report)
        for token, when in report.token_uses.items():
            self._uses[token] = max(when, self._uses.get(token, 0.0))

    def of(self, row: GatewayRow) -> Reported | None:
        """The newest report, wherever it came in."""
        known = self._known.get(row.id)
        if row.seen_at is None or row.report is None or (known is not None and known.at >= row.seen_at):
            return known
        return Reported(row.seen_at, row.address, LinkReport.model_validate(row.report))

    def forget(self, gateway: str) -> None:
        """The gateway is no longer let in."""
        self._known.pop(gateway, None)
        self._unwritten.pop(gateway, None)

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_ALONE if self._database.is_sqlite else FLUSH)
            try:
                await self._write()
            except Exception as error:  # noqa: BLE001 - reports come again
                _log.warning("reports of gateways could not be written", error=repr(error))

    async def _write(self) -> None:
        reports, uses = self._unwritten, self._uses
        if not reports and not uses:
            return
        self._unwritten, self._uses = {}, {}
        moments: Mapping[str, datetime] = {
            token: datetime.fromtimestamp(when, self._clock().tzinfo) for token, when in uses.items()
        }
        async with self._database.transaction(write=True) as session:
            repository = GatewayRepository(session)
            for identifier, reported in reports.items():
                if (row := await repository.find_id(identifier)) is not None:
                    row.seen_at, row.address = reported.at, reported.address
                    row.report = reported.report.model_dump(mode="json", exclude={"token_uses"})
                    await repository.save(row)
            if moments:
                await TokenRepository(session).mark_used(moments)

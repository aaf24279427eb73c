"""The link of a gateway to its control plane on another machine.

The gateway pulls: it waits for changes with a long poll, fetches, verifies, applies and keeps the newest snapshot, does
what it is told (end sessions, refuse tokens), and reports how it is. Without a control plane it goes on with the last
good snapshot and says so in its health; without any snapshot it lets nobody in.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import random
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

import httpx2
import structlog

from gateway import __version__
from gateway.config.settings import ControlSettings
from gateway.control import wire
from gateway.control.cache import Kept, SnapshotCache
from gateway.control.line import TIMEOUT, ControlUnavailable, Line
from gateway.control.plane import LocalDataPlane
from gateway.errors import ConfigurationError
from gateway.server.tasks import Tasks

_log = structlog.get_logger("querygate.control")

FETCH_TIMEOUT: Final = 60.0
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0
"""Seconds between attempts while the control plane is gone: longer ones would delay what comes when it is back."""
RETRY_REFUSED: Final = 30.0
"""Seconds after which a snapshot that could not be used is tried again: a secret may be there now."""


class ControlLink:
    """Keeps a data plane in step with its control plane. ``client`` is for tests; None makes one from the settings."""

    def __init__(
        self,
        settings: ControlSettings,
        plane: LocalDataPlane,
        *,
        client: httpx2.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], float] = lambda longest: random.uniform(longest / 2, longest),  # noqa: S311 - jitter
    ) -> None:
        self._plane = plane
        self._clock = clock
        self._pause = pause
        self._cache = SnapshotCache(plane.data_dir, trust=settings.trust)
        self._line = Line(settings, client)
        self._tasks = Tasks()
        self._after: int | None = None
        self._lost_since: float | None = None
        self._lost_reason = ""
        self._refused = ""
        """Why the newest snapshot could not be used."""
        self._refused_name = ""
        self._refused_at = 0.0
        self._to_report = asyncio.Event()

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Put the last good snapshot in force, if there is one, and begin to follow the control plane.

        A cached snapshot that is damaged or signed by somebody else is not used: the log says so, and nobody gets in
        until the control plane has sent a good one.
        """
        self._plane.trouble = lambda: self.trouble
        self._plane.unready("no snapshot has been received from the control plane yet")
        try:
            kept = await asyncio.to_thread(self._cache.load)
            if kept is not None:
                await self._use(kept)
                _log.info("the last good snapshot is in force", number=kept.signed.document.number)
        except ConfigurationError as error:
            _log.error("the last good snapshot cannot be used", error=str(error))
        self._tasks.start(self._follow(), name="control plane: changes")
        self._tasks.start(self._report_for_ever(), name="control plane: reports")

    async def stop(self) -> None:
        """Say once more how things are, and let go."""
        with contextlib.suppress(ControlUnavailable, TimeoutError):
            async with asyncio.timeout(1):
                await self._report()
        await self._tasks.cancel()
        await self._line.close()

    @property
    def trouble(self) -> str:
        """Why the newest snapshot may not be in force here; empty where it is."""
        if self._lost_since is not None:
            since = datetime.fromtimestamp(self._lost_since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            return f"control plane unreachable since {since}: {self._lost_reason}"
        return self._refused

    # --- following ----------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._step()
            except (ControlUnavailable, ConfigurationError, OSError) as error:
                self._lose(str(error))
                await asyncio.sleep(self._pause(pause))
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - the link must outlive whatever one answer does to it
                _log.error("following the control plane failed", exc_info=error)
                self._lose(f"{type(error).__name__} while following it")
                await asyncio.sleep(LONGEST_PAUSE)
            else:
                self._find()
                pause = FIRST_PAUSE

    async def _step(self) -> None:
        known = self._refused_name or self._plane.snapshot().name
        if self._refused_name and self._clock() - self._refused_at > RETRY_REFUSED:
            known = self._plane.snapshot().name
        # The first question after a failure is not kept waiting, so that it is soon known that all is well again.
        wait = 0.0 if self._after is None or self._lost_since is not None else wire.WAIT
        changes = await self._changes(known, wait)
        self._cache.trust_first(changes.signing_key)
        for command in changes.commands:
            command.carry_out(self._plane)
        self._after = changes.after
        if changes.snapshot and changes.snapshot != known:
            await self._fetch(changes.snapshot)
        if changes.commands or changes.snapshot != known:
            self._to_report.set()

    async def _fetch(self, name: str) -> None:
        key = base64.b64encode(self._cache.public_key).decode("ascii")
        answer = await self._line.ask(
            "GET", f"{wire.PREFIX}/snapshots/{name}", headers={wire.KEY_HEADER: key}, timeout=FETCH_TIMEOUT
        )
        try:
            wrapped = base64.b64decode(answer.headers.get(wire.WRAPPED_HEADER, ""), validate=True)
        except binascii.Error:
            raise ControlUnavailable("the answer's sealing key cannot be read") from None
        data = answer.content
        try:
            kept = await asyncio.to_thread(self._cache.open, data, wrapped)
            if kept.signed.document.name != name:
                raise ConfigurationError("another snapshot came than the one that was asked for")
            await self._use(kept)
        except ConfigurationError as error:
            self._refuse(name, str(error))
            return
        self._refused = self._refused_name = ""
        await asyncio.to_thread(self._cache.keep, data, wrapped)

    async def _use(self, kept: Kept) -> None:
        self._plane.use_identity_secret(kept.identity_secret)
        await self._plane.use_snapshot(kept.signed.document, kept.sealer)

    def _refuse(self, name: str, reason: str) -> None:
        if name != self._refused_name:
            _log.error("a snapshot is refused; the last good one stays in force", name=name[:16], error=reason)
        self._refused = f"the newest snapshot is refused: {reason}"
        self._refused_name, self._refused_at = name, self._clock()
        self._to_report.set()

    # --- reporting ----------------------------------------------------------------------------------------------

    async def _report_for_ever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wire.REPORT_INTERVAL):
                    await self._to_report.wait()
            self._to_report.clear()
            try:
                await self._report()
            except ControlUnavailable as error:
                _log.debug("the control plane did not take a report", error=str(error))

    async def _report(self) -> None:
        plane = self._plane
        uses = dict(plane.token_uses())
        report = wire.LinkReport(
            version=__version__,
            host=socket.gethostname(),
            health=wire.ReportedHealth(**asdict(plane.health())),
            snapshot=wire.ReportedSnapshot(**asdict(plane.snapshot())),
            counters=wire.ReportedCounters(**asdict(plane.counters())),
            sessions=tuple(wire.ReportedSession(**asdict(live)) for live in list(plane.sessions())[:10_000]),
            token_uses=uses,
            listeners=dict(plane.listeners),
            tls=plane.offers_tls,
            refused_snapshot=self._refused,
        )
        try:
            await self._line.ask("POST", f"{wire.PREFIX}/report", content=report.model_dump_json().encode())
        except ControlUnavailable:
            plane.give_back_token_uses(uses)
            raise

    # --- asking -------------------------------------------------------------------------------------------------

    async def _changes(self, snapshot: str, wait: float) -> wire.Changes:
        after = "" if self._after is None else f"&after={self._after}"
        path = f"{wire.PREFIX}/changes?snapshot={snapshot}&wait={wait:g}{after}"
        answer = await self._line.ask("GET", path, timeout=wait + TIMEOUT)
        try:
            return wire.Changes.model_validate_json(answer.content)
        except ValueError as error:
            raise ControlUnavailable(f"an answer cannot be read: {error}") from None

    def _lose(self, reason: str) -> None:
        if self._lost_since is None:
            self._lost_since = self._clock()
            meanwhile = "the last good snapshot stays in force" if self._plane.snapshot().name else "nobody gets in yet"
            _log.warning(f"the control plane cannot be reached; {meanwhile}", reason=reason)
        self._lost_reason = reason

    def _find(self) -> None:
        if self._lost_since is not None:
            _log.info("the control plane can be reached again")
            self._lost_since = None
            self._to_report.set()

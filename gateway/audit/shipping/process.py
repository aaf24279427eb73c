"""The process that ships: a thread for each sink, until a signal. ``querygate serve`` starts and watches one.

It only reads the log. It can as well be run by hand, or on its own, with ``querygate audit ship``.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from gateway.audit.events import EventFilter
from gateway.audit.reader import last_events
from gateway.audit.shipping.cursor import FOLDER, Cursor, file_name
from gateway.audit.shipping.shipper import Shipper
from gateway.audit.sinks import AuditSink, is_spooled
from gateway.errors import AuditError, ConfigurationError

_log = structlog.get_logger("querygate.audit")

STOP_GRACE: Final = 10.0
"""Seconds that sinks get to deliver what is there when they are told to stop."""
_RESTART_PAUSE: Final = 2.0


def shipped_names(
    entries: Sequence[tuple[str, Mapping[str, object]]], types: Mapping[str, type[AuditSink]]
) -> frozenset[str]:
    """What the spooled sinks of ``audit.sinks`` are called where their cursors are."""
    return frozenset(
        file_name(str(_name(number, kind, options)))
        for number, (kind, options) in enumerate(entries)
        if kind in types and is_spooled(types[kind])
    )


def _name(number: int, kind: str, options: Mapping[str, object]) -> object:
    return options.get("name", f"{number}-{kind}")


def make_shippers(
    entries: Sequence[tuple[str, Mapping[str, object]]], types: Mapping[str, type[AuditSink]], data_dir: Path
) -> list[Shipper]:
    """A shipper for every spooled sink of ``audit.sinks``. Raises ``ConfigurationError`` naming the entry.

    Options of every such sink: ``name`` (of its cursor; its number and type if left out), ``begin`` (``oldest``, the
    default, or ``newest``: what a sink that never ran gets of the log that is there).
    """
    directory = data_dir / "audit"
    shippers = []
    for number, (kind, options) in enumerate(entries):
        sink_type = types.get(kind)
        if sink_type is None or not is_spooled(sink_type):
            continue
        own = dict(options)
        name, begin = _name(number, kind, own), own.pop("begin", "oldest")
        own.pop("name", None)
        if not isinstance(name, str) or begin not in ("oldest", "newest"):
            raise ConfigurationError(f"audit.sinks[{number}]: name is a text, begin is oldest or newest")
        try:
            sink = sink_type.from_options(own, data_dir)
        except ConfigurationError as error:
            raise ConfigurationError(f"audit.sinks[{number}].{error}") from None
        cursor = Cursor(directory / FOLDER, name)
        shippers.append(
            Shipper(name, sink, directory, cursor, begin=begin == "oldest", newest=lambda: _newest(directory))
        )
    return shippers


def ship(shippers: Sequence[Shipper], stop: threading.Event) -> None:
    """Run all until told to stop."""
    threads = [
        threading.Thread(target=shipper.run, args=(stop,), name=f"audit sink {shipper.name}") for shipper in shippers
    ]
    for thread in threads:
        thread.daemon = True  # a receiver that hangs must not keep the process
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join(STOP_GRACE)
    for shipper in shippers:
        shipper.close()


def run_until_signal(shippers: Sequence[Shipper], folder: Path, *, follow_parent: bool = False) -> None:
    """Run in the foreground until SIGINT or SIGTERM; with ``follow_parent``, also until standard input ends.

    Raises ``AuditError`` where another process ships this log already: two would send everything twice.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise AuditError(f"{folder}: another process ships this log already") from None
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if follow_parent:
        threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()
    try:
        ship(shippers, stop)
    finally:
        os.close(descriptor)


def _watch_parent(stop: threading.Event) -> None:
    """The gateway holds the other end of standard input: it ends when the gateway does, however that comes about."""
    while os.read(0, 1):
        pass
    stop.set()


def _newest(directory: Path) -> int:
    try:
        found = last_events(directory, EventFilter(), 1)
    except AuditError:
        return -1
    return found[-1].sequence if found else -1


class ShippingProcess:
    """Starts the process beside the gateway, again where it dies, and stops it. ``arguments`` are the program's."""

    def __init__(self, config: Path, *, program: Sequence[str] = (sys.executable, "-m", "gateway")) -> None:
        self._command = (*program, "audit", "ship", "--follow-parent", "--config", str(config))
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._renewing = False
        self.restarts = 0

    async def run(self) -> None:
        """Keep it running until ``stop``."""
        while not self._told_to_stop():
            self._process = await asyncio.create_subprocess_exec(*self._command, stdin=asyncio.subprocess.PIPE)
            code = await self._process.wait()
            if self._told_to_stop():
                return
            if self._renewing:
                self._renewing = False
                continue
            self.restarts += 1
            _log.error("the process that ships the audit ended; it is started again", status=code)
            await asyncio.sleep(_RESTART_PAUSE)

    @property
    def stopped(self) -> bool:
        """Whether it was stopped, for good."""
        return self._stopping

    def renew(self) -> None:
        """Have the process started anew: it reads the configuration, secrets in files among it, when it starts."""
        process = self._process
        if process is not None and process.returncode is None and not self._stopping:
            self._renewing = True
            process.terminate()

    def _told_to_stop(self) -> bool:
        return self._stopping

    async def stop(self) -> None:
        """Let it deliver what is there, and end it."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_GRACE + 2):
                await process.wait()
        except TimeoutError:
            process.kill()

"""``querygate serve`` from start to end: listeners, services, signals, draining."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.assembly import Assembly, assemble
from gateway.config import Config, TlsMode, load_config
from gateway.errors import ConfigurationError
from gateway.server.memory import return_large_buffers
from gateway.services import Health, Service, create_services

_log = structlog.get_logger("querygate")


DESCRIPTORS_PER_SESSION = 4
"""A client and its database, and as many again for connections that are not sessions yet."""
OTHER_DESCRIPTORS = 100
"""Files, listeners, the admin API's clients, readings of catalogs."""


async def run(path: Path, config: Config) -> int:
    """Serve until a signal; the exit status. A second signal ends the sessions that the first one waits for."""
    _allow_descriptors(DESCRIPTORS_PER_SESSION * config.limits.max_sessions + OTHER_DESCRIPTORS)
    return_large_buffers()
    assembly = assemble(config)
    stop = asyncio.Event()

    def end() -> None:
        if stop.is_set():
            _log.warning("a second signal: ending all sessions now", sessions=len(assembly.gateway.sessions))
            assembly.gateway.hurry()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, _reload, path, assembly)
    services: list[Service] = []
    try:
        await assembly.gateway.listen(assembly.endpoints)
        for endpoint, adapter in assembly.endpoints.items():
            _log.info("listening", protocol=adapter.name, address=str(endpoint), tls=config.tls.mode.value)
        assembly.gateway.tasks.start(assembly.databases.refresh_for_ever(), name="catalogs")
        for service in create_services(config, _health(assembly, stop)):
            if line := await service.start():
                _log.info(line)
            services.append(service)
        if config.tls.mode is TlsMode.SELF_SIGNED:
            _log.info("clients see a self-signed certificate", certificate=str(config.tls.certificate))
        print("ready", flush=True)  # noqa: T201 - what scripts wait for
        await stop.wait()
        _log.info("stopping", sessions=len(assembly.gateway.sessions))
    except OSError as error:
        _log.error(str(error))
        return 1
    finally:
        await assembly.gateway.drain()
        # Last, so that whoever asks for the health while sessions end learns that the gateway stops.
        for service in services:
            await service.stop()
        await assembly.audit.close()
    return 0


def _allow_descriptors(wanted: int) -> None:
    """Raise the soft limit of open files as far as the hard one lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < possible:
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    if possible < wanted:
        _log.warning("max_sessions needs more open files than the system allows", needed=wanted, allowed=possible)


def _reload(path: Path, assembly: Assembly) -> None:
    before = assembly.config
    try:
        assembly.use(load_config(path, environ=os.environ))
    except (ConfigurationError, OSError) as error:
        _log.error("the configuration was not taken over; the old one stays in force", error=str(error))
        return
    _log.info("the configuration was read again", snapshot=assembly.gateway.snapshot.version)
    fixed = ("listeners", "admin_api", "data_dir", "tls", "jwt", "audit", "plugins", "limits")
    if changed := [name for name in fixed if getattr(before, name) != getattr(assembly.config, name)]:
        _log.warning("these changes take effect after a restart only", keys=changed)


def _health(assembly: Assembly, stop: asyncio.Event) -> Callable[[], Health]:
    def health() -> Health:
        trouble = "" if assembly.audit.healthy else assembly.audit.reason
        detail = "stopping" if stop.is_set() else trouble or "serving"
        return Health(
            ready=not trouble and not stop.is_set(),
            detail=detail,
            sessions=len(assembly.gateway.sessions),
            snapshot=assembly.gateway.snapshot.version,
            audit=trouble,
        )

    return health

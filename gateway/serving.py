"""``querygate serve`` from start to end: listeners, services, signals, draining."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.assembly import Assembly, assemble
from gateway.config import Config, TlsMode, load_config
from gateway.errors import ConfigurationError
from gateway.services import Health, Service, create_services

_log = structlog.get_logger("querygate")


async def run(path: Path, config: Config) -> int:
    """Serve until a signal; the exit status."""
    assembly = assemble(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
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
        for service in services:
            await service.stop()
        await assembly.gateway.drain()
        await assembly.audit.close()
    return 0


def _reload(path: Path, assembly: Assembly) -> None:
    try:
        assembly.use(load_config(path, environ=os.environ))
    except ConfigurationError as error:
        _log.error("the configuration was not taken over; the old one stays in force", error=str(error))
    else:
        _log.info("the configuration was read again", snapshot=assembly.gateway.snapshot.version)


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

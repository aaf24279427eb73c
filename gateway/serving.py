"""``querygate serve`` from start to end: listeners, services, signals, draining."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import structlog

from gateway.approvals.webhooks import Webhooks
from gateway.assembly import Assembly, assemble, shippers
from gateway.audit.shipping.process import ShippingProcess
from gateway.audit.sinks import is_spooled
from gateway.config import AuditSettings, Config, TlsMode, load_config
from gateway.control.link import ControlLink
from gateway.control.plane import LocalDataPlane
from gateway.errors import ConfigurationError
from gateway.identity.uses import INTERVAL as USES_INTERVAL
from gateway.identity.uses import TokenUses
from gateway.server.memory import return_large_buffers, set_aside_what_stays
from gateway.server.tasks import Tasks
from gateway.services import Service, create_services

_log = structlog.get_logger("querygate")

_OF_RESOURCES: Final[dict[str, Any]] = {"durability_by_resource": {}, "literals_by_resource": {}}
"""What of the audit's settings follows the resources."""


SWITCH_INTERVAL = 0.0005
"""Seconds for which a thread (one that reads a catalog, say) may keep the event loop from going on. Python's own 5 ms
add up, since the loop gives way at every system call."""
DESCRIPTORS_PER_SESSION = 4
"""A client and its database, and as many again for connections that are not sessions yet."""
OTHER_DESCRIPTORS = 100
"""Files, listeners, the admin API's clients, readings of catalogs."""


async def run(path: Path, config: Config) -> int:
    """Serve until a signal; the exit status. A second signal ends the sessions that the first one waits for."""
    _allow_descriptors(DESCRIPTORS_PER_SESSION * config.limits.max_sessions + OTHER_DESCRIPTORS)
    return_large_buffers()
    sys.setswitchinterval(SWITCH_INTERVAL)
    assembly = assemble(config)
    shipping = ShippingProcess(path) if shippers(config, assembly.components) else None
    stop = asyncio.Event()
    plane = LocalDataPlane(assembly, stopping=stop.is_set)

    def end() -> None:
        if stop.is_set():
            _log.warning("a second signal: ending all sessions now", sessions=len(assembly.gateway.sessions))
            assembly.gateway.hurry()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(
        signal.SIGHUP, lambda: assembly.gateway.tasks.start(_reload(path, plane, assembly, shipping), name="reload")
    )
    approvals = config.approvals
    webhooks = Webhooks(assembly.desk, approvals.webhooks, url=approvals.url, clock=time.time)
    background = Tasks()
    services: list[Service] = []
    link: ControlLink | None = None
    try:
        assembly.audit.serve(loop)
        await assembly.desk.open()
        webhooks.start()
        _tell_removed(plane)
        if shipping is not None:
            background.start(shipping.run(), name="audit shipping")
        if config.control is not None:
            if assembly.linked is not None:
                await assembly.linked.start()
            link = ControlLink(config.control, plane)
            await link.start()
        # Before anybody can come in, so that what the control plane's store says holds for the first client.
        for service in create_services(config, plane):
            services.append(service)
            if line := await service.start():
                _log.info(line)
        set_aside_what_stays()
        await assembly.meet_databases()
        await assembly.gateway.listen(assembly.endpoints)
        for endpoint, adapter in assembly.endpoints.items():
            _log.info("listening", protocol=adapter.name, address=str(endpoint), tls=config.tls.mode.value)
        assembly.gateway.tasks.start(assembly.databases.refresh_for_ever(), name="catalogs")
        assembly.gateway.tasks.start(assembly.budgets.save_for_ever(), name="budgets")
        if config.control is None and config.control_plane is None:
            assembly.gateway.tasks.start(_keep_token_uses(plane), name="uses of tokens")
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
        if link is not None:
            await link.stop()
        if assembly.linked is not None:
            await assembly.linked.stop()
        await assembly.budgets.try_save()
        await webhooks.stop()
        await assembly.desk.close()
        await assembly.audit.close()
        if shipping is not None:
            await shipping.stop()  # once everything is in the log
            await background.cancel()
    return 0


async def _keep_token_uses(plane: LocalDataPlane) -> None:
    """Nobody else remembers when tokens were used where there is no control plane."""
    kept = TokenUses(plane.data_dir)
    while True:
        await asyncio.sleep(USES_INTERVAL)
        try:
            await asyncio.to_thread(kept.add, plane.token_uses())
        except OSError as error:
            _log.warning("when tokens were used could not be written", error=str(error))


def _tell_removed(plane: LocalDataPlane) -> None:
    """Sinks that were taken out of the configuration get nothing more, which had better be what was meant."""
    for name, behind in plane.removed_sinks():
        _log.warning(
            "an audit sink is not configured any more; it gets nothing, and nothing is kept for it "
            f"(querygate audit forget {name})",
            sink=name,
            undelivered=behind,
        )


def _fixed(config: Config, assembly: Assembly) -> AuditSettings:
    """What of the audit stays as it is: neither the resources' own settings nor the sinks that read the log."""
    kinds = assembly.components.audit_sinks
    sinks = tuple(sink for sink in config.audit.sinks if not is_spooled(kinds[sink.type]))
    return replace(config.audit, sinks=sinks, **_OF_RESOURCES)


def _allow_descriptors(wanted: int) -> None:
    """Raise the soft limit of open files as far as the hard one lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < possible:
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    if possible < wanted:
        _log.warning("max_sessions needs more open files than the system allows", needed=wanted, allowed=possible)


async def _reload(path: Path, plane: LocalDataPlane, assembly: Assembly, shipping: ShippingProcess | None) -> None:
    before = assembly.config
    try:
        await plane.reload(await asyncio.to_thread(load_config, path, environ=os.environ))
    except (ConfigurationError, OSError) as error:
        _log.error("the configuration was not taken over; the old one stays in force", error=str(error))
        return
    _log.info("the configuration was read again", snapshot=assembly.gateway.snapshot.version)
    fixed = ("listeners", "admin_api", "control", "data_dir", "tls", "approvals", "plugins", "limits")
    changed = [name for name in fixed if getattr(before, name) != getattr(assembly.config, name)]
    if shipping is not None and not shipping.stopped:
        if shippers(assembly.config, assembly.components):
            shipping.renew()  # with other sinks, and other secrets in their files
        else:
            await shipping.stop()  # the last of them was taken out
        _tell_removed(plane)
        same = _fixed(before, assembly) == _fixed(assembly.config, assembly)
    else:
        same = replace(before.audit, **_OF_RESOURCES) == replace(assembly.config.audit, **_OF_RESOURCES)
    if not same:
        changed.append("audit")
    if changed:
        _log.warning("these changes take effect after a restart only", keys=changed)

"""A gateway in this process, so that tests decide on its approval desk as the admin API does."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from gateway.assembly import Assembly, assemble
from gateway.config import load_config
from gateway.domain.approval import ApprovalRequest, ApprovalState, Approver, GrantScope
from gateway.testing.servers.ports import free_port
from gateway.testing.shop import Shop
from tests.fixtures.gateway import Config, gateway_config
from tests.fixtures.waiting import eventually

T = TypeVar("T")
TOKEN = "t" * 32
DORA = Approver("dora@example.com", frozenset({"dba"}))
DAVE = Approver("dave@example.com", frozenset({"dba"}))


class DeskBed:
    """A running gateway and its desk; calls come from the test's thread."""

    def __init__(
        self, assembly: Assembly, loop: asyncio.AbstractEventLoop, stop: asyncio.Event, port: int, folder: Path
    ) -> None:
        self.assembly, self.loop, self.stop, self.port, self.folder = assembly, loop, stop, port, folder

    def call(self, work: Coroutine[Any, Any, T], timeout: float = 20) -> T:
        """Run a coroutine in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def decide(
        self, request: ApprovalRequest, approver: Approver = DORA, *, approve: bool = True, **more: Any
    ) -> ApprovalRequest:
        """One approver's word."""
        return self.call(self.assembly.desk.decide(request.id, approver, approve=approve, **more))

    def requests(self, *states: ApprovalState) -> list[ApprovalRequest]:
        """What is on the desk, the newest first."""
        return self.call(self.assembly.desk.page(states=states))

    def pending(self) -> ApprovalRequest:
        """The one request that waits, as soon as there is one."""
        return eventually(lambda: next(iter(self.requests(ApprovalState.PENDING)), None))

    def connect(self, user: str = "ana@example.com", **options: Any) -> psycopg.Connection[Any]:
        """A client's connection to PostgreSQL."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=TOKEN,
            dbname="shop-prod",
            sslmode="disable",
            autocommit=True,
            **options,
        )


def desk_bed(folder: Path, shop: Shop, change: Callable[[Config], None]) -> AbstractContextManager[DeskBed]:
    """A gateway over the PostgreSQL shop, as long as the context lasts. A folder used before is a restart."""

    def make(port: int) -> Config:
        config = gateway_config(shop, port=port, tls=False)
        change(config)
        return config

    return serving_bed(folder, make, shop.password)


@contextmanager
def serving_bed(folder: Path, make: Callable[[int], Config], password: str) -> Iterator[DeskBed]:
    """A gateway with the configuration that ``make`` gives for a port; ``password`` is the database account's."""
    path = folder / "querygate.yaml"
    if path.exists():
        (address,) = json.loads(path.read_text())["listeners"].values()
        port = int(address.rpartition(":")[2])
    else:
        port = free_port()
        path.write_text(json.dumps(make(port)))
    environment = {"SHOP_PASSWORD": password, "TEST_TOKEN": TOKEN}
    ready = threading.Event()
    beds: list[DeskBed] = []
    failures: list[BaseException] = []

    async def serve() -> None:
        stop = asyncio.Event()
        assembly = assemble(load_config(path, environ=environment), decided_here=True)
        try:
            await assembly.desk.open()
            await assembly.gateway.listen(assembly.endpoints)
            beds.append(DeskBed(assembly, asyncio.get_running_loop(), stop, port, folder))
            ready.set()
            await stop.wait()
        finally:
            assembly.gateway.hurry()
            await assembly.gateway.drain()
            await assembly.desk.close()
            await assembly.audit.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - the test's thread tells
            failures.append(error)
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(30)
    if failures:
        raise failures[0]
    (bed,) = beds
    try:
        yield bed
    finally:
        bed.loop.call_soon_threadsafe(bed.stop.set)
        thread.join(30)
    if failures:
        raise failures[0]


__all__ = ["DAVE", "DORA", "TOKEN", "DeskBed", "GrantScope", "desk_bed", "serving_bed"]

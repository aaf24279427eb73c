"""The database goes away and comes back: clients fail with clear errors meanwhile, and go on at once afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from pymongo.errors import PyMongoError

from gateway.testing.servers import MongoServer
from gateway.testing.shop_documents import create_document_shop
from tests.fixtures.mongodb import MongoGateway, StartMongoGateway, start_mongod
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

WRITERS = 8


@pytest.fixture(scope="module")
def lone_server() -> Iterator[MongoServer]:
    with start_mongod(members=1) as server:
        yield server


@pytest.fixture(scope="module")
def lone_gateway(lone_server: MongoServer, start_mongo_gateway: StartMongoGateway) -> MongoGateway:
    return start_mongo_gateway(create_document_shop(lone_server, customers=20))


def test_writers_go_on_after_an_outage_and_nothing_acknowledged_is_lost(
    lone_server: MongoServer, lone_gateway: MongoGateway
) -> None:
    stop = threading.Event()
    acknowledged: list[tuple[int, float]] = []
    failed: list[tuple[PyMongoError, float]] = []

    def write(first: int) -> None:
        number = first
        with lone_gateway.client() as client:
            while not stop.is_set():
                try:
                    client.shop.kept.insert_one({"_id": number})
                    acknowledged.append((number, time.monotonic()))
                except PyMongoError as error:
                    failed.append((error, time.monotonic()))
                number += WRITERS
                time.sleep(0.02)

    threads = [threading.Thread(target=write, args=(first,)) for first in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(acknowledged) > 5 * WRITERS, within=60)
        lone_server.kill()
        gone = time.monotonic()
        eventually(lambda: len([1 for _, at in failed if at > gone]) >= WRITERS, within=60)
        lone_server.restart()
        back = time.monotonic()
        eventually(lambda: len({number % WRITERS for number, at in acknowledged if at > back}) == WRITERS, within=60)
        waited = time.monotonic() - back
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert waited < 8, "drivers do not wait for their next heartbeat"
    with lone_gateway.client() as client:
        stored = {document["_id"] for document in client.shop.kept.find()}
    assert {number for number, _ in acknowledged} <= stored
    eventually(lambda: len(lone_gateway.audit("insert", "kept")) >= len(acknowledged), within=60)
    texts = {str(error).split(" (")[0].split(",")[0] for error, _ in failed}
    assert any("the database is not available" in text for text in texts), texts

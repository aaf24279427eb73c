"""A change of primary: clients of the gateway fare as those of the replica set do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from gateway.testing.servers import MongoServer
from gateway.testing.shop_documents import create_document_shop
from tests.fixtures.mongodb import MongoGateway, StartMongoGateway, start_mongod

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def replica_set() -> Iterator[MongoServer]:
    with start_mongod(members=3) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(replica_set: MongoServer, start_mongo_gateway: StartMongoGateway) -> MongoGateway:
    return start_mongo_gateway(create_document_shop(replica_set, customers=20))


def test_writes_and_reads_go_on_over_a_step_down(replica_set: MongoServer, gateway: MongoGateway) -> None:
    errors: list[PyMongoError] = []
    stop = threading.Event()
    written: list[int] = []

    def write(client: MongoClient[dict[str, Any]], first: int) -> None:
        number = first
        while not stop.is_set():
            try:
                client.shop.steps.insert_one({"_id": number})
                client.shop.steps.find_one({"_id": number})
                written.append(number)
            except PyMongoError as error:
                errors.append(error)
            number += 10
            time.sleep(0.01)

    with gateway.client() as client:
        threads = [threading.Thread(target=write, args=(client, first)) for first in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        replica_set.step_down()
        before = len(written)
        time.sleep(3)
        stop.set()
        for thread in threads:
            thread.join(60)
        assert errors == []
        assert client.shop.steps.count_documents({}) == len(set(written))
        assert len(written) > before > 0


def test_a_change_stream_goes_on_over_a_step_down(replica_set: MongoServer, gateway: MongoGateway) -> None:
    with gateway.client() as client:
        client.shop.drop_collection("watched")
        client.shop.create_collection("watched")
        with client.shop.watched.watch(max_await_time_ms=500) as stream:
            client.shop.watched.insert_one({"_id": 1})
            assert stream.next()["fullDocument"] == {"_id": 1}
            replica_set.step_down()
            client.shop.watched.insert_one({"_id": 2})
            assert stream.next()["fullDocument"] == {"_id": 2}


def test_a_transaction_is_repeated_after_a_step_down(replica_set: MongoServer, gateway: MongoGateway) -> None:
    attempts: list[int] = []

    def work(session: Any) -> None:
        attempts.append(1)
        client.shop.moved.insert_one({"n": len(attempts)}, session=session)
        if len(attempts) == 1:
            replica_set.step_down()
        client.shop.moved.insert_one({"n": -len(attempts)}, session=session)

    with gateway.client() as client:
        client.shop.drop_collection("moved")
        client.shop.create_collection("moved")
        with client.start_session() as session:
            session.with_transaction(work)
        assert len(attempts) > 1
        assert sorted(document["n"] for document in client.shop.moved.find()) == [-len(attempts), len(attempts)]


def test_a_killed_primary_is_followed(replica_set: MongoServer, gateway: MongoGateway) -> None:
    with gateway.client() as client:
        assert client.shop.customers.count_documents({}) == 20
        old = replica_set.primary()
        old.kill()
        try:
            client.shop.after.insert_one({"_id": 1})
            assert client.shop.customers.count_documents({}) == 20
        finally:
            old.start()

"""Long replies of a real server, which the gateway deals with while they come in."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.testing.servers import MongoServer
from gateway.testing.shop_documents import DocumentShop, create_document_shop
from gateway_mongodb.wire.messages import MsgFlag
from tests.fixtures.mongodb import ADMIN, ANALYST, RESOURCE, Config, MongoGateway, StartMongoGateway, start_mongod
from tests.fixtures.waiting import eventually
from tests.integration.mongodb.raw import RawClient

PEOPLE = 12_000
DATABASE = "scans"
MASK = "****"


def person(number: int) -> dict[str, Any]:
    return {
        "_id": number,
        "contact": {"email": f"ana.{number}@example.com" * (1 + number % 3), "city": "Bergen"},
        "cards": [{"number": f"4000{number:012d}", "brand": None}] * (number % 4),
        "note": "x" * (number % 700),
    }


@contextmanager
def filled(server: MongoServer) -> Iterator[None]:
    with server.client() as client:
        client[DATABASE].people.insert_many([person(number) for number in range(PEOPLE)])
        client[DATABASE].books.insert_many([{"_id": number, "text": "y" * 3_000_000} for number in range(6)])
        yield
        client.drop_database(DATABASE)


def labelled(config: Config) -> None:
    paths = [f"{DATABASE}.people.contact.email", f"{DATABASE}.people.cards.number"]
    config["classifications"].append({"resource": RESOURCE, "label": "pii.contact", "paths": paths})


@pytest.fixture(scope="module")
def scans(
    mongo_server: MongoServer, mongo_shop: DocumentShop, start_mongo_gateway: StartMongoGateway
) -> Iterator[MongoGateway]:
    with filled(mongo_server):
        yield start_mongo_gateway(mongo_shop, change=labelled)


def shown(document: dict[str, Any]) -> dict[str, Any]:
    """A person as somebody under masks sees it."""
    contact = document["contact"] | {"email": MASK}
    return document | {"contact": contact, "cards": [card | {"number": MASK} for card in document["cards"]]}


@pytest.mark.parametrize("collection", ["people", "books"])
@pytest.mark.parametrize("size", [0, 700, PEOPLE])
def test_what_nobody_changes_is_the_servers_to_the_byte(
    scans: MongoGateway, mongo_server: MongoServer, collection: str, size: int
) -> None:
    with scans.client() as through, mongo_server.client() as direct:
        here, there = (
            list(client[DATABASE][collection].find_raw_batches(sort=[("_id", 1)], batch_size=size))
            for client in (through, direct)
        )
    assert here == there


@pytest.mark.parametrize("size", [700, PEOPLE])
def test_masks_hold_in_every_piece_of_a_long_reply(scans: MongoGateway, size: int) -> None:
    comment = f"masked scan {size}"
    with scans.client(ANALYST) as client:
        found = list(client[DATABASE].people.find(sort=[("_id", 1)], batch_size=size, comment=comment))
    assert found == [shown(person(number)) for number in range(PEOPLE)]
    told = scans.audit(comment, count=-(-PEOPLE // size))
    assert sum(event["unmapped"].get("rows", 0) for event in told) == PEOPLE
    assert sum(event["unmapped"].get("masked_cells", 0) for event in told) == sum(
        1 + number % 4 for number in range(PEOPLE)
    )


@pytest.mark.parametrize("user", [ADMIN, ANALYST])
def test_long_replies_of_an_exhaust_cursor_follow_each_other(scans: MongoGateway, user: str) -> None:
    with RawClient(scans) as client:
        client.login(user)
        find = {"find": "people", "sort": {"_id": 1}, "batchSize": 1}
        cursor = client.ask(find, database=DATABASE)["cursor"]
        more = {"getMore": cursor["id"], "collection": "people", "batchSize": 2_500}
        client.send(more, database=DATABASE, flags=MsgFlag.EXHAUST_ALLOWED)
        found, flags = cursor["firstBatch"], int(MsgFlag.MORE_TO_COME)
        while flags & MsgFlag.MORE_TO_COME:
            reply, flags = client.receive()
            found += reply["cursor"]["nextBatch"]
        people = [person(number) for number in range(PEOPLE)]
        assert found == (people if user == ADMIN else [shown(one) for one in people])
        assert client.ask({"ping": 1})["ok"] == 1


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(
    scans: MongoGateway, mongo_server: MongoServer
) -> None:
    for user in (ADMIN, ANALYST):
        client = RawClient(scans)
        client.login(user)
        client.send({"find": "people", "batchSize": PEOPLE, "comment": f"left by {user}"}, database=DATABASE)
        assert client.socket.recv(10)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()
    with RawClient(scans) as another:
        another.login()
        assert len(another.ask({"find": "people", "batchSize": 5}, database=DATABASE)["cursor"]["firstBatch"]) == 5
    mine = {"command.comment": {"$regex": "^left by"}, "type": "op"}
    with mongo_server.client() as direct:
        running: list[dict[str, Any]] = [{"$currentOp": {"allUsers": True}}, {"$match": mine}]
        eventually(lambda: not list(direct.admin.aggregate(running)))
    assert [len(scans.audit(f"left by {user}")) for user in (ADMIN, ANALYST)] == [1, 1]


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_clients_that_do_not_read_cost_little(scans: MongoGateway) -> None:
    clients = [RawClient(scans) for _ in range(8)]
    try:
        for client in clients:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.login()
        clients[0].ask({"find": "books", "batchSize": 5}, database=DATABASE)
        before = resident(scans.process.pid)
        for client in clients:
            client.send({"find": "books", "batchSize": 5}, database=DATABASE)
        for client in clients:
            assert client.socket.recv(1, socket.MSG_PEEK)
        time.sleep(1)
        grown = resident(scans.process.pid) - before
        # Each reply has 15 MB.
        assert grown < 16_000_000
        for client in clients:
            reply, _ = client.receive()
            assert [len(book["text"]) for book in reply["cursor"]["firstBatch"]] == [3_000_000] * 5
    finally:
        for client in clients:
            client.socket.close()


def test_a_server_that_dies_in_the_middle_ends_the_session(start_mongo_gateway: StartMongoGateway) -> None:
    with start_mongod(members=1, tls=False) as server, filled(server):
        gateway = start_mongo_gateway(create_document_shop(server), change=labelled)
        with RawClient(gateway) as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.login()
            client.send({"find": "books", "batchSize": 5, "comment": "cut short"}, database=DATABASE)
            begin = client.socket.recv(16)
            server.members[0].kill()
            size = len(begin)
            while data := client.socket.recv(1 << 20):
                size += len(data)
        assert size < struct.unpack_from("<i", begin)[0]
        (event,) = gateway.audit("cut short")
        assert event["status_detail"] == "lost"
        server.members[0].start()

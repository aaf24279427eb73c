"""Real drivers against a real mongod through the gateway, as an admin to whom everything is allowed."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, InsertOne, MongoClient, ReadPreference, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError, ConnectionFailure, CursorNotFound, OperationFailure, PyMongoError

from gateway.testing.servers import MongoServer
from gateway.testing.shop_documents import DocumentShop
from tests.fixtures.mongodb import ADMIN, ANALYST, OTHER, RESOURCE, MongoGateway
from tests.fixtures.waiting import eventually


@pytest.fixture
def client(mongo_gateway: MongoGateway):
    with mongo_gateway.client() as client:
        yield client


@pytest.fixture
def scratch(client):
    """An empty database of the test's own."""
    name = f"scratch_{ObjectId()}"
    yield client[name]
    client.drop_database(name)


def test_what_a_driver_learns_names_one_host_and_no_member(mongo_gateway: MongoGateway, client) -> None:
    hello = client.admin.command("hello")
    assert not {"hosts", "me", "primary", "setName"} & hello.keys()
    assert client.address == (mongo_gateway.host, mongo_gateway.port)
    assert client.nodes == {(mongo_gateway.host, mongo_gateway.port)}
    assert (hello["maxWireVersion"], hello["maxMessageSizeBytes"]) == (17, 48_000_000)


def test_no_connection_reaches_a_member_directly(mongo_server: MongoServer, mongo_gateway: MongoGateway) -> None:
    with mongo_gateway.client(heartbeatFrequencyMS=500) as client:
        client.shop.customers.find_one()
        time.sleep(2)  # time for monitors to connect to whatever they heard of
        reached = {remote for _, remote in connections("self")}
        through = {remote for _, remote in connections(mongo_gateway.process.pid)}
    assert mongo_gateway.port in reached
    assert mongo_server.port not in reached
    assert mongo_server.port in through


def connections(pid: int | str) -> set[tuple[int, int]]:
    """(local port, remote port) of the established TCP connections of a process."""
    links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd") if os.path.lexists(entry.path)]
    inodes = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ports = [
        (row[1].rpartition(":")[2], row[2].rpartition(":")[2]) for row in rows if row[9] in inodes and row[3] == "01"
    ]
    return {(int(local, 16), int(remote, 16)) for local, remote in ports}


def test_crud(scratch) -> None:
    things = scratch.things
    assert things.insert_one({"_id": 1, "n": 0}).acknowledged
    things.insert_many([{"_id": number, "n": 0} for number in range(2, 2500)])
    assert things.update_many({"_id": {"$lt": 100}}, {"$inc": {"n": 1}}).modified_count == 99
    assert things.find_one_and_update({"_id": 5}, {"$set": {"m": 1}}, return_document=True) == {
        "_id": 5,
        "n": 1,
        "m": 1,
    }
    assert things.delete_many({"n": 0}).deleted_count == 2400
    assert things.count_documents({}) == 99
    assert things.distinct("n") == [1]
    result = things.bulk_write([InsertOne({"_id": -1}), UpdateOne({"_id": -1}, {"$set": {"n": 9}})])
    assert (result.inserted_count, result.modified_count) == (1, 1)
    with pytest.raises(BulkWriteError) as failure:
        things.insert_many([{"_id": 1}, {"_id": -5}], ordered=False)
    assert failure.value.details["writeErrors"][0]["code"] == 11000
    assert things.find_one({"_id": -5}) == {"_id": -5}


def test_large_documents_and_many_batches(scratch) -> None:
    filler = "x" * 1_000_000
    scratch.big.insert_many([{"_id": number, "filler": filler} for number in range(40)])
    assert sum(len(document["filler"]) for document in scratch.big.find()) == 40_000_000
    documents = list(scratch.big.find({}, {"_id": 1}, batch_size=3).sort("_id"))
    assert [document["_id"] for document in documents] == list(range(40))


def test_unacknowledged_writes_happen_in_order_and_are_audited(mongo_gateway: MongoGateway, scratch) -> None:
    quiet = scratch.get_collection("quiet", write_concern=WriteConcern(w=0))
    for number in range(50):
        assert not quiet.insert_one({"_id": number}).acknowledged
    quiet.insert_one({"_id": 0})  # fails, and nobody is told
    assert scratch.quiet.count_documents({}) == 50
    (failed,) = mongo_gateway.audit("quiet", "11000", scratch.name)
    assert failed["status_id"] == 2


def test_a_cursor_is_read_over_another_connection_of_the_pool(client) -> None:
    cursors = [client.shop.orders.find({}, batch_size=5) for _ in range(20)]
    for cursor in cursors:
        next(cursor)
    counts: list[int] = []
    threads = [threading.Thread(target=lambda c=cursor: counts.append(sum(1 for _ in c))) for cursor in cursors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [599] * 20


def test_transactions_commit_and_abort(client, scratch) -> None:
    scratch.create_collection("t")
    with client.start_session() as session:
        with session.start_transaction():
            scratch.t.insert_one({"_id": 1}, session=session)
            assert scratch.t.find_one({"_id": 1}) is None
        session.start_transaction()
        scratch.t.insert_one({"_id": 2}, session=session)
        session.abort_transaction()
        session.with_transaction(lambda s: scratch.t.insert_one({"_id": 3}, session=s))
    assert [document["_id"] for document in scratch.t.find().sort("_id")] == [1, 3]


def test_causal_consistency_and_snapshots(client, scratch) -> None:
    scratch.t.insert_one({"_id": 1})
    with client.start_session(causal_consistency=True) as session:
        scratch.t.insert_one({"_id": 2}, session=session)
        assert session.operation_time is not None
        assert scratch.t.count_documents({}, session=session) == 2
    with client.start_session(snapshot=True) as session:
        assert scratch.t.count_documents({}, session=session) == 2


def test_change_streams(client, scratch) -> None:
    scratch.create_collection("t")
    with scratch.t.watch(max_await_time_ms=500) as stream:
        scratch.t.insert_one({"_id": 1})
        change = stream.next()
        assert (change["operationType"], change["fullDocument"]) == ("insert", {"_id": 1})
        token = stream.resume_token
    with scratch.t.watch(resume_after=token) as stream:
        scratch.t.insert_one({"_id": 2})
        assert stream.next()["fullDocument"] == {"_id": 2}


def test_read_preferences_and_raw_documents(client) -> None:
    secondary = client.shop.get_collection("customers", read_preference=ReadPreference.SECONDARY_PREFERRED)
    assert secondary.find_one({"_id": 1})["_id"] == 1
    options = client.codec_options.with_options(document_class=RawBSONDocument)
    assert client.shop.get_collection("customers", codec_options=options).find_one({"_id": 1})["_id"] == 1


def test_gridfs(scratch) -> None:
    import gridfs

    files = gridfs.GridFS(scratch)
    number = files.put(b"z" * 1_000_000, filename="z.bin")
    assert files.get(number).read() == b"z" * 1_000_000


@pytest.mark.parametrize("compressors", ["zlib", "snappy", "snappy,zlib"])
def test_compression_towards_the_client(mongo_gateway: MongoGateway, compressors: str) -> None:
    with mongo_gateway.client(options=f"compressors={compressors}") as client:
        assert len(list(client.shop.orders.find({}, batch_size=100))) == 600
        assert client.admin.command("hello", compression=compressors.split(","))["compression"] == compressors.split(
            ","
        )


@pytest.mark.parametrize("upstream", ["snappy", "zlib", "zstd"])
def test_compression_towards_the_database(start_mongo_gateway, mongo_shop: DocumentShop, upstream: str) -> None:
    gateway = start_mongo_gateway(
        mongo_shop, change=lambda config: config["resources"][0]["parameters"].update(compressors=upstream)
    )
    for options in ("", "compressors=zlib"):
        with gateway.client(options=options) as client:
            assert len(list(client.shop.orders.find({}, batch_size=100))) == 600
    with mongo_shop.server.client() as direct:
        counted = direct.admin.command("serverStatus")["network"]["compression"][upstream]
    assert counted["decompressor"]["bytesIn"] > 0
    gateway.process.stop()


def test_tls_on_both_sides_with_a_client_certificate_towards_the_database(secure_mongo_gateway: MongoGateway) -> None:
    with secure_mongo_gateway.client() as client:
        assert client.shop.customers.count_documents({}) == 200


def test_plain_takes_a_token_inside_tls_only(secure_mongo_gateway: MongoGateway, mongo_gateway: MongoGateway) -> None:
    plain = "authMechanism=PLAIN&authSource=$external"
    with secure_mongo_gateway.client(options=plain) as client:
        assert client.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"] == [
            {"user": ADMIN, "db": "admin"}
        ]
    with (
        mongo_gateway.client(options=plain) as client,
        pytest.raises(OperationFailure, match="encrypted connections only"),
    ):
        client.admin.command("ping")


@pytest.mark.parametrize(
    ("user", "resource", "password"),
    [
        (ADMIN, RESOURCE, "wrong"),
        ("nobody@example.com", RESOURCE, None),
        (ADMIN, "no-such-resource", None),
        (ADMIN, "", None),
    ],
)
def test_wrong_passwords_users_and_resources_look_alike(
    mongo_gateway: MongoGateway, user: str, resource: str, password: str | None
) -> None:
    uri = mongo_gateway.uri(user, resource=resource, password=password)
    with MongoClient[dict[str, Any]](uri) as client, pytest.raises(OperationFailure) as failure:
        client.admin.command("ping")
    assert failure.value.code == 18


def test_the_resource_may_be_the_authentication_database(mongo_gateway: MongoGateway) -> None:
    with MongoClient[dict[str, Any]](mongo_gateway.uri(resource="", options=f"authSource={RESOURCE}")) as client:
        assert client.shop.customers.count_documents({}) == 200


def test_a_listener_of_its_own_needs_no_resource(start_mongo_gateway, mongo_shop: DocumentShop) -> None:
    from gateway.testing.servers.ports import free_port

    port = free_port()
    gateway = start_mongo_gateway(
        mongo_shop, change=lambda config: config["resources"][0].update(listen=f"127.0.0.1:{port}")
    )
    own = MongoGateway(gateway.process, port, gateway.folder, gateway.token, tls=False)
    with MongoClient[dict[str, Any]](own.uri(resource="")) as client:
        assert client.shop.customers.count_documents({}) == 200
    gateway.process.stop()


def test_load_balanced_mode(mongo_gateway: MongoGateway) -> None:
    with mongo_gateway.client(options="loadBalanced=true") as client:
        assert len(list(client.shop.orders.find({}, batch_size=100))) == 600
        with client.start_session() as session, session.start_transaction():
            client.shop.orders.find_one({}, session=session)


def test_refusals_are_native_and_leave_the_session_alive(mongo_gateway: MongoGateway, scratch) -> None:
    scratch.t.insert_one({"_id": 1})
    with mongo_gateway.client(OTHER) as client:
        with pytest.raises(OperationFailure, match="otto drops nothing") as failure:
            client[scratch.name].drop_collection("t")
        assert failure.value.code == 13
        assert client[scratch.name].t.count_documents({}) == 1
    reference = str(failure.value).partition("(reference ")[2].partition(")")[0]
    (event,) = mongo_gateway.audit(reference)
    assert event["status_id"] == 2


def test_cursors_sessions_and_operations_of_others_are_out_of_reach(mongo_gateway: MongoGateway, client) -> None:
    cursor = client.shop.orders.find({}, batch_size=2)
    next(cursor)
    with mongo_gateway.client(OTHER) as other:
        with pytest.raises(CursorNotFound):
            other.shop.command("getMore", cursor.cursor_id, collection="orders")
        killed = other.shop.command("killCursors", "orders", cursors=[cursor.cursor_id])
        assert killed["cursorsNotFound"] == [cursor.cursor_id]
        with client.start_session() as session:
            client.shop.orders.find_one({}, session=session)
            for name in ("endSessions", "killSessions", "refreshSessions"):
                with pytest.raises(OperationFailure, match="not one of yours"):
                    other.admin.command(name, [session.session_id])
            other.admin.command("killAllSessions", [])
            client.shop.orders.find_one({}, session=session)
        with pytest.raises(OperationFailure, match="not one of yours"):
            other.admin.command("killOp", op=1)
    assert len(list(cursor)) == 599


def test_an_own_operation_is_killed(client) -> None:
    outcome: list[BaseException | None] = []

    def slow() -> None:
        try:
            list(client.shop.orders.find({"$where": "sleep(200) || true"}))
            outcome.append(None)
        except PyMongoError as error:
            outcome.append(error)

    thread = threading.Thread(target=slow)
    thread.start()
    pipeline = [{"$currentOp": {}}, {"$match": {"command.filter.$where": {"$exists": True}, "op": "query"}}]
    operations = eventually(lambda: list(client.admin.aggregate(pipeline)))
    client.admin.command("killOp", op=operations[0]["opid"])
    thread.join(10)
    assert isinstance(outcome[0], OperationFailure)
    assert outcome[0].code == 11601


def test_what_a_vanished_client_ran_is_ended(mongo_gateway: MongoGateway, mongo_server: MongoServer) -> None:
    client = mongo_gateway.client(options="socketTimeoutMS=500&retryReads=false")
    with pytest.raises(ConnectionFailure):
        client.shop.orders.find_one({"$where": "sleep(100) || false"})
    client.close()
    match: list[dict[str, Any]] = [
        {"$currentOp": {"allUsers": True}},
        {"$match": {"command.filter.$where": {"$exists": True}}},
    ]
    with mongo_server.client() as direct:
        eventually(lambda: not list(direct.admin.aggregate(match)))


def test_topology_is_not_told(client) -> None:
    status = client.admin.command("replSetGetStatus")
    assert all("name" not in member for member in status["members"])
    assert "set" not in status or isinstance(status["set"], str)
    assert "hosts" not in client.admin.command("serverStatus").get("repl", {})
    assert client.shop.command("explain", {"find": "orders"})["serverInfo"].keys() == {"version"}


@pytest.mark.parametrize("kind", [AsyncMongoClient, AsyncIOMotorClient])
def test_asynchronous_drivers(mongo_gateway: MongoGateway, kind) -> None:
    async def work() -> int:
        client = kind(mongo_gateway.uri())
        try:
            found = await asyncio.gather(*(client.shop.orders.find_one({"_id": number}) for number in range(1, 50)))
            documents = [document async for document in client.shop.orders.find({}, batch_size=50)]
            return len(documents) + sum(1 for document in found if document)
        finally:
            closing = client.close()
            if closing is not None:
                await closing

    assert asyncio.run(work()) == 649


def test_monitors_stay_and_cost_no_login(mongo_gateway: MongoGateway) -> None:
    before = -1
    while before != (before := len(mongo_gateway.audit_events())):
        time.sleep(0.5)  # what other tests left behind is still being recorded
    client = mongo_gateway.client(heartbeatFrequencyMS=500)
    client.admin.command("ping")
    time.sleep(3)
    descriptions = client.topology_description.server_descriptions().values()
    assert all(server.error is None for server in descriptions)
    client.close()
    kinds = [event.get("class_uid") for event in mongo_gateway.audit_events()[before:]]
    assert kinds.count(3002) <= 2  # the login and its end; monitors are none


def test_masked_values_do_not_leave(mongo_gateway: MongoGateway) -> None:
    with mongo_gateway.client(ANALYST) as client:
        found = client.shop.customers.find_one({"_id": 7}) or {}
    assert found["name"]
    assert "viktor" not in str(found["contact"]["email"])

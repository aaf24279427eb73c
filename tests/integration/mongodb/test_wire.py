"""What no driver sends, or sends rarely: exhaust cursors, checksums, zstd, hello, broken frames."""

from __future__ import annotations

import socket
import struct

import pytest
from bson import Int64, ObjectId

from gateway_mongodb.wire.codec import encode
from gateway_mongodb.wire.compression import Compressor, compress
from gateway_mongodb.wire.messages import HEADER, OP_MSG, Msg, MsgFlag, Query
from tests.fixtures.mongodb import RESOURCE, MongoGateway
from tests.fixtures.waiting import eventually
from tests.integration.mongodb.raw import RawClient


def test_an_exhaust_cursor_streams_to_its_end(mongo_gateway: MongoGateway) -> None:
    with RawClient(mongo_gateway) as client:
        client.login()
        first = client.ask({"find": "orders", "batchSize": 50}, database="shop")
        assert len(first["cursor"]["firstBatch"]) == 50
        more = {"getMore": first["cursor"]["id"], "collection": "orders", "batchSize": 50}
        client.send(more, database="shop", flags=MsgFlag.EXHAUST_ALLOWED)
        batches = []
        while True:
            reply, flags = client.receive()
            batches.append(len(reply["cursor"]["nextBatch"]))
            if not flags & MsgFlag.MORE_TO_COME:
                break
        assert sum(batches) == 550
        assert client.ask({"ping": 1})["ok"] == 1


def test_an_abandoned_exhaust_cursor_leaves_nothing_behind(mongo_gateway: MongoGateway, mongo_server) -> None:
    with RawClient(mongo_gateway) as client:
        client.login()
        first = client.ask({"find": "orders", "batchSize": 1, "comment": "left alone"}, database="shop")
        more = {"getMore": first["cursor"]["id"], "collection": "orders", "batchSize": 1}
        client.send(more, database="shop", flags=MsgFlag.EXHAUST_ALLOWED)
        client.receive()
    match = [{"$currentOp": {"allUsers": True}}, {"$match": {"op": "getmore"}}]
    with mongo_server.client() as direct:
        eventually(lambda: not list(direct.admin.aggregate(match)))


@pytest.mark.parametrize("compressor", [Compressor.ZSTD, Compressor.SNAPPY, Compressor.ZLIB])
def test_replies_come_packed_as_the_request_was(mongo_gateway: MongoGateway, compressor: Compressor) -> None:
    with RawClient(mongo_gateway) as client:
        conversation = client.login(compressor=compressor)
        assert conversation.compressor is compressor
        client.socket.sendall(
            compress(
                Msg(0, encode({"find": "orders", "filter": {}, "comment": "x" * 100, "$db": "shop"})).encode(5),
                compressor,
            )
        )
        reply, _ = client.receive()
        assert len(reply["cursor"]["firstBatch"]) == 101
        assert client.compressed_with is compressor


def test_checksums_are_checked_and_sent_on(mongo_gateway: MongoGateway) -> None:
    with RawClient(mongo_gateway) as client:
        client.login()
        assert client.ask({"ping": 1}, flags=MsgFlag.CHECKSUM_PRESENT)["ok"] == 1
        message = bytearray(Msg(int(MsgFlag.CHECKSUM_PRESENT), encode({"ping": 1, "$db": "admin"})).encode(9))
        message[-1] ^= 1
        client.socket.sendall(message)
        with pytest.raises((EOFError, ConnectionResetError)):
            client.receive()


def test_the_legacy_hello_is_answered_and_nothing_else_of_its_kind(mongo_gateway: MongoGateway) -> None:
    with RawClient(mongo_gateway) as client:
        client.socket.sendall(Query(0, "admin.$cmd", encode({"isMaster": 1, "helloOk": True})).encode(1))
        reply, _ = client.receive()
        assert (reply["ismaster"], reply["helloOk"], reply["msg"]) == (True, True, "isdbgrid")
        client.socket.sendall(Query(0, "admin.$cmd", encode({"ping": 1})).encode(2))
        reply, _ = client.receive()
        assert reply["code"] == 352


def test_a_hello_is_answered_at_once(mongo_gateway: MongoGateway) -> None:
    """So drivers look again whenever they are in doubt, and need no second connection for measuring."""
    with RawClient(mongo_gateway) as client:
        assert "topologyVersion" not in client.ask({"hello": 1})
        version = {"processId": ObjectId(), "counter": Int64(0)}
        client.send({"hello": 1, "topologyVersion": version, "maxAwaitTimeMS": 60_000}, flags=MsgFlag.EXHAUST_ALLOWED)
        reply, flags = client.receive()
        assert reply["ok"] == 1
        assert not flags & MsgFlag.MORE_TO_COME


@pytest.mark.parametrize(
    "data",
    [
        HEADER.pack(16 + 70_000, 1, 0, OP_MSG),
        HEADER.pack(5, 1, 0, OP_MSG),
        HEADER.pack(-1, 1, 0, OP_MSG),
        HEADER.pack(36, 1, 0, 2010) + bytes(20),
        Msg(4, encode({"hello": 1, "$db": "admin"})).encode(1),
        HEADER.pack(16 + 4 + 8, 1, 0, OP_MSG) + struct.pack("<I", 0) + b"\0" + bytes(7),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["long", "short", "negative", "opcode", "flags", "body", "http"],
)
def test_broken_frames_end_the_connection_and_nothing_more(mongo_gateway: MongoGateway, data: bytes) -> None:
    with RawClient(mongo_gateway) as client:
        client.socket.sendall(data)
        with pytest.raises((EOFError, ConnectionResetError)):
            client.receive()
    with RawClient(mongo_gateway) as client:
        assert client.ask({"hello": 1})["ok"] == 1


def test_a_command_may_come_in_pieces(mongo_gateway: MongoGateway) -> None:
    with RawClient(mongo_gateway) as client:
        client.login()
        message = Msg(0, encode({"find": "orders", "filter": {"_id": 3}, "$db": "shop"})).encode(77)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in message:
            client.socket.sendall(bytes([byte]))
        assert client.receive()[0]["cursor"]["firstBatch"][0]["_id"] == 3
        client.socket.sendall(message * 20)
        assert [client.receive()[0]["ok"] for _ in range(20)] == [1.0] * 20


def test_commands_before_the_login_are_refused(mongo_gateway: MongoGateway) -> None:
    with RawClient(mongo_gateway) as client:
        assert client.ask({"ping": 1})["ok"] == 1
        refused = client.ask({"find": "customers"}, database="shop")
        assert (refused["ok"], refused["code"]) == (0, 13)
        assert client.ask({"listDatabases": 1})["code"] == 13
        assert client.ask({"saslContinue": 1, "conversationId": 1, "payload": b""})["code"] == 17


def test_one_connection_is_one_guess(mongo_gateway: MongoGateway) -> None:
    with RawClient(mongo_gateway) as client:
        start = {"saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": f"n,,n=x#{RESOURCE},r=abc".encode()}
        assert client.ask(start)["done"] is False
        assert client.ask({"saslContinue": 1, "conversationId": 1, "payload": b"c=biws,r=abc,p=AAAA"})["code"] == 18
        with pytest.raises((EOFError, ConnectionResetError)):
            client.receive()


@pytest.mark.parametrize(
    "argument",
    [
        {"$audit": {"$impersonatedUsers": [{"user": "root", "db": "admin"}]}},
        {"$configServerState": {}},
        {"lsid": {"id": b"x" * 16}},
    ],
)
def test_arguments_of_servers_are_refused(mongo_gateway: MongoGateway, argument: dict[str, object]) -> None:
    with RawClient(mongo_gateway) as client:
        client.login()
        assert client.ask({"ping": 1, **argument})["code"] == 13
        assert client.ask({"ping": 1})["ok"] == 1


def test_somebody_else_on_a_connection_needs_a_connection_of_its_own(mongo_gateway: MongoGateway) -> None:
    with RawClient(mongo_gateway) as client:
        client.login()
        start = {"saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": f"n,,n=x#{RESOURCE},r=abc".encode()}
        assert client.ask(start)["ok"] == 0
        assert client.ask({"logout": 1})["ok"] == 1
        with pytest.raises((EOFError, ConnectionResetError)):
            client.ask({"ping": 1})

"""A MongoDB with documents, a gateway in front of it, and a client that does as little as possible."""

from __future__ import annotations

import json
import os
import secrets
import selectors
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bson

from gateway.domain.resource import UpstreamCredentials
from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers import MongoServer
from gateway.testing.servers.ports import free_port
from gateway_mongodb.wire.messages import Msg
from gateway_mongodb.wire.upstream import Conversation, LoginSettings, log_in

_DATABASE = "bench"
_BATCH = 10_000
_CHUNK = 1 << 20
_DISTINCT = 64
"""Different requests that each client repeats."""


@dataclass(frozen=True, slots=True)
class DocumentRoute:
    """A way to the server; ``pid`` is the gateway's process, None without one."""

    name: str
    port: int
    user: str
    password: str = field(repr=False)
    pid: int | None = None

    def connect(self) -> socket.socket:
        """A connection that is logged in."""
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        settings = LoginSettings(UpstreamCredentials(self.user, self.password), mechanism="SCRAM-SHA-256")
        about = {"driver": {"name": "bench", "version": "1"}, "os": {"type": "Linux"}}
        exchange = log_in(Conversation(), settings, about, secrets.token_bytes)
        output = next(exchange)
        while True:
            if output:
                sock.sendall(output)
            try:
                output = exchange.send(sock.recv(65536))
            except StopIteration:
                return sock


@contextmanager
def document_routes(folder: Path, rows: int) -> Iterator[tuple[DocumentRoute, DocumentRoute]]:
    """The direct route and one through a gateway; ``people`` and ``people_masked`` hold ``rows`` documents each."""
    token = secrets.token_urlsafe(32)
    with ExitStack() as stack:
        server = stack.enter_context(MongoServer.start(tls=False))
        with server.client() as client:
            for name in ("people", "people_masked"):
                for start in range(0, rows, _BATCH):
                    numbers = range(start, min(start + _BATCH, rows))
                    client[_DATABASE][name].insert_many([_person(number) for number in numbers])
        port = free_port()
        file = folder / "querygate.yaml"
        file.write_text(json.dumps(_configuration(server, port, folder)))
        environment = {"BENCH_TOKEN": token, "BENCH_PASSWORD": server.password}
        gateway = stack.enter_context(GatewayProcess.start(file, ports=(port,), environment=environment))
        yield (
            DocumentRoute("direct", server.port, server.superuser, server.password),
            DocumentRoute("gateway", port, "bench", token, gateway.pid),
        )


def _person(number: int) -> dict[str, Any]:
    return {
        "_id": number,
        "name": "Ana Alder",
        "contact": {"email": f"ana.{number}@example.com", "city": "Bergen"},
        "card": f"4000{number:012d}",
        "balance": number / 7,
        "orders": number % 50,
        "vip": number % 10 == 0,
        "note": "x" * 40,
    }


def _configuration(server: MongoServer, port: int, folder: Path) -> dict[str, Any]:
    return {
        "data_dir": str(folder / "data"),
        "tls": {"mode": "disable"},
        "plugins": {"enabled": ["mongodb"]},
        "resources": [
            {
                "name": "bench",
                "protocol": "mongodb",
                "address": f"127.0.0.1:{server.port}",
                "listen": f"127.0.0.1:{port}",
                "credentials": {"username": server.superuser, "password": {"env": "BENCH_PASSWORD"}},
                "tls": {"mode": "disable"},
            }
        ],
        "principals": [{"name": "bench", "kind": "service", "token": {"env": "BENCH_TOKEN"}}],
        "classifications": [
            {
                "resource": "bench",
                "label": "pii.contact",
                "paths": [f"{_DATABASE}.people_masked.contact.email", f"{_DATABASE}.people_masked.card"],
            }
        ],
        "policies": [
            {"name": "all", "effect": "allow", "match": {"actions": ["*"]}},
            {"name": "mask", "effect": "mask", "match": {"labels": ["pii.*"]}, "mask": {"function": "redact"}},
        ],
        "audit": {"durability": {"write": "buffered", "read": "buffered"}},
    }


def find_by_id(route: DocumentRoute, *, clients: int, seconds: float, rows: int) -> float:
    """Finds a second, of ``clients`` connections that each wait for their answer."""
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(clients):
            sock = stack.enter_context(route.connect())
            session = bson.Binary(os.urandom(16), 4)
            requests = [_find(number * 7919 % rows, session, number) for number in range(1, _DISTINCT + 1)]
            selector.register(sock, selectors.EVENT_READ, requests)
            sock.sendall(requests[0])
        done, began = 0, time.perf_counter()
        end = began + seconds
        while time.perf_counter() < end:
            for key, _ in selector.select():
                sock = key.fileobj  # type: ignore[assignment]
                if not sock.recv(65536):
                    raise ConnectionError(f"{route.name} hung up")
                done += 1
                sock.sendall(key.data[done % _DISTINCT])
        return done / (time.perf_counter() - began)


def _find(number: int, session: bson.Binary, request: int) -> bytes:
    command = {"find": "people", "filter": {"_id": number}, "limit": 1, "singleBatch": True}
    return Msg(0, bson.encode({**command, "lsid": {"id": session}, "$db": _DATABASE})).encode(request)


def scan(route: DocumentRoute, collection: str) -> tuple[float, int, bytes]:
    """Read a collection in batches: seconds, bytes, and the first reply."""
    with route.connect() as sock:
        began = time.perf_counter()
        first = reply = _ask(sock, {"find": collection, "batchSize": _BATCH})
        size = len(reply)
        while cursor := _cursor(reply):
            reply = _ask(sock, {"getMore": bson.Int64(cursor), "collection": collection, "batchSize": _BATCH})
            size += len(reply)
        return time.perf_counter() - began, size, first


def _ask(sock: socket.socket, command: dict[str, Any]) -> bytes:
    sock.sendall(Msg(0, bson.encode({**command, "$db": _DATABASE})).encode(1))
    message = bytearray(sock.recv(65536))
    size = struct.unpack_from("<i", message)[0]
    while len(message) < size:
        more = sock.recv(min(_CHUNK, size - len(message)))
        if not more:
            raise ConnectionError("hung up in the middle of a batch")
        message += more
    return bytes(message)


def _cursor(reply: bytes) -> int:
    """The cursor's id, which stands behind its batch."""
    number: int = struct.unpack_from("<q", reply, reply.rindex(b"\x12id\0") + 4)[0]
    return number

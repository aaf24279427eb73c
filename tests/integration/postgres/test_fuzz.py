"""A live gateway under rubbish from raw sockets: it stays up, serves others, and keeps nothing."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import time
from pathlib import Path

import pytest

from gateway.testing.shop import Shop
from gateway_postgres.wire.startup import CancelRequest, GssEncRequest, SslRequest, StartupMessage
from tests.fixtures.gateway import ADMIN, RESOURCE, RunningGateway, StartGateway
from tests.fixtures.waiting import eventually
from tests.integration.postgres.raw import (
    COPY_DONE,
    FLUSH,
    SYNC,
    RawClient,
    bind,
    close,
    copy_data,
    describe,
    execute,
    extended,
    kinds,
    parse,
    query,
)

SECONDS = float(os.environ.get("QUERYGATE_FUZZ_SECONDS", "8"))
GROWTH = 24 * 1024 * 1024
"""Bytes that the process may have grown by."""

_PACKETS = [
    SslRequest().encode(),
    GssEncRequest().encode(),
    CancelRequest(1, bytes(4)).encode(),
    CancelRequest(1, bytes(32)).encode(),
    StartupMessage(3 << 16, {"user": ADMIN, "database": RESOURCE}).encode(),
    StartupMessage(3 << 16 | 2, {"user": "nobody", "database": "nowhere", "_pq_.x": "1"}).encode(),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
]
_MESSAGES = [
    query("SELECT 1"),
    query("SELECT 1/0"),
    query("BEGIN"),
    query("COPY (SELECT 1) TO STDOUT"),
    query("CREATE TEMP TABLE IF NOT EXISTS z (a int); COPY z FROM STDIN"),
    query("SELECT generate_series(1, 1000)"),
    extended("SELECT $1::int", b"1"),
    extended("COPY z FROM STDIN"),
    parse("SELECT 1", "s"),
    parse("SELEC"),
    bind(name="s"),
    describe("s", what="S"),
    execute(),
    close("s"),
    copy_data(b"1\n"),
    COPY_DONE,
    SYNC,
    FLUSH,
    query("SET search_path = pg_catalog"),
    query("DISCARD ALL"),
]


def _spoilt(data: bytes, chance: random.Random) -> bytes:
    spoilt = bytearray(data)
    at = chance.randrange(len(spoilt))
    match chance.randrange(4):
        case 0:
            spoilt[at] = chance.randrange(256)
        case 1:
            del spoilt[at:]
        case 2:
            spoilt[at:at] = chance.randbytes(chance.randint(1, 20))
        case _:
            struct.pack_into("!I", spoilt, min(1, len(spoilt) - 4), chance.choice([0, 3, 4, 100, 1 << 24, 1 << 31]))
    return bytes(spoilt)


def _stranger(gateway: RunningGateway, chance: random.Random) -> None:
    """Somebody who does not log in."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=0.3) as peer:
        for _ in range(chance.randint(1, 3)):
            packet = chance.choice(_PACKETS)
            peer.sendall(_spoilt(packet, chance) if chance.random() < 0.7 else packet)
        if chance.random() < 0.5:
            peer.settimeout(0.05)
            peer.recv(4096)


def _member(gateway: RunningGateway, chance: random.Random) -> None:
    """Somebody who logs in and then talks rubbish."""
    with RawClient.connect(gateway.port, user=ADMIN, password=gateway.token, database=RESOURCE) as client:
        client.socket.settimeout(0.05)
        for _ in range(chance.randint(1, 12)):
            message = chance.choice(_MESSAGES)
            client.send(_spoilt(message, chance) if chance.random() < 0.15 else message)
            if chance.random() < 0.3:
                client.socket.recv(1 << 16)


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_rubbish(start_gateway: StartGateway, shop_database: Shop) -> None:
    gateway = start_gateway(shop_database)
    chance = random.Random(4711)
    pid = gateway.process.pid

    def rubbish(seconds: float) -> int:
        end, sessions = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            with contextlib.suppress(OSError, EOFError):
                (_stranger if chance.random() < 0.5 else _member)(gateway, chance)
            sessions += 1
        return sessions

    rubbish(SECONDS / 4)
    descriptors, memory = _descriptors(pid), _memory(pid)
    sessions = rubbish(SECONDS * 3 / 4)
    assert sessions > 20
    assert gateway.process.running()
    with RawClient.connect(gateway.port, user=ADMIN, password=gateway.token, database=RESOURCE) as client:
        assert kinds(client.ask(query("SELECT 1"))) == "TDCZ"
    eventually(lambda: _descriptors(pid) <= descriptors + 8)
    assert _memory(pid) - memory < GROWTH
    log = gateway.process.log()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]

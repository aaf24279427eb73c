"""Clients that vanish, stop reading, stay silent, dawdle or come in crowds. All tests share one gateway."""

from __future__ import annotations

import asyncio
import resource
import select
import signal
import socket
import struct
import time
from contextlib import ExitStack

import asyncpg
import pytest

from tests.adversity.bed import ANA, FIGURES, RESOURCE, Bed
from tests.adversity.raw import RawClient
from tests.fixtures.waiting import eventually, seconds_until

SSL_REQUEST = struct.pack("!II", 8, 80877103)
MEBIBYTE = 1024 * 1024


def _sleeping(bed: Bed) -> int:
    return int(
        bed.upstream(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(600)%'"
            " AND pid <> pg_backend_pid()",
            superuser=True,
        )
    )


def test_a_killed_client_leaves_nothing_running(running_bed: Bed) -> None:
    bed = running_bed
    client = bed.psql("SELECT pg_sleep(600)")
    eventually(lambda: _sleeping(bed) == 1)
    client.send_signal(signal.SIGKILL)
    client.communicate()
    gone = seconds_until(lambda: _sleeping(bed) == 0)
    eventually(lambda: bed.backends() == 0)
    eventually(lambda: bed.health()[1]["sessions"] == 0)
    FIGURES.info(f"the query was gone {gone:.2f} s after its client")
    assert gone < 5
    # The last word of the database is in the audit, although nobody was there to hear it.
    eventually(lambda: ("failure", "57014") in bed.outcomes("SELECT pg_sleep(600)"))


def test_a_client_that_stops_reading_costs_little_and_may_go_on(running_bed: Bed) -> None:
    bed = running_bed
    reader = RawClient(bed.port)
    reader.log_in(ANA, RESOURCE)
    bed.run(_quick_queries(bed, 20))
    before = bed.memory()
    rows = 40_000
    reader.query(f"SELECT n, repeat('x', 1000) FROM generate_series(1, {rows}) AS n")
    time.sleep(1)
    growth = bed.memory() - before
    slowest = bed.run(_quick_queries(bed, 50))
    FIGURES.info(f"{rows} rows wait: {growth / MEBIBYTE:.2f} MiB more, slowest other query {slowest * 1000:.0f} ms")
    assert growth < 2 * MEBIBYTE
    assert slowest < 2
    assert reader.count_rows() == rows
    reader.close()


def test_a_client_that_stops_reading_and_vanishes_is_forgotten(running_bed: Bed) -> None:
    bed = running_bed
    reader = RawClient(bed.port)
    reader.log_in(ANA, RESOURCE)
    reader.query("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)")
    time.sleep(0.3)
    reader.close()
    eventually(lambda: bed.backends() == 0)
    eventually(lambda: bed.health()[1]["sessions"] == 0)


async def _quick_queries(bed: Bed, count: int) -> float:
    """The slowest of so many queries, seconds."""
    session = await bed.connect()
    slowest = 0.0
    for number in range(count):
        start = time.monotonic()
        assert await session.fetchval("SELECT $1::int", number) == number
        slowest = max(slowest, time.monotonic() - start)
    await session.close()
    return slowest


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nothing at all", b""),
        ("a plea for encryption", SSL_REQUEST),
        ("half a packet", struct.pack("!II", 60, 196608)),
    ],
)
def test_silent_clients_are_sent_away_and_hold_up_nobody(running_bed: Bed, what: str, said: bytes) -> None:
    bed = running_bed
    silent = [socket.create_connection(("127.0.0.1", bed.port)) for _ in range(40)]
    for client in silent:
        client.sendall(said)
    assert bed.run(_quick_queries(bed, 5)) < 2
    start = time.monotonic()
    for client in silent:
        client.settimeout(8)
        while client.recv(1000):
            pass
        client.close()
    FIGURES.info(f"{what}: sent away after {time.monotonic() - start:.1f} s")
    assert bed.run(_quick_queries(bed, 5)) < 2
    eventually(lambda: bed.health()[1]["sessions"] == 0)


def test_a_slow_upload_arrives_whole(running_bed: Bed) -> None:
    bed = running_bed
    bed.upstream("TRUNCATE items")
    client = RawClient(bed.port)
    client.log_in(ANA, RESOURCE)
    client.query("COPY items FROM STDIN")
    assert client.expect("G")
    rows = "".join(f"{number}\tnote {number}\n" for number in range(500)).encode()
    message = b"d" + struct.pack("!I", len(rows) + 4) + rows
    for start in range(0, len(message), 400):
        client.send(message[start : start + 400])
        time.sleep(0.01)
        if start == 4000:
            assert bed.run(_quick_queries(bed, 5)) < 2
    client.send(b"c" + struct.pack("!I", 4))
    assert client.expect("C") == b"COPY 500\0"
    client.close()
    assert bed.upstream("SELECT count(*), sum(length(note)) FROM items") == "500|3890"


def test_more_sessions_than_allowed_get_a_native_error(running_bed: Bed) -> None:
    bed = running_bed

    async def crowd() -> tuple[int, list[BaseException]]:
        let_in = []
        for _ in range(4):
            let_in += await asyncio.gather(*(bed.connect() for _ in range(15)))
        answers: list[BaseException] = []
        for _ in range(3):
            refused = await asyncio.gather(*(bed.connect() for _ in range(10)), return_exceptions=True)
            answers += [answer for answer in refused if isinstance(answer, BaseException)]
        for session in let_in:
            assert await session.fetchval("SELECT 7") == 7
        # A cancel request needs no place of its own.
        running = let_in[0].fetchval("SELECT pg_sleep(600)", timeout=1)
        with pytest.raises((TimeoutError, asyncpg.QueryCanceledError)):
            await running
        await asyncio.gather(*(session.close() for session in let_in))
        return len(let_in), answers

    let_in, refused = bed.run(crowd())
    assert let_in == 60
    assert len(refused) == 30
    assert all(isinstance(error, asyncpg.PostgresError) for error in refused), refused[:3]
    assert {str(error).partition(";")[0] for error in refused} == {"the gateway has too many sessions"}
    eventually(lambda: bed.health()[1]["sessions"] == 0)
    assert bed.run(_quick_queries(bed, 1)) < 2


def _sent_away(crowd: list[socket.socket]) -> int:
    """How many of the crowd the gateway has hung up on, with an error or without a word."""
    readable, _, _ = select.select(crowd, [], [], 0)
    return len(readable)


def test_silent_crowds_take_no_place_from_those_who_log_in(bed: Bed) -> None:
    bed.document["limits"] |= {"max_sessions": 60, "login_timeout": "60s"}
    bed.start()
    with ExitStack() as stack:
        # More than the gateway allows of either kind: no byte, and half a startup packet.
        address = ("127.0.0.1", bed.port)
        bed.signal(signal.SIGSTOP)  # it finds them all at once
        mute = [stack.enter_context(socket.create_connection(address)) for _ in range(100)]
        half = [stack.enter_context(socket.create_connection(address)) for _ in range(100)]
        for client in half:
            client.sendall(struct.pack("!II", 60, 196608))
        bed.signal(signal.SIGCONT)
        assert bed.run(_quick_queries(bed, 5)) < 3
        eventually(lambda: _sent_away(mute) >= 40 and _sent_away(half) >= 40)
    eventually(lambda: bed.health()[1]["sessions"] == 0)


def test_out_of_file_descriptors_and_back(running_bed: Bed) -> None:
    bed = running_bed

    async def story() -> None:
        session = await bed.connect()
        soft, hard = resource.prlimit(bed.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(bed.pid, resource.RLIMIT_NOFILE, (bed.descriptors() + 1, hard))
        with ExitStack() as crowd:
            try:
                for _ in range(10):
                    crowd.enter_context(socket.create_connection(("127.0.0.1", bed.port)))
                await asyncio.sleep(0.4)
            finally:
                resource.prlimit(bed.pid, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(100):
            try:
                assert await session.fetchval("SELECT 1") == 1, "who is in stays in"
                break
            except asyncpg.PostgresIOError:
                await asyncio.sleep(0.05)  # the audit needs a descriptor now and then, too
        else:
            raise AssertionError("the audit did not recover")
        assert not session.is_closed()

    bed.run(story())
    assert bed.run(_quick_queries(bed, 1)) < 3
    assert bed.log().count("cannot accept") < 5, "the log is not flooded"


def test_an_error_arrives_although_the_client_is_still_sending(running_bed: Bed) -> None:
    """A reset would overtake the message; the gateway must not cause one."""
    for _ in range(5):
        client = RawClient(running_bed.port)
        startup = client.startup_packet(ANA, RESOURCE)
        client.send(startup + b"p" + struct.pack("!I", 500_000) + b"x" * 200_000)
        assert client.expect_error() == "08P01"
        client.close()

"""The database behind the gateway is killed under load and comes back; it is slow, silent or refuses."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import asyncpg
import pytest

from gateway.testing.servers import PostgresServer
from gateway.testing.servers.ports import free_port
from tests.adversity.bed import ANA, FIGURES, RESOURCE, Bed, bed_in
from tests.adversity.load import Writers, statements_by_row, stored_rows
from tests.adversity.raw import RawClient
from tests.fixtures.waiting import eventually

CLEAN = {"08006", "57P01", "57P02", "57P03"}
"""What a client may be told about a database that goes away and comes back: SQLSTATEs with a message."""


def test_killed_under_load_and_back(bed: Bed) -> None:
    bed.start()
    writers = Writers(bed)

    async def story() -> float:
        load = asyncio.create_task(writers.run(20))
        slow = await bed.connect()
        sleep = asyncio.create_task(slow.execute("SELECT pg_sleep(77)"))
        await asyncio.sleep(0.7)
        await asyncio.to_thread(bed.server.kill)
        await asyncio.sleep(0.7)
        await asyncio.to_thread(bed.server.restart)
        back = time.monotonic()
        await asyncio.sleep(2)
        writers.stop = True
        await load
        with pytest.raises(asyncpg.PostgresError):
            await sleep
        return back

    back = bed.run(story())
    for number, error in writers.failures:
        # The driver wraps what the server said last into an error of its own when the connection ends after it.
        said = error.__cause__ or error
        assert isinstance(said, asyncpg.PostgresError), (number, repr(error), repr(error.__cause__))
        assert said.sqlstate in CLEAN, (number, said.sqlstate, str(said))
    after = [moment - back for moment in writers.written.values() if moment > back]
    FIGURES.info(
        f"{len(writers.written)} rows, {len(writers.failures)} errors, first row {min(after):.2f} s after the restart"
    )
    assert min(after) < 2

    assert bed.health()[0] == 200
    assert bed.gateway is not None
    assert bed.gateway.stop() == 0
    audited = statements_by_row(bed)
    for number in writers.written:
        assert audited[number] == [("intent", ""), ("success", "")], number
    stored = stored_rows(bed)
    assert writers.written.keys() <= stored
    assert stored <= audited.keys()
    # What came to the gateway when the session was over already is not there; what was under way is.
    outcomes = {audited[number][-1][0] for number, _ in writers.failures if number in audited}
    assert outcomes <= {"lost", "failure", "skipped"}
    assert bed.outcomes("SELECT pg_sleep(77)") == [("lost", "")]
    assert not any(audited[number][-1][0] == "skipped" for number in stored), "what was skipped never ran"
    assert bed.verify().returncode == 0


def _stub(respond: bytes) -> socket.socket:
    """A server that takes connections (by the backlog) and says the same to everybody."""
    listener = socket.create_server(("127.0.0.1", free_port()))
    listener.listen(20)
    if respond:
        import threading

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                client.sendall(respond)

        threading.Thread(target=serve, daemon=True).start()
    return listener


@pytest.fixture(scope="module")
def odd_bed(sturdy_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory):
    """A gateway with databases of which most cannot be used."""
    silent = _stub(b"")
    folder: Path = tmp_path_factory.mktemp("odd")
    with silent, bed_in(folder, sturdy_server) as made:
        good = made.document["resources"][0]
        made.document["resources"] += [
            good | {"name": "silent", "address": f"127.0.0.1:{silent.getsockname()[1]}"},
            good | {"name": "absent", "address": f"127.0.0.1:{free_port()}"},
            good | {"name": "nowhere", "address": "no-such-host.invalid:5432"},
            good | {"name": "locked", "credentials": {"username": "gateway", "password": "wrong"}},
        ]
        made.start()
        yield made


@pytest.mark.parametrize(
    ("database", "code", "words"),
    [
        ("absent", "08006", "not available"),
        ("nowhere", "08006", "not available"),
        ("locked", "08006", "could not log in"),
        (f"{RESOURCE}/no-such-database", "3D000", "does not exist"),
        ("no-such-resource", "3D000", "no such database"),
    ],
)
def test_a_database_that_cannot_be_used_is_a_clean_error(odd_bed: Bed, database: str, code: str, words: str) -> None:
    client = RawClient(odd_bed.port)
    with pytest.raises(AssertionError) as caught:
        client.log_in(ANA, database)
    text = str(caught.value)
    client.close()
    assert f"C{code}" in text
    assert words in text
    for inside in ("127.0.0.1", "wrong", "no-such-host.invalid", "upstream-secret", "Errno", "refused"):
        assert inside not in text, "the client learns nothing of what is behind the gateway"


def test_a_silent_database_holds_up_only_its_own_clients(odd_bed: Bed) -> None:
    bed = odd_bed

    async def story() -> float:
        stuck = [asyncio.create_task(bed.connect(database="silent")) for _ in range(5)]
        await asyncio.sleep(0.2)
        start = time.monotonic()
        session = await bed.connect()
        assert await session.fetchval("SELECT 1") == 1
        await session.close()
        assert time.monotonic() - start < 2
        answers = await asyncio.gather(*stuck, return_exceptions=True)
        assert all(isinstance(answer, asyncpg.PostgresError) for answer in answers), answers
        return time.monotonic() - start

    took = bed.run(story())
    FIGURES.info(f"clients of the silent database were told after {took:.1f} s")
    assert took < 8
    eventually(lambda: bed.health()[1]["sessions"] == 0)


def test_a_client_that_leaves_while_the_database_is_awaited_leaves_nothing(odd_bed: Bed) -> None:
    bed = odd_bed
    before = bed.descriptors()

    async def story() -> None:
        leaving = [asyncio.create_task(bed.connect(database="silent")) for _ in range(5)]
        await asyncio.sleep(0.4)
        # Not all five: sockets of the test before may have been among those counted.
        assert bed.descriptors() >= before + 3
        for client in leaving:
            client.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)

    bed.run(story())
    eventually(lambda: bed.health()[1]["sessions"] == 0)
    eventually(lambda: bed.descriptors() <= before + 2, within=15)


def test_names_that_clients_make_up_are_not_kept(odd_bed: Bed) -> None:
    """Each would be asked for its catalog once a minute, for ever."""
    bed = odd_bed

    async def story() -> None:
        for number in range(15):
            with pytest.raises(asyncpg.InvalidCatalogNameError):
                await bed.connect(database=f"{RESOURCE}/made-up-{number}")

    bed.run(story())
    assert bed.health()[1]["sessions"] == 0

"""The gateway itself is killed under load: whatever the database holds, the audit knew of before."""

from __future__ import annotations

import asyncio

import asyncpg

from tests.adversity.bed import FIGURES, ROLE, Bed, eventually
from tests.adversity.load import Writers, statements_by_row, stored_rows


def test_every_committed_write_has_its_intent(bed: Bed) -> None:
    gateway = bed.start()
    writers = Writers(bed)

    async def story() -> None:
        load = asyncio.create_task(writers.run(10))
        for _ in range(500):
            if len(writers.written) > 100:
                break
            await asyncio.sleep(0.01)
        await asyncio.to_thread(gateway.kill)
        writers.stop = True
        await load

    bed.run(story())
    assert len(writers.written) > 100
    eventually(lambda: bed.backends() == 0)  # the database has noticed too
    stored = stored_rows(bed)
    audited = statements_by_row(bed)
    assert writers.written.keys() <= stored
    missing = {number for number in stored if ("intent", "") not in audited[number]}
    assert not missing
    known = sum(len(found) > 1 for found in audited.values())
    FIGURES.info(f"{len(stored)} rows, all with an intent; outcomes of {known}")

    bed.start()

    async def again() -> None:
        session = await bed.connect()
        await session.execute("INSERT INTO items VALUES (2000000, 'after')")
        await session.close()

    bed.run(again())
    eventually(lambda: ("success", "") in statements_by_row(bed)[2000000])
    verified = bed.verify()
    assert verified.returncode == 0, verified.stderr


def test_clients_notice_at_once(bed: Bed) -> None:
    gateway = bed.start()

    async def story() -> None:
        session = await bed.connect()
        running = asyncio.create_task(session.execute("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(gateway.kill)
        (answer,) = await asyncio.wait_for(asyncio.gather(running, return_exceptions=True), 5)
        assert isinstance(answer, asyncpg.PostgresError | ConnectionError), repr(answer)

    bed.run(story())
    # The database itself looks for its client only when the statement is done.
    bed.upstream(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'", superuser=True)

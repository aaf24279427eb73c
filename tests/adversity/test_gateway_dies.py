"""The gateway itself is killed under load: whatever the database holds, the audit knew of before."""

from __future__ import annotations

import asyncio
import os
import random

import asyncpg
import pytest

from gateway.audit.verify import ProblemKind, verify
from tests.adversity.bed import FIGURES, ROLE, Bed
from tests.adversity.load import Writers, statements_by_row, stored_rows
from tests.fixtures.waiting import eventually

KILLS = int(os.environ.get("QUERYGATE_KILLS", "3"))
"""How often the gateway is killed."""


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


@pytest.mark.timeout(120 + 60 * KILLS)
def test_killed_again_and_again_at_any_moment(bed: Bed) -> None:
    """``make kills`` runs it hundreds of times."""
    chosen = random.Random()
    seed = chosen.randrange(1 << 32)
    chosen.seed(seed)
    writers = Writers(bed)
    unsigned = 0

    async def story(round_number: int) -> None:
        gateway = await asyncio.to_thread(bed.start)
        writers.stop = False
        load = asyncio.create_task(writers.run(8))
        before = len(writers.written)
        # Some right after the start, most in the middle of things.
        for _ in range(2000 if round_number % 5 else 0):
            if len(writers.written) > before:
                break
            await asyncio.sleep(0.005)
        await asyncio.sleep(chosen.uniform(0, 0.4))
        await asyncio.to_thread(gateway.kill)
        writers.stop = True
        await load

    for round_number in range(1, KILLS + 1):
        bed.run(story(round_number))
        report = verify(bed.folder / "data" / "audit")
        # A kill may leave a torn line, and nothing else amiss.
        assert {problem.kind for problem in report.problems} <= {ProblemKind.TORN}, (seed, report.problems)
        unsigned += any("not covered by a checkpoint" in note for note in report.notes)
    eventually(lambda: bed.backends() == 0)
    bed.start()
    eventually(lambda: bed.health()[0] == 200)
    stored = stored_rows(bed)
    audited = statements_by_row(bed)
    assert writers.written.keys() <= stored
    missing = {number for number in stored if ("intent", "") not in audited[number]}
    assert not missing, (seed, sorted(missing)[:10])
    verified = bed.verify()
    assert verified.returncode == 0, (seed, verified.stderr)
    assert unsigned, "at least once something was not signed yet, and was not lost for that"
    FIGURES.info(f"{KILLS} kills, {len(stored)} rows, all with an intent; unsigned lines after {unsigned} of them")


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

"""Five hundred sessions at once, and nothing left of them afterwards."""

from __future__ import annotations

import asyncio
import gc

from tests.adversity.bed import FIGURES, Bed
from tests.fixtures.waiting import eventually

SESSIONS = 500
PER_SESSION = 160 * 1024
"""Bytes of memory that a session may cost: prepared statements and TLS are not in it."""


async def _crowd(bed: Bed) -> tuple[int, int]:
    """Open all sessions, work in each of them at the same time, and measure before they close."""
    gate = asyncio.Semaphore(40)

    async def enter(number: int):
        async with gate:
            return await bed.connect(statement_cache_size=0)

    sessions = await asyncio.gather(*(enter(number) for number in range(SESSIONS)))

    async def work(number: int, session) -> None:
        for round_ in range(3):
            assert await session.fetchval("SELECT $1::int + 1", number) == number + 1
            await session.execute(f"INSERT INTO items VALUES ({number * 10 + round_}, 'x')")

    await asyncio.gather(*(work(number, session) for number, session in enumerate(sessions)))
    measured = bed.memory(), bed.descriptors()
    await asyncio.to_thread(eventually, lambda: bed.backends() == SESSIONS)
    await asyncio.gather(*(session.close() for session in sessions))
    return measured


def test_five_hundred_sessions_come_and_go(bed: Bed) -> None:
    bed.start()

    async def warm_up() -> None:
        for _ in range(3):
            session = await bed.connect()
            await session.fetchval("SELECT 1")
            await session.close()

    bed.run(warm_up())
    memory, descriptors = bed.memory(), bed.descriptors()
    crowded_memory, crowded_descriptors = bed.run(_crowd(bed))
    gc.collect()
    FIGURES.info(f"per session: {(crowded_memory - memory) / SESSIONS / 1024:.1f} KiB")
    assert bed.upstream("SELECT count(*) FROM items") == str(3 * SESSIONS)
    assert crowded_descriptors <= descriptors + 2 * SESSIONS + 10
    assert crowded_memory - memory < SESSIONS * PER_SESSION
    eventually(lambda: bed.descriptors() <= descriptors + 2)
    eventually(lambda: bed.backends() == 0)
    eventually(lambda: bed.health()[1]["sessions"] == 0)

    # A second crowd finds the room that the first one left: nothing of a session stays.
    after_first = bed.memory()
    bed.run(_visitors(bed))
    eventually(lambda: bed.descriptors() <= descriptors + 2)
    FIGURES.info(f"after: {(bed.memory() - after_first) / 1024:.0f} KiB more than after the first crowd")
    assert bed.memory() - after_first < 6 * 1024 * 1024


async def _visitors(bed: Bed) -> None:
    gate = asyncio.Semaphore(40)

    async def visit() -> None:
        async with gate:
            session = await bed.connect()
            assert await session.fetchval("SELECT 1") == 1
            await session.close()

    await asyncio.gather(*(visit() for _ in range(SESSIONS)))

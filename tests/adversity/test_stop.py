"""SIGTERM and Ctrl-C: idle sessions end, running statements finish, a second signal waits for nobody."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import ExitStack

import asyncpg
import pytest

from tests.adversity.bed import ANA, FIGURES, RESOURCE, Bed
from tests.adversity.raw import RawClient


async def _exit_status(bed: Bed, within: float) -> tuple[int, float]:
    gateway = bed.gateway
    assert gateway is not None
    start = time.monotonic()
    while gateway.running():
        assert time.monotonic() - start < within, "the gateway goes on"
        await asyncio.sleep(0.02)
    return gateway.stop(), time.monotonic() - start


def test_running_statements_finish_first(bed: Bed) -> None:
    bed.start()
    idle = [RawClient(bed.port) for _ in range(5)]
    with ExitStack() as clients:
        for client in idle:
            clients.enter_context(client).log_in(ANA, RESOURCE)
        bed.run(_stop_under(bed, idle))
    assert "background task failed" not in bed.log()
    assert bed.verify().returncode == 0


async def _stop_under(bed: Bed, idle: list[RawClient]) -> None:
    busy = await bed.connect()
    running = asyncio.create_task(busy.fetchval("SELECT 7 FROM pg_sleep(1.5)"))
    await asyncio.sleep(0.3)
    bed.signal(signal.SIGTERM)
    for client in idle:
        assert await asyncio.to_thread(client.expect_error) == "57P01"
        assert client.read() == ("", b""), "and then the connection ends, without a reset"
    status, body = await asyncio.to_thread(bed.health)
    assert status == 503
    assert body["detail"] == "stopping"
    with pytest.raises(OSError, match="Connect call failed"):
        await bed.connect()
    assert await running == 7
    code, _ = await _exit_status(bed, 5)
    assert code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(bed: Bed, number: signal.Signals) -> None:
    bed.start()

    async def story() -> None:
        busy = await bed.connect()
        running = asyncio.create_task(busy.execute("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.3)
        bed.signal(number)
        await asyncio.sleep(0.5)
        assert bed.gateway is not None
        assert bed.gateway.running(), "the first signal lets the statement run"
        bed.signal(number)
        code, took = await _exit_status(bed, 3)
        assert code == 0
        FIGURES.info(f"ended {took:.2f} s after the second {number.name}")
        with pytest.raises(asyncpg.PostgresError) as caught:
            await running
        said = caught.value.__cause__ or caught.value
        assert getattr(said, "sqlstate", None) == "57P01", "even so the client is told"

    bed.run(story())
    assert bed.verify().returncode == 0
    assert bed.outcomes("SELECT pg_sleep(60)") == [("lost", "")]


def test_the_time_to_drain_is_bounded(bed: Bed) -> None:
    bed.document["limits"] |= {"drain_timeout": "1s"}
    bed.start()

    async def story() -> None:
        session = await bed.connect()
        await session.execute("BEGIN")
        bed.signal(signal.SIGTERM)
        code, took = await _exit_status(bed, 6)
        assert code == 0
        assert took < 4

    bed.run(story())


def test_idle_sessions_end_and_busy_ones_do_not(bed: Bed) -> None:
    bed.document["limits"] |= {"idle_timeout": "1s"}
    bed.start()

    async def story() -> None:
        idle, busy, open_transaction = await bed.connect(), await bed.connect(), await bed.connect()
        await open_transaction.execute("BEGIN")
        assert await busy.fetchval("SELECT 7 FROM pg_sleep(2.2)") == 7
        assert idle.is_closed()
        assert await busy.fetchval("SELECT 8") == 8, "idleness begins when the statement has ended"
        assert not open_transaction.is_closed()

    bed.run(story())

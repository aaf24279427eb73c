"""Guessing: wrong tokens, unknown users, and what either learns. All tests share one gateway."""

from __future__ import annotations

import asyncio
import statistics
import time

import asyncpg
import pytest

from tests.adversity.bed import ANA, FIGURES, RESOURCE, Bed
from tests.adversity.raw import RawClient
from tests.fixtures.waiting import eventually

FAILED = "session.login_failed"


def _refusal(bed: Bed, user: str) -> tuple[bytes, float]:
    """What a wrong token is answered, without the reference, and how long that took, seconds."""
    client = RawClient(bed.port)
    start = time.perf_counter()
    with pytest.raises(AssertionError) as caught:
        client.log_in(user, RESOURCE, "qg_wrong-token-wrong-token")
    took = time.perf_counter() - start
    client.close()
    fields = [field for field in caught.value.args[0].split(b"\0") if field and not field.startswith(b"H")]
    return b"|".join(fields), took


def test_unknown_users_and_wrong_tokens_look_alike(running_bed: Bed) -> None:
    bed = running_bed
    answers: dict[str, set[bytes]] = {}
    times: dict[str, list[float]] = {}
    for round_ in range(25):
        for user in (ANA, f"nobody{round_}@example.com"):
            kind = "known" if user == ANA else "unknown"
            answer, took = _refusal(bed, user)
            answers.setdefault(kind, set()).add(answer)
            times.setdefault(kind, []).append(took)
    assert answers["known"] == answers["unknown"]
    assert len(answers["known"]) == 1
    # The quickest of each: whatever else runs on the machine only adds to it.
    known, unknown = min(times["known"]), min(times["unknown"])
    FIGURES.info(f"at least until refused: known {known * 1000:.2f} ms, unknown {unknown * 1000:.2f} ms")
    assert abs(known - unknown) < 0.25 * max(known, unknown) + 0.002


def test_unknown_resources_are_not_told_to_strangers(running_bed: Bed) -> None:
    """Who has not proved anything cannot find out which resources there are."""
    answers = set()
    for database in (RESOURCE, "no-such-resource"):
        client = RawClient(running_bed.port)
        with pytest.raises(AssertionError) as caught:
            client.log_in(ANA, database, "qg_wrong-token-wrong-token")
        client.close()
        answers.add(bytes(field for field in caught.value.args[0].split(b"\0")[2]))
    assert answers == {b"C28P01"}


def test_guessing_does_not_slow_the_others(running_bed: Bed) -> None:
    bed = running_bed

    async def story() -> tuple[float, float, int]:
        session = await bed.connect()

        async def typical(queries: int) -> float:
            times = []
            for number in range(queries):
                start = time.perf_counter()
                assert await session.fetchval("SELECT $1::int", number) == number
                times.append(time.perf_counter() - start)
                await asyncio.sleep(0.002)
            return statistics.median(times)

        quiet = await typical(60)
        done, guesses = False, 0

        async def guess() -> None:
            nonlocal guesses
            while not done:
                with pytest.raises(asyncpg.InvalidPasswordError):
                    await bed.connect(password="qg_wrong")
                guesses += 1

        guessing = [asyncio.create_task(guess()) for _ in range(10)]
        await asyncio.sleep(0.2)
        busy = await typical(150)
        done = True
        await asyncio.gather(*guessing)
        return quiet, busy, guesses

    quiet, busy, guesses = bed.run(story())
    FIGURES.info(f"median query {quiet * 1000:.2f} ms, under {guesses} wrong logins {busy * 1000:.2f} ms")
    assert guesses > 20
    # The guessing clients themselves run in this process and take their share of the same machine.
    assert busy < quiet + 0.1
    eventually(lambda: [event["metadata"]["event_code"] for event in bed.audit()].count(FAILED) >= guesses)

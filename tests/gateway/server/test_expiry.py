"""When sessions expire, by a clock that the test sets."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.server import expiry
from gateway.server.expiry import Expiries
from tests.fixtures.waiting import eventually_in_loop


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def session(expires_at: float | None) -> Any:
    made = SimpleNamespace(expires_at=expires_at, expired=False, reasons=[])

    def expire(error: Exception) -> None:
        made.expired = True
        made.reasons.append(str(error))

    made.expire = expire
    return made


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "LOOK_AGAIN", 0.01)


def test_a_session_expires_when_the_clock_says_so_and_only_once() -> None:
    async def play() -> None:
        clock, sessions = Clock(), {"a": session(1100.0), "b": session(1050.0), "c": session(None)}
        expiries = Expiries(sessions, clock)
        for moment in (1100.0, 1050.0):
            expiries.await_(moment)
        await asyncio.sleep(0.05)
        assert not any(one.reasons for one in sessions.values()), "the clock stands still"
        clock.now = 1060.0  # as when a clock is set: no timer was told
        await eventually_in_loop(lambda: bool(sessions["b"].reasons))
        assert not sessions["a"].reasons
        clock.now = 1100.0
        await eventually_in_loop(lambda: bool(sessions["a"].reasons))
        await asyncio.sleep(0.05)
        assert [len(one.reasons) for one in sessions.values()] == [1, 1, 0]
        expiries.stop()

    asyncio.run(play())


def test_a_session_that_was_proved_anew_lasts_longer() -> None:
    async def play() -> None:
        clock, renewed = Clock(), session(1050.0)
        expiries = Expiries({"a": renewed}, clock)
        expiries.await_(1050.0)
        renewed.expires_at = 1200.0
        expiries.await_(1200.0)
        clock.now = 1100.0
        await asyncio.sleep(0.05)
        assert not renewed.reasons
        clock.now = 1200.0
        await eventually_in_loop(lambda: bool(renewed.reasons))
        renewed.expired, renewed.expires_at = False, 1300.0
        expiries.await_(1300.0)
        clock.now = 1300.0
        await eventually_in_loop(lambda: len(renewed.reasons) == 2)
        expiries.stop()

    asyncio.run(play())

"""When what let a client in comes to its end, a bearer token or an access token.

One timer for all sessions, set to the first of these moments. What then becomes of a session, its relay knows: it takes
no more statements, and ends when nothing runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from gateway.errors import CredentialExpired
from gateway.server.session import Session

LOOK_AGAIN: Final = 5.0
"""Seconds after which the clock is looked at again at the latest: it may be set, and timers do not notice."""


class Expiries:
    """Has sessions expire. ``clock`` gives Unix seconds."""

    def __init__(self, sessions: Mapping[str, Session], clock: Callable[[], float]) -> None:
        self._sessions = sessions
        self._clock = clock
        self._next: float | None = None
        """What the timer waits for, Unix seconds."""
        self._timer: asyncio.TimerHandle | None = None

    def await_(self, moment: float) -> None:
        """Some session expires then."""
        if self._next is None or moment < self._next:
            self._next = moment
            self._set_timer()

    def stop(self) -> None:
        """Expect nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._next = None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._next is not None:
            delay = min(max(self._next - self._clock(), 0.0), LOOK_AGAIN)
            self._timer = asyncio.get_running_loop().call_later(delay, self._look)

    def _look(self) -> None:
        now = self._clock()
        if self._next is not None and now >= self._next:
            self._next = None
            for session in list(self._sessions.values()):
                moment = session.expires_at
                if moment is None or session.expired:
                    continue
                if moment <= now:
                    session.expire(CredentialExpired("the token that the session was opened with has expired"))
                elif self._next is None or moment < self._next:
                    self._next = moment
        self._set_timer()

"""Slows down who tries passwords: by account, by address, and by both together.

A pair of account and address is stopped soon. An account alone is stopped late, so that nobody can lock its owner out
from elsewhere with a few tries; an address alone as well, for many people may share one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from admin_api.errors import TooManyRequests

_MAX_KEPT: Final = 20_000


@dataclass(frozen=True, slots=True)
class ThrottleSettings:
    """Failures that are free, then seconds that double with each one, up to a bound. Forgotten after ``window``."""

    pair: int = 5
    account: int = 50
    address: int = 30
    first_wait: float = 1.0
    longest_wait: float = 900.0
    window: float = 3600.0


class Throttle:
    """In memory, of one process, bounded. ``monotonic`` gives seconds."""

    def __init__(self, monotonic: Callable[[], float], settings: ThrottleSettings | None = None) -> None:
        self._monotonic = monotonic
        self._settings = settings or ThrottleSettings()
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def check(self, account: str, address: str) -> None:
        """Raise 429 where it is too early for another try."""
        now = self._monotonic()
        wait = max(self._ready(key, free) - now for key, free in self._keys(account, address))
        if wait > 0:
            seconds = str(int(wait) + 1)
            raise TooManyRequests("too many failed logins; wait before the next one", headers={"Retry-After": seconds})

    def failed(self, account: str, address: str) -> None:
        """A try that failed."""
        now = self._monotonic()
        for key, _ in self._keys(account, address):
            count, last = self._failures.pop(key, (0, now))
            self._failures[key] = (1 if now - last > self._settings.window else count + 1, now)
        while len(self._failures) > _MAX_KEPT:
            self._failures.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """A try that did not: the pair starts anew, and nothing else, or an own account would clear an address."""
        self._failures.pop(("pair", f"{account}\0{address}"), None)

    def _keys(self, account: str, address: str) -> tuple[tuple[tuple[str, str], int], ...]:
        settings = self._settings
        return (
            (("pair", f"{account}\0{address}"), settings.pair),
            (("account", account), settings.account),
            (("address", address), settings.address),
        )

    def _ready(self, key: tuple[str, str], free: int) -> float:
        count, last = self._failures.get(key, (0, 0.0))
        if count < free:
            return 0.0
        return last + min(self._settings.longest_wait, self._settings.first_wait * 2.0 ** min(count - free, 20))

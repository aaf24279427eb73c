"""What masks show, recognised when it comes back: somebody who edits a masked row must not store its mask.

Constants and patterns are known from the masking functions. A token looks like any value, so the tokens that were shown
last are remembered (``ShownTokens``), for all of the gateway's sessions and as long as it runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.domain.masking import MaskingFunction

MAX_TOKENS: Final = 65_536


class ShownTokens:
    """The hashes of the last ``MAX_TOKENS`` tokens. A collision refuses a write once in 2**48 of them."""

    __slots__ = ("_limit", "_seen")

    def __init__(self, limit: int = MAX_TOKENS) -> None:
        self._limit = limit
        self._seen: dict[int, None] = {}

    def add(self, token: str) -> None:
        """A token was shown."""
        seen = self._seen
        if len(seen) >= self._limit:
            del seen[next(iter(seen))]
        seen[hash(token)] = None

    def holds(self, text: str) -> bool:
        """Whether a text was shown as a token lately."""
        return hash(text) in self._seen


@dataclass(frozen=True, slots=True)
class MaskSentinels:
    """Implements ``gateway.domain.masking.Sentinels`` for the masks that somebody is under."""

    functions: tuple[MaskingFunction, ...]

    def holds(self, text: str) -> bool:
        """Whether one of the masks shows this text, or has shown it."""
        return any(function.recognises(text) for function in self.functions)

    def hold_any(self, texts: Iterable[str]) -> bool:
        """Whether one of the texts is a mask's."""
        return any(map(self.holds, texts))

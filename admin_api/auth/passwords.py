"""Passwords of administrators: Argon2id (RFC 9106), in threads, a few at a time."""

from __future__ import annotations

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_A_TIME: Final = 2
"""Each takes 64 MiB and about 50 ms of four cores; a flood of logins waits instead of taking the machine."""
_NOBODY: Final = "nobody's password"


class Passwords:
    """Hashes and checks."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._room = asyncio.Semaphore(AT_A_TIME)
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        async with self._room:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether it is the password. ``kept`` None, an unknown account, takes as long and is never right."""
        if kept is None:
            if self._nobody is None:
                self._nobody = await self.hash(_NOBODY)
            async with self._room:
                await asyncio.to_thread(self._matches, self._nobody, password)
            return False
        async with self._room:
            return await asyncio.to_thread(self._matches, kept, password)

    def is_outdated(self, kept: str) -> bool:
        """Whether it was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(kept)

    def _matches(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

"""Clients that write rows for as long as they are told to, and remember what they were told in turn."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tests.adversity.bed import Bed


@dataclass(slots=True)
class Writers:
    """``written`` are the rows that clients know to be committed, with the time; ``failures`` what else they heard."""

    bed: Bed
    written: dict[int, float] = field(default_factory=dict)
    failures: list[tuple[int | None, BaseException]] = field(default_factory=list)
    stop: bool = False
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def run(self, clients: int) -> None:
        """Until ``stop``."""
        await asyncio.gather(*(self._write() for _ in range(clients)))

    async def _write(self) -> None:
        session: asyncpg.Connection | None = None
        while not self.stop:
            number: int | None = None
            try:
                if session is None:
                    session = await self.bed.connect(timeout=5)
                number = next(self._numbers)
                await session.execute(f"INSERT INTO items VALUES ({number}, 'written')")
                self.written[number] = time.monotonic()
            except (asyncpg.InterfaceError, asyncpg.InternalClientError):
                session = None  # the driver has noticed that the connection is gone, and sent nothing
            except (asyncpg.PostgresError, OSError, TimeoutError) as error:
                self.failures.append((number, error))
                if session is not None:
                    if not session.is_closed():
                        session.terminate()
                    session = None
                await asyncio.sleep(0.05)
        if session is not None:
            await session.close()


def statements_by_row(bed: Bed) -> dict[int, list[tuple[str, str]]]:
    """What the audit holds of each row's INSERT: outcomes (and codes) in order."""
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    prefix = "INSERT INTO items VALUES ("
    for event in bed.audit():
        text = event.get("query_info", {}).get("query_string", "")
        if text.startswith(prefix):
            number = int(text.removeprefix(prefix).partition(",")[0])
            found[number].append((event["status_detail"], event.get("status_code", "")))
    return found


def stored_rows(bed: Bed) -> set[int]:
    """The rows that are in the database."""
    return {int(line) for line in bed.upstream("SELECT id FROM items").splitlines()}

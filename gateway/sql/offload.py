"""Analyses long texts in another process, so that one statement cannot hold up everybody's.

Short texts are analysed at once: that takes less time than sending them away. A text beyond the limit, and one whose
analysis does not end in time, is an unknown statement.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import tempfile
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from gateway.domain.statement import Analysis
from gateway.sql.analyse import AnalysisLimits, analyse, refused
from gateway.sql.catalog import Catalog
from gateway.sql.state import SessionState

INLINE_CHARACTERS = 8 * 1024
LONGEST_CHARACTERS = 256 * 1024
DEADLINE_SECONDS = 5.0
_CATALOG_FILES_KEPT = 4


class Analyser:
    """Analyses texts, the long ones in worker processes that are started when first needed.

    ``inline`` and ``longest`` are in characters, ``deadline`` in seconds. Not to be shared between event loops.
    """

    def __init__(
        self,
        *,
        inline: int = INLINE_CHARACTERS,
        longest: int = LONGEST_CHARACTERS,
        deadline: float = DEADLINE_SECONDS,
        workers: int = 1,
        limits: AnalysisLimits | None = None,
        dialect: str = "postgres",
    ) -> None:
        self._inline = inline
        self._longest = longest
        self._deadline = deadline
        self._workers = workers
        self._limits = limits or AnalysisLimits()
        self._dialect = dialect
        self._pool: ProcessPoolExecutor | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files: dict[str, Path] = {}

    def analyse_now(self, text: str, state: SessionState, catalog: Catalog | None) -> Analysis | None:
        """The analysis of a text that is short enough, or too long for any; None where ``analyse`` is needed."""
        if len(text) > self._longest:
            return refused("statement too long to analyse")
        if len(text) > self._inline:
            return None
        return analyse(text, state, catalog, dialect=self._dialect, limits=self._limits)

    async def analyse(self, text: str, state: SessionState, catalog: Catalog | None) -> Analysis:
        """The analysis of any text. Never raises for a text's sake."""
        found = self.analyse_now(text, state, catalog)
        if found is not None:
            return found
        try:
            path = await asyncio.to_thread(self._ship, catalog) if catalog is not None else None
            future = self._submit(text, state, path)
        except (OSError, BrokenProcessPool, RuntimeError):
            self._drop_pool()
            return refused("analysis not available")
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._deadline)
        except TimeoutError:
            # The worker may never come back. All of them are replaced: what others sent there fails closed.
            self._drop_pool()
            return refused("analysis took too long")
        except BrokenProcessPool:
            self._drop_pool()
            return refused("analysis not available")

    def close(self) -> None:
        """Stop the workers."""
        self._drop_pool()
        self._files.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _submit(self, text: str, state: SessionState, path: str | None) -> Future[Analysis]:
        if self._pool is None:
            # A fresh interpreter: the gateway's own process has threads and sockets that a fork would copy.
            self._pool = ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"), initializer=_prepare)
        return self._pool.submit(_work, text, state, path, self._limits, self._dialect)

    def _ship(self, catalog: Catalog) -> str:
        """Write the catalog where a worker finds it, once for each version."""
        known = self._files.get(catalog.version)
        if known is not None:
            return str(known)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="querygate-catalog-")
        path = Path(self._folder.name) / f"{catalog.version}.pickle"
        partial = path.with_suffix(".partial")
        partial.write_bytes(pickle.dumps(catalog, protocol=pickle.HIGHEST_PROTOCOL))
        partial.rename(path)
        self._files[catalog.version] = path
        while len(self._files) > _CATALOG_FILES_KEPT:
            oldest = next(iter(self._files))
            with contextlib.suppress(OSError):
                self._files.pop(oldest).unlink()
        return str(path)

    def _drop_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        # A worker that is stuck in a parse does not see a request to stop.
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        for process in processes:
            process.join(timeout=1.0)


class _Loaded:
    """The catalog that a worker used last."""

    path: str | None = None
    catalog: Catalog | None = None


def _prepare() -> None:
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL + 1)  # its messages quote statements
    with contextlib.suppress(OSError):
        os.nice(5)


def _work(text: str, state: SessionState, path: str | None, limits: AnalysisLimits, dialect: str) -> Analysis:
    if path is None:
        return analyse(text, state, None, dialect=dialect, limits=limits)
    if _Loaded.path != path:
        try:
            # Written by the gateway's own process into a folder of its own.
            _Loaded.catalog = pickle.loads(Path(path).read_bytes())
        except (OSError, pickle.UnpicklingError):
            return refused("analysis not available")
        _Loaded.path = path
    return analyse(text, state, _Loaded.catalog, dialect=dialect, limits=limits)

"""Runs the attacks and looks for canaries in every byte that came."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.corpora.adversarial import Verdict
from tests.corpora.canaries import DATES, NUMBERS, Needles, certain, needles
from tests.corpora.cases import Case, load
from tests.corpora.mysql.stage import Stage, gossip
from tests.corpora.mysql.wire import Client, Closed, Mode, Result
from tests.corpora.stage import MASKED

ATTACKS = Path(__file__).parent / "attacks"
STRICT_ATTACKS = Path(__file__).parent / "inference"
_OWN_WORDS = re.compile(r"access denied|Reference [0-9a-f]")
_QUIET = re.compile(r"[\s(]*(select|with|values|table|show|explain|describe|desc|help)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trial:
    """One attack in one mode."""

    case: Case
    mode: Mode
    verdict: Verdict
    found: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    """For each step: the tag, or number and message."""


def mysql_needles() -> Needles:
    """All disguises of all canaries, with this protocol's binary forms."""
    common = needles()
    raw = dict(common.raw)
    for name, number in NUMBERS.items():
        if number < 1 << 31:
            raw[struct.pack("<i", number)] = f"{name}: int"
            raw[struct.pack("<f", number)] = f"{name}: float"
        raw[struct.pack("<q", number)] = f"{name}: bigint"
        raw[struct.pack("<d", number)] = f"{name}: double"
    for name, day in DATES.items():
        raw[struct.pack("<BHBB", 4, day.year, day.month, day.day)] = f"{name}: binary date"
    return Needles(raw, common.folded, common.bare)


@dataclass(slots=True)
class Runner:
    """Runs cases one after the other in a database of its own, which is made anew where one may have changed it."""

    stage: Stage
    database: str
    connect: Callable[[], Client]
    needles: Needles = field(default_factory=mysql_needles)
    _session: Client | None = None
    _gossip: Any = None

    def run(self, case: Case, mode: Mode) -> Trial:
        """Take an attack's steps."""
        quiet = len(case.steps) == 1 and _QUIET.match(case.steps[0]) is not None and "@" not in case.steps[0]
        if self._session is None or not quiet:
            self._leave()
            self._session = self.connect()
        if self._gossip is None:
            self._gossip = gossip(self.stage, self.database)
        received = bytearray()
        cells: list[bytes] = []
        answers: list[str] = []
        for step in case.steps:
            answers += self._step(step, mode, received, cells)
        if not quiet:
            self._leave()
            if not all(_OWN_WORDS.search(answer) for answer in answers):
                self._drop_gossip()
                self.stage.renew(self.database)
        found = self.needles.find_in(bytes(received), *cells)
        refused = any(_OWN_WORDS.search(answer) for answer in answers)
        verdict = Verdict.LEAKED if found else Verdict.REFUSED if refused else Verdict.ANSWERED
        return Trial(case, mode, verdict, tuple(found), tuple(answers))

    def close(self) -> None:
        """End all sessions."""
        self._leave()
        self._drop_gossip()

    def _drop_gossip(self) -> None:
        if self._gossip is not None:
            self._gossip._force_close()
            self._gossip = None

    def _step(self, step: str, mode: Mode, received: bytearray, cells: list[bytes]) -> list[str]:
        step = step.replace("{database}", self.database)
        if self._session is None:
            self._session = self.connect()
        session = self._session
        try:
            return [_told(result) for result in session.run(step, mode)]
        except Closed as error:
            self._session = None
            return [f"closed: {error}"]
        finally:
            received += session.received
            cells += session.cells
            session.received.clear()
            session.cells.clear()

    def _leave(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def _told(result: Result) -> str:
    return f"{result.error} {result.message}" if result.error else result.tag


def run_attacks(
    stage: Stage, cases: Sequence[Case], *, user: str = MASKED, modes: Sequence[Mode] = tuple(Mode)
) -> list[Trial]:
    """All attacks through the gateway, each mode in a database and a thread of its own."""

    def in_mode(mode: Mode) -> list[Trial]:
        database = database_of(mode)
        return _run(Runner(stage, database, lambda: stage.masked(database, user)), cases, mode)

    with ThreadPoolExecutor(len(modes)) as pool:
        return [trial for trials in pool.map(in_mode, modes) for trial in trials]


def run_unguarded(stage: Stage, cases: Sequence[Case]) -> list[Trial]:
    """All attacks at the server itself: which of them would get something out?"""
    return _run(Runner(stage, "direct", lambda: stage.direct("direct")), cases, Mode.TEXT)


def database_of(mode: Mode) -> str:
    """The database in which the attacks of a mode run."""
    return f"attack_{mode}"


DATABASES = (*(database_of(mode) for mode in Mode), "direct")


def _run(runner: Runner, cases: Sequence[Case], mode: Mode) -> list[Trial]:
    try:
        return [certain(partial(runner.run, case, mode)) for case in cases]
    finally:
        runner.close()


def attacks() -> Sequence[Case]:
    """Those that a person under masks must not succeed with."""
    return load(ATTACKS)


def inferences() -> Sequence[Case]:
    """Those that somebody must not succeed with who may not infer either: none of them may even run."""
    return load(STRICT_ATTACKS)

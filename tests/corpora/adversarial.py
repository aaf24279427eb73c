"""Runs the attacks and looks for canaries in every byte that came."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path

import psycopg

from tests.corpora.canaries import Needles, certain, needles
from tests.corpora.cases import Case, load
from tests.corpora.stage import MASKED, Stage, gossip
from tests.corpora.wire import Client, Closed, Mode, Result

ATTACKS = Path(__file__).parent / "attacks"
STRICT_ATTACKS = Path(__file__).parent / "inference"
_PARAMETER = re.compile(r"\$(\d)")
_OWN_WORDS = re.compile(r"access denied")


class Verdict(StrEnum):
    """How an attack ended."""

    LEAKED = "leaked"
    REFUSED = "refused"
    """The gateway refused at least one of its statements."""
    ANSWERED = "answered"
    """It ran, and no canary came."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One attack in one mode."""

    case: Case
    mode: Mode
    verdict: Verdict
    found: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    """For each step: the tag, or SQLSTATE and message."""


@dataclass(slots=True)
class Runner:
    """Runs cases one after the other in a database of its own, which is made anew after each that may have changed it.

    ``connect`` opens a session of the attacker's.
    """

    stage: Stage
    database: str
    connect: Callable[[], Client]
    needles: Needles = field(default_factory=needles)
    _session: Client | None = None
    _pristine: object = None
    _gossip: psycopg.Connection[tuple[object, ...]] | None = None

    def run(self, case: Case, mode: Mode) -> Trial:
        """Take an attack's steps."""
        if self._session is None or not case.alone:
            self._leave()
            self._session = self.connect()
        if self._gossip is None:
            self._gossip = gossip(self.stage, self.database)
        received = bytearray()
        answers: list[str] = []
        for step in case.steps:
            answers += self._step(step, mode, received)
        if not case.alone:
            self._leave()
        if case.may_write and not all(answer.startswith("42501") for answer in answers):
            self._renew_if_changed()
        found = self.needles.find(bytes(received))
        refused = any(_OWN_WORDS.search(answer) for answer in answers)
        verdict = Verdict.LEAKED if found else Verdict.REFUSED if refused else Verdict.ANSWERED
        return Trial(case, mode, verdict, tuple(found), tuple(answers))

    def close(self) -> None:
        """End all sessions."""
        self._leave()
        if self._gossip is not None:
            self._gossip.close()
            self._gossip = None

    def _step(self, step: str, mode: Mode, received: bytearray) -> list[str]:
        step = step.replace("{data}", self.stage.data).replace("{database}", self.database)
        if step.startswith("@owner "):
            with self.stage.owner(self.database) as owner:
                owner.execute(step.removeprefix("@owner "))
            return []
        if step == "@new":
            self._leave()
        if self._session is None:
            self._session = self.connect()
        session = self._session
        if step == "@new":
            return []
        if step.startswith("@copy "):
            session.copy_in = step.removeprefix("@copy ").replace("\\t", "\t").encode() + b"\n"
            return []
        try:
            plain = step.lstrip("(").upper().startswith("SELECT")
            highest = max((int(n) for n in _PARAMETER.findall(step)), default=0) if plain else 0
            results = session.run(step, mode, parameters=[b"1"] * highest)
            return [_told(result) for result in results]
        except Closed as error:
            self._session = None
            return [f"closed: {error}"]
        finally:
            received += session.received
            session.received.clear()

    def _leave(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _renew_if_changed(self) -> None:
        if self._pristine is not None and self.stage.state(self.database) == self._pristine:
            return
        self.close()
        self.stage.renew(self.database)
        self._pristine = self.stage.state(self.database)


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


def run_in_turns(stage: Stage, cases: Sequence[Case]) -> list[Trial]:
    """All attacks through the gateway, each in one of the modes."""
    modes = tuple(Mode)

    def in_mode(number: int) -> list[Trial]:
        database = database_of(modes[number])
        runner = Runner(stage, database, lambda: stage.masked(database))
        return _run(runner, cases[number :: len(modes)], modes[number])

    with ThreadPoolExecutor(len(modes)) as pool:
        return [trial for trials in pool.map(in_mode, range(len(modes))) for trial in trials]


def run_unguarded(stage: Stage, cases: Sequence[Case]) -> list[Trial]:
    """All attacks at the server itself: which of them would get something out?"""
    database = "direct"
    return _run(Runner(stage, database, lambda: stage.direct(database)), cases, Mode.SIMPLE)


def database_of(mode: Mode) -> str:
    """The database in which the attacks of a mode run."""
    return "attack_" + mode.replace("-", "_")


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

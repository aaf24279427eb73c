"""Runs ordinary statements through the gateway, as somebody under masks, and at the server itself, and compares.

Equal means: the same columns, the same tags, the same error codes, and the same values in every column that holds
nothing of a label. A column holds something of a label if a canary is in it, or if the case says that it is computed
from one; of these only the number of values is compared.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.corpora.canaries import Needles, needles
from tests.corpora.cases import Case, load
from tests.corpora.stage import MASKED, Stage
from tests.corpora.wire import Client, Closed, Mode, Result

_FOLDER = Path(__file__).parent
DATABASES = ("ordinary", "ordinary_direct")
_MODES = (Mode.SIMPLE, Mode.BINARY)
_LACKING = frozenset({"42883", "42704"})
"""undefined_function and undefined_object: no statement here asks for what a complete server does not have."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One statement, both ways. ``difference`` is empty if they are equal.

    ``applicable`` False: the server lacks a function or type in it, since it comes without extensions.
    """

    where: str
    text: str
    difference: str = ""
    applicable: bool = True


def run_ordinary(stage: Stage, cases: Sequence[Case]) -> list[Comparison]:
    """Every statement of every case, both ways; also by psql."""
    hidden = needles()
    gateway, direct = DATABASES
    # First, while both databases are the same to the last number.
    compared = _psql(stage, hidden)
    ways = _Ways(stage, gateway, direct)
    for number, case in enumerate(cases):
        # Both protocols take turns; text and binary rows take different ways through the masks.
        mode = _MODES[number % len(_MODES)]
        if not case.alone:
            ways.leave()
        for step in case.steps:
            if step.startswith("@copy "):
                ways.copy(step.removeprefix("@copy ").replace("\\t", "\t").encode() + b"\n")
                continue
            last = step is case.steps[-1]
            theirs, ours = ways.run(step, mode)
            difference = _difference(ours, theirs, case, hidden, last=last)
            lacking = any(result.error in _LACKING for result in theirs)
            compared.append(Comparison(case.where, step, difference, applicable=not lacking))
        if not case.alone:
            ways.leave()
    ways.leave()
    return compared


def ordinary() -> Sequence[Case]:
    """What is run."""
    return load(_FOLDER / "ordinary")


class _Ways:
    """A session each way."""

    def __init__(self, stage: Stage, gateway: str, direct: str) -> None:
        self._open = (lambda: stage.direct(direct), lambda: stage.masked(gateway))
        self._sessions: list[Client] = []

    def run(self, text: str, mode: Mode) -> tuple[list[Result], list[Result]]:
        """The answers at the server itself, and through the gateway."""
        if not self._sessions:
            self._sessions = [connect() for connect in self._open]
        answers = []
        for session in self._sessions:
            try:
                answers.append(session.run(text, mode))
            except Closed as error:
                answers.append([Result(error="closed", message=str(error))])
        direct, gateway = answers
        return direct, gateway

    def copy(self, data: bytes) -> None:
        """The data for the next COPY."""
        if not self._sessions:
            self._sessions = [connect() for connect in self._open]
        for session in self._sessions:
            session.copy_in = data

    def leave(self) -> None:
        """End both sessions."""
        for session in self._sessions:
            session.close()
        self._sessions = []


def _difference(ours: list[Result], theirs: list[Result], case: Case, hidden: Needles, *, last: bool) -> str:
    if len(ours) != len(theirs):
        return f"{len(ours)} results, directly {len(theirs)}"
    return next(filter(None, (_one(a, b, case, hidden, last=last) for a, b in zip(ours, theirs, strict=True))), "")


def _one(ours: Result, theirs: Result, case: Case, hidden: Needles, *, last: bool) -> str:
    if ours.error != theirs.error:
        return f"error {ours.error} {ours.message!r}, directly {theirs.error!r}"
    if ours.tag != theirs.tag:
        return f"tag {ours.tag!r}, directly {theirs.tag!r}"
    if (ours.names, ours.types) != (theirs.names, theirs.types):
        return f"columns {ours.names}, directly {theirs.names}"
    if ours.copied != theirs.copied:
        return "other copied data"
    if len(ours.rows) != len(theirs.rows):
        return f"{len(ours.rows)} rows, directly {len(theirs.rows)}"
    for index, name in enumerate(theirs.names):
        mine, real = ([row[index] for row in rows] for rows in (ours.rows, theirs.rows))
        computed = last and index + 1 in case.masks | case.varies
        if mine != real and not computed and not hidden.find_in(_message(real)):
            if sorted(map(repr, mine)) == sorted(map(repr, real)):
                continue  # in another order, which nobody asked for
            at = next(i for i, pair in enumerate(zip(mine, real, strict=True)) if pair[0] != pair[1])
            return f"column {index + 1} ({name}), row {at + 1}: {mine[at]!r}, directly {real[at]!r}"
    return ""


def _message(cells: list[bytes | None]) -> bytes:
    return b"\n".join(cell for cell in cells if cell is not None)


# --- psql -------------------------------------------------------------------------------------------------------------

_MARK = "=== "


def _psql(stage: Stage, hidden: Needles) -> list[Comparison]:
    """What psql's own commands print."""
    commands = (_FOLDER / "ordinary_psql.txt").read_text().split("\n")
    commands = [command for command in commands if command]
    script = "\n".join(f"\\echo '{_MARK}{i}'\n{command}" for i, command in enumerate(commands))
    printed = [_sections(_run_psql(stage, script, direct=direct)) for direct in (True, False)]
    compared = []
    for i, command in enumerate(commands):
        theirs, ours = (sections.get(i, "nothing") for sections in printed)
        leaked = hidden.find_in(ours.encode())
        difference = "" if ours == theirs else f"{ours[:200]!r}, directly {theirs[:200]!r}"
        difference = f"a canary: {leaked}" if leaked else difference
        compared.append(Comparison(f"psql:{i + 1}", command, difference))
    return compared


def _run_psql(stage: Stage, script: str, *, direct: bool) -> str:
    gateway, alone = DATABASES
    own = stage.server.bindir / "psql"
    program = str(own) if own.exists() else shutil.which("psql")
    if program is None:
        raise FileNotFoundError("no psql")
    variables = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(stage.server.port if direct else stage.port),
        "PGUSER": stage.server.superuser if direct else MASKED,
        "PGPASSWORD": stage.server.password if direct else stage.password,
        "PGDATABASE": alone if direct else f"vault/{gateway}",
        "PGSSLMODE": "disable",
    }
    done = subprocess.run(
        [program, "--no-psqlrc", "--file=-"],
        input=script,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **variables},
        timeout=120,
        check=False,
    )
    return done.stdout


def _sections(printed: str) -> dict[int, str]:
    parts = re.split(rf"^{_MARK}(\d+)$", printed, flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}

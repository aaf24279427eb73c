"""The corpora as they are written down.

A case is one or more steps, taken in one session unless a step says otherwise. In a ``.txt`` file every line is a case,
`` ;; `` stands between steps, and ``⏎`` is a line break inside a statement. In a ``.sql`` file cases are paragraphs, a
line ``;;`` stands between steps; a first line ``-- masks: 2, 3`` names result columns of the last step, counted from
1, that hold nothing of a canary's text and are computed from labelled columns all the same; ``-- varies: 1`` names
columns that are never twice the same.

Steps: ``@owner …`` is run by somebody else, at the server itself; ``@new`` takes a new session; ``@copy …`` gives the
data for the next COPY … FROM STDIN. Everything else is sent as it is, with ``{database}`` and ``{data}`` (the server's
data directory) replaced.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_NOTE = re.compile(r"--\s*(masks|varies):\s*([0-9, ]+)$")
_WRITES = re.compile(
    r"\b(insert|update|delete|merge|truncate|create|alter|drop|into|copy|refresh|setval|nextval|lo_\w+|lowrite"
    r"|dblink\w*|grant|revoke|comment|security|reassign|import|call|do|pg_create_\w+)\b",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[\s(+;]*(select|with|values|table|explain)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Case:
    """``where`` is file and line."""

    where: str
    steps: tuple[str, ...]
    masks: frozenset[int] = frozenset()
    varies: frozenset[int] = frozenset()

    @property
    def alone(self) -> bool:
        """Whether it leaves a session as it found it: one plain query."""
        return len(self.steps) == 1 and _PLAIN.match(self.steps[0]) is not None and ";" not in self.steps[0]

    @property
    def may_write(self) -> bool:
        """Whether the database may be another one afterwards."""
        return any(_WRITES.search(step) for step in self.steps)


def load(folder: Path) -> Sequence[Case]:
    """All cases of a folder, by file and line."""
    cases: list[Case] = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".txt":
            cases += _lines(path)
        elif path.suffix == ".sql":
            cases += _paragraphs(path)
    return cases


def _lines(path: Path) -> list[Case]:
    cases = []
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if line and not line.startswith("# "):
            steps = tuple(step.replace("⏎", "\n") for step in line.split(" ;; "))
            cases.append(Case(f"{path.name}:{number}", steps))
    return cases


def _paragraphs(path: Path) -> list[Case]:
    cases = []
    number = 1
    for paragraph in path.read_text().split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        notes: dict[str, frozenset[int]] = {}
        start = number + len(paragraph) - len(paragraph.lstrip("\n"))
        while lines and lines[0].startswith("--"):
            found = _NOTE.match(lines.pop(0))
            if found is not None:
                notes[found[1]] = frozenset(map(int, found[2].split(",")))
        text = "\n".join(lines)
        if text.strip():
            steps = tuple(step.strip("\n") for step in re.split(r"^;;$", text, flags=re.MULTILINE))
            cases.append(Case(f"{path.name}:{start}", steps, **notes))
        number += paragraph.count("\n") + 2
    return cases

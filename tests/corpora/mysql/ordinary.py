"""Runs ordinary statements through the gateway, as somebody under masks, and at the server itself, and compares.

Equal means the same as for PostgreSQL: the same columns, tags and error numbers, and the same values in every column
that holds nothing of a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.corpora.canaries import Needles
from tests.corpora.cases import Case, load
from tests.corpora.mysql.adversarial import mysql_needles
from tests.corpora.mysql.stage import Stage
from tests.corpora.mysql.wire import Client, Closed, Mode, Result
from tests.corpora.ordinary import Comparison

DATABASES = ("ordinary", "ordinary_direct")
_PLACES = (DATABASES[1], DATABASES[0])
_MODES = tuple(Mode)
_UNPREPARABLE = "1295"
"""The error of a statement that the binary protocol does not take; it is then sent as text."""


def ordinary() -> Sequence[Case]:
    """What is run."""
    return load(Path(__file__).parent / "ordinary")


def run_ordinary(stage: Stage, cases: Sequence[Case]) -> list[Comparison]:
    """Every statement of every case, both ways; text and prepared statements take turns."""
    hidden = mysql_needles()
    gateway, direct = DATABASES
    compared: list[Comparison] = []
    for number, case in enumerate(cases):
        mode = _MODES[number % len(_MODES)]
        sessions = [stage.direct(direct), stage.masked(gateway)]
        try:
            for step in case.steps:
                theirs, ours = (_run(session, step, mode) for session in sessions)
                if any(result.error == _UNPREPARABLE for result in theirs):
                    theirs, ours = (_run(session, step, Mode.TEXT) for session in sessions)
                difference = _difference(ours, theirs, case, hidden, last=step is case.steps[-1])
                compared.append(Comparison(case.where, step, difference))
        finally:
            for session in sessions:
                session.close()
    return compared


def _run(session: Client, text: str, mode: Mode) -> list[Result]:
    try:
        return session.run(text, mode)
    except Closed as error:
        return [Result(error="closed", message=str(error))]


def _difference(ours: list[Result], theirs: list[Result], case: Case, hidden: Needles, *, last: bool) -> str:
    if len(ours) != len(theirs):
        return f"{len(ours)} results, directly {len(theirs)}: {[r.message for r in ours]}"
    return next(filter(None, (_one(a, b, case, hidden, last=last) for a, b in zip(ours, theirs, strict=True))), "")


def _one(ours: Result, theirs: Result, case: Case, hidden: Needles, *, last: bool) -> str:
    if ours.error != theirs.error:
        return f"error {ours.error} {ours.message!r}, directly {theirs.error!r} {theirs.message!r}"
    if ours.tag != theirs.tag:
        return f"tag {ours.tag!r}, directly {theirs.tag!r}"
    if ours.names != [name.replace(*_PLACES) for name in theirs.names]:
        return f"columns {ours.names}, directly {theirs.names}"
    if len(ours.rows) != len(theirs.rows):
        return f"{len(ours.rows)} rows, directly {len(theirs.rows)}"
    for index, name in enumerate(theirs.names):
        mine, real = ([_placeless(row[index]) for row in rows] for rows in (ours.rows, theirs.rows))
        computed = last and index + 1 in case.masks | case.varies
        if mine != real and not computed and not hidden.find_in(b"\n".join(cell for cell in real if cell is not None)):
            if sorted(map(repr, mine)) == sorted(map(repr, real)):
                continue  # in another order, which nobody asked for
            at = next(i for i, pair in enumerate(zip(mine, real, strict=True)) if pair[0] != pair[1])
            return f"column {index + 1} ({name}), row {at + 1}: {mine[at]!r}, directly {real[at]!r}"
    return ""


def _placeless(cell: bytes | None) -> bytes | None:
    """A cell without the name of the database, which is not the same both ways."""
    return None if cell is None else cell.replace(_PLACES[0].encode(), _PLACES[1].encode())

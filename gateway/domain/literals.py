"""What the audit keeps of the values in a statement: its literals and its bound parameters."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Literals(StrEnum):
    """What becomes of the literals in a recorded statement text, and of the parameters bound to it."""

    KEEP = "keep"
    HASH = "hash"
    """Each literal becomes ``h:`` and eight hex digits: equal values look alike, guessing needs the key."""
    DROP = "drop"
    """Each literal becomes ``?``."""


_STRICTNESS: Final = {Literals.KEEP: 0, Literals.HASH: 1, Literals.DROP: 2}


def strictest(choices: Iterable[Literals], least: Literals = Literals.KEEP) -> Literals:
    """The one that leaves the least readable; ``least`` where there is nothing stricter."""
    return max((least, *choices), key=_STRICTNESS.__getitem__)

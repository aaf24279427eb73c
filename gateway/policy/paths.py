"""Paths inside documents: how a labelled path, a stored path and the fields of a document meet.

A labelled path is a list of patterns over field names. Arrays are no steps, and a number in a path may be a position in
an array or a field's name: both readings count, since pipelines move values between positions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.policy.globs import glob_regex

WHOLE: Final = "*"
"""The path that stands for the whole document."""

Steps = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelledPath:
    """A label on everything at and below a path of a collection; ``steps`` are patterns over field names."""

    steps: Steps
    label: str


def advance(patterns: Iterable[Steps], name: str) -> frozenset[Steps]:
    """What is left of each pattern below a field of that name; ``()`` where the field itself is meant.

    A pattern that has no step left means everything below as well, and stays.
    """
    found: set[Steps] = set()
    for steps in patterns:
        if not steps or name.isdecimal():
            found.add(steps)
        found.update(rest[1:] for rest in _readings(steps) if rest and _pattern(rest[0]).fullmatch(name))
    return frozenset(found)


def reached(steps: Steps, path: str) -> frozenset[Steps]:
    """What is left of a labelled path at a stored path: empty where they do not meet, ``()`` at and below the label,
    something where the stored value contains what is labelled."""
    left = frozenset({steps})
    for name in path.split("."):
        left = advance(left, name)
    return left


def remaining(steps: Steps, path: str) -> frozenset[Steps]:
    """What is left of a labelled path below a stored path; ``()`` where the whole stored value is meant."""
    left = frozenset({steps}) if path == WHOLE else reached(steps, path)
    # A position at the end is any position.
    return frozenset(() if all(step.isdecimal() for step in rest) else rest for rest in left)


def _readings(steps: Steps) -> Iterator[Steps]:
    """The pattern, and the pattern without the positions that it begins with."""
    yield steps
    while steps and steps[0].isdecimal():
        steps = steps[1:]
        yield steps


@lru_cache(maxsize=4096)
def _pattern(step: str) -> re.Pattern[str]:
    return re.compile(glob_regex(step), re.IGNORECASE)

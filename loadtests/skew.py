"""Which rows users ask for: a few often, most rarely."""

from __future__ import annotations

import random


def popular(count: int, source: random.Random) -> int:
    """A number from 1 to ``count`` by a power law: the first tenth gets most of the questions."""
    return min(int(source.paretovariate(0.6)), count)

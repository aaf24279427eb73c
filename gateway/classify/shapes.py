"""Examples without what they are examples of: a value's shape and nothing else.

Letters become ``x``, digits ``9``, long runs a single one with an ellipsis. What neither is nor separates anything in a
known form becomes ``?``.
"""

from __future__ import annotations

from typing import Final

_KEPT: Final = frozenset("@.-+()/: _,")
_LONGEST_RUN: Final = 4
MAX_SHAPE: Final = 40


def shape(value: str) -> str:
    """The shape of a value: ``x…@x….x…`` of an e-mail address, ``999-99-9999`` of a number in groups."""
    runs: list[tuple[str, int]] = []
    for char in value[: 8 * MAX_SHAPE]:
        kind = "9" if char.isdigit() else "x" if char.isalpha() else char if char in _KEPT else "?"
        if runs and runs[-1][0] == kind:
            runs[-1] = kind, runs[-1][1] + 1
        else:
            runs.append((kind, 1))
    text = "".join(_run(kind, length) for kind, length in runs)
    return text if len(text) <= MAX_SHAPE else text[: MAX_SHAPE - 1] + "…"


def _run(kind: str, length: int) -> str:
    if kind == "x":
        return "x…" if length > 1 else "x"
    if kind == "9":
        return kind * length if length <= _LONGEST_RUN else "9…"
    return kind if length == 1 else kind + "…"

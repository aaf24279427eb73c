"""What to do with one cell of a result row, for protocols whose rows are sequences of cells.

A masking function is compiled once per result column into one of these (``compile``); a protocol's row kernels then
work on wire bytes only. NULL cells are never shown to a mask: they stay NULL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import MaskingError


@dataclass(frozen=True, slots=True)
class Constant:
    """Replace every value by the same wire bytes; ``value`` None means NULL."""

    value: bytes | None


@dataclass(frozen=True, slots=True)
class Partial:
    """Show the first ``first`` and the last ``last`` characters of a text around ``run``, which stands for the rest.

    ``run`` has the same length whatever it hides. A value of which this would show more than half becomes ``run``
    alone. Holds for plain ASCII, where a byte is a character; any other value goes to ``otherwise``.
    """

    first: int
    last: int
    run: bytes
    otherwise: Callable[[bytes], bytes | None]

    def __post_init__(self) -> None:
        if self.first < 0 or self.last < 0:
            raise ValueError("a partial mask cannot show a negative number of characters")


@dataclass(frozen=True, slots=True)
class Computed:
    """Ask ``compute`` for the new wire bytes (None: NULL). What it raises ends the result."""

    compute: Callable[[bytes], bytes | None]


CellMask = Constant | Partial | Computed


def mask_cell(value: bytes, mask: CellMask) -> bytes | None:
    """What a value's wire bytes become (None: NULL), as kernels in plain Python do it and compiled ones have to."""
    match mask:
        case Constant():
            return mask.value
        case Partial():
            if not value.isascii():
                return _checked(mask.otherwise(value))
            if 2 * (mask.first + mask.last) > len(value):
                return mask.run
            return value[: mask.first] + mask.run + value[len(value) - mask.last :]
        case Computed():
            return _checked(mask.compute(value))


def _checked(value: bytes | None) -> bytes | None:
    if value is not None and type(value) is not bytes:
        raise MaskingError("a masking function returned something else than bytes")
    return value

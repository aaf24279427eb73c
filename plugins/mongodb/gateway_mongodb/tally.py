"""Counts labelled values that leave in documents unmasked, for budgets of cells.

A meter's labels are followed through a shape exactly as masks are (``masks``), so that each value of a reply is known
to be stored at a labelled path (one cell for each scalar), made from one (a cell, and one more for each 16 bytes, field
names included), masked, or free. Null is free. Runs only for those who have a budget of cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, assert_never

from gateway.domain.budget import COMPUTED_BYTES, CellMeter, Weight
from gateway.domain.masking import MaskingPlan
from gateway.errors import LimitExceeded, MaskingError
from gateway.policy.paths import Steps, advance
from gateway_mongodb.abstract import (
    AbstractValue,
    Computed,
    Document,
    Dotted,
    Guarded,
    Nothing,
    Stored,
    Unknown,
)
from gateway_mongodb.shapes import Place, Shape
from gateway_mongodb.wire import types
from gateway_mongodb.wire.codec import elements
from gateway_mongodb.wire.scan import ReplyScan

MAX_DEPTH: Final = 200
"""Levels of documents and arrays; the server's own limit is 180."""
MAX_KEPT: Final = 4096
"""Field names kept with one branch; further ones are worked out each time."""


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """How the value at one place counts. ``find`` gives the branches of a document's fields; None: as here."""

    scalars: bool = False
    """Each scalar here is a cell."""
    sized: bool = False
    """The value as a whole counts by its size."""
    find: Callable[[str], Branch] | None = None
    scalar: Branch | None = None
    """For what is no document where one was expected."""


FREE: Final = Branch()
SIZED: Final = Branch(sized=True)
ABSENT: Final = Branch(sized=True)
"""There should be nothing but null."""


class Tally:
    """The meters of one masking plan, for the replies of one shape."""

    __slots__ = ("_branches", "_place")

    def __init__(self, place: Place, branches: tuple[tuple[CellMeter, Branch], ...]) -> None:
        self._place = place
        self._branches = branches

    def admit(self, body: bytes, scan: ReplyScan, most: int) -> Admitted:
        """How many of the first ``most`` results in a reply may leave. Nothing is spent yet."""
        results = _results(self._place, body, scan)
        over: LimitExceeded | None = None
        counted: list[tuple[CellMeter, list[int]]] = []
        for meter, branch in self._branches:
            left, found = meter.left(), list[int]()
            for kind, _, start, end in results[:most]:
                cells_here = _count(body, kind, start, end, branch)
                if cells_here > left:
                    over, most = meter.exhausted(), len(found)
                    break
                left -= cells_here
                found.append(cells_here)
            counted.append((meter, found))
        return Admitted(most, over, tuple((meter, sum(found[:most])) for meter, found in counted))


@dataclass(frozen=True, slots=True)
class Admitted:
    """Results that may leave, why no more (None: no meter minds), and the cells in them."""

    results: int
    over: LimitExceeded | None
    _cells: tuple[tuple[CellMeter, int], ...]

    def spend(self) -> None:
        """They leave."""
        for meter, number in self._cells:
            if number:
                meter.spend(number)


def compile_tally(shape: Shape, plan: MaskingPlan) -> Tally | None:
    """The plan's meters for replies of this shape; None where nothing counts.

    Raises ``MaskingError`` where what counts cannot be counted.
    """
    if not plan.meters or shape.place is Place.NONE:
        return None
    if shape.place is Place.REFUSED:
        raise MaskingError("nothing is known of what the reply holds")
    branches: list[tuple[CellMeter, Branch]] = []
    for meter in plan.meters:
        compiler = _Compiler(plan, meter)
        branch = compiler.branch(shape.value)
        if compiler.counts_any(shape.token):
            raise MaskingError("the resume tokens of the change stream would show values that are counted")
        if branch is not FREE:
            branches.append((meter, branch))
    return Tally(shape.place, tuple(branches)) if branches else None


# --- from a shape to branches -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is left of a path in a stored value: of a mask's, or of a label that counts."""

    steps: Steps
    masked: bool


class _Compiler:
    """Makes the branches for one meter; takes the plan's entries in the order of ``shapes.parts``."""

    def __init__(self, plan: MaskingPlan, meter: CellMeter) -> None:
        self._plan = plan
        self._meter = meter
        self._next = 0

    def branch(self, value: AbstractValue) -> Branch:
        match value:
            case Stored(refs):
                return _stored(frozenset(self._entries(len(refs))))
            case Dotted(Stored(refs)):
                return _stored(frozenset(self._entries(len(refs))), dotted=True)
            case Computed(sources):
                return self._whole() if sources else FREE
            case Unknown():
                return self._whole()
            case Guarded(inner, _):
                masked = self._plan.columns[self._next] is not None
                control, own = self._whole(), self.branch(inner)
                # That it is there at all says something of what decided it.
                return FREE if masked else own if control is FREE else replace(own, sized=True)
            case Document(fields, rest):
                named = {name: self.branch(own) for name, own in fields.items()}
                return _document(named, None if rest is None else self.branch(rest))
            case Nothing():
                return ABSENT
            case _:
                assert_never(value)

    def counts_any(self, value: AbstractValue) -> bool:
        """Whether anything in a value counts."""
        return self.branch(value) not in (FREE, ABSENT)

    def _whole(self) -> Branch:
        """Something that is made of stored values."""
        index = self._next
        self._next += 1
        return SIZED if self._meter.columns[index] != Weight.NONE and self._plan.columns[index] is None else FREE

    def _entries(self, count: int) -> Iterator[_Entry]:
        for index in range(self._next, self._next + count):
            if self._plan.columns[index] is not None:
                yield _Entry((), masked=True)
            if self._plan.below:
                yield from (_Entry(path.steps, masked=True) for path in self._plan.below[index])
            labelled = self._meter.below[index]
            if labelled is not None:
                yield from (_Entry(steps, masked=False) for steps in labelled)
            elif self._meter.columns[index] != Weight.NONE:
                yield _Entry((), masked=False)
        self._next += count


def _stored(left: frozenset[_Entry], *, dotted: bool = False) -> Branch:
    if all(entry.masked for entry in left) or _Entry((), masked=True) in left:
        return FREE
    whole = _Entry((), masked=False) in left
    if whole and not any(entry.masked for entry in left):
        return Branch(scalars=True)
    known: dict[frozenset[_Entry], Branch] = {}

    def find(name: str) -> Branch:
        below = left
        for step in name.split(".") if dotted else (name,):
            below = _step(below, step)
        if below not in known:
            known[below] = _stored(below)
        return known[below]

    return Branch(scalars=whole, find=_remembering(find))


def _step(left: frozenset[_Entry], name: str) -> frozenset[_Entry]:
    found: set[_Entry] = set()
    for entry in left:
        for rest in advance((entry.steps,), name):
            # A position at the end is any position.
            found.add(_Entry(() if all(step.isdecimal() for step in rest) else rest, entry.masked))
    return frozenset(found)


def _document(fields: Mapping[str, Branch], rest: Branch | None) -> Branch:
    unnamed = ABSENT if rest is None else rest
    if all(branch in (FREE, ABSENT) for branch in (*fields.values(), unnamed)):
        return FREE

    def find(name: str) -> Branch:
        found = fields.get(name)
        if found is not None or unnamed.find is None:
            return unnamed if found is None else found
        found = unnamed.find(name)
        return replace(found, sized=True) if unnamed.sized else found

    return Branch(find=_remembering(find), scalar=unnamed)


def _remembering(find: Callable[[str], Branch]) -> Callable[[str], Branch]:
    known: dict[str, Branch] = {}

    def found(name: str) -> Branch:
        branch = known.get(name)
        if branch is None:
            branch = find(name)
            if len(known) < MAX_KEPT:
                known[name] = branch
        return branch

    return found


# --- from bytes to cells ----------------------------------------------------------------------------------------------


def _results(place: Place, body: bytes, scan: ReplyScan) -> list[tuple[int, bytes, int, int]]:
    """The results in a reply as elements: (type, name, begin, end)."""
    match place:
        case Place.CURSOR:
            return [] if scan.batch is None else elements(body, *scan.batch)
        case Place.VALUES:
            return [] if scan.values is None else elements(body, *scan.values)
        case Place.VALUE:
            return [item for item in elements(body, 0, len(body)) if item[1] == b"value" and item[0] != types.NULL]
        case Place.NONE | Place.REFUSED:
            return []
        case _:
            assert_never(place)


def _count(data: bytes, kind: int, start: int, end: int, branch: Branch, name: int = 0, depth: int = 0) -> int:
    """The cells of a value behind a field name of ``name`` bytes, which may be made of values, too."""
    if branch is FREE or kind in (types.NULL, types.UNDEFINED):
        return 0
    whole = 1 + (name + end - start) // COMPUTED_BYTES if branch.sized else 0
    return whole + _inside(data, kind, start, end, branch, depth)


def _inside(data: bytes, kind: int, start: int, end: int, branch: Branch, depth: int) -> int:
    """The cells of a value, without what it counts as a whole."""
    if depth > MAX_DEPTH:
        raise MaskingError("a document is nested too deeply")
    if kind in (types.NULL, types.UNDEFINED):
        return 0
    if kind == types.ARRAY:
        return sum(_inside(data, k, at, to, branch, depth + 1) for k, _, at, to in elements(data, start, end))
    if kind != types.DOCUMENT:
        other = branch.scalar
        return int(branch.scalars) if other is None else _count(data, kind, start, end, other)
    if branch.find is None and not branch.scalars:
        return 0
    find = branch.find
    if find is None:
        return sum(_inside(data, inner, at, to, branch, depth + 1) for inner, _, at, to in elements(data, start, end))
    return sum(
        _count(data, inner, at, to, find(name.decode("utf-8", "surrogateescape")), len(name), depth + 1)
        for inner, name, at, to in elements(data, start, end)
    )

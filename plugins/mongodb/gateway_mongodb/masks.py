"""From a shape and a plan to a tree of masks over field names.

The tree is made as documents come: the child of a node for a field name is worked out once and kept. What the tree says
of a value is one of ``Do``; arrays are transparent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, assert_never

from gateway.domain.masking import ColumnMask, MaskingFunction, MaskingPlan, MaskSpec, PathMask
from gateway.errors import MaskingError
from gateway.masking.plan import REDACT
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
from gateway_mongodb.cells import Cell
from gateway_mongodb.shapes import Place, Shape, result_columns

MAX_KEPT: Final = 4096
"""Field names kept with one node; further ones are worked out each time."""


class Do(IntEnum):
    """What is to be done with a value."""

    PASS = 0
    """Nothing: it is copied as it is."""
    WALK = 1
    """A document: each field by its own node. Anything else is copied."""
    MASK = 2
    """Every scalar in it goes through the cell; documents and arrays keep their form."""
    BLANK = 3
    """A scalar goes through the cell; documents and arrays come out empty: their form is made of what is hidden."""
    NULL = 4
    """There should be none: whatever it is becomes null."""
    DROP = 7
    """A field that is left out, since its very name may be made of what is hidden."""
    BATCH = 5
    """An array of results: each is counted and goes to the node's ``inner``."""
    ONE = 6
    """A single result: counted, unless it is null, and treated as the node's ``inner`` says."""


class Node:
    """One place in the tree. ``compiled`` is for the compiled kernel."""

    __slots__ = ("_children", "_find", "cell", "compiled", "do", "inner", "slot")

    def __init__(
        self,
        do: Do,
        cell: Cell | None = None,
        find: Callable[[str], Node] | None = None,
        inner: Node | None = None,
        slot: int = 0,
    ) -> None:
        self.do = do
        self.cell = cell
        self.inner = inner
        self.slot = slot
        """Where values that are masked here are counted."""
        self.compiled: object = None
        self._find = find
        self._children: dict[bytes, Node] = {}

    @property
    def is_leaf(self) -> bool:
        """Whether everything below is treated as the node itself."""
        return self._find is None

    def child(self, name: bytes) -> Node:
        """The node of a field."""
        found = self._children.get(name)
        if found is None:
            if self._find is None:
                return self
            found = self._find(name.decode("utf-8", "surrogateescape"))
            if len(self._children) < MAX_KEPT:
                self._children[name] = found
        return found


PASS: Final = Node(Do.PASS)


@dataclass(frozen=True, slots=True)
class _Inside:
    """What is left of the labelled paths in a stored value, each with its cell."""

    left: tuple[tuple[Steps, Cell], ...]

    def step(self, name: str) -> _Inside:
        found: dict[tuple[Steps, int], tuple[Steps, Cell]] = {}
        for steps, cell in self.left:
            for rest in advance((steps,), name):
                # A position at the end is any position.
                kept = () if all(step.isdecimal() for step in rest) else rest
                found[kept, id(cell)] = (kept, cell)
        return _Inside(tuple(found.values()))


class Slots:
    """Where masked values are counted: there is a slot for each set of labels that called for a mask."""

    __slots__ = ("_known", "labels")

    def __init__(self) -> None:
        self.labels: list[tuple[str, ...]] = [()]
        """The labels of each. The first is for what is hidden without any; further ones come as documents do."""
        self._known: dict[frozenset[str], int] = {frozenset(): 0}

    def of(self, cells: list[Cell]) -> int:
        """The slot for values that all of these would mask."""
        labels = frozenset[str]().union(*(cell.labels for cell in cells))
        if labels not in self._known:
            self._known[labels] = len(self.labels)
            self.labels.append(tuple(sorted(labels)))
        return self._known[labels]


class Compiler:
    """Makes the tree for one shape; takes the plan's entries in the order of ``shapes.parts``."""

    def __init__(self, plan: MaskingPlan, function: Callable[[MaskSpec], MaskingFunction]) -> None:
        self._plan = plan
        self._function = function
        self._cells: dict[tuple[str, frozenset[str]], Cell] = {}
        self.slots = Slots()
        self._next = 0

    def compile(self, shape: Shape) -> Node | None:
        """The tree for a whole reply; None where nothing is hidden."""
        if len(self._plan.columns) != len(result_columns(shape)):
            raise MaskingError("the masking plan has another number of parts than the result")
        if self._plan.below and len(self._plan.below) != len(self._plan.columns):
            raise MaskingError("the masking plan has another number of parts than the result")
        if shape.place is Place.NONE or not self._plan:
            return None
        if shape.place is Place.REFUSED:
            raise MaskingError("nothing is known of what the reply holds")
        root = self._node(shape.value)
        if any(entry is not None or below for entry, below in self._entries(len(self._plan.columns) - self._next)):
            raise MaskingError("the resume tokens of the change stream would show masked values")
        return None if root.do is Do.PASS else _reply(shape.place, root)

    def _entries(self, count: int) -> Iterator[tuple[ColumnMask | None, tuple[PathMask, ...]]]:
        for _ in range(count):
            index = self._next
            self._next += 1
            yield self._plan.columns[index], self._plan.below[index] if self._plan.below else ()

    def _cell(self, mask: ColumnMask, *, several: bool = False) -> Cell:
        spec = mask.spec
        if several and self._function(spec).partial:
            # Which of several paths a value is from cannot be told, so it is none's bare value.
            spec = REDACT
        key = (repr(spec), mask.labels)
        if key not in self._cells:
            self._cells[key] = Cell(self._function(spec), mask.labels)
        return self._cells[key]

    def _node(self, value: AbstractValue) -> Node:
        match value:
            case Stored(refs):
                return _stored(self._inside(len(refs)), self.slots)
            case Dotted(Stored(refs)):
                return _dotted(self._inside(len(refs)), self.slots)
            case Computed(sources):
                return self._blank(1) or PASS if sources else PASS
            case Unknown():
                return self._blank(1) or PASS
            case Guarded(inner, _):
                outer = self._blank(1)
                node = self._node(inner)
                return node if outer is None else outer
            case Document(fields, rest):
                nodes = {name: self._node(own) for name, own in fields.items()}
                return _document(nodes, None if rest is None else self._node(rest))
            case Nothing():
                return Node(Do.NULL)
            case _:
                assert_never(value)

    def _blank(self, count: int) -> Node | None:
        cells = [self._cell(mask) for mask, _ in self._entries(count) if mask is not None]
        return Node(Do.BLANK, _strictest(cells), slot=self.slots.of(cells)) if cells else None

    def _inside(self, count: int) -> _Inside:
        left: list[tuple[Steps, Cell]] = []
        for mask, below in self._entries(count):
            if mask is not None:
                left.append(((), self._cell(mask, several=count > 1)))
            left.extend((path.steps, self._cell(path.mask, several=count > 1)) for path in below)
        return _Inside(tuple(left))


def _strictest(cells: list[Cell]) -> Cell:
    return max(cells, key=lambda cell: cell.strictness)


def _stored(inside: _Inside, slots: Slots) -> Node:
    if not inside.left:
        return PASS
    whole = [cell for steps, cell in inside.left if not steps]
    if whole and len(whole) == len(inside.left):
        return Node(Do.MASK, _strictest(whole), slot=slots.of(whole))
    known: dict[_Inside, Node] = {}

    def find(name: str) -> Node:
        below = inside.step(name)
        if below not in known:
            known[below] = _stored(below, slots)
        return known[below]

    if not whole:
        return Node(Do.WALK, None, find)
    return Node(Do.MASK, _strictest(whole), find, slot=slots.of(whole))


def _dotted(inside: _Inside, slots: Slots) -> Node:
    if not inside.left:
        return PASS

    def find(name: str) -> Node:
        below = inside
        for step in name.split("."):
            below = below.step(step)
        return _stored(below, slots)

    whole = [cell for steps, cell in inside.left if not steps]
    if not whole:
        return Node(Do.WALK, None, find)
    return Node(Do.MASK, _strictest(whole), find, slot=slots.of(whole))


def _document(fields: Mapping[str, Node], rest: Node | None) -> Node:
    if rest is PASS and all(node is PASS or node.do is Do.NULL for node in fields.values()):
        return PASS
    unnamed = Node(Do.NULL) if rest is None else rest
    dropped = Node(Do.DROP, slot=unnamed.slot)

    def find(name: str) -> Node:
        found = fields.get(name)
        if found is not None:
            return found
        if unnamed.do in (Do.NULL, Do.BLANK):
            return dropped
        return unnamed.child(name.encode("utf-8", "surrogateescape"))

    return Node(Do.WALK, None, find, inner=unnamed)


def _reply(place: Place, root: Node) -> Node:
    """The tree for the reply's own fields."""
    batch = Node(Do.BATCH, inner=root)

    def walk(fields: Mapping[str, Node]) -> Node:
        return Node(Do.WALK, None, lambda name: fields.get(name, PASS))

    match place:
        case Place.CURSOR:
            return walk({"cursor": walk({"firstBatch": batch, "nextBatch": batch})})
        case Place.VALUES:
            return walk({"values": batch})
        case Place.VALUE:
            return walk({"value": Node(Do.ONE, inner=root)})
        case Place.NONE | Place.REFUSED:
            return PASS
        case _:
            assert_never(place)

"""The Merkle tree over the log (RFC 6962, section 2.1; RFC 9162 has the same tree).

A leaf is a line of the log without its line feed. Hashes are SHA-256 with RFC 6962's prefixes: 0 before a leaf, 1
before two nodes. Ranges are half open, ``[start, end)``.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final, Self

from typing_extensions import override

Grow = Callable[[int, list[bytes], list[bytes]], list[bytes]]
"""Compiled ``Frontier.add_lines``: size and peaks before, lines; the peaks afterwards."""


def _compiled() -> Grow | None:
    if os.environ.get("QUERYGATE_PURE_PYTHON") == "1":
        return None
    try:
        module = importlib.import_module("gateway.audit._tree")
    except ImportError:
        return None
    grow: Grow = module.grow
    return grow


_grow: Final = _compiled()
EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree without leaves."""

Subtree = Callable[[int, int], bytes]
"""Gives the hash of the subtree over leaves ``[start, end)``, as RFC 6962's MTH does."""


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf's bytes."""
    return sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node above two others."""
    return sha256(b"\1" + left + right).digest()


class Frontier:
    """A tree that only grows, as the roots of its complete subtrees: enough to go on and to know the root.

    ``peaks`` has one hash for each bit that is set in ``size``, that of the largest subtree first.
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        """Raises ``ValueError`` where the number of peaks is not that of such a tree."""
        self.size = size
        self.peaks = list(peaks)
        if size < 0 or size.bit_count() != len(self.peaks) or any(len(peak) != 32 for peak in self.peaks):
            raise ValueError(f"not the frontier of a tree of {size} leaves")

    def copy(self) -> Self:
        """Another one that grows for itself."""
        other = type(self)()
        other.size = self.size
        other.peaks = self.peaks.copy()
        return other

    def add(self, leaf: bytes) -> None:
        """Append a leaf by its hash."""
        size, peaks = self.size, self.peaks
        while size & 1:
            leaf = sha256(b"\1" + peaks.pop() + leaf).digest()
            size >>= 1
        peaks.append(leaf)
        self.size += 1

    def add_lines(self, lines: Iterable[bytes]) -> None:
        """Append leaves by their bytes. A list is fastest, and must not be changed meanwhile."""
        if _grow is not None and type(lines) is list:
            self.peaks = _grow(self.size, self.peaks, lines)
            self.size += len(lines)
            return
        for line in lines:
            self.add(sha256(b"\0" + line).digest())

    def root(self) -> bytes:
        """The tree's root."""
        if not self.peaks:
            return EMPTY_ROOT
        *others, root = self.peaks
        for peak in reversed(others):
            root = node_hash(peak, root)
        return root

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frontier) and (self.size, self.peaks) == (other.size, other.peaks)

    __hash__ = None  # type: ignore[assignment]


class Leaves:
    """Subtree hashes of a tree of which the beginning is known by its frontier and the rest by its leaves."""

    def __init__(self, start: Frontier, leaves: Sequence[bytes]) -> None:
        """``leaves`` are the hashes of the leaves from ``start.size`` on."""
        self._start = start.size
        self._leaves = leaves
        self._peaks: dict[tuple[int, int], bytes] = {}
        position = 0
        for peak in start.peaks:
            width = 1 << ((start.size - position).bit_length() - 1)
            self._peaks[position, position + width] = peak
            position += width

    def subtree(self, start: int, end: int) -> bytes:
        """The hash over ``[start, end)``. Raises ``LookupError`` where its leaves are not known."""
        if start == end:
            return EMPTY_ROOT
        peak = self._peaks.get((start, end))
        if peak is not None:
            return peak
        if end - start == 1:
            if start < self._start or start - self._start >= len(self._leaves):
                raise LookupError(f"leaf {start} is not known")
            return self._leaves[start - self._start]
        middle = start + _split(end - start)
        return node_hash(self.subtree(start, middle), self.subtree(middle, end))


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The audit path of leaf ``index`` in the tree of ``size`` leaves, from the leaf up (RFC 6962, 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    return _path(index, 0, size, subtree)


def _path(index: int, start: int, end: int, subtree: Subtree) -> list[bytes]:
    if end - start == 1:
        return []
    middle = start + _split(end - start)
    if index < middle:
        return [*_path(index, start, middle, subtree), subtree(middle, end)]
    return [*_path(index, middle, end, subtree), subtree(start, middle)]


def root_by_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2). Raises ``ValueError`` for an impossible proof."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    at, last, root = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ValueError("the proof is too long")
        if at & 1 or at == last:
            root = node_hash(sibling, root)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            root = node_hash(root, sibling)
        at >>= 1
        last >>= 1
    if last:
        raise ValueError("the proof is too short")
    return root


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """The proof that the tree of ``new`` leaves begins with the one of ``old`` leaves (RFC 6962, 2.1.2)."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves does not begin with {old}")
    if old in (0, new):
        return []
    return _subproof(old, 0, new, subtree, whole=True)


def _subproof(old: int, start: int, end: int, subtree: Subtree, *, whole: bool) -> list[bytes]:
    if old == end:
        return [] if whole else [subtree(start, end)]
    middle = start + _split(end - start)
    if old <= middle:
        return [*_subproof(old, start, middle, subtree, whole=whole), subtree(middle, end)]
    return [*_subproof(old, middle, end, subtree, whole=False), subtree(start, middle)]


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a consistency proof holds (RFC 9162, 2.1.4.2)."""
    if old == new:
        return old_root == new_root and not proof
    if not 0 <= old < new:
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at >>= 1
        last >>= 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            second = node_hash(second, sibling)
        at >>= 1
        last >>= 1
    return last == 0 and (first, second) == (old_root, new_root)


def _split(size: int) -> int:
    """The largest power of two below ``size``."""
    width: int = 1 << ((size - 1).bit_length() - 1)
    return width

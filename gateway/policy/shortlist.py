"""Which of many policies can be about some objects, found without asking each of them.

A shortlist only ever leaves out what cannot match; whoever takes policies from it still asks each whether it does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import Final

from gateway.domain.statement import ObjectRef
from gateway.policy.compiled import CompiledPolicy
from gateway.policy.globs import has_wildcard, split_object_pattern

FEW: Final = 24
"""So many policies are asked faster than looked up."""
_UP_TO_WILDCARD: Final = re.compile(r"[^*?]*")


class Shortlist:
    """Policies in the order in which they are written, and a way to those that name certain objects."""

    __slots__ = ("_index", "everything")

    def __init__(self, policies: Sequence[CompiledPolicy]) -> None:
        self.everything = tuple(policies)
        self._index: _Index | None = None

    def about(self, objects: Set[ObjectRef]) -> tuple[CompiledPolicy, ...]:
        """At least those that name no objects at all, and those whose patterns one of these may match, in order."""
        if len(self.everything) <= FEW:
            return self.everything
        if self._index is None:
            self._index = _Index(self.everything)
        found = self._index.find(objects)
        return self.everything if found is None else tuple(self.everything[place] for place in found)


class _Names:
    """Places of policies by the beginning of a name, up to the pattern's first wildcard."""

    __slots__ = ("lengths", "places")

    def __init__(self) -> None:
        self.places: dict[str, set[int]] = {}
        self.lengths: frozenset[int] = frozenset()

    def add(self, beginning: str, place: int) -> None:
        self.places.setdefault(beginning, set()).add(place)
        self.lengths |= {len(beginning)}

    def find(self, name: str) -> set[int]:
        found: set[int] = set()
        for length in self.lengths:
            if length <= len(name) and (places := self.places.get(name[:length])) is not None:
                found |= places
        return found


class _Index:
    """By schema, where the pattern spells one, and by the beginning of the name. Everything in lower case.

    Only for ASCII: what else equals a letter "whatever its case" is the regular expression's business.
    """

    __slots__ = ("_always", "_any_schema", "_schemas")

    def __init__(self, policies: Sequence[CompiledPolicy]) -> None:
        self._always: list[int] = []
        self._any_schema = _Names()
        self._schemas: dict[str, _Names] = {}
        for place, policy in enumerate(policies):
            patterns = None if policy.objects is None else [p.lower() for p in policy.objects.patterns]
            if patterns is None or "*" in patterns or not all(map(str.isascii, patterns)):
                self._always.append(place)
                continue
            for schema, name in map(split_object_pattern, patterns):
                names = self._any_schema if has_wildcard(schema) else self._schemas.setdefault(schema, _Names())
                names.add(_UP_TO_WILDCARD.match(name)[0], place)  # type: ignore[index]  # matches anything

    def find(self, objects: Set[ObjectRef]) -> list[int] | None:
        """Places in order; None where it cannot be told."""
        found: set[int] = set()
        for ref in objects:
            if not ref.schema or not ref.schema.isascii() or not ref.name.isascii():
                return None
            name = ref.name.lower()
            found |= self._any_schema.find(name)
            if (names := self._schemas.get(ref.schema.lower())) is not None:
                found |= names.find(name)
        return sorted(found.union(self._always)) if found else self._always

"""Policies by who asks for what: the parts of a match that many statements share, worked out once.

Memos, not states: an entry is a pure function of its key, and a full memo starts afresh.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from gateway.domain.decision import Effect
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource
from gateway.domain.statement import Action, ObjectRef
from gateway.policy.compiled import CompiledPolicy
from gateway.policy.memo import remember
from gateway.policy.shortlist import Shortlist

Pairs = tuple[tuple[CompiledPolicy, frozenset[str]], ...]
"""Policies with the labels that each is about."""


class ScopeCache:
    """The policies that can matter for a principal on a resource. Principals with the same ones share them."""

    __slots__ = ("_audience", "_entries", "_limit", "_scopes")

    def __init__(self, policies: Sequence[CompiledPolicy], *, limit: int = 4096) -> None:
        self._audience = _Audience(policies)
        self._limit = limit
        self._entries: dict[object, Scope] = {}
        self._scopes: dict[tuple[CompiledPolicy, ...], Scope] = {}

    def __len__(self) -> int:
        """How many scopes are remembered now."""
        return len(self._entries)

    def of(self, principal: Principal, resource: Resource) -> Scope:
        """The policies that can matter for a principal on a resource."""
        key = (
            principal.name,
            principal.kind,
            principal.groups,
            resource.name,
            resource.protocol,
            resource.environment,
            frozenset(resource.labels.items()),
        )
        if (scope := self._entries.get(key)) is None:
            found = tuple(
                p for p in self._audience.of(principal) if p.covers_principal(principal) and p.covers_resource(resource)
            )
            if (scope := self._scopes.get(found)) is None:
                scope = Scope(found)
                remember(self._scopes, found, scope, limit=self._limit)
            remember(self._entries, key, scope, limit=self._limit)
        return scope


class _Audience:
    """Policies by the names and groups that they are for, where they say so."""

    __slots__ = ("_everybody", "_groups", "_names", "_policies")

    def __init__(self, policies: Sequence[CompiledPolicy]) -> None:
        self._policies = tuple(policies)
        self._everybody: set[int] = set()
        self._names: dict[str, set[int]] = {}
        self._groups: dict[str, set[int]] = {}
        for place, policy in enumerate(self._policies):
            if policy.principals is not None:
                for name in policy.principals:
                    self._names.setdefault(name, set()).add(place)
            elif policy.groups is not None:
                for group in policy.groups:
                    self._groups.setdefault(group, set()).add(place)
            else:
                self._everybody.add(place)

    def of(self, principal: Principal) -> Iterable[CompiledPolicy]:
        """At least those that cover the principal, in the order in which they are written."""
        found = self._everybody | self._names.get(principal.name, set())
        for group in principal.groups:
            found |= self._groups.get(group, set())
        return (self._policies[place] for place in sorted(found))


class Scope:
    """The policies for one principal on one resource, split by what they do and by what statements can ask of them."""

    __slots__ = ("_by_actions", "_cells", "_masks", "allowing", "counting", "masking", "restricting")

    def __init__(self, policies: Iterable[CompiledPolicy]) -> None:
        found = tuple(policies)
        self.allowing = tuple(p for p in found if p.effect is Effect.ALLOW)
        self.masking = tuple(p for p in found if p.effect is Effect.MASK)
        self.restricting = tuple(p for p in found if p.effect not in (Effect.ALLOW, Effect.MASK))
        self.counting = tuple(p for p in found if p.counts_cells)
        self._cells: dict[frozenset[str], Pairs] = {}
        self._by_actions: dict[frozenset[Action], tuple[Shortlist, Shortlist]] = {}
        self._masks: dict[frozenset[str], Pairs] = {}

    def for_statement(
        self, actions: frozenset[Action], objects: Set[ObjectRef] | None
    ) -> tuple[tuple[CompiledPolicy, ...], tuple[CompiledPolicy, ...]]:
        """At least the policies that may restrict, and those that may allow, a statement with these actions.

        ``objects`` None: it may be about others than it names.
        """
        restricting, allowing = self._for_actions(actions)
        return (
            restricting.everything if objects is None else restricting.about(objects),
            # What names no object may be allowed by a policy about certain ones.
            allowing.about(objects) if objects else allowing.everything,
        )

    def _for_actions(self, actions: frozenset[Action]) -> tuple[Shortlist, Shortlist]:
        if (found := self._by_actions.get(actions)) is None:
            unknown = Action.UNKNOWN in actions
            found = (
                Shortlist([p for p in self.restricting if unknown or not p.actions.isdisjoint(actions)]),
                Shortlist([p for p in self.allowing if not p.actions.isdisjoint(actions)]),
            )
            remember(self._by_actions, actions, found, limit=1024)
        return found

    def masks(self, labels: frozenset[str]) -> Pairs:
        """Mask policies with those of the labels that each is about."""
        if (found := self._masks.get(labels)) is None:
            found = _about(self.masking, labels)
            remember(self._masks, labels, found, limit=256)
        return found

    def cells(self, labels: frozenset[str]) -> Pairs:
        """Policies with a budget of cells, with those of the labels that each counts."""
        if (found := self._cells.get(labels)) is None:
            found = _about(self.counting, labels)
            remember(self._cells, labels, found, limit=256)
        return found


def _about(policies: Iterable[CompiledPolicy], labels: frozenset[str]) -> Pairs:
    """Policies with those of the labels that each is about, if there are any."""
    pairs = ((policy, policy.labels.select(labels)) for policy in policies if policy.labels is not None)
    return tuple((policy, selected) for policy, selected in pairs if selected)

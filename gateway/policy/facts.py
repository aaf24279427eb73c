"""One statement as policies look at it: what is claimed, and which of the claims are proven.

Three degrees of certainty:

* *proven*: nothing opaque, everything resolved;
* *unsure* (``opaque`` reasons): kind, detail, actions and predicate are what the text says, but it may touch other
  objects, functions, columns, labels and settings than it names;
* *unknown* (the action ``unknown``): it could do anything.

What restricts applies unless it is shown not to; what allows applies only if it is shown to.
"""

from __future__ import annotations

from typing import Final

from gateway.domain.decision import AccessRequest
from gateway.domain.statement import Action, ObjectRef, StatementFacts
from gateway.policy.compiled import CompiledPolicy
from gateway.policy.conditions import CelInput

_READS: Final = frozenset({Action.READ, Action.COPY_OUT, Action.EXPLAIN, Action.CURSOR})
_WRITES: Final = frozenset(
    {
        Action.INSERT,
        Action.UPDATE,
        Action.DELETE,
        Action.MERGE,
        Action.TRUNCATE,
        Action.COPY_IN,
        Action.CREATE,
        Action.ALTER,
        Action.DROP,
    }
)
_NEEDS_NO_OBJECT: Final = frozenset(
    {
        Action.READ,
        Action.EXPLAIN,
        Action.SHOW,
        Action.SET,
        Action.TRANSACTION,
        Action.PREPARE,
        Action.CURSOR,
    }
)
"""Actions that an allow policy for certain objects permits where a statement names none (``SELECT 1``, ``COMMIT``)."""

_HAVE_DETAIL: Final = frozenset({Action.SET, Action.COPY_IN, Action.COPY_OUT})
"""Actions that always have a detail (the setting; ``stdin``, ``stdout``, ``file`` or ``program``): "" is not known."""

_UNKNOWN_ACTIONS: Final = frozenset({Action.UNKNOWN})


class StatementView:
    """The facts of one statement with the questions that policies ask of them."""

    __slots__ = (
        "_objects_of",
        "actions",
        "facts",
        "labels",
        "labels_proven",
        "objects",
        "request",
        "unknown",
        "unresolved",
        "unsure",
    )

    def __init__(self, facts: StatementFacts, request: AccessRequest) -> None:
        self.facts = facts
        self.request = request
        # No action at all is not "does nothing": the analysis had no word for it.
        self.actions = facts.actions or _UNKNOWN_ACTIONS
        self.unknown = Action.UNKNOWN in self.actions
        self.unsure = self.unknown or bool(facts.opaque)
        self.objects = facts.objects_read | facts.objects_written
        self._objects_of: dict[Action, frozenset[ObjectRef]] = {}
        self.unresolved = any(not ref.schema for ref in self.objects) or any(not ref.schema for ref in facts.functions)
        self.labels_proven = not (self.unsure or self.unresolved or facts.reads_everything)
        self.labels = request.labels if self.labels_proven else request.labels | request.resource_labels

    def objects_of(self, action: Action) -> frozenset[ObjectRef]:
        """The objects that an action of the statement is about; all of them where that is not clear."""
        if (known := self._objects_of.get(action)) is not None:
            return known
        facts = self.facts
        found: frozenset[ObjectRef] = frozenset()
        if action in _READS and not self.actions.isdisjoint(_WRITES):
            found = facts.objects_read
        elif action in _WRITES and not self.actions.isdisjoint(_READS):
            found = facts.objects_written
        self._objects_of[action] = found = found or self.objects
        return found

    def may_match(self, policy: CompiledPolicy) -> bool:
        """Whether a restricting policy's matchers, its condition aside, can apply."""
        if policy.labels is not None and not any(policy.labels.matches(label) for label in self.labels):
            return False
        if self.unknown:
            return True
        facts = self.facts
        if policy.actions.isdisjoint(self.actions):
            return False
        if self.unsure:
            return True
        # Only SET gets as far as this with settings, since a policy that has them is about nothing else.
        if policy.settings is not None and facts.detail and not policy.settings.matches(facts.detail):
            return False
        if policy.objects is not None and not any(
            policy.objects.possible(ref) for action in policy.actions & self.actions for ref in self.objects_of(action)
        ):
            return False
        return policy.functions is None or any(policy.functions.possible(ref) for ref in facts.functions)

    def proves(self, policy: CompiledPolicy) -> bool:
        """Whether an allowing policy's matchers, actions, objects and condition aside, certainly apply."""
        facts = self.facts
        if policy.labels is not None and (
            not self.labels_proven or not self.labels or not all(map(policy.labels.matches, self.labels))
        ):
            return False
        if policy.functions is not None and (
            self.unsure or not facts.functions or not all(map(policy.functions.proven, facts.functions))
        ):
            return False
        return policy.settings is None or (
            not self.unsure and bool(facts.detail) and policy.settings.matches(facts.detail)
        )

    def variables(self, wanted: frozenset[str]) -> dict[str, CelInput]:
        """The ``statement.*`` variables whose values are proven; the rest stay unbound.

        Of those that may be long, only the wanted ones are there.
        """
        facts, request = self.facts, self.request
        bound: dict[str, CelInput] = {
            "statement.opaque": self.unsure,
            "statement.fingerprint": "" if request.analysis is None else request.analysis.fingerprint,
        }
        if "statement.text" in wanted:
            bound["statement.text"] = request.text
        if self.unknown:
            return bound
        bound["statement.kind"] = facts.kind
        bound["statement.actions"] = sorted(self.actions)
        bound["statement.has_predicate"] = facts.has_predicate
        bound["statement.predicate"] = facts.predicate.value
        if facts.detail or self.actions.isdisjoint(_HAVE_DETAIL):
            bound["statement.detail"] = facts.detail
        if self.unsure:
            return bound
        bound["statement.copies_data"] = facts.copies_data
        if not self.unresolved:
            bound["statement.objects"] = sorted(map(str, self.objects))
            bound["statement.objects_read"] = sorted(map(str, facts.objects_read))
            bound["statement.objects_written"] = sorted(map(str, facts.objects_written))
            bound["statement.functions"] = sorted(map(str, facts.functions))
        if self.labels_proven:
            if "statement.columns" in wanted:
                bound["statement.columns"] = sorted(map(str, facts.columns_read | facts.columns_written))
            bound["statement.labels"] = sorted(self.labels)
        return bound


class Coverage:
    """What of a statement is allowed so far: each action on each object it is about."""

    __slots__ = ("_open", "_view")

    def __init__(self, view: StatementView) -> None:
        self._view = view
        self._open: dict[Action, set[ObjectRef] | None] = dict.fromkeys(view.actions)

    @property
    def complete(self) -> bool:
        """Whether nothing is left that no policy allows."""
        return not self._open

    @property
    def missing(self) -> tuple[Action, ...]:
        """Actions that are not allowed, or not on every object."""
        return tuple(sorted(self._open))

    def add(self, policy: CompiledPolicy) -> bool:
        """Count a policy that certainly applies; says whether it is about any action of the statement."""
        view, relevant = self._view, False
        for action in policy.actions & view.actions:
            if policy.objects is None:
                self._open.pop(action, None)
                relevant = True
                continue
            if view.unsure:
                continue
            objects = view.objects_of(action)
            if not objects:
                if action in _NEEDS_NO_OBJECT:
                    self._open.pop(action, None)
                    relevant = True
                continue
            inside = {ref for ref in objects if policy.objects.proven(ref)}
            relevant = relevant or bool(inside)
            if action in self._open:
                left = self._open[action]
                left = (set(objects) if left is None else left) - inside
                if left:
                    self._open[action] = left
                else:
                    del self._open[action]
        return relevant

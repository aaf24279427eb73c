"""Who acts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class PrincipalKind(StrEnum):
    """What stands behind a name: it decides nothing by itself, but policies and the audit speak of it."""

    HUMAN = "human"
    SERVICE = "service"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who acts, and, for an agent, the human it acts for (the ``act`` claim of RFC 8693).

    An agent's rights are the intersection of its own and of ``acts_for``'s: whoever decides must ask for both.
    """

    name: str
    kind: PrincipalKind = PrincipalKind.HUMAN
    groups: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    acts_for: Principal | None = None

    def key(self) -> Hashable:
        """Everything about the principal, as something that can be a dictionary's key."""
        above = None if self.acts_for is None else self.acts_for.key()
        return (self.name, self.kind, self.groups, tuple(sorted(self.attributes.items())), above)

    def chain(self) -> tuple[Principal, ...]:
        """This principal and everybody it acts for, in order."""
        return (self,) if self.acts_for is None else (self, *self.acts_for.chain())

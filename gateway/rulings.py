"""Rulings that were made, ready for the next time: by exact text, or by text without its literals.

A book belongs to one principal on one database. Its epoch is the database's: when the snapshot or the catalog changes,
everything in it is void. While the audit cannot be written nothing is found, so that every statement goes to the chain,
which refuses it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol, cast

from gateway.domain.ruling import Ruling
from gateway.protocol.adapter import State
from gateway.sql.template import Template, strip_literals

MAX_ENTRIES = 2048
"""Rulings kept for one session state, of each kind."""
MAX_STATES = 64
"""Session states (search paths, roles) for which rulings are kept."""


class _Scope:
    __slots__ = ("exact", "templates")

    def __init__(self) -> None:
        self.exact: dict[bytes, Ruling] = {}
        self.templates: dict[bytes, Ruling] = {}


class Epoch:
    """A moment in the life of a database's catalog and the snapshot. Compared by identity."""

    __slots__ = ()


class HasEpoch(Protocol):
    """Where the epoch is to be seen."""

    epoch: Epoch


class AuditHealth(Protocol):
    """Whether the audit can be written."""

    @property
    def healthy(self) -> bool:
        """While it is not, nothing may run."""

    @property
    def reason(self) -> str:
        """Why it is not."""


class RulingBook:
    """Implements ``gateway.protocol.adapter.RulingBook``. Nothing is found while the audit is not healthy."""

    __slots__ = ("_audit", "_epoch", "_known", "_scope", "_scopes", "_source", "_state", "_template", "masked")

    def __init__(self, source: HasEpoch, audit: AuditHealth, template: Template = strip_literals) -> None:
        self._source = source
        self._template = template
        self._audit = audit
        self._epoch = source.epoch
        self._scopes: dict[Hashable, _Scope] = {}
        self._state: Hashable = None
        self._scope = _Scope()
        self._known: dict[Hashable, Hashable] = {}
        self.masked = False
        """Whether the principal is under a mask on this database."""

    @property
    def epoch(self) -> object:
        """Rulings of another epoch are void; while nothing may be found, all of them are."""
        return self._source.epoch if self._audit.healthy else None

    def find(self, state: Hashable, key: bytes) -> Ruling | None:
        """The ruling for a statement's bytes in a session state."""
        if self._epoch is not self._source.epoch:
            self._clear()
        if not self._audit.healthy:
            return None
        scope = self._scope_of(state)
        ruling = scope.exact.get(key)
        if ruling is None and scope.templates:
            template = self._template(key)
            if template is not None:
                ruling = scope.templates.get(template)
        return ruling

    def intern(self, state: State) -> State:
        """The object that stands for all session states equal to this one, for which rulings are then found faster."""
        if len(self._known) >= MAX_STATES:
            self._known.clear()
        return cast("State", self._known.setdefault(state, state))

    def store(self, state: Hashable, key: bytes, ruling: Ruling, *, by_template: bool) -> None:
        """Keep a ruling, unless its epoch is over. ``by_template``: it holds for any literals in the same places."""
        if ruling.epoch is not self._source.epoch:
            return
        if self._epoch is not ruling.epoch:
            self._clear()
        scope = self._scope_of(state)
        if by_template:
            template = self._template(key)
            if template is not None:
                _put(scope.templates, template, ruling)
                return
        _put(scope.exact, key, ruling)

    def _scope_of(self, state: Hashable) -> _Scope:
        if state is self._state:
            return self._scope
        scope = self._scopes.get(state)
        if scope is None:
            if len(self._scopes) >= MAX_STATES:
                self._scopes.clear()
            scope = self._scopes[state] = _Scope()
        self._state, self._scope = state, scope
        return scope

    def _clear(self) -> None:
        self._epoch = self._source.epoch
        self._scopes.clear()
        self._state, self._scope = None, _Scope()
        self._scopes[None] = self._scope


def _put(entries: dict[bytes, Ruling], key: bytes, ruling: Ruling) -> None:
    if len(entries) >= MAX_ENTRIES:
        del entries[next(iter(entries))]
    entries[key] = ruling

"""What the names of cursors mean, for FETCH: DECLARE is followed, so that its rows can be masked like the query's own.

A name must never be taken for another query's. So what may be behind a name is only ever added when a message is sent,
and taken away when the server has said that it is gone: CLOSE was answered, or the transaction has ended and nothing is
under way. A portal of the protocol under the same name counts as something unknown. Where more than one thing could be
behind a name, or cursors may be there that nobody saw, FETCH is not understood (and refused under a mask).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.domain.statement import Action, Analysis, SessionEffect, StatementFacts
from gateway.sql.state import NameResolution
from gateway.sql.utility import DECLARING

MAX_CURSORS: Final = 100
_NAME_LENGTH: Final = 63
"""Bytes of a portal's name that count: NAMEDATALEN - 1."""


class Cursors:
    """The cursors that one session may have."""

    __slots__ = ("_known", "_named")

    def __init__(self) -> None:
        self._named: list[tuple[str, StatementFacts | None]] = []
        self._known = True
        """Whether no cursor can be there that is not in the list."""

    @property
    def any(self) -> bool:
        """Whether FETCH may have a meaning."""
        return self._known and bool(self._named)

    def state(self, state: NameResolution) -> NameResolution:
        """The session's state with the cursors in it."""
        return replace(state, cursors=tuple(self._named)) if self.any else state

    def sent(self, analysis: Analysis, *, masked: bool) -> None:
        """A statement goes to the server."""
        if not masked and (analysis.session_effects or Action.CURSOR in analysis.actions):
            # It may have called code that opens cursors; under a mask such calls are refused.
            self._known = False
        for facts in analysis.statements if SessionEffect.CURSORS in analysis.session_effects else ():
            if facts.kind in DECLARING:
                self._add(facts.detail, facts)

    def bound(self, portal: bytes, codec: str | None) -> None:
        """A named portal of the protocol shares its name with cursors."""
        self._add(portal[:_NAME_LENGTH].decode(codec or "latin-1", "replace"), None)

    def _add(self, name: str, facts: StatementFacts | None) -> None:
        if len(self._named) >= MAX_CURSORS:
            self._known = False
            return
        self._named.append((name, facts))

    def closed(self, facts: StatementFacts | None, *, everything: bool) -> None:
        """CLOSE was answered; ``everything`` by what the server says."""
        if everything:
            self._named = []
        elif facts is not None and facts.kind == "close":
            self._named = [entry for entry in self._named if entry[0] != facts.detail]

    def transaction_ended(self) -> None:
        """The server is idle and nothing is under way: only cursors WITH HOLD are left."""
        if self._named:
            self._named = [
                (name, facts) for name, facts in self._named if facts is not None and facts.kind == "declare_hold"
            ]

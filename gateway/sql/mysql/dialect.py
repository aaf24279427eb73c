"""The dialect of MySQL and MariaDB."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.domain.statement import SessionEffect, StatementFacts
from gateway.sql.catalog import Catalog
from gateway.sql.dialect import Found
from gateway.sql.facts import unknown
from gateway.sql.lexer import Kind, Token
from gateway.sql.mysql.lexer import tokenize
from gateway.sql.mysql.splitting import split
from gateway.sql.mysql.statements import statement_facts
from gateway.sql.state import MySqlResolution

_NAMES: Final = (Kind.WORD, Kind.QUOTED)
_DEPENDS: Final = re.compile(r'["\\#]|\|\||/\*|--|[^\x00-\x7f]')
"""What means one thing or another by the session's settings, or may hide it."""


@dataclass(frozen=True, slots=True)
class MySqlDialect:
    """Implements ``gateway.sql.dialect.Dialect``."""

    state: MySqlResolution
    quote: str = "`"

    def tokenize(self, text: str, limit: int) -> list[Token]:
        """The words of a text."""
        return tokenize(text, self.state, limit=limit)

    def split(self, tokens: Sequence[Token]) -> list[list[Token]]:
        """The statements of a text."""
        return split(tokens)

    def facts(self, tokens: Sequence[Token], catalog: Catalog | None) -> Found:
        """The facts of one statement."""
        if catalog is not None and any(catalog.confusable(t.value) for t in tokens if t.kind in _NAMES):
            # Columns of wide tables are found whatever their accents, those of narrow ones are not.
            return unknown("a name that differs from another in accents alone"), True
        return statement_facts(tokens, self.state, catalog)

    def after(self, facts: StatementFacts, rest: str) -> MySqlDialect | None:
        """The server cuts each statement into words when the one before it has run, so a setting holds at once."""
        effects = facts.session_effects
        if SessionEffect.LANGUAGE in effects and _DEPENDS.search(rest) is not None:
            return None
        state = self.state
        if SessionEffect.TEMPORARY_OBJECTS in effects:
            state = replace(state, temporary_objects=True)
        if SessionEffect.NAME_RESOLUTION in effects:
            state = replace(state, database=facts.detail if facts.kind == "use" else None)
        return MySqlDialect(state)

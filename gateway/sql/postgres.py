"""PostgreSQL's dialect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.domain.statement import SessionEffect, StatementFacts
from gateway.sql.catalog import Catalog
from gateway.sql.dialect import Found
from gateway.sql.lexer import Token, tokenize
from gateway.sql.splitting import split
from gateway.sql.state import NameResolution
from gateway.sql.utility import DECLARING, statement_facts

_NAMES_CHANGE: Final = frozenset(
    {SessionEffect.NAME_RESOLUTION, SessionEffect.LANGUAGE, SessionEffect.TEMPORARY_OBJECTS}
)


@dataclass(frozen=True, slots=True)
class PostgresDialect:
    """Implements ``gateway.sql.dialect.Dialect``."""

    state: NameResolution
    quote: str = '"'

    def tokenize(self, text: str, limit: int) -> list[Token]:
        """The words of a text."""
        return tokenize(text, standard_conforming_strings=self.state.standard_conforming_strings, limit=limit)

    def split(self, tokens: Sequence[Token]) -> list[list[Token]]:
        """The statements of a text."""
        return split(tokens)

    def facts(self, tokens: Sequence[Token], catalog: Catalog | None) -> Found:
        """The facts of one statement."""
        return statement_facts(tokens, self.state, catalog)

    def after(self, facts: StatementFacts, rest: str) -> PostgresDialect:
        """The server cuts a whole text into words before it runs any of it; what a name means may change."""
        if facts.kind in DECLARING:
            named = (facts.detail, facts)
            return PostgresDialect(replace(self.state, cursors=(*self.state.cursors, named)))
        if not facts.session_effects & _NAMES_CHANGE:
            return self
        return PostgresDialect(replace(self.state, search_path=None, temporary_objects=True))

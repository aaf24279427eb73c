"""What differs between the SQL databases, as ``gateway.sql.analyse`` sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.domain.statement import StatementFacts
from gateway.sql.catalog import Catalog
from gateway.sql.lexer import Token

Found = tuple[StatementFacts, bool]
"""Facts, and whether the literals of the text matter to them."""


class Dialect(Protocol):
    """One database's language in one session state. Immutable."""

    @property
    def quote(self) -> str:
        """What stands around a name in a normalised text."""

    def tokenize(self, text: str, limit: int) -> list[Token]:
        """The words of a text, as the server cuts it. Raises ``LexError``."""

    def split(self, tokens: Sequence[Token]) -> list[list[Token]]:
        """The statements of a text. Raises ``LexError``."""

    def facts(self, tokens: Sequence[Token], catalog: Catalog | None) -> Found:
        """The facts of one statement."""

    def after(self, facts: StatementFacts, rest: str) -> Dialect | None:
        """How the statements behind this one are read; None where the ``rest`` of the text may mean anything."""

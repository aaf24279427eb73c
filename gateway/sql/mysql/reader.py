"""Reads the tokens of a statement of MySQL's from left to right."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.statement import ObjectRef
from gateway.sql.catalog import Catalog, Relation
from gateway.sql.lexer import Token
from gateway.sql.mysql.walk import MySqlWalk
from gateway.sql.reader import Position, resolve_object
from gateway.sql.state import MySqlResolution


class MySqlReader(Position):
    """A position in a statement's tokens, with what names resolve against."""

    def __init__(self, tokens: Sequence[Token], state: MySqlResolution, catalog: Catalog | None) -> None:
        super().__init__(tokens)
        self.state = state
        self.catalog = catalog

    def walk(self) -> MySqlWalk:
        """A fresh walk."""
        return MySqlWalk(self.state, self.catalog)

    def resolve(self, walk: MySqlWalk, name: Sequence[str]) -> tuple[ObjectRef, Relation | None]:
        """The existing relation that a name means."""
        return resolve_object(walk, name)

    def names(self) -> list[list[str]]:
        """Names between commas."""
        found: list[list[str]] = []
        while name := self.name():
            found.append(name)
            if not self.at_mark(","):
                break
            self.next()
        return found

"""Reads the tokens of a statement from left to right."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.statement import ObjectRef
from gateway.sql.catalog import Catalog, Relation
from gateway.sql.lexer import Kind, Token
from gateway.sql.state import NameResolution
from gateway.sql.walk import Walk

_END = Token(Kind.PUNCTUATION, "", -1)


class Position:
    """A position in a statement's tokens."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def peek(self, offset: int = 0) -> Token:
        index = self.at + offset
        return self.tokens[index] if index < len(self.tokens) else _END

    def next(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def word(self, offset: int = 0) -> str:
        token = self.peek(offset)
        return token.value if token.kind is Kind.WORD else ""

    def at_word(self, *words: str) -> bool:
        return self.word() in words

    def at_words(self, *words: str) -> bool:
        return all(self.word(index) == word for index, word in enumerate(words))

    def at_mark(self, mark: str, offset: int = 0) -> bool:
        token = self.peek(offset)
        return token.kind in (Kind.PUNCTUATION, Kind.OPERATOR) and token.value == mark

    def at_end(self, offset: int = 0) -> bool:
        return self.at + offset >= len(self.tokens)

    def at_name(self) -> bool:
        return self.peek().kind in (Kind.WORD, Kind.QUOTED)

    def take(self, word: str) -> bool:
        """Step over ``word`` if it is next."""
        if self.word() == word:
            self.at += 1
            return True
        return False

    def words(self, *words: str) -> bool:
        """Step over several words if they are next."""
        if self.at_words(*words):
            self.at += len(words)
            return True
        return False

    def name(self) -> list[str]:
        """A name with dots in it; empty if there is none."""
        parts: list[str] = []
        while self.at_name():
            parts.append(self.next().value)
            if not self.at_mark("."):
                break
            self.at += 1
        return parts

    def one_name(self) -> str:
        """A name without dots; "" if there is none."""
        return self.next().value if self.at_name() else ""

    def last_name(self) -> str:
        """The statement's last token if it is a name."""
        last = self.tokens[-1] if self.tokens else _END
        return last.value if last.kind in (Kind.WORD, Kind.QUOTED) else ""

    def rest(self) -> list[Token]:
        return list(self.tokens[self.at :])

    def group(self) -> list[Token]:
        """The tokens inside the parentheses that begin here, stepping over them; empty if there are none."""
        if not self.at_mark("("):
            return []
        start = self.at + 1
        depth = 0
        while not self.at_end():
            token = self.next()
            if token.kind is Kind.PUNCTUATION:
                if token.value == "(":
                    depth += 1
                elif token.value == ")":
                    depth -= 1
                    if not depth:
                        return list(self.tokens[start : self.at - 1])
        return list(self.tokens[start:])

    def skip_group(self) -> None:
        self.group()

    def begins_query_in_parentheses(self) -> bool:
        """Whether the parenthesis here belongs to a query, not to options."""
        offset = 0
        while self.at_mark("(", offset):
            offset += 1
        return self.word(offset) in ("select", "with", "values", "table")

    def find(self, *words: str) -> int:
        """The index of the first of ``words`` outside parentheses from here on, or -1."""
        depth = 0
        for index in range(self.at, len(self.tokens)):
            kind, value, _ = self.tokens[index]
            if kind is Kind.PUNCTUATION:
                depth += {"(": 1, ")": -1}.get(value, 0)
            elif kind is Kind.WORD and not depth and value in words:
                return index
        return -1

    def has(self, *words: str) -> bool:
        """Whether one of ``words`` stands anywhere in the statement."""
        return any(token.kind is Kind.WORD and token.value in words for token in self.tokens)


class Reader(Position):
    """A position in a statement's tokens, with what names resolve against."""

    def __init__(self, tokens: Sequence[Token], state: NameResolution, catalog: Catalog | None) -> None:
        super().__init__(tokens)
        self.state = state
        self.catalog = catalog


def resolve_object(walk: Walk, name: Sequence[str]) -> tuple[ObjectRef, Relation | None]:
    """The existing relation that a name in a utility statement means."""
    schema = name[-2] if len(name) > 1 else ""
    short = name[-1] if name else ""
    everything, walk.reads_everything = walk.reads_everything, False
    relation = walk.resolve(schema, short)
    walk.reads_everything = everything
    return walk.reference(schema, short, relation), relation

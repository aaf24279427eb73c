"""Writes a query's tokens down again, one after the other. See ``gateway.sql.canonical``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gateway.sql.functions import KEYWORD_FUNCTIONS
from gateway.sql.lexer import Kind, Token
from gateway.sql.rebuilt import FUNCTION_MARK, PLAIN_OPERATORS, Canonical, Unsupported, quote

_RAW = frozenset(
    """select from where group by having order limit offset union intersect except all distinct on using join inner
    outer cross natural lateral and or not is null true false in between like ilike case when then else end any some
    insert into update delete merge set default returning asc desc window table with array as""".split()
)
_OPERAND_WORDS = frozenset("null true false end default".split())
_NILADIC = frozenset(
    """current_date current_time current_timestamp localtime localtimestamp current_user session_user user current_role
    current_catalog current_schema""".split()
)
_TYPE_WORDS = frozenset(
    "interval timestamp time double character char varchar bit national nchar numeric decimal dec float".split()
)
INTERVAL_FIELDS = frozenset("year month day hour minute second to".split())
"""What may follow the string of an interval."""
_UNSUPPORTED = frozenset(
    """analyse analyze both leading trailing check column concurrently constraint create deferrable do foreign freeze
    grant initially placing primary references unique verbose binary authorization collation to""".split()
)
_MOST_SUBSCRIPTS = 12
_DEEPEST_BRACKETS = 8


class Writer:
    """Goes through the tokens once. ``handlers`` maps a word to what writes it."""

    __slots__ = ("at", "brackets", "calls", "handlers", "operand", "out", "result", "subscripts", "tokens")

    def __init__(self, tokens: Sequence[Token], handlers: Mapping[str, Callable[[Writer], bool]]) -> None:
        self.handlers = handlers
        # Sentinels, so that looking ahead needs no bounds.
        self.tokens = [*tokens, *([Token(Kind.PUNCTUATION, "", -1)] * 6)]
        self.out: list[str] = []
        self.at = 0
        self.calls: list[str] = []
        """For each open parenthesis what it belongs to: a special call, "cast", or ""."""
        self.subscripts = 0
        self.brackets = 0
        self.operand = False
        """Whether what was written last can be a left operand."""
        self.result = Canonical()

    # --- looking ----------------------------------------------------------------------------------------------------

    def word(self, offset: int = 0) -> str:
        token = self.tokens[self.at + offset]
        return token.value if token.kind is Kind.WORD else ""

    def mark(self, offset: int = 0) -> str:
        token = self.tokens[self.at + offset]
        return token.value if token.kind is Kind.PUNCTUATION or token.kind is Kind.OPERATOR else ""

    def previous(self) -> str:
        """The last input token's value if it was a word or a mark."""
        if not self.at:
            return ""
        token = self.tokens[self.at - 1]
        return "" if token.kind in (Kind.QUOTED, Kind.STRING) else token.value

    def is_name(self, offset: int = 0) -> bool:
        return self.tokens[self.at + offset].kind in (Kind.WORD, Kind.QUOTED)

    # --- writing ----------------------------------------------------------------------------------------------------

    def put(self, text: str, *, operand: bool = False) -> None:
        self.out.append(text)
        self.operand = operand

    def identifier(self, name: str) -> None:
        if "\x01" in name:
            raise Unsupported("control character in a name")
        if self.mark(1) == "(":
            name = FUNCTION_MARK + name
        self.put(quote(name), operand=True)
        self.at += 1

    def run(self) -> Canonical:
        """The rebuilt text. Raises ``Unsupported``."""
        while True:
            kind, value, start = self.tokens[self.at]
            if start < 0:
                self.result.text = " ".join(self.out)
                return self.result
            if kind is Kind.WORD:
                self.one_word(value)
            elif kind is Kind.QUOTED:
                self.quoted(value)
            elif kind is Kind.STRING:
                self.string(value)
            elif kind is Kind.NUMBER:
                plain = value.replace(".", "0").isdigit()
                self.put(value if plain else f"'{value}'", operand=True)
                self.at += 1
            elif kind is Kind.PARAMETER:
                self.parameter(value)
            elif kind is Kind.VARIABLE:
                self.variable(value)
            elif kind is Kind.OPERATOR:
                self.operator(value)
            else:
                self.punctuation(value)

    def quoted(self, value: str) -> None:
        if self.skip_argument_name():
            return
        if value in KEYWORD_FUNCTIONS and self.mark(1) == "(" and self.previous() != ".":
            # In quotes it is a name like any other.
            self.put(quote(FUNCTION_MARK * 2 + value))
            self.at += 1
        elif self.tokens[self.at + 1].kind is Kind.STRING and self.previous() not in ("as", "."):
            self.result.types.add(value)
            self.at += 1
        else:
            self.identifier(value)

    def string(self, value: str) -> None:
        self.put("'" + value.replace("'", "''") + "'", operand=True)
        self.at += 1

    def parameter(self, value: str) -> None:
        self.put(value, operand=True)
        self.at += 1

    def variable(self, value: str) -> None:
        raise Unsupported(f"unexpected {value}")

    def operator(self, value: str) -> None:
        self.at += 1
        # A star that stands for columns is no operator.
        if value == "*" and not self.operand:
            self.put("*", operand=True)
            return
        if value == "=>":
            raise Unsupported("named argument")
        self.result.operators.add(value)
        if self.operand:
            self.put(value if value in PLAIN_OPERATORS else "||")
        else:
            self.put("-")

    def punctuation(self, value: str) -> None:
        if value == "(":
            self.calls.append("")
            self.put("(")
        elif value == ")":
            if self.calls:
                self.calls.pop()
            self.put(")", operand=True)
        elif value == "::":
            self.at += 1
            self.type_name()
            self.put("::text", operand=True)
            return
        elif value == "]":
            self.brackets -= 1
            self.put("]", operand=True)
        elif value == "[":
            # The parser takes quadratic time for a chain of subscripts, and doubles it with every array in an array.
            self.subscripts = self.subscripts + 1 if self.previous() == "]" else 0
            self.brackets += 1
            if self.subscripts > _MOST_SUBSCRIPTS or self.brackets > _DEEPEST_BRACKETS:
                raise Unsupported("too many subscripts")
            self.put(value)
        elif value in (",", ".", ":"):
            self.put(value)
        else:
            raise Unsupported(f"unexpected {value!r}")
        self.at += 1

    def one_word(self, word: str) -> None:
        previous = self.previous()
        following = self.mark(1)
        if previous == "." or following == ".":
            self.identifier(word)
            return
        if previous == "as" and not (self.calls and self.calls[-1] == "cast"):
            self.after_as(word)
            return
        handler = self.handlers.get(word)
        if handler is not None:
            if handler(self):
                return
        elif word in _RAW:
            self.put(word, operand=word in _OPERAND_WORDS)
            self.at += 1
            return
        elif word in _NILADIC:
            self.niladic(word)
            return
        elif word in _UNSUPPORTED:
            raise Unsupported(f"unexpected {word}")
        if self.skip_argument_name():
            return
        if self.typed_literal(word):
            return
        self.identifier(word)

    # --- names and types --------------------------------------------------------------------------------------------

    def skip_argument_name(self) -> bool:
        """``name => value`` and ``name := value`` in a call."""
        if self.mark(1) in ("=>", ":=") and self.previous() in ("(", ","):
            self.at += 2
            self.operand = False
            return True
        return False

    def after_as(self, word: str) -> None:
        if word == "materialized" and self.mark(1) == "(":
            self.at += 1
        elif word == "not" and self.word(1) == "materialized" and self.mark(2) == "(":
            self.at += 2
        else:
            self.identifier(word)

    def niladic(self, word: str) -> None:
        self.put(quote(FUNCTION_MARK + word))
        self.at += 1
        if self.mark() != "(":
            self.put("()", operand=True)

    def typed_literal(self, word: str) -> bool:
        """``date '2026-01-31'``, ``timestamp(3) with time zone '…'``, ``interval '1' day``: only the string is kept."""
        if self.tokens[self.at + 1].kind is Kind.STRING:
            self.result.types.add(word)
            self.at += 1
        elif word in _TYPE_WORDS:
            start = self.at
            self.type_name()
            if self.tokens[self.at].kind is not Kind.STRING:
                self.at = start
                return False
        else:
            return False
        value = self.tokens[self.at].value
        self.put("'" + value.replace("'", "''") + "'", operand=True)
        self.at += 1
        if word == "interval":
            while self.word() in INTERVAL_FIELDS:
                self.at += 1
                if self.mark() == "(" and self.tokens[self.at + 1].kind is Kind.NUMBER and self.mark(2) == ")":
                    self.at += 3
        return True

    def type_name(self) -> None:
        """Step over a type's name."""
        if self.word() == "setof":
            self.at += 1
        if not self.is_name():
            raise Unsupported("unknown type syntax")
        first = self.tokens[self.at]
        name = first.value
        self.at += 1
        while self.mark() == "." and self.is_name(1):
            name = self.tokens[self.at + 1].value
            self.at += 2
        self.result.types.add(name)
        if first.kind is Kind.WORD:
            if name == "double" and self.word() == "precision":
                self.at += 1
            if name == "national" and self.word() in ("character", "char"):
                self.at += 1
            if name in ("character", "char", "bit", "national", "nchar") and self.word() == "varying":
                self.at += 1
        self.type_modifier()
        zoned = self.word() in ("with", "without") and self.word(1) == "time" and self.word(2) == "zone"
        if zoned and name in ("time", "timestamp") and first.kind is Kind.WORD:
            self.at += 3
        if name == "interval":
            while self.word() in INTERVAL_FIELDS:
                self.at += 1
            self.type_modifier()
        if self.word() == "array":
            self.at += 1
        while self.mark() == "[":
            self.at += 1
            if self.tokens[self.at].kind is Kind.NUMBER:
                self.at += 1
            if self.mark() != "]":
                raise Unsupported("unknown type syntax")
            self.at += 1

    def type_modifier(self) -> None:
        if self.mark() != "(":
            return
        self.at += 1
        while self.mark() != ")":
            token = self.tokens[self.at]
            plain = token.kind in (Kind.NUMBER, Kind.WORD, Kind.STRING) or token.value in (",", "-")
            if not plain or token.start < 0:
                raise Unsupported("unknown type modifier")
            self.at += 1
        self.at += 1

    def group_end(self, start: int) -> int:
        """The index of the parenthesis that closes the one at ``start``."""
        depth = 0
        for index in range(start, len(self.tokens) - 6):
            kind, value, _ = self.tokens[index]
            if kind is Kind.PUNCTUATION:
                if value == "(":
                    depth += 1
                elif value == ")":
                    depth -= 1
                    if not depth:
                        return index
        raise Unsupported("unbalanced parentheses")

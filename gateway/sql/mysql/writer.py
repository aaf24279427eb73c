"""Rebuilds a query of MySQL's for the parser, as ``gateway.sql.canonical`` does with PostgreSQL's.

The rebuilt text is in the same language, so that the same walk understands it: string aliases become names, ``||``
becomes OR where it is one, ``LIMIT 5, 10`` becomes ``LIMIT 10 OFFSET 5``, what only tunes is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from typing_extensions import override

from gateway.sql.lexer import Kind, Token
from gateway.sql.mysql import rewrite
from gateway.sql.rebuilt import FUNCTION_MARK, Unsupported, quote
from gateway.sql.writer import Writer

ASSIGN: Final = ":="
"""The function that an assignment to a user variable becomes."""
_RAW: Final = frozenset(
    """select where group by having order union intersect except all distinct on using join inner outer natural
    lateral and or not null true false in between like case when then else end any some exists asc desc window set
    returning recursive into""".split()
)
_OPERAND_WORDS: Final = frozenset("null true false end".split())
_NILADIC: Final = frozenset(
    """current_date current_time current_timestamp localtime localtimestamp utc_date utc_time utc_timestamp
    current_user current_role""".split()
)
_UNSUPPORTED: Final = frozenset("procedure outfile dumpfile load handler sql_after_gtids".split())
_BINARY: Final = {"<=>": "is not distinct from", "&&": "and", **dict.fromkeys("& | << >> -> ->> ^".split(), "||")}
_TYPED: Final = frozenset({"date", "time", "timestamp"})
_OPTIONS: Final = frozenset(
    """high_priority straight_join sql_small_result sql_big_result sql_buffer_result sql_no_cache sql_cache
    sql_calc_found_rows""".split()
)
_AFTER_NO_OPTION: Final = frozenset({",", "from", ".", "as", ")", "(", ""})


class MySqlWriter(Writer):
    """Goes through the tokens once. ``duplicate``: the row that an INSERT could not add is called ``excluded``."""

    __slots__ = ("concat", "duplicate")

    def __init__(self, tokens: Sequence[Token], *, concat: bool, duplicate: bool = False) -> None:
        super().__init__(tokens, _HANDLERS)
        self.concat = concat
        self.duplicate = duplicate

    @override
    def string(self, value: str) -> None:
        """A string behind an operand, or behind AS, is a name."""
        if self.operand or (self.previous() == "as" and self.out and self.out[-1] == "as"):
            self.result.named_by_literal = True
            self.put(quote(value.lower()), operand=True)
            self.at += 1
            return
        super().string(value)

    @override
    def quoted(self, value: str) -> None:
        self.identifier(value)

    @override
    def parameter(self, value: str) -> None:
        self.put("$1", operand=True)
        self.at += 1

    @override
    def variable(self, value: str) -> None:
        if value.startswith("@@"):
            self.put(quote(FUNCTION_MARK + "@@") + "()", operand=True)
            self.at += 1
        elif self.mark(1) == ":=":
            self.put(quote(FUNCTION_MARK + ASSIGN))
            end = rewrite.expression_end(self, self.at + 2)
            self.tokens.insert(end, Token(Kind.PUNCTUATION, ")", 0))
            self.tokens[self.at + 1] = Token(Kind.PUNCTUATION, "(", 0)
            self.at += 1
        else:
            self.put(quote(FUNCTION_MARK + "@") + "()", operand=True)
            self.at += 1

    @override
    def operator(self, value: str) -> None:
        self.at += 1
        if not self.operand:
            if value == "*":
                self.put("*", operand=True)
            elif value == "!":
                self.put("not")
            elif value in ("-", "~"):
                self.put("-")
            elif value != "+":
                raise Unsupported(f"unexpected {value!r}")
            return
        if value == "||":
            self.put("||" if self.concat else "or")
        elif value in ("!", "~", ":="):
            raise Unsupported(f"unexpected {value!r}")
        else:
            self.put(_BINARY.get(value, value))

    @override
    def punctuation(self, value: str) -> None:
        if value == "(":
            self.calls.append("")
            self.put("(")
        elif value == ")":
            if self.calls:
                self.calls.pop()
            self.put(")", operand=True)
        elif value == rewrite.CAST_END:
            self.put("as text", operand=True)
        elif value in (",", "."):
            self.put(value)
        elif value == "{" and self.word(1):
            self.at += 1  # ODBC: {fn …}, {d …}, {oj …}
        elif value != "}":
            raise Unsupported(f"unexpected {value!r}")
        self.at += 1

    @override
    def one_word(self, word: str) -> None:
        previous = self.previous()
        following = self.mark(1)
        if previous == "." or following == "." or (previous == "as" and self.out[-1] == "as" and following != "("):
            self.identifier(word)
            return
        if word in _OPTIONS and self._is_option(previous):
            self.at += 1
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
        if word in _TYPED and not self.operand and self.tokens[self.at + 1].kind is Kind.STRING:
            self.at += 1
            return
        self.identifier(word)

    def _is_option(self, previous: str) -> bool:
        following = self.tokens[self.at + 1]
        after = following.value if following.kind in (Kind.WORD, Kind.PUNCTUATION) else " "
        return (previous == "select" or previous in _OPTIONS or previous in ("distinct", "all")) and (
            after not in _AFTER_NO_OPTION
        )


_HANDLERS: Final[Mapping[str, Callable[[Writer], bool]]] = rewrite.HANDLERS

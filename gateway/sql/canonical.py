"""Rebuilds a query for the parser: the same meaning to lineage, in words the parser cannot mistake.

The parser knows many dialects at once: names that are plain identifiers to PostgreSQL are keywords or functions with
a syntax of their own to it. So every identifier is quoted (folded, cut at 63 bytes), every function name gets a mark
that no name can have, special argument syntax (``substring(x FROM 2)``) becomes a list, and what cannot change which
columns a value comes from is left out: types of casts, collations, window frames, locking clauses, sampling. Operators
that the parser may not know become one that it does. Whatever is not understood raises ``Unsupported``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.sql.functions import KEYWORD_FUNCTIONS
from gateway.sql.lexer import Kind, Token

FUNCTION_MARK = "\x01"
"""Begins every quoted name that is followed by a parenthesis in the rebuilt text."""

_RAW = frozenset(
    """select from where group by having order limit offset union intersect except all distinct on using join inner
    outer cross natural lateral and or not is null true false in between like ilike case when then else end any some
    insert into update delete merge set default returning asc desc window table with array as""".split()
)
_OPERAND_WORDS = frozenset("null true false end default".split())
_JOIN_WORDS = frozenset("left right full".split())
_NILADIC = frozenset(
    """current_date current_time current_timestamp localtime localtimestamp current_user session_user user current_role
    current_catalog current_schema""".split()
)
_SPECIAL_CALLS = frozenset("substring trim overlay position extract normalize".split())
_TYPE_WORDS = frozenset(
    "interval timestamp time double character char varchar bit national nchar numeric decimal dec float".split()
)
_INTERVAL_FIELDS = frozenset("year month day hour minute second to".split())
_FRAME_WORDS = frozenset(
    """rows range groups between and unbounded preceding following current row exclude no others ties group
    interval""".split()
)
_UNSUPPORTED = frozenset(
    """analyse analyze both leading trailing check column concurrently constraint create deferrable do foreign freeze
    grant initially placing primary references unique verbose binary authorization collation to""".split()
)
_PLAIN_OPERATORS = frozenset("+ - * / % ^ < > = <= >= <> !=".split())
_MOST_SUBSCRIPTS = 12
_DEEPEST_BRACKETS = 8
_CALL_SEPARATORS = {
    "substring": frozenset({"from", "for", "similar", "escape"}),
    "overlay": frozenset({"placing", "from", "for"}),
    "position": frozenset({"in"}),
    "extract": frozenset({"from"}),
    "trim": frozenset({"from"}),
    "normalize": frozenset[str](),
}


class Unsupported(ValueError):
    """Syntax that the analysis does not cover; the text of the error is a reason for ``StatementFacts.opaque``."""


@dataclass(slots=True)
class Canonical:
    """The rebuilt text and what was left out of it that matters."""

    text: str = ""
    operators: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    """Folded names of the types in casts."""
    locks: bool = False
    """Whether there is a FOR UPDATE or FOR SHARE clause."""


def canonicalise(tokens: Sequence[Token]) -> Canonical:
    """Rebuild a SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES or TABLE statement. Raises ``Unsupported``."""
    writer = _Writer(tokens)
    writer.run()
    writer.result.text = " ".join(writer.out)
    return writer.result


def quote(name: str) -> str:
    """A name in double quotes."""
    return '"' + name.replace('"', '""') + '"'


class _Writer:
    __slots__ = ("at", "brackets", "calls", "operand", "out", "result", "subscripts", "tokens")

    def __init__(self, tokens: Sequence[Token]) -> None:
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

    def run(self) -> None:
        while True:
            kind, value, start = self.tokens[self.at]
            if start < 0:
                return
            if kind is Kind.WORD:
                self.one_word(value)
            elif kind is Kind.QUOTED:
                if self.skip_argument_name():
                    continue
                if value in KEYWORD_FUNCTIONS and self.mark(1) == "(" and self.previous() != ".":
                    # In quotes it is a name like any other.
                    self.put(quote(FUNCTION_MARK * 2 + value))
                    self.at += 1
                    continue
                if self.tokens[self.at + 1].kind is Kind.STRING and self.previous() not in ("as", "."):
                    self.result.types.add(value)
                    self.at += 1
                else:
                    self.identifier(value)
            elif kind is Kind.STRING:
                self.put("'" + value.replace("'", "''") + "'", operand=True)
                self.at += 1
            elif kind is Kind.NUMBER:
                plain = value.replace(".", "0").isdigit()
                self.put(value if plain else f"'{value}'", operand=True)
                self.at += 1
            elif kind is Kind.PARAMETER:
                self.put(value, operand=True)
                self.at += 1
            elif kind is Kind.OPERATOR:
                self.operator(value)
            else:
                self.punctuation(value)

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
            self.put(value if value in _PLAIN_OPERATORS else "||")
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
        handler = _HANDLERS.get(word)
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
            while self.word() in _INTERVAL_FIELDS:
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
            while self.word() in _INTERVAL_FIELDS:
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


# --- words with a syntax of their own: each returns False where the word is an ordinary name -------------------------


def _cast(writer: _Writer) -> bool:
    if writer.mark(1) != "(":
        return False
    writer.put("cast (")
    writer.calls.append("cast")
    writer.at += 2
    return True


def _as(writer: _Writer) -> bool:
    writer.put("as")
    writer.at += 1
    if writer.calls and writer.calls[-1] == "cast":
        writer.type_name()
        writer.put("text", operand=True)
    return True


def _special_call(writer: _Writer) -> bool:
    """substring, trim and the like: the words between arguments become commas."""
    name = writer.word()
    if writer.mark(1) != "(":
        return False
    start = writer.at + 2
    end = writer.group_end(writer.at + 1)
    separators = _CALL_SEPARATORS[name]
    inner: list[Token] = []
    depth = 0
    for index in range(start, end):
        token = writer.tokens[index]
        if token.kind is Kind.PUNCTUATION:
            depth += {"(": 1, ")": -1, "[": 1, "]": -1}.get(token.value, 0)
        if token.kind is Kind.WORD and not depth:
            if name == "trim" and token.value in ("both", "leading", "trailing") and index == start:
                continue
            if name == "normalize" and inner and token.value in ("nfc", "nfd", "nfkc", "nfkd"):
                inner.append(Token(Kind.STRING, token.value, token.start))
                continue
            if name == "extract" and index == start:
                inner.append(Token(Kind.STRING, token.value, token.start))
                continue
            if token.value in separators:
                if inner:
                    inner.append(Token(Kind.PUNCTUATION, ",", token.start))
                continue
        inner.append(token)
    writer.tokens[start:end] = inner
    writer.put(quote(FUNCTION_MARK + name))
    writer.at += 1
    return True


def _only_before(*following: str) -> Callable[[_Writer], bool]:
    def handler(writer: _Writer) -> bool:
        if writer.word(1) in following or writer.mark(1) in following:
            word = writer.word()
            writer.put(word)
            writer.at += 1
            return True
        return False

    return handler


def _join(writer: _Writer) -> bool:
    if writer.mark(1) == "(":
        return False
    writer.put(writer.word())
    writer.at += 1
    return True


def _collate(writer: _Writer) -> bool:
    if not writer.operand or not writer.is_name(1):
        raise Unsupported("unexpected collate")
    writer.at += 2
    while writer.mark() == "." and writer.is_name(1):
        writer.at += 2
    return True


def _operator(writer: _Writer) -> bool:
    if writer.mark(1) != "(":
        return False
    end = writer.group_end(writer.at + 1)
    symbol = writer.tokens[end - 1].value
    # Qualified by anything but pg_catalog it is somebody's own operator.
    names = [token.value for token in writer.tokens[writer.at + 2 : end - 1] if token.value != "."]
    writer.at = end + 1
    if names not in ([], ["pg_catalog"]):
        writer.result.operators.add(".".join([*names, symbol]))
    else:
        writer.result.operators.add(symbol)
    if writer.operand:
        writer.put(symbol if symbol in _PLAIN_OPERATORS else "||")
    else:
        writer.put("-")
    return True


def _drop_before_operand(writer: _Writer) -> bool:
    """ONLY, SYMMETRIC, VARIADIC: reserved words that do not change where values come from."""
    writer.at += 1
    writer.operand = False
    return True


def _with(writer: _Writer) -> bool:
    if writer.word(1) == "ordinality":
        writer.put("with ordinality", operand=True)
        writer.at += 2
        return True
    writer.put("with")
    writer.at += 1
    if writer.word() == "recursive" and (writer.is_name(1)) and writer.word(1) != "as":
        writer.put("recursive")
        writer.at += 1
    return True


def _at(writer: _Writer) -> bool:
    if not writer.operand:
        return False
    if writer.word(1) == "local":
        writer.at += 2
        return True
    if writer.word(1) == "time" and writer.word(2) == "zone":
        writer.put("||")
        writer.at += 3
        return True
    return False


def _nulls(writer: _Writer) -> bool:
    if writer.word(1) not in ("first", "last"):
        return False
    writer.at += 2
    return True


def _locking(writer: _Writer) -> bool:
    """FOR UPDATE | NO KEY UPDATE | SHARE | KEY SHARE [OF …] [NOWAIT | SKIP LOCKED]."""
    writer.at += 1
    while writer.word() in ("no", "key"):
        writer.at += 1
    if writer.word() not in ("update", "share"):
        raise Unsupported("unexpected for")
    writer.at += 1
    if writer.word() == "of":
        writer.at += 1
        while writer.is_name():
            writer.at += 1
            while writer.mark() in (".", ",") and writer.is_name(1):
                writer.at += 2
            break
    if writer.word() == "nowait":
        writer.at += 1
    elif writer.word() == "skip" and writer.word(1) == "locked":
        writer.at += 2
    writer.result.locks = True
    writer.operand = True
    return True


def _fetch(writer: _Writer) -> bool:
    """FETCH FIRST n ROWS ONLY | WITH TIES: the count is a literal or a parameter, or it is not covered."""
    if writer.word(1) not in ("first", "next"):
        raise Unsupported("unexpected fetch")
    writer.at += 2
    if writer.tokens[writer.at].kind in (Kind.NUMBER, Kind.PARAMETER, Kind.STRING):
        writer.at += 1
    if writer.word() not in ("row", "rows"):
        raise Unsupported("computed row count")
    writer.at += 1
    if writer.word() == "only":
        writer.at += 1
    elif writer.word() == "with" and writer.word(1) == "ties":
        writer.at += 2
    else:
        raise Unsupported("unexpected fetch")
    writer.operand = True
    return True


def _offset(writer: _Writer) -> bool:
    writer.put("offset")
    writer.at += 1
    if writer.tokens[writer.at].kind in (Kind.NUMBER, Kind.PARAMETER) and writer.word(1) in ("row", "rows"):
        writer.put(writer.tokens[writer.at].value, operand=True)
        writer.at += 2
    return True


def _sample(writer: _Writer) -> bool:
    """TABLESAMPLE method (n) [REPEATABLE (n)]: picks rows, changes no values."""
    writer.at += 1
    while True:
        while writer.is_name() and writer.mark(1) == ".":
            writer.at += 2
        if not writer.is_name() or writer.mark(1) != "(":
            raise Unsupported("unexpected tablesample")
        end = writer.group_end(writer.at + 1)
        if any(t.kind in (Kind.WORD, Kind.QUOTED) for t in writer.tokens[writer.at + 2 : end]):
            raise Unsupported("computed sample size")
        writer.at = end + 1
        if writer.word() != "repeatable":
            writer.operand = True
            return True


def _frame(writer: _Writer) -> bool:
    """A window frame, up to the parenthesis that ends the window."""
    if not writer.calls or (
        writer.previous() in ("(", ",", "as", ".")
        and writer.word(1)
        not in (
            "between",
            "unbounded",
            "current",
        )
    ):
        return False
    if writer.word(1) not in ("between", "unbounded", "current") and writer.word(2) not in ("preceding", "following"):
        return False
    index = writer.at
    while True:
        kind, value, _ = writer.tokens[index]
        if kind is Kind.PUNCTUATION:
            if value == ")":
                break
            raise Unsupported("computed window frame")
        if kind is Kind.QUOTED or (kind is Kind.WORD and value not in _FRAME_WORDS | _INTERVAL_FIELDS):
            raise Unsupported("computed window frame")
        index += 1
    writer.at = index
    return True


def _over(writer: _Writer) -> bool:
    word = writer.word()
    if not writer.operand or writer.previous() != ")":
        return False
    if word == "over" and (writer.mark(1) == "(" or writer.is_name(1)):
        writer.put("over")
        writer.at += 1
        if writer.mark() != "(":
            writer.identifier(writer.tokens[writer.at].value)
        return True
    if word == "filter" and writer.mark(1) == "(" and writer.word(2) == "where":
        writer.put("filter")
        writer.at += 1
        return True
    if word == "within" and writer.word(1) == "group":
        writer.put("within group")
        writer.at += 2
        return True
    return False


def _grouping(writer: _Writer) -> bool:
    if writer.word(1) == "sets":
        writer.put("grouping sets")
        writer.at += 2
        return True
    return False


def _escape(writer: _Writer) -> bool:
    if writer.operand and writer.tokens[writer.at + 1].kind in (Kind.STRING, Kind.PARAMETER):
        writer.at += 2
        return True
    return False


def _is(writer: _Writer) -> bool:
    writer.put("is")
    writer.at += 1
    if writer.word() == "not":
        writer.put("not")
        writer.at += 1
    if writer.word() in ("unknown", "document"):
        writer.put("null", operand=True)
        writer.at += 1
    elif writer.word() == "json":
        writer.at += 1
        if writer.word() in ("value", "scalar", "array", "object"):
            writer.at += 1
        if writer.word() in ("with", "without") and writer.word(1) == "unique":
            writer.at += 3 if writer.word(2) == "keys" else 2
        writer.put("null", operand=True)
    elif writer.word() == "distinct" and writer.word(1) == "from":
        writer.put("distinct from")
        writer.at += 2
    return True


def _null_test(writer: _Writer) -> bool:
    if not writer.operand:
        return False
    writer.put("is null" if writer.word() == "isnull" else "is not null", operand=True)
    writer.at += 1
    return True


def _similar(writer: _Writer) -> bool:
    if not writer.operand or writer.word(1) != "to":
        return False
    writer.put("like")
    writer.at += 2
    return True


def _overlaps(writer: _Writer) -> bool:
    writer.put("=")
    writer.at += 1
    return True


def _overriding(writer: _Writer) -> bool:
    if writer.word(1) in ("system", "user") and writer.word(2) == "value":
        writer.at += 3
        return True
    return False


def _conflict(writer: _Writer) -> bool:
    if writer.previous() != "on":
        return False
    writer.put("conflict")
    writer.at += 1
    if writer.word() == "on" and writer.word(1) == "constraint":
        writer.at += 3
    return True


def _do(writer: _Writer) -> bool:
    if writer.word(1) not in ("nothing", "update"):
        raise Unsupported("unexpected do")
    writer.put("do " + writer.word(1))
    writer.at += 2
    return True


def _default(writer: _Writer) -> bool:
    """A column's default: computed from no column."""
    if writer.word(1) == "values":
        writer.put("default values", operand=True)
        writer.at += 2
        return True
    writer.put("null", operand=True)
    writer.at += 1
    return True


def _values(writer: _Writer) -> bool:
    if writer.mark(1) != "(":
        return False
    writer.put("values")
    writer.at += 1
    return True


def _current(writer: _Writer) -> bool:
    if writer.word(1) != "of" or writer.previous() != "where":
        return False
    writer.put(quote(FUNCTION_MARK + "current of") + "()", operand=True)
    writer.at += 3
    return True


def _into_kind(writer: _Writer) -> bool:
    if writer.previous() not in ("into", "local", "global") or not writer.is_name(1):
        return False
    if writer.word() in ("temp", "temporary"):
        writer.put("temporary")
    writer.at += 1
    return True


def _table(writer: _Writer) -> bool:
    if writer.previous() in ("into", "temp", "temporary", "unlogged"):
        writer.at += 1
        return True
    writer.put("table")
    writer.at += 1
    return True


def _merge_word(writer: _Writer) -> bool:
    """MERGE's WHEN [NOT] MATCHED [BY SOURCE | TARGET]."""
    if writer.previous() not in ("when", "not") or not writer.out:
        return False
    writer.put("matched", operand=True)
    writer.at += 1
    if writer.word() == "by" and writer.word(1) in ("source", "target"):
        writer.put("by " + writer.word(1), operand=True)
        writer.at += 2
    return True


def _xmlelement(writer: _Writer) -> bool:
    """xmlelement(NAME x, …): the name is no value."""
    if writer.mark(1) == "(" and writer.word(2) == "name":
        name_end = writer.at + 4
        if writer.tokens[name_end].value == ",":
            name_end += 1
        del writer.tokens[writer.at + 2 : name_end]
    return False


_HANDLERS: Mapping[str, Callable[[_Writer], bool]] = {
    "cast": _cast,
    "as": _as,
    **dict.fromkeys(_SPECIAL_CALLS, _special_call),
    **dict.fromkeys(_JOIN_WORDS, _join),
    "collate": _collate,
    "operator": _operator,
    "only": _drop_before_operand,
    "symmetric": _drop_before_operand,
    "asymmetric": _drop_before_operand,
    "variadic": _drop_before_operand,
    "with": _with,
    "at": _at,
    "nulls": _nulls,
    "for": _locking,
    "fetch": _fetch,
    "offset": _offset,
    "tablesample": _sample,
    **dict.fromkeys(("rows", "range", "groups"), _frame),
    **dict.fromkeys(("over", "filter", "within"), _over),
    "grouping": _grouping,
    "rollup": _only_before("("),
    "cube": _only_before("("),
    "partition": _only_before("by"),
    "exists": _only_before("("),
    "escape": _escape,
    "is": _is,
    "isnull": _null_test,
    "notnull": _null_test,
    "similar": _similar,
    "overlaps": _overlaps,
    "overriding": _overriding,
    "conflict": _conflict,
    "do": _do,
    "default": _default,
    "values": _values,
    "current": _current,
    **dict.fromkeys(("temp", "temporary", "unlogged", "local", "global"), _into_kind),
    "table": _table,
    "matched": _merge_word,
    "xmlelement": _xmlelement,
}

"""Words of clauses that have a syntax of their own, as ``Writer`` writes them.

A handler returns False where the word is an ordinary name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gateway.sql.lexer import Kind
from gateway.sql.rebuilt import Unsupported
from gateway.sql.writer import INTERVAL_FIELDS

if TYPE_CHECKING:
    from gateway.sql.writer import Writer

_FRAME_WORDS = frozenset(
    """rows range groups between and unbounded preceding following current row exclude no others ties group
    interval""".split()
)


def _only_before(*following: str) -> Callable[[Writer], bool]:
    def handler(writer: Writer) -> bool:
        if writer.word(1) in following or writer.mark(1) in following:
            word = writer.word()
            writer.put(word)
            writer.at += 1
            return True
        return False

    return handler


def _with(writer: Writer) -> bool:
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


def _nulls(writer: Writer) -> bool:
    if writer.word(1) not in ("first", "last"):
        return False
    writer.at += 2
    return True


def _locking(writer: Writer) -> bool:
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


def _fetch(writer: Writer) -> bool:
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


def _offset(writer: Writer) -> bool:
    writer.put("offset")
    writer.at += 1
    if writer.tokens[writer.at].kind in (Kind.NUMBER, Kind.PARAMETER) and writer.word(1) in ("row", "rows"):
        writer.put(writer.tokens[writer.at].value, operand=True)
        writer.at += 2
    return True


def _sample(writer: Writer) -> bool:
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


def _frame(writer: Writer) -> bool:
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
        if kind is Kind.QUOTED or (kind is Kind.WORD and value not in _FRAME_WORDS | INTERVAL_FIELDS):
            raise Unsupported("computed window frame")
        index += 1
    writer.at = index
    return True


def _over(writer: Writer) -> bool:
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


def _grouping(writer: Writer) -> bool:
    if writer.word(1) == "sets":
        writer.put("grouping sets")
        writer.at += 2
        return True
    return False


def _overriding(writer: Writer) -> bool:
    if writer.word(1) in ("system", "user") and writer.word(2) == "value":
        writer.at += 3
        return True
    return False


def _conflict(writer: Writer) -> bool:
    if writer.previous() != "on":
        return False
    writer.put("conflict")
    writer.at += 1
    if writer.word() == "on" and writer.word(1) == "constraint":
        writer.at += 3
    return True


def _do(writer: Writer) -> bool:
    if writer.word(1) not in ("nothing", "update"):
        raise Unsupported("unexpected do")
    writer.put("do " + writer.word(1))
    writer.at += 2
    return True


def _values(writer: Writer) -> bool:
    if writer.mark(1) != "(":
        return False
    writer.put("values")
    writer.at += 1
    return True


def _into_kind(writer: Writer) -> bool:
    if writer.previous() not in ("into", "local", "global") or not writer.is_name(1):
        return False
    if writer.word() in ("temp", "temporary"):
        writer.put("temporary")
    writer.at += 1
    return True


def _table(writer: Writer) -> bool:
    if writer.previous() in ("into", "temp", "temporary", "unlogged"):
        writer.at += 1
        return True
    writer.put("table")
    writer.at += 1
    return True


def _merge_word(writer: Writer) -> bool:
    """MERGE's WHEN [NOT] MATCHED [BY SOURCE | TARGET]."""
    if writer.previous() not in ("when", "not") or not writer.out:
        return False
    writer.put("matched", operand=True)
    writer.at += 1
    if writer.word() == "by" and writer.word(1) in ("source", "target"):
        writer.put("by " + writer.word(1), operand=True)
        writer.at += 2
    return True


HANDLERS: Mapping[str, Callable[[Writer], bool]] = {
    "with": _with,
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
    "exists": _only_before("("),
    "partition": _only_before("by"),
    "overriding": _overriding,
    "conflict": _conflict,
    "do": _do,
    "values": _values,
    **dict.fromkeys(("temp", "temporary", "unlogged", "local", "global"), _into_kind),
    "table": _table,
    "matched": _merge_word,
}

"""Words inside expressions that have a syntax of their own, as ``Writer`` writes them.

A handler returns False where the word is an ordinary name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gateway.sql.lexer import Kind, Token
from gateway.sql.rebuilt import FUNCTION_MARK, PLAIN_OPERATORS, Unsupported, quote

if TYPE_CHECKING:
    from gateway.sql.writer import Writer

_JOIN_WORDS = frozenset("left right full".split())
_SPECIAL_CALLS = frozenset("substring trim overlay position extract normalize".split())
_CALL_SEPARATORS = {
    "substring": frozenset({"from", "for", "similar", "escape"}),
    "overlay": frozenset({"placing", "from", "for"}),
    "position": frozenset({"in"}),
    "extract": frozenset({"from"}),
    "trim": frozenset({"from"}),
    "normalize": frozenset[str](),
}


def _cast(writer: Writer) -> bool:
    if writer.mark(1) != "(":
        return False
    writer.put("cast (")
    writer.calls.append("cast")
    writer.at += 2
    return True


def _as(writer: Writer) -> bool:
    writer.put("as")
    writer.at += 1
    if writer.calls and writer.calls[-1] == "cast":
        writer.type_name()
        writer.put("text", operand=True)
    return True


def _special_call(writer: Writer) -> bool:
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


def _join(writer: Writer) -> bool:
    if writer.mark(1) == "(":
        return False
    writer.put(writer.word())
    writer.at += 1
    return True


def _collate(writer: Writer) -> bool:
    if not writer.operand or not writer.is_name(1):
        raise Unsupported("unexpected collate")
    writer.at += 2
    while writer.mark() == "." and writer.is_name(1):
        writer.at += 2
    return True


def _operator(writer: Writer) -> bool:
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
        writer.put(symbol if symbol in PLAIN_OPERATORS else "||")
    else:
        writer.put("-")
    return True


def _drop_before_operand(writer: Writer) -> bool:
    """ONLY, SYMMETRIC, VARIADIC: reserved words that do not change where values come from."""
    writer.at += 1
    writer.operand = False
    return True


def _at(writer: Writer) -> bool:
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


def _escape(writer: Writer) -> bool:
    if writer.operand and writer.tokens[writer.at + 1].kind in (Kind.STRING, Kind.PARAMETER):
        writer.at += 2
        return True
    return False


def _is(writer: Writer) -> bool:
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


def _null_test(writer: Writer) -> bool:
    if not writer.operand:
        return False
    writer.put("is null" if writer.word() == "isnull" else "is not null", operand=True)
    writer.at += 1
    return True


def _similar(writer: Writer) -> bool:
    if not writer.operand or writer.word(1) != "to":
        return False
    writer.put("like")
    writer.at += 2
    return True


def _overlaps(writer: Writer) -> bool:
    writer.put("=")
    writer.at += 1
    return True


def _default(writer: Writer) -> bool:
    """A column's default: computed from no column."""
    if writer.word(1) == "values":
        writer.put("default values", operand=True)
        writer.at += 2
        return True
    writer.put("null", operand=True)
    writer.at += 1
    return True


def _current(writer: Writer) -> bool:
    if writer.word(1) != "of" or writer.previous() != "where":
        return False
    writer.put(quote(FUNCTION_MARK + "current of") + "()", operand=True)
    writer.at += 3
    return True


def _xmlelement(writer: Writer) -> bool:
    """xmlelement(NAME x, …): the name is no value."""
    if writer.mark(1) == "(" and writer.word(2) == "name":
        name_end = writer.at + 4
        if writer.tokens[name_end].value == ",":
            name_end += 1
        del writer.tokens[writer.at + 2 : name_end]
    return False


HANDLERS: Mapping[str, Callable[[Writer], bool]] = {
    "cast": _cast,
    "as": _as,
    **dict.fromkeys(_SPECIAL_CALLS, _special_call),
    **dict.fromkeys(_JOIN_WORDS, _join),
    "collate": _collate,
    "operator": _operator,
    **dict.fromkeys(("only", "symmetric", "asymmetric", "variadic"), _drop_before_operand),
    "at": _at,
    "escape": _escape,
    "is": _is,
    "isnull": _null_test,
    "notnull": _null_test,
    "similar": _similar,
    "overlaps": _overlaps,
    "default": _default,
    "current": _current,
    "xmlelement": _xmlelement,
}

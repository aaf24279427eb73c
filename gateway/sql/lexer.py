"""PostgreSQL's lexical rules (chapter "Lexical Structure"), exactly.

The parser behind the analysis has rules of its own. A text that two programs cut into different words can mean two
different things, so words are cut here, as the server does it, and the parser only ever sees a text rebuilt from them.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """The sort of a token."""

    WORD = 0
    QUOTED = 1
    STRING = 2
    NUMBER = 3
    PARAMETER = 4
    OPERATOR = 5
    PUNCTUATION = 6
    VARIABLE = 7
    """``@user`` or ``@@system`` variables of MySQL, with their signs, folded."""


class Token(NamedTuple):
    """``value`` is what it means: the folded name, the decoded string, the operator. ``start`` counts characters."""

    kind: Kind
    value: str
    start: int


class LexError(ValueError):
    """The text is not made of tokens, or of tokens whose meaning is not certain."""


_SPACE = " \\t\\n\\r\\f\\v"
_HIGH = "\\x80-\\U0010ffff"
_TOKEN = re.compile(
    rf"""
    (?:[{_SPACE}]++|--[^\n\r]*+)*+  # possessive: a comment must not be given back to find a token in it
    (?: (?P<comment>/\*)
    | (?P<prefixed>[eEbBxXnN]'|[uU]&['"])
    | (?P<word>[A-Za-z_{_HIGH}][A-Za-z0-9_${_HIGH}]*)
    | (?P<string>')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<number>0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+
        |(?:\d(?:_?\d)*(?:\.(?!\.)(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?)
    | (?P<parameter>\$\d+)
    | (?P<dollar>\$(?:[A-Za-z_{_HIGH}][A-Za-z0-9_{_HIGH}]*)?\$)
    | (?P<punctuation>::|:=|\.\.|[,()\[\];.:])
    | (?P<operator>[+\-*/<>=~!@\#%^&|`?]+)
    | \Z )
    """,
    re.VERBOSE,
)
_PLAIN_BODY = re.compile(r"[^']*(?:''[^']*)*'")
_ESCAPE_BODY = re.compile(r"(?:[^'\\]|\\.|'')*'", re.DOTALL)
_CONTINUED = re.compile(
    rf"(?:[ \t\f\v]|--[^\n\r]*)*[\n\r](?:[{_SPACE}]|--[^\n\r]*[\n\r])*'",
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_UNICODE_ESCAPE = re.compile(r"\\(?:(\\)|([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6})|(.?))", re.DOTALL)
_SIMPLE_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_FOLD = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_NAME_LIMIT = 63


def tokenize(text: str, *, standard_conforming_strings: bool = True, limit: int = 50_000) -> list[Token]:
    """The tokens of ``text`` without comments and spacing. Raises ``LexError``, also beyond ``limit`` tokens."""
    tokens: list[Token] = []
    append = tokens.append
    match = _TOKEN.match
    position, end = 0, len(text)
    # Most of the time of a short analysis is spent here: a match for each token, with the spacing before it.
    make, word_kind, punctuation_kind = Token._make, Kind.WORD, Kind.PUNCTUATION
    while position < end:
        found = match(text, position)
        if found is None:
            raise LexError(f"no token behind character {position}")
        group = found.lastgroup
        if group is None:
            break  # nothing but spacing is left
        start, position = found.span(group)
        if group == "word":
            word = text[start:position]
            if word.isascii() and len(word) <= _NAME_LIMIT:
                append(make((word_kind, word.lower(), start)))
            else:
                append(Token(word_kind, _name(word.translate(_FOLD)), start))
        elif group == "punctuation":
            append(make((punctuation_kind, text[start:position], start)))
        elif group == "operator":
            position = start + _operator_length(text[start:position])
            append(Token(Kind.OPERATOR, text[start:position], start))
        elif group == "number":
            append(Token(Kind.NUMBER, text[start:position], start))
        elif group == "string":
            value, position = _string(text, position, escapes=not standard_conforming_strings)
            append(Token(Kind.STRING, value, start))
        elif group == "quoted":
            append(Token(Kind.QUOTED, _name(text[start:position][1:-1].replace('""', '"')), start))
        elif group == "parameter":
            append(Token(Kind.PARAMETER, text[start:position], start))
        elif group == "prefixed":
            token, position = _prefixed(text, start, text[start:position])
            append(token)
        elif group == "dollar":
            mark = text[start:position]
            close = text.find(mark, position)
            if close < 0:
                raise LexError("dollar-quoted string without end")
            append(Token(Kind.STRING, text[position:close], start))
            position = close + len(mark)
        else:
            position = _skip_comment(text, position)
        if len(tokens) > limit:
            raise LexError("too many tokens")
    return tokens


def _name(name: str) -> str:
    """A name as the server stores it: cut at 63 bytes, on a character's edge."""
    if len(name) * 4 <= _NAME_LIMIT or len(name.encode(errors="replace")) <= _NAME_LIMIT:
        return name
    return name.encode(errors="replace")[:_NAME_LIMIT].decode(errors="ignore")


def _operator_length(run: str) -> int:
    """How much of a run of operator characters is one operator: it stops before a comment and sheds trailing signs."""
    length = len(run)
    for mark in ("/*", "--"):
        at = run.find(mark)
        if at > 0:
            length = min(length, at)
    if length > 1 and run[length - 1] in "+-" and not any(char in "~!@#%^&|`?" for char in run[:length]):
        while length > 1 and run[length - 1] in "+-":
            length -= 1
    return length


def _skip_comment(text: str, position: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, position)
        if edge is None:
            raise LexError("comment without end")
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return position


def _string(text: str, position: int, *, escapes: bool) -> tuple[str, int]:
    """The value of a string whose opening quote is before ``position``, with its continuation lines."""
    body = _ESCAPE_BODY if escapes else _PLAIN_BODY
    parts: list[str] = []
    while True:
        found = body.match(text, position)
        if found is None:
            raise LexError("string without end")
        raw = text[position : found.end() - 1]
        parts.append(_unescape(raw) if escapes else raw.replace("''", "'"))
        position = found.end()
        more = _CONTINUED.match(text, position)
        if more is None:
            return "".join(parts), position
        position = more.end()


def _prefixed(text: str, start: int, prefix: str) -> tuple[Token, int]:
    position = start + len(prefix)
    letter = prefix[0].lower()
    if prefix.endswith('"'):
        close = re.compile(r'(?:[^"]|"")+"').match(text, position)
        if close is None:
            raise LexError("quoted name without end")
        raw = text[position : close.end() - 1].replace('""', '"')
        _refuse_other_escape(text, close.end())
        return Token(Kind.QUOTED, _name(_decode_unicode(raw)), start), close.end()
    value, end = _string(text, position, escapes=letter == "e")
    if letter == "u":
        _refuse_other_escape(text, end)
        value = _decode_unicode(value)
    return Token(Kind.STRING, value, start), end


def _refuse_other_escape(text: str, position: int) -> None:
    following = _TOKEN.match(text, position)
    while following is not None and following.lastgroup == "comment":
        position = _skip_comment(text, following.end())
        following = _TOKEN.match(text, position)
    if following is not None and following.lastgroup and following[following.lastgroup].lower() == "uescape":
        raise LexError("UESCAPE is not supported")


def _character(code: int) -> str:
    # Half a surrogate pair would need its other half; nobody writes names that way.
    if code == 0 or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise LexError("invalid Unicode escape")
    return chr(code)


def _decode_unicode(raw: str) -> str:
    def one(found: re.Match[str]) -> str:
        backslash, four, six, _other = found.groups()
        if backslash:
            return "\\"
        if four or six:
            return _character(int(four or six, 16))
        raise LexError("invalid Unicode escape")

    return _UNICODE_ESCAPE.sub(one, raw) if "\\" in raw else raw


def _unescape(raw: str) -> str:
    def one(found: re.Match[str]) -> str:
        octal, hexadecimal, four, eight, other = found.groups()
        if octal:
            return chr(int(octal, 8) & 0xFF)
        if hexadecimal:
            return chr(int(hexadecimal, 16))
        if four or eight:
            return _character(int(four or eight, 16))
        return _SIMPLE_ESCAPES.get(other, other)

    raw = raw.replace("''", "'")
    return _ESCAPE.sub(one, raw) if "\\" in raw else raw

"""The lexical rules of MySQL and MariaDB (manual, chapter "Language Structure"; ``sql_lex.cc`` where that is silent).

Names are folded to lower case here. Columns have no case; whether tables and aliases have one depends on
``lower_case_table_names``, so two spellings of a qualifier are noticed where they could mean two things (see
``mysql.names``). Executable comments are code: they are read in place, or skipped, as the server's version does.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.sql.lexer import Kind, LexError, Token
from gateway.sql.mysql.comments import runs, skip_comment
from gateway.sql.state import MySqlResolution

_HIGH: Final = "\\x80-\\U0010ffff"
_NAME: Final = f"A-Za-z0-9_${_HIGH}"
_TOKEN: Final = re.compile(
    rf"""
      (?P<space>(?:[\ \t\n\v\f\r]+|\#[^\n]*|--(?=[\x01-\x20\x7f]|\Z)[^\n]*)+)
    | (?P<comment>/\*)
    | (?P<close>\*/)
    | (?P<prefixed>[xXbBnN]')
    | (?P<word>[A-Za-z_${_HIGH}][{_NAME}]*)
    | (?P<string>['"])
    | (?P<quoted>`(?:[^`]|``)+`)
    | (?P<hex>0x[0-9a-fA-F]+(?![{_NAME}])|0b[01]+(?![{_NAME}]))
    | (?P<number>(?:\d+(?:\.\d*)?|(?<![{_NAME}`"])\.\d+)(?:[eE][+-]?\d+)?(?![{_NAME}.]))
    | (?P<digits>(?!0[xXbB])\d+(?![eE\d])[{_NAME}]+(?!\.\d))
    | (?P<system>@@(?:[A-Za-z0-9_$]+|`[^`]+`)(?:\.(?:[A-Za-z0-9_$]+|`[^`]+`))?)
    | (?P<user>@(?:[A-Za-z0-9_.$]+|`(?:[^`]|``)*`)|@(?=['"]))
    | (?P<null>\\N(?![{_NAME}]))
    | (?P<parameter>\?)
    | (?P<punctuation>[,().;:{{}}](?!=))
    | (?P<compared>[=<>!]+)
    | (?P<operator>:=|->>|->|&&?(?!&)|\|\|?(?!\|)|[+\-*/%~^])
    """,
    re.VERBOSE,
)
_COMPARISONS: Final = frozenset("= < > ! <= >= <> != <=> << >>".split())
_BODIES: Final = {
    ("'", True): re.compile(r"(?:[^'\\]|\\.|'')*'", re.DOTALL),
    ('"', True): re.compile(r'(?:[^"\\]|\\.|"")*"', re.DOTALL),
    ("'", False): re.compile(r"[^']*(?:''[^']*)*'"),
    ('"', False): re.compile(r'[^"]*(?:""[^"]*)*"'),
}
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_SIMPLE_ESCAPES: Final = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}
_SETTINGS_MATTER: Final = re.compile(r'["\\]|\|\||/\*M?!')
_CASE_PITFALLS: Final = frozenset("\u0130\u0131\u017f\u1e9e\u03c2\u212a\u212b\u2126")
"""Letters whose lower case is not one other letter's, so that two programs may fold them in two ways."""
_READABLE_CHARSETS: Final = frozenset({"utf8", "utf8mb3", "utf8mb4", "latin1", "ascii", "binary"})
"""Character sets in which no byte of a character beyond ASCII is an ASCII byte, as the lexer sees it."""
_UNICODE_CHARSETS: Final = frozenset({"utf8", "utf8mb3", "utf8mb4"})
_INTRODUCERS: Final = frozenset(
    f"_{name}"
    for name in """armscii8 ascii big5 binary cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 cp932 dec8 eucjpms euckr
    gb18030 gb2312 gbk geostd8 greek hebrew hp8 keybcs2 koi8r koi8u latin1 latin2 latin5 latin7 macce macroman sjis
    swe7 tis620 ucs2 ujis utf16 utf16le utf32 utf8 utf8mb3 utf8mb4""".split()
)


def tokenize(text: str, state: MySqlResolution, *, limit: int = 50_000) -> list[Token]:
    """The tokens of ``text`` without comments and spacing. Raises ``LexError``, also beyond ``limit`` tokens."""
    _check(text, state)
    tokens: list[Token] = []
    append = tokens.append
    match = _TOKEN.match
    position, end = 0, len(text)
    inside = False  # an executable comment
    text_end = -1  # how many tokens there were behind the last string literal, which another one continues
    spellings: dict[str, str] = {}
    mixed = False
    unicode = state.charset in _UNICODE_CHARSETS
    while position < end:
        found = match(text, position)
        if found is None:
            raise LexError(f"character {position} begins no token")
        start, position = position, found.end()
        group = found.lastgroup
        if group == "space":
            continue
        if group == "word" or group == "digits":
            name = found.group()
            value = folded(name, unicode=unicode)
            mixed = mixed or spellings.setdefault(value, name) != name
            append(Token(Kind.WORD, value, start))
        elif group == "punctuation":
            append(Token(Kind.PUNCTUATION, found.group(), start))
        elif group == "operator":
            append(Token(Kind.OPERATOR, found.group(), start))
        elif group == "number":
            append(Token(Kind.NUMBER, found.group(), start))
        elif group == "quoted":
            name = found.group()[1:-1].replace("``", "`")
            value = folded(name, unicode=True)
            mixed = mixed or spellings.setdefault(value, name) != name
            append(Token(Kind.QUOTED, value, start))
        elif group == "compared":
            if found.group() not in _COMPARISONS:
                raise LexError("operators without space between them")
            append(Token(Kind.OPERATOR, found.group(), start))
        elif group == "string":
            value, position = _string(text, start, state)
            if found.group() == '"' and state.ansi_quotes:
                name, value = value, folded(value, unicode=True)
                mixed = mixed or spellings.setdefault(value, name) != name
                append(Token(Kind.QUOTED, value, start))
            else:
                _append_string(tokens, value, start, joined=text_end == len(tokens))
                text_end = len(tokens)
        elif group == "parameter":
            append(Token(Kind.PARAMETER, "?", start))
        elif group == "system":
            append(Token(Kind.VARIABLE, found.group().replace("`", "").lower(), start))
        elif group == "user":
            name = found.group()
            if name == "@":
                value, position = _string(text, position, state)
                name = "@" + value
            append(Token(Kind.VARIABLE, name.replace("`", "").lower(), start))
        elif group == "prefixed":
            position = _prefixed(text, start, state, tokens)
            text_end = len(tokens) if text[start] in "nN" else -1
        elif group == "hex":
            _append_string(tokens, _numeral(found.group()[2:], found.group()[1] == "b"), start, joined=False)
        elif group == "null":
            append(Token(Kind.WORD, "null", start))
        elif group == "close":
            if inside:
                inside = False
            else:
                append(Token(Kind.OPERATOR, "*", start))
                position = start + 1
        else:
            code, position = runs(text, start, state)
            if code and inside:
                raise LexError("executable comments inside each other")
            inside = inside or code
        if len(tokens) > limit:
            raise LexError("too many tokens")
    if inside:
        raise LexError("comment without end")
    if mixed and not state.lower_case_table_names:
        _refuse_spellings(text, tokens)
    return tokens


def _refuse_spellings(text: str, tokens: list[Token]) -> None:
    """Tables and aliases have a case: two spellings of a qualifier may be two of them.

    What stands before AS is no alias, and a table with an alias is known by nothing else.
    """
    spelled: dict[str, set[str]] = {}
    qualifiers: set[str] = set()
    for index, (kind, value, start) in enumerate(tokens):
        if kind is Kind.WORD or kind is Kind.QUOTED:
            following = tokens[index + 1] if index + 1 < len(tokens) else None
            if following is not None and following.kind is Kind.WORD and following.value == "as":
                continue
            at = start + (kind is Kind.QUOTED)
            spelled.setdefault(value, set()).add(text[at : at + len(value)])
            if following is not None and following.value == ".":
                qualifiers.add(value)
    if any(len(spelled[value]) > 1 for value in qualifiers):
        raise LexError("a qualifier in two spellings")


def _check(text: str, state: MySqlResolution) -> None:
    """Raise ``LexError`` where it is not certain how the server cuts the text."""
    if state.oracle:
        raise LexError("sql_mode ORACLE")
    if "\0" in text:
        raise LexError("NUL in a statement")
    if not text.isascii() and state.charset not in _READABLE_CHARSETS:
        raise LexError("character set of the connection")
    if not state.known and (_SETTINGS_MATTER.search(text) or not text.isascii()):
        raise LexError("the session's settings are not known")


def folded(name: str, *, unicode: bool) -> str:
    """A name in lower case. ``unicode`` False: the character set has letters of its own. Raises ``LexError``."""
    if name.isascii():
        if "\x01" in name or "\x02" in name:
            raise LexError("control character in a name")
        return name.lower()
    if not unicode:
        raise LexError("a name beyond ASCII")
    for character in name:
        if (
            character > "\uffff"
            or character in _CASE_PITFALLS
            or len(character.lower()) != 1
            or not _settled(character)
        ):
            raise LexError("a letter in a name whose case is not certain")
    return name.lower()


def _settled(character: str) -> bool:
    """Whether it is no space or mark that one program takes for part of a name and another does not."""
    return character < "\x80" or character.isalnum() or character == "_"


# --- strings ----------------------------------------------------------------------------------------------------------


def _string(text: str, start: int, state: MySqlResolution) -> tuple[str, int]:
    """The value of the string whose opening quote is at ``start``, and where it ends."""
    quote = text[start]
    # In a quoted name a backslash is a character like any other.
    escapes = not state.no_backslash_escapes and not (quote == '"' and state.ansi_quotes)
    found = _BODIES[quote, escapes].match(text, start + 1)
    if found is None:
        raise LexError("string without end")
    raw = text[start + 1 : found.end() - 1]
    if escapes and "\\" in raw:
        return _unescaped(raw, quote), found.end()
    return raw.replace(quote * 2, quote), found.end()


def _unescaped(raw: str, quote: str) -> str:
    parts = re.split(r"(\\.|" + quote * 2 + ")", raw, flags=re.DOTALL)
    return "".join(
        _SIMPLE_ESCAPES.get(part[1], part[1]) if part[:1] == "\\" else quote if part == quote * 2 else part
        for part in parts
    )


def _append_string(tokens: list[Token], value: str, start: int, *, joined: bool) -> None:
    """Add a string. Behind another one it continues it; an introducer before it only says how to read it."""
    if tokens:
        last = tokens[-1]
        if joined and last.kind is Kind.STRING:
            tokens[-1] = Token(Kind.STRING, last.value + value, last.start)
            return
        if last.kind is Kind.WORD and last.value in _INTRODUCERS and not (len(tokens) > 1 and tokens[-2].value == "."):
            tokens.pop()
            start = last.start
    tokens.append(Token(Kind.STRING, value, start))


def _prefixed(text: str, start: int, state: MySqlResolution, tokens: list[Token]) -> int:
    """``x'41'``, ``b'01'``, ``N'text'``."""
    letter = text[start].lower()
    if letter == "n":
        value, end = _string(text, start + 1, state)
        _append_string(tokens, value, start, joined=False)
        return end
    close = text.find("'", start + 2)
    digits = text[start + 2 : close]
    if close < 0 or not set(digits.lower()) <= set("01" if letter == "b" else "0123456789abcdef"):
        raise LexError("not a numeral")
    if letter == "x" and len(digits) % 2:
        raise LexError("not a numeral")
    _append_string(tokens, _numeral(digits, letter == "b"), start, joined=False)
    return close + 1


def _numeral(digits: str, binary: bool) -> str:
    value = int(digits or "0", 2 if binary else 16)
    return value.to_bytes((value.bit_length() + 7) // 8 or 1, "big").decode("latin-1")


__all__ = ["folded", "skip_comment", "tokenize"]

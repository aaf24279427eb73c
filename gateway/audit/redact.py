"""Literals in statement texts: kept, replaced by a keyed hash, or dropped."""

from __future__ import annotations

import hashlib
import re

from gateway.domain.literals import Literals

__all__ = ["Literals", "hash_literal", "redact_text"]

# One alternative per kind of token that can hold a value, in the order in which a lexer must try them. What matches
# nothing (names, operators, parameters such as $1) is copied.
_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<dollar> (?<![\w$]) \$(?P<tag>[^\W\d]\w*)?\$ (?P<dollar_body>.*?) \$(?(tag)(?P=tag))\$ )
    | (?<!\w) [eE] (?P<escape> '[^'\\]*(?:(?:\\.|'')[^'\\]*)*' )
    | (?P<quoted> '[^']*(?:''[^']*)*' )
    | (?P<name> "[^"]*(?:""[^"]*)*" )
    | (?P<backtick> `[^`]*(?:``[^`]*)*` )
    | (?<![\w$]) (?P<number>
          0[xX][0-9a-fA-F_]+ | 0[oObB][0-7_]+ | (?: \d[\d_]*(?:\.[\d_]*)? | \.\d[\d_]* ) (?:[eE][+-]?\d+)? )
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENER = re.compile(r"""['"`]|/\*|\$\w*\$""")
_DIGEST_BYTES = 4


def redact_text(text: str, mode: Literals, key: bytes = b"", normalised: str = "") -> str:
    """The text as the audit may keep it.

    ``normalised`` is the analysis's own form with ``?`` for literals; it is what ``drop`` uses, and what stands for the
    text wherever this function cannot be sure that it found every literal (an unterminated quote, a nested comment, a
    backslash before a closing quote, which dialects read differently). Where there is no such form either, the text is
    withheld. Comments count as literals: people paste values into them.
    """
    match mode:
        case Literals.KEEP:
            return text
        case Literals.DROP:
            return normalised or _replace(text, None, "") or _withheld(text)
        case Literals.HASH:
            return _replace(text, key, normalised) or normalised or _withheld(text)


def hash_literal(value: str, key: bytes) -> str:
    """The stand-in for one literal. BLAKE2b keyed with ``key`` (at most 64 bytes, more is hashed first)."""
    if len(key) > hashlib.blake2b.MAX_KEY_SIZE:
        key = hashlib.sha256(key).digest()
    digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES, key=key)
    return "h:" + digest.hexdigest()


def _withheld(text: str) -> str:
    return f"[statement of {len(text)} characters withheld]"


def _replace(text: str, key: bytes | None, normalised: str) -> str | None:
    """The text with stand-ins for literals, or None where it cannot be read with certainty."""

    def stand_in(value: str) -> str:
        return "?" if key is None else hash_literal(value, key)

    pieces: list[str] = []
    position = 0
    for found in _TOKEN.finditer(text):
        gap = text[position : found.start()]
        if _OPENER.search(gap):
            return None
        pieces.append(gap)
        position = found.end()
        token = found.group()
        match found.lastgroup:
            case "comment":
                # PostgreSQL nests comments, others do not: the two readings disagree on where the comment ends.
                if "/*" in token[2:]:
                    return None
                pieces.append(" " if key is None else f"/* {stand_in(token)} */")
            case "dollar":
                pieces.append(stand_in(found["dollar_body"]))
            case "escape":
                pieces.append(stand_in(found["escape"][1:-1]))
            case "quoted":
                if "\\'" in token:
                    return None
                pieces.append(stand_in(token[1:-1].replace("''", "'")))
            case "name":
                # As for a string: JSON and MySQL go on behind a backslash and a quote, PostgreSQL does not.
                if '\\"' in token:
                    return None
                # A string in some dialects, a name in others: the analysis, which knows, keeps names.
                keep = token in normalised if normalised else False
                pieces.append(token if keep else stand_in(token[1:-1]))
            case "backtick":
                pieces.append(token)
            case _:
                pieces.append(stand_in(token))
    if _OPENER.search(text, position):
        return None
    pieces.append(text[position:])
    return "".join(pieces)

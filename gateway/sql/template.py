"""The template of a statement text: the text without its literals, as a key for caches.

``strip_literals`` replaces every plain string by ``''``, every number that PostgreSQL reads as an integer constant by
``0``, every other number by ``0.`` (``.0`` if it begins with the point); all else is kept byte for byte. Two texts with
one template consist of the same tokens, apart from the values of literals, for PostgreSQL (documentation, chapter 4.1
"Lexical Structure") and for the tokenizer that the analysis uses.
Whether those values matter to what the statement does is another question, and not answered here.

None means: do not use a template. That is the answer to everything whose reading depends on a setting, on the server's
version or on context: backslashes, strings with a prefix (``E'' B'' X'' N'' U&''``), ``U&""`` (its UESCAPE is a string
that decides a name), dollar quoting, comments, bytes above 127 outside quotes, control characters, numbers with
something attached (``123abc``, ``0x1F``, ``1_000``, ``1..2``), and quotes that do not end.

``strip_mysql_literals`` does the same for MySQL and MariaDB, whatever their sql_mode: names in backticks are kept, so
is what double quotes hold (a name or a string), and ``#``, ``@``, brackets and braces have no template either. That a
string may name an output column there is for the analysis to say.

It exists twice: compiled (``_template``, used where it was built) and in plain Python below, which is the
specification. ``QUERYGATE_PURE_PYTHON=1`` in the environment forces the second.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

# One token of the accepted language. Quantifiers are possessive so that a condition on what follows is never met by
# giving characters back.
_TOKEN = re.compile(
    rb"""
      (?P<string>  (?<![A-Za-z0-9_$&"]) ' (?: [^'\\\0] | '' )*+ ' )
    | (?P<float>   [0-9]++ (?: \. [0-9]*+ (?: [eE] [+-]? [0-9]++ )?+ | [eE] [+-]? [0-9]++ ) (?![A-Za-z0-9_$.'"])
      )
    | (?P<fraction> (?<![A-Za-z0-9_$.'")\]]) \. [0-9]++ (?: [eE] [+-]? [0-9]++ )?+ (?![A-Za-z0-9_$.'"]) )
    | (?P<integer> [0-9]++ (?![A-Za-z0-9_$.'"]) )
    | [A-Za-z_] [A-Za-z0-9_$]*+ (?!['"])
    | \$ [0-9]++ (?![A-Za-z0-9_$.'"])
    | (?<![A-Za-z0-9_$&']) " (?: [^"\0] | "" )*+ "
    | [\ \t\n\r\f]++
    | - (?!-)
    | / (?!\*)
    | \. (?![.0-9])
    | [+*<>=~!@\#%^&|`?(),;:\[\]]
    """,
    re.VERBOSE,
)
_MYSQL_TOKEN = re.compile(
    rb"""
      (?P<string>  (?<![A-Za-z0-9_$&"`']) ' (?: [^'\\\0] | '' )*+ ' )
    | (?P<float>   [0-9]++ (?: \. [0-9]*+ (?: [eE] [+-]? [0-9]++ )?+ | [eE] [+-]? [0-9]++ ) (?![A-Za-z0-9_$.'"`])
      )
    | (?P<fraction> (?<![A-Za-z0-9_$.'"`)\]]) \. [0-9]++ (?: [eE] [+-]? [0-9]++ )?+ (?![A-Za-z0-9_$.'"`]) )
    | (?P<integer> [0-9]++ (?![A-Za-z0-9_$.'"`]) )
    | [A-Za-z_$] [A-Za-z0-9_$]*+ (?!['"`])
    | (?<![A-Za-z0-9_$&'"`]) " (?: [^"\\\0] | "" )*+ "
    | (?<![A-Za-z0-9_$&'"`]) ` (?: [^`\\\0] | `` )*+ `
    | [\ \t\n\r\f]++
    | - (?!-)
    | / (?!\*)
    | \. (?![.0-9])
    | [+*<>=~!%^&|?(),;:]
    """,
    re.VERBOSE,
)
_MAX_INTEGER = 2**31 - 1
_MAX_DIGITS = len(str(_MAX_INTEGER))


def strip_literals_reference(text: bytes) -> bytes | None:
    """The plain-Python version of ``strip_literals``."""
    return _strip(text, _TOKEN)


def strip_mysql_literals_reference(text: bytes) -> bytes | None:
    """The plain-Python version of ``strip_mysql_literals``."""
    return _strip(text, _MYSQL_TOKEN)


def _strip(text: bytes, tokens: re.Pattern[bytes]) -> bytes | None:
    pieces: list[bytes] = []
    position = 0
    while position < len(text):
        token = tokens.match(text, position)
        if token is None:
            return None
        match token.lastgroup:
            case "string":
                pieces.append(b"''")
            case "integer":
                pieces.append(b"0" if _is_integer_constant(token[0]) else b"0.")
            case "float":
                pieces.append(b"0.")
            case "fraction":
                pieces.append(b".0")
            case _:
                pieces.append(token[0])
        position = token.end()
    return b"".join(pieces)


def _is_integer_constant(digits: bytes) -> bool:
    """Whether PostgreSQL's scanner makes an integer constant of it: it fits 32 bits."""
    significant = digits.lstrip(b"0")
    return len(significant) <= _MAX_DIGITS and int(significant or b"0") <= _MAX_INTEGER


if TYPE_CHECKING or os.environ.get("QUERYGATE_PURE_PYTHON") == "1":
    COMPILED = False
    strip_literals = strip_literals_reference
    strip_mysql_literals = strip_mysql_literals_reference
else:
    try:
        from gateway.sql._template import COMPILED, strip_literals, strip_mysql_literals
    except ImportError:
        COMPILED = False
        strip_literals = strip_literals_reference
        strip_mysql_literals = strip_mysql_literals_reference

Template = Callable[[bytes], bytes | None]


def template_of(protocol: str) -> Template:
    """What makes templates of a protocol's statement texts; a protocol that has none gets None for every text."""
    return {"postgres": strip_literals, "mysql": strip_mysql_literals}.get(protocol, _no_template)


def _no_template(text: bytes) -> bytes | None:
    return None


__all__ = [
    "COMPILED",
    "Template",
    "strip_literals",
    "strip_literals_reference",
    "strip_mysql_literals",
    "strip_mysql_literals_reference",
    "template_of",
]

"""Text of strangers on people's terminals: statements, names, answers of receivers, files that somebody sent."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


def harmless(text: str) -> str:
    """The text with its line feeds; every other character that could steer a terminal or reorder a line is replaced."""
    if text.isprintable():
        return text
    return "".join(character if character == "\n" else _visible(character) for character in text)


def one_line(text: str) -> str:
    """The same on one line."""
    if text.isprintable():
        return " ".join(text.split())
    return " ".join("".join(_visible(character) for character in text).split())


def harmless_json(line: str) -> str:
    """JSON with such characters spelt as escapes: it says the same, and steers nothing. Line feeds stay."""
    return line if line.isprintable() else _UNPRINTABLE.sub(_escaped, line)


def _visible(character: str) -> str:
    if character in "\t\n\r ":
        return " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in _HIDDEN else character


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    if character == "\n" or unicodedata.category(character) not in _HIDDEN:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))

"""Reads how a ``COPY … TO STDOUT`` is to spell its rows.

Only what is sure to be read as the server reads it gives a ``CopySpelling``: what the server would refuse, options that
have nothing to do with the spelling of text and CSV, and the binary format give None.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.domain.copying import CopySpelling
from gateway.sql.lexer import Kind
from gateway.sql.reader import Position

_TRUE: Final = frozenset({"true", "on", "1"})
_FALSE: Final = frozenset({"false", "off", "0"})
_NO_DELIMITER: Final = frozenset("\\.abcdefghijklmnopqrstuvwxyz0123456789")
"""What the server takes for no delimiter of the text format."""


class _Unsure(Exception):
    """The options are not understood."""


def spelling(position: Position, query: str, first: int, last: int) -> CopySpelling | None:
    """The spelling that the options from here to the end of the statement ask for."""
    options = _Options()
    try:
        position.take("with")
        if position.at_mark("("):
            inside = Position(position.group())
            while not inside.at_end():
                options.generic(inside)
                if not inside.at_end() and not _mark(inside, ","):
                    raise _Unsure
        while not position.at_end():
            options.old(position)
        return options.checked(query, first, last)
    except _Unsure:
        return None


class _Options:
    """The options met so far; None where there was none."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.forced: frozenset[str] | None = frozenset()

    def set(self, name: str, value: str) -> None:
        """An option; the server allows each once."""
        if name in self.values:
            raise _Unsure
        self.values[name] = value

    def generic(self, position: Position) -> None:
        """An option of the list in parentheses."""
        match position.word():
            case "format":
                position.next()
                self.set("format", _word_or_text(position).lower())
            case "delimiter" | "null" | "quote" | "escape" as name:
                position.next()
                self.set(name, _text(position))
            case "header":
                position.next()
                self.set("header", "true" if position.at_end() or position.at_mark(",") else _boolean(position))
            case "force_quote":
                position.next()
                self.set("forced", "")
                if _mark(position, "*"):
                    self.forced = None
                else:
                    self.forced = _names(Position(position.group()))
            case _:
                raise _Unsure

    def old(self, position: Position) -> None:
        """An option of the syntax from before 9.0."""
        match position.word():
            case "csv":
                position.next()
                self.set("format", "csv")
            case "header":
                position.next()
                self.set("header", "true")
            case "delimiter" | "null" | "quote" | "escape" as name:
                position.next()
                position.take("as")
                self.set(name, _text(position))
            case "force" if position.words("force", "quote"):
                self.set("forced", "")
                self.forced = None if _mark(position, "*") else _names(position)
            case _:
                raise _Unsure

    def checked(self, query: str, first: int, last: int) -> CopySpelling:
        """All of it together, as far as the server would take it."""
        values = self.values
        csv = values.get("format", "text") == "csv"
        if values.get("format", "text") not in ("csv", "text"):
            raise _Unsure
        if not csv and not values.keys().isdisjoint({"quote", "escape", "forced"}):
            raise _Unsure
        quote = values.get("quote", '"')
        found = CopySpelling(
            query,
            first,
            last,
            csv,
            values.get("delimiter", "," if csv else "\t"),
            values.get("null", "" if csv else "\\N"),
            values.get("header", "false") == "true",
            quote,
            values.get("escape", quote),
            self.forced,
        )
        marks = (found.delimiter, found.quote, found.escape)
        if any(len(mark) != 1 or not mark.isascii() or mark in "\0\r\n" for mark in marks):
            raise _Unsure
        if any(mark in found.null for mark in ("\0", "\r", "\n", found.delimiter, *((quote,) if csv else ()))):
            raise _Unsure
        if found.delimiter == quote if csv else found.delimiter in _NO_DELIMITER:
            raise _Unsure
        return found if csv else replace(found, quote='"', escape='"')


def _mark(position: Position, mark: str) -> bool:
    """Step over a mark if it is next."""
    found = position.at_mark(mark)
    if found:
        position.next()
    return found


def _text(position: Position) -> str:
    token = position.next()
    if token.kind is not Kind.STRING:
        raise _Unsure
    return token.value


def _word_or_text(position: Position) -> str:
    token = position.next()
    if token.kind not in (Kind.WORD, Kind.QUOTED, Kind.STRING):
        raise _Unsure
    return token.value


def _boolean(position: Position) -> str:
    token = position.next()
    value = token.value.lower()
    if token.kind not in (Kind.WORD, Kind.STRING, Kind.NUMBER) or value not in _TRUE | _FALSE:
        raise _Unsure
    return "true" if value in _TRUE else "false"


def _names(position: Position) -> frozenset[str]:
    """Names with commas between them."""
    found = set[str]()
    while True:
        name = position.one_name()
        if not name:
            raise _Unsure
        found.add(name)
        if not _mark(position, ","):
            return frozenset(found)

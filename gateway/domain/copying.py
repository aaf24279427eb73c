"""How ``COPY … TO STDOUT`` spells rows, so that its rows can be had by a query, masked, and spelt by the gateway."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CopySpelling:
    """The query whose rows a COPY sends, and how it spells them (PostgreSQL documentation, COPY, "File Formats").

    ``query`` is that query where the COPY names a table; otherwise ``first`` and ``last`` are where it begins and ends
    in the text of the statement, in characters. ``delimiter``, ``quote`` and ``escape`` are one ASCII character each;
    the last two, and ``forced``, count for CSV only. ``forced`` has the names of the columns that are quoted whatever
    is in them; None means all.
    """

    query: str = ""
    first: int = 0
    last: int = 0
    csv: bool = False
    delimiter: str = "\t"
    null: str = "\\N"
    header: bool = False
    quote: str = '"'
    escape: str = '"'
    forced: frozenset[str] | None = frozenset()

    def query_of(self, text: str) -> str:
        """The query, out of the text of the whole statement."""
        return self.query or text[self.first : self.last]

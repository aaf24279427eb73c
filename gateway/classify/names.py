"""What a column's name says. Names are compared as words: ``homeEmail``, ``home_email``, ``HOME-EMAIL`` are alike."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_LOWER_UPPER: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")
_MAX_NAME: Final = 256

PEOPLE: Final = frozenset(
    """account applicant author candidate citizen client contact contractor customer donor driver employee guest lead
    member parent passenger patient payee people person personnel player profile resident staff student subscriber
    teacher tenant user visitor worker""".split()
)
"""Words for tables of people, in the singular; what is called ``name`` there is a person's."""


@lru_cache(maxsize=4096)
def words(name: str) -> str:
    """A name as lower-case words joined by "_"."""
    return _SEPARATORS.sub("_", _LOWER_UPPER.sub("_", name[:_MAX_NAME]).lower()).strip("_")


def of_people(table: str) -> bool:
    """Whether a table's name says that its rows are people."""
    return any(word in PEOPLE or word.removesuffix("s") in PEOPLE for word in words(table).split("_"))


class Words:
    """Groups of words, one of which must be there as a whole: ``Words("e_mail", "birth_date")``."""

    __slots__ = ("_search",)

    def __init__(self, *alternatives: str) -> None:
        # Alternatives are plain words; nothing in the pattern repeats, so it is linear.
        self._search = re.compile(rf"(?:^|_)(?:{'|'.join(alternatives)})\d{{0,3}}(?:_|$)").search

    def found(self, name: str) -> bool:
        """Whether a name has one of them."""
        return self._search(words(name)) is not None

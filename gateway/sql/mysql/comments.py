"""Comments that the server may run.

``/*! … */`` runs everywhere; ``/*!50700 … */`` runs from version 5.7.0 on; ``/*M! … */`` and ``/*M!100100 … */`` are
MariaDB's own. MariaDB runs no comment that names a version from 5.7.0 to 9.99.99 without the M, since those are MySQL's
(MariaDB documentation, "Comment Syntax"; ``Lex_input_stream::lex_one_token``).
"""

from __future__ import annotations

import re
from typing import Final

from gateway.sql.lexer import LexError
from gateway.sql.state import MySqlResolution

_HEAD: Final = re.compile(r"/\*(M?)!(\d*)")
_EDGE: Final = re.compile(r"/\*|\*/")
_MYSQL_ONLY: Final = range(50_700, 100_000)
_CLUSTER: Final = 99_997
"""A version that MariaDB's Galera cluster takes for its own."""
_DIGITS: Final = (5, 6)


def runs(text: str, start: int, state: MySqlResolution) -> tuple[bool, int]:
    """Whether the comment at ``start`` is code; the position behind its head if it is, else behind its end.

    Raises ``LexError`` where it has no end or where it is not certain whether it runs.
    """
    head = _HEAD.match(text, start)
    if head is None or (head[1] and not state.mariadb):
        if head is not None and not state.known:
            raise LexError("executable comment")
        return False, skip_comment(text, start + 2, nested=0)
    digits = head[2]
    if not digits:
        return True, head.end()
    if not state.known or len(digits) not in _DIGITS or int(digits) == _CLUSTER:
        raise LexError("executable comment")
    if len(digits) == _DIGITS[1] and not state.mariadb and text[head.end() : head.end() + 1].strip():
        raise LexError("executable comment")  # older versions take the sixth digit for code
    version = int(digits)
    major, minor, patch = state.version
    server = major * 10_000 + minor * 100 + patch
    skipped = version > server or (state.mariadb and not head[1] and version in _MYSQL_ONLY)
    if skipped:
        return False, skip_comment(text, head.end(), nested=1)
    return True, head.end()


def skip_comment(text: str, position: int, *, nested: int) -> int:
    """The position behind the end of a comment, which may hold ``nested`` levels of others. Raises ``LexError``."""
    while True:
        edge = _EDGE.search(text, position)
        if edge is None:
            raise LexError("comment without end")
        position = edge.end()
        if edge.group() == "*/":
            return position
        if nested:
            position = skip_comment(text, position, nested=nested - 1)

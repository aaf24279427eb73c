"""Rebuilds a query for the parser: the same meaning to lineage, in words the parser cannot mistake.

The parser knows many dialects at once: names that are plain identifiers to PostgreSQL are keywords or functions with
a syntax of their own to it. So every identifier is quoted (folded, cut at 63 bytes), every function name gets a mark
that no name can have, special argument syntax (``substring(x FROM 2)``) becomes a list, and what cannot change which
columns a value comes from is left out: types of casts, collations, window frames, locking clauses, sampling. Operators
that the parser may not know become one that it does. Whatever is not understood raises ``Unsupported``.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.sql import rewrite_clauses, rewrite_expressions
from gateway.sql.lexer import Token
from gateway.sql.rebuilt import Canonical
from gateway.sql.writer import Writer

_HANDLERS = {**rewrite_expressions.HANDLERS, **rewrite_clauses.HANDLERS}


def canonicalise(tokens: Sequence[Token]) -> Canonical:
    """Rebuild a SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES or TABLE statement. Raises ``Unsupported``."""
    return Writer(tokens, _HANDLERS).run()

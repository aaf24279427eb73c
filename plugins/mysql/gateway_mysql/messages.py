"""What of the database's own messages people under a mask may read."""

from __future__ import annotations

from typing import Final

from gateway_mysql.wire.messages import Err

_WITHHELD: Final = b"the database's message is withheld because the statement touches masked data"


def redacted_error(error: Err) -> Err:
    """An error without anything that could hold data: number, SQLSTATE and the fact."""
    return Err(error.code, error.state, _WITHHELD)

"""What of the session's state the meaning of a statement depends on, and when it must be asked for again.

The database, ``sql_mode`` and the character set change by USE, SET, procedures and resets. Rather than emulate that,
the gateway asks the server (``PROBE``) before the next statement whenever they may have changed. The question uses no
table, so it begins no transaction and is no part of one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway.domain.statement import Action, Analysis, SessionEffect
from gateway.sql.state import UNKNOWN_MYSQL_RESOLUTION, MySqlResolution
from gateway_mysql.charsets import CODECS, is_utf8
from gateway_mysql.wire.messages import Status

PROBE: Final = (
    "SELECT HEX(CONVERT(DATABASE() USING utf8mb4)), @@SESSION.sql_mode, @@SESSION.character_set_client,"
    " @@lower_case_table_names, VERSION()"
)
"""One row. The database's name comes in hexadecimal, so that no character_set_results can change it."""

_IN_TRANSACTION: Final = int(Status.IN_TRANSACTION)
_AUTOCOMMIT: Final = int(Status.AUTOCOMMIT)
"""Plain numbers: IntFlag's operators cost microseconds."""
_LOCK: Final = Action.LOCK
_CHANGES: Final = frozenset({SessionEffect.NAME_RESOLUTION, SessionEffect.LANGUAGE})
_VERSION = re.compile(r"(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)", re.ASCII)
_DIAGNOSTIC = re.compile(rb"\s*show\s+(?:count\s*\(\s*\*\s*\)\s+)?(?:warnings|errors)\b[^;]*;?\s*", re.IGNORECASE)


def is_diagnostic(text: bytes) -> bool:
    """Whether a text only asks how the statement before it went, so that nothing may come between the two."""
    return len(text) < 200 and _DIAGNOSTIC.fullmatch(text) is not None


def read_probe(cells: Sequence[bytes | None]) -> MySqlResolution:
    """The state that an answer to ``PROBE`` tells; an unknown one where it makes no sense."""
    try:
        database, mode, charset, case, version = (None if cell is None else cell.decode("ascii") for cell in cells)
        if mode is None or charset is None or case is None or version is None:
            return UNKNOWN_MYSQL_RESOLUTION
        found = _VERSION.match(version)
        if found is None:
            return UNKNOWN_MYSQL_RESOLUTION
        modes = frozenset(mode.upper().split(","))
        return MySqlResolution(
            database=None if database is None else bytes.fromhex(database).decode(),
            ansi_quotes="ANSI_QUOTES" in modes,
            no_backslash_escapes="NO_BACKSLASH_ESCAPES" in modes,
            pipes_as_concat="PIPES_AS_CONCAT" in modes,
            ignore_space="IGNORE_SPACE" in modes,
            high_not_precedence="HIGH_NOT_PRECEDENCE" in modes,
            oracle="ORACLE" in modes,
            charset=charset,
            lower_case_table_names=int(case),
            mariadb="mariadb" in version.lower(),
            version=(int(found[1]), int(found[2]), int(found[3])),
        )
    except ValueError:
        return UNKNOWN_MYSQL_RESOLUTION


class StateTracker:
    """Follows the session's state; ``dirty`` means that the server has to be asked before the next new decision."""

    __slots__ = ("autocommit", "certain", "codec", "dirty", "in_transaction", "keyed", "locked", "state")

    def __init__(self) -> None:
        self.state: MySqlResolution = UNKNOWN_MYSQL_RESOLUTION
        self.dirty = True
        self.keyed = False
        """Whether a ruling may be looked up by a text's bytes, since they are UTF-8 to everybody."""
        self.codec = CODECS.get(self.state.charset)
        """Python's name of the character set in which texts come; None where it is not known."""
        self.in_transaction = False
        self.autocommit = True
        self.certain = False
        """Whether ``in_transaction`` and ``autocommit`` hold: errors do not tell them, and may end a transaction."""
        self.locked = False
        """Whether the session may hold locks of LOCK TABLES, which a transaction's beginning would release."""

    def statement_sent(self, analysis: Analysis) -> None:
        """A statement is on its way to the server: note what it may do to the state."""
        if _LOCK in analysis.actions:
            self.locked = any(facts.kind == "lock" for facts in analysis.statements)
        effects = analysis.session_effects
        if effects:
            if effects & _CHANGES:
                self.dirty = True
            if SessionEffect.TEMPORARY_OBJECTS in effects and not self.state.temporary_objects:
                self.state = replace(self.state, temporary_objects=True)

    def status(self, flags: int) -> None:
        """The server's status flags came."""
        self.in_transaction = bool(flags & _IN_TRANSACTION)
        self.autocommit = bool(flags & _AUTOCOMMIT)
        self.certain = True

    def probed(self, cells: Sequence[bytes | None]) -> None:
        """The answer to the probe."""
        self.state = replace(read_probe(cells), temporary_objects=self.state.temporary_objects)
        self.keyed = is_utf8(self.state.charset)
        self.codec = CODECS.get(self.state.charset)
        self.dirty = False

    def probe_failed(self) -> None:
        """The server did not say: nothing is known until it does."""
        self.state = replace(UNKNOWN_MYSQL_RESOLUTION, temporary_objects=self.state.temporary_objects)
        self.keyed = False
        self.codec = CODECS.get(self.state.charset)
        self.dirty = False

    def reset(self) -> None:
        """The session began anew: temporary tables are gone, settings are what they were at first."""
        self.state = UNKNOWN_MYSQL_RESOLUTION
        self.codec = CODECS.get(self.state.charset)
        self.dirty = True
        self.in_transaction = self.certain = self.locked = False

    def decode(self, text: bytes) -> tuple[str, bool]:
        """A text as the server reads it, and whether that is certain."""
        if text.isascii():
            # In no character set that a client may use is an ASCII byte outside of a multi-byte character another one.
            return text.decode("ascii"), True
        if self.codec is None:
            return text.decode("latin-1"), False
        try:
            return text.decode(self.codec), True
        except UnicodeDecodeError:
            return text.decode("latin-1"), False

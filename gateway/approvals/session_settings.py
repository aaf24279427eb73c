"""What a session has set: a text that was approved under other settings may do something else.

Time zones, date formats, ``sql_mode``, ``foreign_key_checks``, user variables, a temporary table that hides another:
there are too many to know what each of them means to a statement. So what is bound is what was said, in its order. What
was said last about the same thing counts, so that a pool that sets the same at each turn stays where it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from gateway.domain.audit import Outcome, StatementRecord
from gateway.domain.statement import Action, SessionEffect

_SETTING: Final = frozenset({Action.SET, Action.CALL})
_EFFECTS: Final = frozenset({SessionEffect.NAME_RESOLUTION, SessionEffect.LANGUAGE, SessionEffect.TEMPORARY_OBJECTS})
_UNHEARD: Final = frozenset({Outcome.REFUSED, Outcome.SKIPPED})
_HARMLESS: Final = frozenset({"application_name"})
"""What nobody's statement depends on, and tools set anew for each."""
_ASSIGNS: Final = re.compile(r":=|\binto\b", re.IGNORECASE)
_MAX: Final = 256
"""Things said that are remembered one by one."""


class SessionSettings:
    """What one session has said that later statements may depend on."""

    __slots__ = ("_before", "_said")

    def __init__(self) -> None:
        self._said: dict[str, bytes] = {}
        """Digests of texts and their values by what they are about, the latest last."""
        self._before = b""
        """A digest of what was said before these."""

    def note(self, record: StatementRecord) -> None:
        """A statement has been sent to the database."""
        analysis = record.ruling.analysis
        if record.outcome in _UNHEARD or not sets(record):
            return
        if analysis.statements and all(facts.detail in _HARMLESS for facts in analysis.statements):
            return
        digest = hashlib.sha256(record.text.encode("utf-8", "surrogatepass"))
        if record.bound is not None:
            digest.update(repr(record.bound.values()).encode("utf-8", "surrogatepass"))
        about = analysis.fingerprint or record.text
        self._said.pop(about, None)
        self._said[about] = digest.digest()
        if len(self._said) > _MAX:
            oldest = self._said.pop(next(iter(self._said)))
            self._before = hashlib.sha256(self._before + oldest).digest()

    def then(self, ahead: Iterable[StatementRecord]) -> SessionSettings:
        """The same after statements that are under way; this one stays as it is."""
        later = SessionSettings()
        later._said, later._before = dict(self._said), self._before
        for record in ahead:
            later.note(record)
        return later

    def digest(self) -> str:
        """Equal for what has the same effect, as far as texts tell; empty where nothing was set."""
        if not self._said:
            return ""
        return hashlib.sha256(self._before + b"".join(self._said.values())).hexdigest()


def sets(record: StatementRecord) -> bool:
    """Whether later statements of the session may depend on this one."""
    analysis = record.ruling.analysis
    if not (analysis.session_effects.isdisjoint(_EFFECTS) and analysis.actions.isdisjoint(_SETTING)):
        return True
    if not analysis.statements or any(facts.opaque for facts in analysis.statements):
        return True
    # MySQL assigns variables anywhere: SELECT @a := 1, SELECT 1 INTO @a.
    return "@" in record.text and _ASSIGNS.search(record.text) is not None

"""What of the session's state the meaning of a statement depends on, and when it must be asked for again.

``search_path``, role and session authorisation change by SET, set_config, functions, DISCARD, and by rolling back to
before any of these. Rather than emulate that, the gateway asks the server (``probe``) whenever it may have changed and
nothing is under way. SHOW takes no snapshot, so a probe is invisible even inside a transaction that has not begun to
read (``SET TRANSACTION`` still works afterwards). Where no probe is possible (in the middle of a pipeline) the state is
unknown, and nothing that depends on it is proven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.domain.statement import Action, Analysis, SessionEffect
from gateway.sql.state import NameResolution
from gateway_postgres.wire.codec import frame

SessionState = NameResolution

PROBE_TEXTS = ("SHOW search_path", "SHOW role", "SHOW session_authorization")
"""What the state is asked for with; each has one row with one value."""
_PROBE = tuple(text.encode() for text in PROBE_TEXTS)


def probe(name: bytes) -> bytes:
    """Messages that ask for the state: three one-row results and one ReadyForQuery.

    A simple Query would destroy the client's unnamed statement and portal, so they go under ``name``.
    """
    statement = name + b"\0"
    messages = []
    for text in _PROBE:
        messages += [
            frame(ord("P"), statement, text, b"\0\0\0"),
            frame(ord("B"), statement, statement, bytes(6)),
            frame(ord("E"), statement, bytes(4)),
            frame(ord("C"), b"P", statement),
            frame(ord("C"), b"S", statement),
        ]
    return b"".join(messages) + frame(ord("S"))


_CHANGES_STATE = frozenset({SessionEffect.NAME_RESOLUTION, SessionEffect.LANGUAGE})

_PYTHON_CODECS = {
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "SQL_ASCII": "ascii",
    "LATIN1": "latin-1",
    "LATIN2": "iso8859-2",
    "LATIN5": "iso8859-9",
    "LATIN9": "iso8859-15",
    "WIN1250": "cp1250",
    "WIN1251": "cp1251",
    "WIN1252": "cp1252",
    "KOI8R": "koi8-r",
    "EUC_JP": "euc-jp",
    "EUC_KR": "euc-kr",
}
"""Server-side encodings whose multi-byte characters hold no ASCII byte, so that quotes are where they seem to be."""


class StateTracker:
    """Follows the session's state; ``dirty`` means that the server has to be asked before the next new decision."""

    __slots__ = ("_at_risk", "codec", "dirty", "state", "text_unsure", "transaction")

    def __init__(self) -> None:
        self.state: SessionState = NameResolution(search_path=None)
        self.dirty = True
        self.codec: str | None = "utf-8"
        self.transaction = ord("I")
        """Transaction status of the last ReadyForQuery: I, T or E."""
        self.text_unsure = False
        """A statement under way may change how the server reads the texts behind it."""
        self._at_risk = False
        """The state changed inside the open transaction, so that ending or rolling back may change it again."""

    def statement_sent(self, analysis: Analysis) -> None:
        """A statement is on its way to the server: note what it may do to the state."""
        effects = analysis.session_effects
        if effects:
            if effects & _CHANGES_STATE:
                self.dirty = True
                self._at_risk = True
                if SessionEffect.LANGUAGE in effects or Action.CALL in analysis.actions:
                    self.text_unsure = True
            if SessionEffect.TEMPORARY_OBJECTS in effects and not self.state.temporary_objects:
                self.state = replace(self.state, temporary_objects=True)
        if self._at_risk and Action.TRANSACTION in analysis.actions:
            self.dirty = True

    def error_seen(self) -> None:
        """An error may have rolled something back."""
        if self._at_risk:
            self.dirty = True

    def ready(self, status: int, *, last: bool) -> None:
        """ReadyForQuery came with this transaction status; ``last``: nothing else is under way.

        The server reports changed settings before it, so that how it reads a text is known again.
        """
        if last:
            self.text_unsure = False
        if status != self.transaction:
            self.transaction = status
            if self._at_risk:
                self.dirty = True
                if status == 73:  # I: whatever was at risk is settled
                    self._at_risk = False

    def parameter(self, name: str, value: str) -> None:
        """A ParameterStatus came."""
        if name == "standard_conforming_strings":
            on = value == "on"
            if on is not self.state.standard_conforming_strings:
                self.state = replace(self.state, standard_conforming_strings=on)
        elif name == "client_encoding":
            self.codec = _PYTHON_CODECS.get(value.upper().replace("-", ""))

    def probed(self, search_path: str, role: str, session_authorization: str) -> None:
        """The answer to ``probe``."""
        self.state = replace(
            self.state,
            search_path=parse_search_path(search_path),
            role=session_authorization if role == "none" else role,
        )
        self.dirty = False

    def probe_failed(self) -> None:
        """The server would not tell: nothing unqualified can be resolved until the state may have changed again."""
        self.state = replace(self.state, search_path=None)
        self.dirty = False

    def decode(self, text: bytes) -> str | None:
        """The statement as text, or None where it is not sure that the server reads it the same way.

        Whatever the encoding and standard_conforming_strings are, ASCII without a backslash has one meaning.
        """
        if self.text_unsure and (b"\\" in text or not text.isascii()):
            return None
        try:
            return text.decode("ascii" if self.codec is None else self.codec)
        except UnicodeDecodeError:
            return None


def initial_state(parameters: Mapping[str, str], answers: Sequence[str]) -> SessionState:
    """The state of a session that has just begun: what the server reported at login, and the answers to the probe."""
    tracker = StateTracker()
    for name, value in parameters.items():
        tracker.parameter(name, value)
    search_path, role, session_authorization = answers
    tracker.probed(search_path, role, session_authorization)
    return tracker.state


def parse_search_path(value: str) -> tuple[str, ...] | None:
    """The schemas of a search_path setting as the server shows it: a comma list of identifiers, quoted where needed.

    None where the text is not such a list (then nothing can be resolved).
    """
    schemas: list[str] = []
    position, end = 0, len(value)
    while True:
        while position < end and value[position] in " \t\n\r\f":
            position += 1
        if position >= end:
            return tuple(schemas) if not schemas else None
        if value[position] == '"':
            close, name = position + 1, ""
            while True:
                quote = value.find('"', close)
                if quote < 0:
                    return None
                name += value[close:quote]
                if value.startswith('""', quote):
                    name += '"'
                    close = quote + 2
                    continue
                break
            position = quote + 1
        else:
            start = position
            while position < end and value[position] not in ', \t\n\r\f"':
                position += 1
            name = value[start:position].lower()
            if not name:
                return None
        schemas.append(name)
        while position < end and value[position] in " \t\n\r\f":
            position += 1
        if position >= end:
            return tuple(schemas)
        if value[position] != ",":
            return None
        position += 1

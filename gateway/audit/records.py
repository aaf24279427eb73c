"""What a segment's lines are: definitions, executions that refer to them, and whole events.

Every line is one JSON object that begins with its number in the log, ``{"seq":N,``. There are three kinds::

    {"seq":7,"define":"session","body":{…}}            also "ruling": written once per segment
    {"seq":9,"id":"…-1","at":1795420800123,"us":812,"session":7,"ruling":8,"text":"SELECT …","rows":1,"bytes":62}
    {"seq":0,"event":{"metadata":…}}                   logins, ends, the log's own life

``session`` and ``ruling`` are the numbers of definitions in the same segment, ``text_at`` that of a line there with the
same text. So a short statement costs about 200 bytes, not the 1,500 of the event that it stands for, and a segment can
be read without any other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.audit.encoding import clean_text
from gateway.audit.event import encode_late
from gateway.audit.execution import Cut, Execution
from gateway.audit.redact import hash_literal, redact_text
from gateway.domain.audit import BoundValue, BoundValues, StatementRecord
from gateway.domain.literals import Literals
from gateway.domain.recorded import Shared
from gateway.domain.statement import Action, Analysis
from gateway.errors import ConfigurationError
from gateway.sql.credentials import HIDDEN, ROWS, about_rows, conceal, holds_login

_SHORT_TEXT: Final = 24
"""Characters up to which a text takes no more than the reference to it."""
_LONG_TEXT: Final = 16 * 1024
"""Characters from which a text is not kept in memory to be recognised."""
_MAX_VALUE: Final = 4096
"""Characters kept of one bound value."""
_MAX_VALUES: Final = 1000
"""Bound values kept of one execution."""

_CALLS: Final = frozenset({Action.CALL})
_NO_CALLS: Final = ROWS - _CALLS

_encode: Final = msgspec.json.Encoder().encode
# Looking a member up at its class costs a fifth of a microsecond.
_KEEP: Final = Literals.KEEP
_HASH: Final = Literals.HASH
_DROP: Final = Literals.DROP
_UNSET: Final = msgspec.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSettings:
    """How texts and values are kept. ``max_text`` is in characters; a longer text is cut and its digest kept.

    ``literals`` is for statements whose ruling does not say what is kept of their values.
    """

    literals: Literals = Literals.KEEP
    literal_key: bytes = b""
    max_text: int = 256 * 1024

    def __post_init__(self) -> None:
        """Raises ``ConfigurationError``: an unkeyed hash of a value can be guessed."""
        if self.literals is Literals.HASH and not self.literal_key:
            raise ConfigurationError("audit.literals: hash needs a key")


class RecordEncoder:
    """Makes the lines of statements. Used under the log's lock."""

    def __init__(self, settings: RecordSettings) -> None:
        self._settings = settings
        self._max_text = settings.max_text
        self._literals = settings.literals
        self._segment = object()

    def begin_segment(self) -> None:
        """A new segment begins: nothing is defined in it."""
        self._segment = object()

    def statement(self, record: StatementRecord, context: Shared, sequence: int) -> list[bytes]:
        """The lines, without line feeds, of a statement and of what it refers to and the segment does not have yet.

        ``sequence`` is the number of the first of them.
        """
        if not context.body:
            raise ValueError("the session's part of the event is missing")
        segment = self._segment
        audit = record.ruling.audit
        if not audit.body:
            audit = encode_late(record.ruling)
        if context.segment is segment and audit.segment is segment:
            return [self._execution(record, sequence, context.number, audit)]
        lines: list[bytes] = []
        for shared in (context, audit):
            if shared.segment is not segment:
                lines.append(b'{"seq":%d,"define":"%b","body":%b}' % (sequence, shared.kind.encode(), shared.body))
                shared.number = sequence
                sequence += 1
        lines.append(self._execution(record, sequence, context.number, audit))
        # Only now, since an execution that cannot be encoded leaves the definitions unwritten too.
        context.segment = audit.segment = segment
        return lines

    def _execution(self, record: StatementRecord, sequence: int, session_number: int, audit: Shared) -> bytes:
        text = record.text
        mode = record.ruling.literals
        if mode is None:
            mode = self._literals
        if mode is _HASH and not self._settings.literal_key:
            mode = _DROP  # a hash without a key can be guessed
        text_number = 0
        cut = None
        remember = False
        # What ran last under the ruling is likely to run next: an outcome after its intent, a prepared statement.
        if text == audit.text and audit.text_segment is self._segment:
            text, text_number, concealed = "", audit.text_number, audit.concealed
        else:
            remember = _SHORT_TEXT < len(text) < _LONG_TEXT
            shown = conceal(text, record.ruling.analysis)
            concealed = shown is not None
            if shown is not None:
                text = shown
            elif mode is not _KEEP:
                text = self._redacted(record, mode)
            if len(text) > self._max_text:
                whole = text.encode("utf-8", "surrogatepass")
                cut = Cut(len(whole), hashlib.sha256(whole).hexdigest())
                text = text[: self._max_text]
        bound = None if concealed or mode is _DROP else record.bound
        execution = Execution(
            sequence,
            record.id,
            record.started // 1_000_000,
            record.duration // 1000,
            session_number,
            audit.number,
            text,
            text_number,
            record.outcome,
            record.code,
            record.rows,
            record.bytes_out,
            record.masked_cells,
            record.parameters,
            _UNSET if bound is None else self._shown(record, bound, mode),
            record.intent,
            cut,
            record.approval,
            record.masked_by_label,
        )
        try:
            line: bytes = _encode(execution)
        except UnicodeEncodeError:
            line = _encode(_cleaned(execution))
        if remember:
            audit.text, audit.text_number, audit.text_segment = record.text, sequence, self._segment
            audit.concealed = concealed
        return line

    def _shown(self, record: StatementRecord, bound: BoundValues, mode: Literals) -> tuple[BoundValue, ...]:
        shown = record.shown
        if shown is None:
            shown = self._decoded(bound, mode, record.ruling.analysis)
            if record.intent:
                record.shown = shown
        return shown

    def _decoded(self, bound: BoundValues, mode: Literals, analysis: Analysis) -> tuple[BoundValue, ...]:
        values = bound.values()
        if len(values) > _MAX_VALUES:
            values = values[:_MAX_VALUES]
        if not analysis.actions <= _NO_CALLS and (not analysis.actions.isdisjoint(_CALLS) or not about_rows(analysis)):
            # Not a value of a row, or not surely: a connection string that a function gets.
            values = tuple([HIDDEN if holds_login(value) else value for value in values])
        if mode is _KEEP:
            return tuple([_bounded(value) for value in values])
        key = self._settings.literal_key
        return tuple(None if value is None else hash_literal(_literal(value), key) for value in values)

    def _redacted(self, record: StatementRecord, mode: Literals) -> str:
        if mode is _HASH and len(record.text) > self._max_text:
            # A cut text ends inside a literal as likely as not, and hashing megabytes would hold up everybody.
            mode = _DROP
        return redact_text(record.text, mode, self._settings.literal_key, record.ruling.analysis.normalised)


def _bounded(value: BoundValue) -> BoundValue:
    if isinstance(value, str) and len(value) > _MAX_VALUE:
        return f"{value[:_MAX_VALUE]}… ({len(value)} characters)"
    return value


def event_line(sequence: int, event: bytes) -> bytes:
    """The line of an event that is recorded whole."""
    return b'{"seq":%d,"event":%b}' % (sequence, event)


def _cleaned(execution: Execution) -> Execution:
    """The same with text that has a JSON form, see ``gateway.audit.encoding``."""
    execution.id, execution.text = clean_text(execution.id), clean_text(execution.text)
    execution.code = clean_text(execution.code)
    if isinstance(execution.values, tuple):
        execution.values = tuple(clean_text(value) if isinstance(value, str) else value for value in execution.values)
    return execution


def _literal(value: BoundValue) -> str:
    """A value as a literal in a text would say it, so that both hash alike."""
    return str(value).lower() if isinstance(value, bool) else str(value)

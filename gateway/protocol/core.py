"""What the parts of one session share, whatever the protocol: the effects collected so far, and statements' records."""

from __future__ import annotations

from dataclasses import replace

from gateway.domain.audit import Outcome, StatementRecord
from gateway.domain.ruling import Ruling
from gateway.errors import GatewayError
from gateway.protocol.adapter import Opened, RelaySettings
from gateway.protocol.effects import Ask, AskCancelUpstream, AskCommit, Effect, Record, SetDeadline


class SessionCore:
    """The shared part of a session. ``effects`` is what the driver gets when the current event is done."""

    __slots__ = ("closed", "counter", "effects", "now", "session_id", "settings")

    def __init__(self, settings: RelaySettings) -> None:
        self.settings = settings
        # What every statement needs, without the way through objects that are not compiled.
        self.session_id = settings.session_id
        self.now = settings.now
        self.effects: list[Effect] = []
        self.closed = False
        self.counter = 0

    def begin(self, ruling: Ruling, text: str) -> StatementRecord:
        """A new record for one execution."""
        self.counter += 1
        return StatementRecord(f"{self.session_id}-{self.counter}", ruling, text, self.now())

    def finish(self, record: StatementRecord, outcome: Outcome, code: str = "") -> None:
        """The execution is over: hand its record to the audit."""
        record.duration = self.now() - record.started
        record.outcome = outcome
        record.code = code
        self.effects.append(Record(record))

    def skip(self, intent: StatementRecord) -> None:
        """The client is gone before its statement went to the database: it will never run."""
        # A copy, since the audit may not have taken the intent itself yet.
        self.finish(replace(intent, intent=False), Outcome.SKIPPED)


class OpenCore(SessionCore):
    """The shared part of a session whose database is open, and in which either side may wait for an answer."""

    __slots__ = (
        "abandoned",
        "ask_cancel",
        "ask_down",
        "ask_up",
        "deadline_set",
        "intent",
        "opened",
        "rulings",
    )

    def __init__(self, settings: RelaySettings, opened: Opened) -> None:
        super().__init__(settings)
        self.opened = opened
        self.rulings = opened.rulings
        self.ask_down: Ask | None = None
        """The question on whose answer the client's next message waits."""
        self.ask_up: Ask | None = None
        """The question on whose answer the server's next message waits."""
        self.ask_cancel: AskCancelUpstream | None = None
        """A cancel request on its way: nothing of the client goes on before the database has taken it."""
        self.intent: StatementRecord | None = None
        """The statement that the audit was told of and that has not been sent yet."""
        self.abandoned = False
        """The client is gone; what it started is still being awaited."""
        self.deadline_set = False

    @property
    def masked(self) -> bool:
        """Whether the principal is under a mask here."""
        return self.rulings.masked

    def arm(self, ruling: Ruling, token: int) -> None:
        """The time of a statement with a record starts now; ``token`` is what the relay knows it by."""
        seconds = ruling.decision.obligations.timeout
        if seconds is not None:
            self.deadline_set = True
            self.effects.append(SetDeadline(seconds, token))

    def intend(self, record: StatementRecord) -> None:
        """Have the audit hold a statement before the client's next message goes on."""
        record.intent = True
        self.intent = record
        self.ask_down = ask = AskCommit((record,))
        self.effects.append(ask)

    def forget_intent(self) -> None:
        """Nothing of the client goes to the server any more."""
        intent, self.intent = self.intent, None
        if intent is not None:
            self.skip(intent)


def as_error(answer: object) -> GatewayError:
    """The error that an answer is, or that it is for not being what was asked for."""
    return answer if isinstance(answer, GatewayError) else GatewayError(f"no usable answer: {type(answer).__name__}")

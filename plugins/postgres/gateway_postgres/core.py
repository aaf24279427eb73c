"""What both directions of an open session share: the pipeline, the state, and the effects collected so far."""

from __future__ import annotations

from dataclasses import replace

from gateway.domain.audit import Outcome, StatementRecord
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, Analysis, Predicate, SessionEffect, StatementFacts
from gateway.errors import GatewayError
from gateway.protocol.adapter import Opened, RelaySettings
from gateway.protocol.effects import Ask, AskCancelUpstream, Close, Effect, Record, SendDownstream, SetDeadline
from gateway_postgres.cursors import Cursors
from gateway_postgres.errors import error_response, notice_response, sqlstate
from gateway_postgres.pipeline import Pending, Pipeline
from gateway_postgres.session import StateTracker


class Core:
    """The shared part of an open session. ``effects`` is what the driver gets when the current event is done."""

    __slots__ = (
        "abandoned",
        "ask_cancel",
        "ask_down",
        "ask_up",
        "catalog_touched",
        "catalog_uncertain",
        "closed",
        "counter",
        "cursors",
        "deadline_set",
        "effects",
        "intent",
        "now",
        "opened",
        "pipeline",
        "private_name",
        "replication_facts",
        "rulings",
        "session_id",
        "settings",
        "tracker",
        "waiting_for_drain",
        "wrapped",
    )

    def __init__(self, settings: RelaySettings, opened: Opened, *, replication: bool) -> None:
        self.settings = settings
        self.opened = opened
        self.rulings = opened.rulings
        self.replication_facts = (
            opaque_analysis("REPLICATION", Action.REPLICATE, "a replication session") if replication else None
        )
        """Facts of every statement of a replication session, whose language is not SQL."""
        self.session_id = settings.session_id
        self.now = settings.now
        self.pipeline = Pipeline()
        self.cursors = Cursors()
        self.tracker = StateTracker()
        self.effects: list[Effect] = []
        self.ask_down: Ask | None = None
        """The question on whose answer the client's next message waits."""
        self.ask_cancel: AskCancelUpstream | None = None
        """A cancel request on its way: nothing of the client goes on before the database has taken it."""
        self.intent: StatementRecord | None = None
        """The statement that the audit was told of and that has not been sent yet."""
        self.private_name = b"querygate " + settings.random(8).hex().encode()
        """A name of a statement and portal that no client can have made: for probes, and, since it does not exist
        otherwise, what the server is asked to execute instead of a refused portal."""
        self.ask_up: Ask | None = None
        """The question on whose answer the server's next message waits."""
        self.waiting_for_drain = False
        """The client's next message waits until nothing is pending, so that the state can be probed."""
        self.catalog_uncertain = False
        """A schema change was sent, and its transaction has not ended yet."""
        self.catalog_touched = False
        """A schema change was made, and its transaction has not ended yet."""
        self.abandoned = False
        """The client is gone; what it started is still being awaited."""
        self.closed = False
        self.deadline_set = False
        self.wrapped = False
        """The transaction is the gateway's own, around one statement."""
        self.counter = 0

    @property
    def masked(self) -> bool:
        """Whether the principal is under a mask here."""
        return self.rulings.masked

    # --- records ------------------------------------------------------------------------------------------------

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

    def refuse(self, record: StatementRecord, error: GatewayError) -> bytes:
        """Record a refusal; the error message to send in the place of the database's answer."""
        self.finish(record, Outcome.REFUSED, sqlstate(error, fatal=False))
        return error_response(error, reference=record.id, fatal=False)

    def warn(self, warnings: tuple[str, ...], record: StatementRecord | None) -> bytes:
        """NOTICE messages for policies that only warn."""
        reference = "" if record is None else record.id
        return b"".join(notice_response(text, reference=reference) for text in warnings)

    # --- deadlines ----------------------------------------------------------------------------------------------

    def arm(self, pending: Pending) -> None:
        """A statement (``pending`` has a record) has come to the front: its time starts now."""
        ruling = pending.ruling
        seconds = None if ruling is None else ruling.decision.obligations.timeout
        if seconds is not None:
            self.deadline_set = True
            self.effects.append(SetDeadline(seconds, id(pending)))

    # --- ends ---------------------------------------------------------------------------------------------------

    def forget_intent(self) -> None:
        """The client is gone before its statement went to the server: it will never run."""
        intent, self.intent = self.intent, None
        if intent is not None:
            # A copy, since the audit may not have taken the intent itself yet.
            self.finish(replace(intent, intent=False), Outcome.SKIPPED)

    def lose_everything(self) -> None:
        """The session ends with answers outstanding: whether they happened is not known, and the audit says so."""
        self.forget_intent()
        for pending in self.pipeline.queue:
            if pending.record is not None:
                self.finish(pending.record, Outcome.LOST)
                pending.record = None
        self.pipeline.queue.clear()

    def fail(self, error: GatewayError) -> None:
        """End the session with a native FATAL error."""
        if self.closed:
            return
        self.closed = True
        self.effects.append(SendDownstream(error_response(error, reference=self.session_id, fatal=True)))
        self.lose_everything()
        self.effects.append(Close(error))


def opaque_analysis(kind: str, action: Action, reason: str) -> Analysis:
    """Facts of an operation that has no text to analyse: it may read everything and change any state."""
    facts = StatementFacts(
        kind=kind,
        actions=frozenset({action}),
        predicate=Predicate.NOT_APPLICABLE,
        reads_everything=True,
        opaque=(reason,),
        session_effects=frozenset({SessionEffect.NAME_RESOLUTION}),
    )
    return Analysis((facts,))


class Held:
    """Bytes that cannot be processed yet, without copying them again for each chunk that follows.

    ``size`` is their number.
    """

    __slots__ = ("_chunks", "_need", "size")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._need = 0
        self.size = 0

    def keep(self, rest: bytes, need: int = 0) -> None:
        """Hold ``rest``, which makes no sense before ``need`` bytes are there."""
        if rest:
            self._chunks.append(rest)
        self.size = len(rest)
        self._need = need

    def add(self, data: bytes) -> None:
        """Put more behind it, whatever is needed."""
        self._chunks.append(data)
        self.size += len(data)

    def join(self, data: bytes) -> bytes | None:
        """Put ``data`` behind what is held: everything, or None if it still is not enough."""
        if not self._chunks:
            return data
        self.add(data)
        return None if self.size < self._need else self.take()

    def take(self) -> bytes:
        """Everything held, whether enough or not; nothing is held afterwards."""
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self.size = self._need = 0
        return data

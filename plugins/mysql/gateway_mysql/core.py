"""What both directions of an open session share: the command under way, the state, and the effects collected so far."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.domain.audit import Outcome, StatementRecord
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, Analysis, Predicate, SessionEffect, StatementFacts
from gateway.errors import GatewayError
from gateway.protocol.adapter import Opened, RelaySettings
from gateway.protocol.effects import (
    Ask,
    AskCancelUpstream,
    Close,
    Effect,
    Record,
    SendDownstream,
    SendUpstream,
    SetDeadline,
)
from gateway_mysql.errors import code_of, err_payload
from gateway_mysql.pending import Kind, Pending, Prepared, Undo
from gateway_mysql.session import PROBE, StateTracker
from gateway_mysql.wire.capabilities import Capability
from gateway_mysql.wire.commands import Command
from gateway_mysql.wire.handshake import ChangeUser
from gateway_mysql.wire.messages import Err
from gateway_mysql.wire.packets import FULL, packet

QUIT_COMMAND = packet(bytes((Command.QUIT,)), 0)
_QUERY: Final = bytes((Command.QUERY,))
_PROBE: Final = PROBE.encode()


class Core:
    """The shared part of an open session. ``effects`` is what the driver gets when the current event is done."""

    __slots__ = (
        "abandoned",
        "again",
        "ask_cancel",
        "ask_down",
        "ask_up",
        "attributes",
        "behind_cancel",
        "client_flags",
        "closed",
        "count",
        "count_hidden",
        "counter",
        "deadline_set",
        "effects",
        "eof_limit",
        "intent",
        "last_prepared",
        "max_message",
        "max_statement",
        "now",
        "opened",
        "pending",
        "prepared",
        "rulings",
        "savepoint",
        "server_attributes",
        "server_flags",
        "session_id",
        "settings",
        "tracker",
        "undo",
        "undo_refused",
        "user",
    )

    def __init__(
        self, settings: RelaySettings, opened: Opened, client_flags: Capability, server_flags: Capability, user: bytes
    ) -> None:
        self.settings = settings
        self.opened = opened
        self.client_flags = client_flags
        """What was agreed on with the client."""
        self.server_flags = server_flags
        """What was agreed on with the server."""
        self.attributes = bool(client_flags & Capability.QUERY_ATTRIBUTES)
        """Whether the client's texts and executions come with query attributes."""
        self.server_attributes = bool(server_flags & Capability.QUERY_ATTRIBUTES)
        """Whether the server's do."""
        self.user = user
        """The user name as the client sent it."""
        self.eof_limit = FULL if server_flags & Capability.DEPRECATE_EOF else 9
        self.session_id = settings.session_id
        # What every statement needs, without the way through objects that are not compiled.
        self.now = settings.now
        self.rulings = opened.rulings
        self.max_message = settings.limits.max_message
        self.max_statement = settings.limits.max_statement
        self.tracker = StateTracker()
        self.effects: list[Effect] = []
        self.pending: Pending | None = None
        """The command that the server has not answered yet."""
        self.prepared: dict[int, Prepared] = {}
        self.last_prepared = 0
        self.ask_down: Ask | None = None
        """The question on whose answer the client's next command waits."""
        self.ask_up: Ask | None = None
        """The question on whose answer the server's next packet waits."""
        self.ask_cancel: AskCancelUpstream | None = None
        """A cancel request on its way: nothing of the client goes on before the database has taken it."""
        self.intent: StatementRecord | None = None
        """The statement that the audit was told of and that has not been sent yet."""
        self.abandoned = False
        """The client is gone; what it started is still being awaited."""
        self.closed = False
        self.again: ChangeUser | None = None
        """The client logs in anew, which another session takes care of."""
        self.count: int | None = None
        """What ROW_COUNT() is to the client, as far as that is known."""
        self.count_hidden = False
        """Whether the server would say something else, since a command of the gateway's own came after it."""
        self.deadline_set = False
        self.counter = 0
        self.savepoint = b"querygate_" + settings.random(8).hex().encode()
        """A savepoint's name that no client uses."""
        self.undo = Undo.NONE
        """What is ready to take back the change that waits for it."""
        self.undo_refused: GatewayError | Err | None = None
        """Why nothing is, so that the change cannot be made."""
        self.behind_cancel = b""
        """A command of the gateway's own that waits for the cancel request to be over."""

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
        """Record a refusal; the ERR payload to answer with."""
        self.finish(record, Outcome.REFUSED, str(code_of(error).number))
        return err_payload(error, reference=record.id)

    # --- the server ---------------------------------------------------------------------------------------------

    def send(self, command: bytes, pending: Pending | None) -> None:
        """Send a command, and expect its answer."""
        self.effects.append(SendUpstream(command))
        self.count_hidden = False
        if pending is not None:
            self.pending = pending
            ruling = pending.ruling
            if ruling is None or ruling.plain or pending.record is None:
                return
            seconds = ruling.decision.obligations.timeout
            if seconds is not None:
                self.deadline_set = True
                self.effects.append(SetDeadline(seconds, id(pending)))

    def command(self, text: bytes) -> bytes:
        """A COM_QUERY of the gateway's own."""
        # Where query attributes were agreed on with the server, their number comes before the text: none.
        return packet(_QUERY + (b"\0\1" if self.server_attributes else b"") + text, 0)

    def probe(self) -> None:
        """Ask the server for the session's state. Nothing may be under way."""
        self.send(self.command(_PROBE), Pending(Kind.PROBE))
        self.count_hidden = True

    def cancel(self) -> None:
        """Have the database stop; nothing of the client goes on before it has taken notice."""
        if self.ask_cancel is None:
            self.ask_cancel = ask = AskCancelUpstream()
            self.effects.append(ask)

    def cancelled(self) -> None:
        """The cancel request is over."""
        self.ask_cancel = None
        command, self.behind_cancel = self.behind_cancel, b""
        if command:
            self.effects.append(SendUpstream(command))

    # --- ends ---------------------------------------------------------------------------------------------------

    def forget_intent(self) -> None:
        """The client is gone before its statement went to the server: it will never run."""
        intent, self.intent = self.intent, None
        if intent is not None:
            # A copy, since the audit may not have taken the intent itself yet.
            self.finish(replace(intent, intent=False), Outcome.SKIPPED)

    def lose_everything(self) -> None:
        """The session ends with an answer outstanding: whether it happened is not known, and the audit says so."""
        self.forget_intent()
        pending, self.pending = self.pending, None
        if pending is not None and pending.record is not None:
            self.finish(pending.record, Outcome.LOST)

    def fail(self, error: GatewayError, sequence: int | None) -> None:
        """End the session with a native error as packet ``sequence`` (None: there is no place for one)."""
        if self.closed:
            return
        self.closed = True
        if sequence is not None:
            payload = err_payload(error, reference=self.session_id)
            self.effects.append(SendDownstream(packet(payload, sequence)))
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

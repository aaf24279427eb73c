"""What both directions of an open session share: the command under way, the state, and the effects collected so far."""

from __future__ import annotations

from typing import Final

from gateway.domain.audit import Outcome, StatementRecord
from gateway.errors import GatewayError
from gateway.protocol.adapter import Opened, RelaySettings
from gateway.protocol.core import OpenCore
from gateway.protocol.effects import (
    AskCancelUpstream,
    Close,
    SendDownstream,
    SendUpstream,
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


class Core(OpenCore):
    """The shared part of an open session."""

    __slots__ = (
        "again",
        "attributes",
        "behind_cancel",
        "client_flags",
        "count",
        "count_hidden",
        "eof_limit",
        "last_prepared",
        "max_message",
        "max_statement",
        "pending",
        "prepared",
        "savepoint",
        "server_attributes",
        "server_flags",
        "tracker",
        "undo",
        "undo_refused",
        "user",
    )

    def __init__(
        self, settings: RelaySettings, opened: Opened, client_flags: Capability, server_flags: Capability, user: bytes
    ) -> None:
        super().__init__(settings, opened)
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
        # What every command needs, without the way through objects that are not compiled.
        self.max_message = settings.limits.max_message
        self.max_statement = settings.limits.max_statement
        self.tracker = StateTracker()
        self.pending: Pending | None = None
        """The command that the server has not answered yet."""
        self.prepared: dict[int, Prepared] = {}
        self.last_prepared = 0
        self.again: ChangeUser | None = None
        """The client logs in anew, which another session takes care of."""
        self.count: int | None = None
        """What ROW_COUNT() is to the client, as far as that is known."""
        self.count_hidden = False
        """Whether the server would say something else, since a command of the gateway's own came after it."""
        self.savepoint = b"querygate_" + settings.random(8).hex().encode()
        """A savepoint's name that no client uses."""
        self.undo = Undo.NONE
        """What is ready to take back the change that waits for it."""
        self.undo_refused: GatewayError | Err | None = None
        """Why nothing is, so that the change cannot be made."""
        self.behind_cancel = b""
        """A command of the gateway's own that waits for the cancel request to be over."""

    # --- records ------------------------------------------------------------------------------------------------

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
            self.arm(ruling, id(pending))

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

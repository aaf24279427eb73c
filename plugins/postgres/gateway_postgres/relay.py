"""One PostgreSQL session from the first byte to the last: startup, then both directions of the open session.

Pure: bytes and answers in, effects out. Nothing here raises on bad input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.domain.approval import ApprovalNote
from gateway.domain.masking import MaskingPlan
from gateway.domain.ruling import Ruling
from gateway.errors import GatewayError, ProtocolError
from gateway.protocol.adapter import RelaySettings
from gateway.protocol.core import as_error
from gateway.protocol.effects import (
    ApprovalPending,
    Ask,
    AskApproval,
    AskCancelUpstream,
    AskCommit,
    AskPlan,
    AskRuling,
    Close,
    Effect,
    SendDownstream,
    SendUpstream,
    SetDeadline,
)
from gateway_postgres.core import Core
from gateway_postgres.errors import held_notice
from gateway_postgres.results import ServerStream, lost
from gateway_postgres.startup import Startup
from gateway_postgres.statements import TERMINATE_MESSAGE, ClientStream

MAX_HELD: Final = 64 * 1024
"""Bytes of the client that may wait inside the relay before it is no longer read, so that its hanging up is noticed."""
MAX_QUEUE: Final = 4096
"""Answers that may be outstanding before the client is no longer read. More than fit, at five bytes each, into the
8 KiB that a server collects before it sends, so that a paused client can always go on."""

PARTING: Final = 1.0
"""Seconds after the last answer of a session whose token has expired, for the client's next word to be answered."""
_PARTING: Final = -1

StartupEvent = Callable[[Startup], None]


class PostgresRelay:
    """The state machine of one session; implements ``gateway.protocol.adapter.Relay``."""

    __slots__ = ("_client", "_core", "_expired", "_parting", "_server", "_startup", "cancel_key", "upstream_cancel_key")

    def __init__(self, settings: RelaySettings) -> None:
        self.cancel_key: bytes | None = None
        self.upstream_cancel_key: bytes | None = None
        self._startup: Startup | None = Startup(settings)
        self._core: Core | None = None
        self._client: ClientStream | None = None
        self._server: ServerStream | None = None
        self._expired: GatewayError | None = None
        """Why the session ends when what is under way has been answered."""
        self._parting = False
        """It has been: the session ends with the client's next word, or soon."""

    @property
    def idle(self) -> bool:
        """Whether nothing is running, asked for or half sent, and no transaction is open."""
        core, client = self._core, self._client
        if core is None or client is None or client.blocked or client.half_sent:
            return False
        return not core.pipeline.queue and not core.pipeline.unsynced and core.tracker.transaction == ord("I")

    @property
    def wants_downstream(self) -> bool:
        """Whether the client should be read from."""
        core, client = self._core, self._client
        if core is None or client is None:
            return True
        return len(core.pipeline.queue) < MAX_QUEUE and (client.held.size < MAX_HELD or not client.blocked)

    @property
    def wants_upstream(self) -> bool:
        """Whether the database should be read from."""
        core = self._core
        return core is None or core.ask_up is None

    # --- events -------------------------------------------------------------------------------------------------

    def receive_downstream(self, data: bytes) -> list[Effect]:
        """Take bytes from the client."""
        client, core = self._client, self._core
        if client is None or core is None:
            return self._start_up(lambda startup: startup.receive_downstream(data))
        if core.closed or core.abandoned:
            return []
        try:
            client.receive(data)
            if self._parting and self._expired is not None:
                self._fail(core, self._expired)
        except GatewayError as error:
            self._fail(core, error)
        return self._take(core)

    def receive_upstream(self, data: bytes) -> list[Effect]:
        """Take bytes from the database."""
        server, core = self._server, self._core
        if server is None or core is None:
            return self._start_up(lambda startup: startup.receive_upstream(data))
        if core.closed:
            return []
        try:
            server.receive(data)
        except GatewayError as error:
            self._fail(core, error)
        return self._take(core)

    def answer(self, ask: Ask, result: object) -> list[Effect]:
        """Take the answer to a question."""
        client, server, core = self._client, self._server, self._core
        if client is None or server is None or core is None:
            return self._start_up(lambda startup: startup.answer(ask, result))
        if core.closed:
            return []
        try:
            self._answer(core, client, server, ask, result)
        except GatewayError as error:
            self._fail(core, error)
        return self._take(core)

    @staticmethod
    def _answer(core: Core, client: ClientStream, server: ServerStream, ask: Ask, result: object) -> None:
        if ask is core.ask_up:
            core.ask_up = None
        if isinstance(result, ApprovalPending):
            core.effects.append(SendDownstream(held_notice(result.text)))
            return  # the question stays open
        if ask is core.ask_down:
            core.ask_down = None
        match ask:
            case AskApproval():
                client.approved(ask.record, None if isinstance(result, ApprovalNote) else as_error(result))
            case AskRuling():
                if isinstance(result, Ruling):
                    client.ruled(result)
                else:
                    raise as_error(result)
            case AskCommit():
                client.committed(ask, None if result is None else as_error(result))
            case AskPlan():
                server.planned(ask, result if isinstance(result, MaskingPlan) else as_error(result))
            case AskCancelUpstream():
                core.ask_cancel = None
                client.resume()
            case _:
                raise ProtocolError(f"an answer to {type(ask).__name__} came in an open session")

    def eof_downstream(self) -> list[Effect]:
        """The client hung up."""
        core, client = self._core, self._client
        if core is None or client is None:
            return self._start_up(lambda startup: startup.fail_silently())
        if core.closed or core.abandoned:
            return []
        if not core.pipeline.queue:
            core.closed = True
            core.forget_intent()
            core.effects += [SendUpstream(TERMINATE_MESSAGE), Close()]
        else:
            client.abandon()
            if not core.closed:
                core.effects.append(AskCancelUpstream())
        return self._take(core)

    def eof_upstream(self) -> list[Effect]:
        """The database hung up."""
        core, server = self._core, self._server
        if core is None or server is None:
            return self._start_up(lambda startup: startup.receive_upstream(b""))
        lost(core, server)
        return self._take(core)

    def deadline_expired(self, token: int) -> list[Effect]:
        """A statement's time is over."""
        core, server = self._core, self._server
        if core is None or server is None or core.closed:
            return []
        if token == _PARTING and self._expired is not None:
            self._fail(core, self._expired)
        else:
            server.expire(token)
        return self._take(core)

    def terminate(self, error: GatewayError) -> list[Effect]:
        """End the session from the gateway's side."""
        core = self._core
        if core is None:
            return self._start_up(lambda startup: startup.refuse(error))
        if not core.closed:
            self._fail(core, error)
        return self._take(core)

    def expire(self, error: GatewayError) -> list[Effect]:
        """What let the client in is over. What was sent without its Sync counts as an open transaction."""
        core = self._core
        if core is None or core.pipeline.unsynced or not core.pipeline.queue:
            return self.terminate(error)
        core.pipeline.end()
        self._expired = error
        return []

    # --- phases -------------------------------------------------------------------------------------------------

    def _start_up(self, event: StartupEvent) -> list[Effect]:
        startup = self._startup
        if startup is None:
            return []
        try:
            event(startup)
        except GatewayError as error:
            startup.refuse(error)
        effects, startup.effects = startup.effects, []
        if startup.open is not None:
            self._open(startup, startup.open, effects)
        return effects

    def _open(self, startup: Startup, core: Core, effects: list[Effect]) -> None:
        """The upstream is logged in: from here on statements flow."""
        self._startup = None
        self._core = core
        self._client = ClientStream(core)
        self._server = ServerStream(core, self._client)
        self.cancel_key = startup.cancel_key
        self.upstream_cancel_key = startup.upstream_cancel_key
        if startup.upstream_rest:
            effects += self.receive_upstream(startup.upstream_rest)
        rest = startup.take_downstream()
        if rest:
            effects += self.receive_downstream(rest)

    @staticmethod
    def _fail(core: Core, error: GatewayError) -> None:
        """End the session with a native error, and whatever still runs for it in the database."""
        if core.closed:
            return
        running = bool(core.pipeline.queue)
        core.effects.append(SendUpstream(TERMINATE_MESSAGE))
        core.fail(error)
        if running:
            core.effects.append(AskCancelUpstream())

    def _take(self, core: Core) -> list[Effect]:
        if self._expired is not None and not (self._parting or core.pipeline.queue or core.closed):
            # Not at once: drivers take no notice of an error that comes together with the answer before it.
            self._parting = True
            core.effects.append(SetDeadline(PARTING, _PARTING))
        effects, core.effects = core.effects, []
        return effects
